/**
 * Kills a node again and again while an idempotent producer writes to it, always on the same directory, and then reads back all
 * of it: what was acknowledged must be there once, in order, at the offset that was told, and nothing else.
 */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Admin, Consumer } from '@ottla/client';
import { nodeRuntime, SeededRandom, sleep } from '@ottla/runtime';
import { KilledNode } from './killed-node.ts';
import { type Load, numberOf, type ProducerName, startLoad, streamOf } from './load.ts';

export type KillTortureOptions = {
  readonly times: number;
  readonly producer: ProducerName;
  readonly seed: number;
  readonly partitions: number;
  readonly recordsPerSecond: number;
  readonly valueBytes: number;
  /** How long the node serves between two kills, at least and at most. */
  readonly lifeMs: readonly [number, number];
  readonly report: (line: string) => void;
};

/** Counts of records, but for what says otherwise. */
export type KillTortureFigures = {
  readonly kills: number;
  /** Of those, the kills of a node that was still starting. */
  readonly killsWhileStarting: number;
  readonly sent: number;
  /** Acknowledged one by one; 0 where the producer only tells that all of them were. */
  readonly acknowledged: number;
  readonly found: number;
  readonly lost: number;
  readonly duplicates: number;
  readonly gaps: number;
  readonly outOfOrder: number;
  /** Acknowledged with another offset than that of the record in the log. */
  readonly elsewhere: number;
  /** Partitions whose offsets do not follow one another. */
  readonly holes: number;
  readonly failures: readonly unknown[];
  readonly segments: number;
  /** From the start of the process until it serves, sorted. */
  readonly startsMs: readonly number[];
};

const topic = 'torture';

export async function tortureByKilling(options: KillTortureOptions): Promise<KillTortureFigures> {
  const { times, partitions, seed, report } = options;
  const random = new SeededRandom(seed);
  const directory = mkdtempSync(join(tmpdir(), 'ottla-torture-'));
  const node = new KilledNode(directory);
  const { timers } = nodeRuntime();
  const startsMs: number[] = [];
  let killsWhileStarting = 0;
  let isSound = false;

  async function start(): Promise<void> {
    const begun = performance.now();
    if (!(await node.start())) throw new Error(`the node ended while it started: ${node.logFile}`);
    startsMs.push(performance.now() - begun);
  }

  try {
    await start();
    const bootstrapServers = node.bootstrapServers;
    await using admin = new Admin({ bootstrapServers });
    const configs = { 'segment.bytes': '1048576', 'retention.ms': '-1' };
    await admin.createTopics([{ name: topic, partitions, configs }]);
    const load = await startLoad(options.producer, { ...options, bootstrapServers, topic, streams: partitions });
    const [least, most] = options.lifeMs;
    for (let kill = 1, written = 0; kill <= times; kill++) {
      written = await writtenBeyond(admin, partitions, written);
      await sleep(timers, least + random.fraction() * (most - least));
      await node.kill();
      const acknowledged = endsOf(load);
      if (kill < times && random.fraction() < 0.2) {
        const starting = node.start();
        const killed = sleep(timers, random.fraction() * 600).then(() => node.kill());
        await Promise.all([starting, killed]);
        kill++;
        killsWhileStarting++;
      }
      await start();
      await assertReaches(admin, acknowledged);
      report(`kill ${kill} of ${times}: ${sum(load.sent)} sent, up again after ${Math.round(startsMs.at(-1)!)} ms`);
    }
    await load.finish();
    const checked = await check(bootstrapServers, partitions, load);
    const segments = readdirSync(join(directory, 'data'), { recursive: true }).filter((name) =>
      new RegExp(`^${topic}-\\d+/\\d+\\.log$`).test(String(name)),
    ).length;
    isSound = isAsItShouldBe(checked) && load.failures.length === 0;
    return {
      kills: times,
      killsWhileStarting,
      ...checked,
      failures: load.failures,
      segments,
      startsMs: startsMs.sort((one, other) => one - other),
    };
  } finally {
    await node.kill();
    if (isSound) rmSync(directory, { recursive: true, force: true, maxRetries: 3 });
    else report(`what is left is in ${directory}`);
  }
}

/** How many records there are, as soon as there are more than that: the load has found the node. */
async function writtenBeyond(admin: Admin, partitions: number, count: number): Promise<number> {
  const { timers } = nodeRuntime();
  const places = Array.from({ length: partitions }, (_, partition) => ({ topic, partition, at: 'latest' as const }));
  const begun = performance.now();
  for (;;) {
    const written = sum((await admin.listOffsets(places)).map(({ offset }) => offset));
    if (written > count) return written;
    if (performance.now() - begun > 300_000) throw new Error('the producer has written nothing for five minutes');
    await sleep(timers, 20);
  }
}

type Checked = Pick<
  KillTortureFigures,
  'sent' | 'acknowledged' | 'found' | 'lost' | 'duplicates' | 'gaps' | 'outOfOrder' | 'elsewhere' | 'holes'
>;

export function isAsItShouldBe(figures: Checked): boolean {
  const { sent, found, lost, duplicates, gaps, outOfOrder, elsewhere, holes } = figures;
  return found === sent && lost + duplicates + gaps + outOfOrder + elsewhere + holes === 0;
}

/** Behind the last acknowledged offset of each stream, where the producer tells. */
function endsOf({ acknowledged }: Load): number[] {
  return acknowledged.map((offsets) => {
    let end = 0;
    for (const offset of offsets.values()) if (offset >= end) end = offset + 1;
    return end;
  });
}

/** A log that is shorter than what was acknowledged is noticed at once, and the directory is as the kill left it. */
async function assertReaches(admin: Admin, ends: readonly number[]): Promise<void> {
  if (ends.length === 0) return;
  const listed = await admin.listOffsets(ends.map((_, partition) => ({ topic, partition, at: 'latest' as const })));
  for (const { partition, offset } of listed)
    if (offset < ends[partition]!)
      throw new Error(`${topic}-${partition} ends at ${offset}, but ${ends[partition]! - 1} was acknowledged`);
}

async function check(bootstrapServers: string, partitions: number, load: Load): Promise<Checked> {
  await using admin = new Admin({ bootstrapServers });
  await using consumer = new Consumer({ bootstrapServers });
  const places = Array.from({ length: partitions }, (_, partition) => ({ topic, partition }));
  const ends = await admin.listOffsets(places.map((place) => ({ ...place, at: 'latest' as const })));
  consumer.assign(places);
  for (const place of places) consumer.seek(place, 0);
  const seen = load.sent.map((count) => new Uint8Array(count));
  const next = load.sent.map(() => 0);
  const offsets = places.map(() => 0);
  const holes = new Set<number>();
  let [found, duplicates, gaps, outOfOrder, elsewhere] = [0, 0, 0, 0, 0];
  const awaited = sum(ends.map(({ offset }) => offset));
  while (sum(offsets) < awaited) {
    const records = await consumer.poll({ timeoutMs: 60_000 });
    if (records.length === 0) throw new Error(`nothing more to read after ${sum(offsets)} of ${awaited} offsets`);
    for (const { partition, offset, key, value } of records) {
      if (offset !== offsets[partition]) holes.add(partition);
      offsets[partition] = offset + 1;
      const stream = streamOf(Buffer.from(key!).toString());
      const number = numberOf(value!);
      found++;
      if (seen[stream]![number]) duplicates++;
      else if (number < next[stream]!) outOfOrder++;
      seen[stream]![number] = 1;
      if (number > next[stream]!) gaps += number - next[stream]!;
      next[stream] = Math.max(next[stream]!, number + 1);
      const told = load.acknowledged[stream]?.get(number);
      if (told !== undefined && told !== offset) elsewhere++;
    }
  }
  const lost = sum(seen.map((of) => of.reduce((count, one) => count + 1 - one, 0)));
  const acknowledged = sum(load.acknowledged.map(({ size }) => size));
  return { sent: sum(load.sent), acknowledged, found, lost, duplicates, gaps, outOfOrder, elsewhere, holes: holes.size };
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, one) => total + one, 0);
