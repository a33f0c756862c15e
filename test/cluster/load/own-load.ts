/** The load of load-settings.ts by our own client: `node own-load.ts '{...}'`. */
import { closeSync, openSync, writeSync } from 'node:fs';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { Consumer, Producer } from '@ottla/client';
import { SeededRandom } from '@ottla/runtime';
import type { LoadSettings } from './load-settings.ts';

const settings = JSON.parse(process.argv[2]!) as LoadSettings;
const file = openSync(settings.outcomes, 'w');
let lines: string[] = [];
const note = (line: string): void => {
  lines.push(line);
  if (lines.length >= 1000) flush();
};
function flush(): void {
  if (lines.length > 0) writeSync(file, `${lines.join('\n')}\n`);
  lines = [];
}

const isOver = new AbortController();
process.stdin.once('data', () => isOver.abort()).once('end', () => isOver.abort());
const patience = { bootstrapServers: settings.bootstrap, maxBlockMs: 900_000, requestTimeoutMs: 10_000 };
const oneLine = (error: unknown): string => String(error).replaceAll('\n', ' ').slice(0, 300);

console.log('ready');
const { writers } = settings.transactional;
await Promise.all([plainStreams(), member(), ...writers.map((writer) => transactions(writer))]);
flush();
closeSync(file);
process.exit(0);

async function plainStreams(): Promise<void> {
  const { topic, partitions, streams, recordsPerSecond } = settings.plain;
  if (streams.length === 0) return;
  const producer = new Producer({ ...patience, deliveryTimeoutMs: 900_000 });
  const sent = streams.map(() => 0);
  let inFlight = 0;
  let turn = 0;
  let allowance = 0;
  let last = performance.now();
  while (!isOver.signal.aborted) {
    const now = performance.now();
    // What a fault has held back may be made up for, within bounds.
    allowance = Math.min(allowance + ((now - last) * recordsPerSecond) / 1000, recordsPerSecond * 5);
    last = now;
    for (let burst = 0; allowance >= 1 && inFlight < 20_000 && burst < recordsPerSecond / 20; allowance--, burst++) {
      const index = turn++ % streams.length;
      const stream = streams[index]!;
      const number = sent[index]!++;
      inFlight++;
      producer
        .send({ topic, partition: stream % partitions, value: `${stream}:${number}:`.padEnd(settings.valueBytes, 'x') })
        .then(({ offset }) => note(`a ${stream} ${number} ${offset}`))
        .catch((error) => note(`f ${stream} ${number} ${oneLine(error)}`))
        .finally(() => inFlight--);
    }
    await sleep(5);
  }
  await producer.flush();
  await producer.close();
  for (const [index, stream] of streams.entries()) note(`s ${stream} ${sent[index]}`);
}

async function transactions(writer: number): Promise<void> {
  const { topic, partitions, recordsPerSecond, recordsAtMost } = settings.transactional;
  const random = new SeededRandom(settings.seed * 1000 + writer);
  const open = () =>
    new Producer({
      ...patience,
      deliveryTimeoutMs: 60_000,
      transactionalId: `cluster-${writer}`,
      transactionTimeoutMs: 60_000,
    });
  let producer = open();
  let isInitialized = false;
  let number = 0;
  let due = performance.now();
  while (!isOver.signal.aborted) {
    if (!isInitialized) {
      try {
        await producer.initTransactions();
        isInitialized = true;
      } catch (error) {
        note(`n writer ${writer} init: ${oneLine(error)}`);
        await producer.close().catch(() => {});
        producer = open();
        await sleep(200);
        continue;
      }
    }
    const transaction = number++;
    const count = 1 + Math.floor(random.fraction() * recordsAtMost);
    const first = Math.floor(random.fraction() * partitions);
    const width = 1 + Math.floor(random.fraction() * Math.min(3, partitions));
    const isAborted = random.fraction() < 0.1;
    let commitAsked = false;
    try {
      producer.beginTransaction();
      const sends = [];
      for (let index = 0; index < count; index++) {
        const partition = (first + (index % width)) % partitions;
        const value = `${writer}:${transaction}:${index}:`.padEnd(settings.valueBytes, 'x');
        sends.push(producer.send({ topic, partition, value }));
      }
      const results = await Promise.allSettled(sends);
      const failed = results.find((result) => result.status === 'rejected');
      if (failed) throw failed.reason;
      if (isAborted) {
        await producer.abortTransaction();
        note(`t ${writer} ${transaction} aborted ${count}`);
      } else {
        commitAsked = true;
        await producer.commitTransaction();
        note(`t ${writer} ${transaction} committed ${count}`);
      }
    } catch (error) {
      note(`n writer ${writer} transaction ${transaction}${commitAsked ? ' (commit)' : ''}: ${oneLine(error)}`);
      note(`t ${writer} ${transaction} ${commitAsked ? 'unknown' : 'aborted'} ${count}`);
      try {
        if (commitAsked) throw error;
        await producer.abortTransaction();
      } catch {
        await producer.close().catch(() => {});
        producer = open();
        isInitialized = false;
      }
    }
    due = Math.max(due + ((recordsAtMost / 2) * 1000 * writers.length) / recordsPerSecond, performance.now() - 5000);
    await sleep(Math.max(0, due - performance.now()), undefined, { signal: isOver.signal }).catch(() => {});
  }
  await producer.close().catch(() => {});
}

async function member(): Promise<void> {
  const { group, plain, bootstrap: bootstrapServers } = settings;
  if (group === null) return;
  await using consumer = new Consumer({ bootstrapServers, groupId: group, autoOffsetReset: 'earliest', enableAutoCommit: false });
  consumer.subscribe([plain.topic]);
  while (!isOver.signal.aborted) {
    try {
      const ends = new Map<number, number>();
      for (const [partition, records] of Map.groupBy(await consumer.poll({ timeoutMs: 200 }), (record) => record.partition)) {
        const end = records.at(-1)!.offset + 1;
        note(`g ${group} ${partition} ${records[0]!.offset} ${end} ${records.length}`);
        ends.set(partition, end);
      }
      if (ends.size === 0) continue;
      await consumer.commit([...ends].map(([partition, offset]) => ({ topic: plain.topic, partition, offset })));
      for (const [partition, offset] of ends) note(`c ${group} ${partition} ${offset}`);
    } catch (error) {
      note(`n group ${group}: ${oneLine(error)}`);
      await sleep(100);
    }
  }
}
