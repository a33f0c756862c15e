/**
 * `npm run bench metadata-million [-- --partitions N --target ottla --target kafka]`: a controller that finds the metadata of a million
 * partitions (a thousand topics, three replicas) in a snapshot: time from exec until it decides, and memory then and at its peak. And what
 * the pure parts cost in this process: replaying, telling the snapshot's records, writing its bytes and reading them.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { defaultFeatureLevels, featureLevelRecord, MetadataImage } from '@ottla/metadata';
import { CreateTopics, type MetadataRecord, type Uuid, uuidFromBytes } from '@ottla/protocol';
import { snapshotBatches } from '../packages/broker/src/quorum/snapshot-content.ts';
import { SnapshotReader } from '../packages/broker/src/quorum/snapshot-reader.ts';
import { ask } from '../test/cluster/ask.ts';
import { installKafka } from '../test/interop/kafka/kafka.ts';
import { freePort, run } from '../test/interop/processes.ts';
import { cpuSeconds, memoryMiB } from './broker/process-usage.ts';
import { publishedCommand } from './broker/published-command.ts';
import { shippedKafka } from './broker/shipped-kafka.ts';

const { values } = parseArgs({
  options: {
    partitions: { type: 'string', default: '1000000' },
    target: { type: 'string', multiple: true, default: ['ottla', 'kafka'] },
  },
});
const partitions = Number(values.partitions);
const topics = Math.max(1, Math.ceil(partitions / 1000));
const brokers = 30;

function uuid(kind: number, number: number): Uuid {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, kind);
  view.setUint32(12, number + 1000);
  return uuidFromBytes(bytes);
}

function* records(): Generator<MetadataRecord> {
  for (const [name, level] of defaultFeatureLevels()) yield featureLevelRecord(name, level);
  const minIsr = { resourceType: 4, resourceName: '', name: 'min.insync.replicas', value: '1' };
  yield { type: 'ConfigRecord', version: 0, value: minIsr };
  for (let topic = 0; topic < topics; topic++) {
    const topicId = uuid(1, topic);
    yield { type: 'TopicRecord', version: 0, value: { name: `topic-${topic}`, topicId } };
    for (let partitionId = 0; partitionId < Math.min(1000, partitions - topic * 1000); partitionId++) {
      const replicas = [0, 1, 2].map((more) => 1 + ((topic + partitionId + more * 7) % brokers));
      const value = {
        ...{ partitionId, topicId, replicas, isr: replicas, removingReplicas: [], addingReplicas: [], leader: replicas[0]! },
        ...{ leaderRecoveryState: 0, leaderEpoch: 3, partitionEpoch: 7, directories: replicas.map((id) => uuid(2, id)) },
        ...{ eligibleLeaderReplicas: null, lastKnownElr: null },
      };
      yield { type: 'PartitionRecord', version: 2, value };
    }
  }
}

const mib = (bytes: number): string => `${Math.round(bytes / 2 ** 20)} MiB`;

function timed<Result>(what: string, work: () => Result): Result {
  const before = process.cpuUsage();
  const result = work();
  const { user, system } = process.cpuUsage(before);
  console.log(`  ${what.padEnd(44)}${((user + system) / 1e6).toFixed(2).padStart(8)} s of CPU time`);
  return result;
}

console.log(
  `${partitions.toLocaleString('en')} partitions of ${topics.toLocaleString('en')} topics, 3 replicas\nin this process:`,
);
const written = timed('the snapshot as bytes', () =>
  Buffer.concat([...snapshotBatches(records(), { lastContainedLogTimestampMs: 0, epoch: 1, nowMs: 0 })]),
);
console.log(`  ${'its size'.padEnd(44)}${mib(written.length).padStart(10)}`);
{
  const before = process.memoryUsage();
  const image = new MetadataImage();
  timed('read and replayed into an image', () => {
    const read = (position: number, length: number): Uint8Array => written.subarray(position, position + length);
    for (const record of new SnapshotReader({ size: written.length, read }).records()) image.replay(record, 0);
  });
  globalThis.gc?.();
  const after = process.memoryUsage();
  const grown = after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers;
  if (globalThis.gc) console.log(`  ${'memory of the image'.padEnd(44)}${mib(grown).padStart(10)}`);
  timed('a copy of it', () => image.copy());
  timed('the records of its snapshot', () => {
    for (const _ of image.records());
  });
}

if (values.target.includes('kafka')) installKafka();
for (const target of values.target) await startController(target as 'ottla' | 'kafka');

async function startController(target: 'ottla' | 'kafka'): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), `ottla-million-${target}-`));
  const port = await freePort();
  const propertiesFile = join(directory, 'server.properties');
  const data = join(directory, 'data');
  mkdirSync(data);
  writeFileSync(
    propertiesFile,
    `process.roles=controller
node.id=1
listeners=CONTROLLER://127.0.0.1:${port}
controller.listener.names=CONTROLLER
controller.quorum.voters=1@127.0.0.1:${port}
log.dirs=${data}
`,
  );
  const program = await publishedCommand();
  const clusterId = '4L6g3nShT-eMCtK--X86sw';
  run(process.execPath, [program, 'storage', 'format', '--cluster-id', clusterId, '--config', propertiesFile]);
  mkdirSync(join(data, '__cluster_metadata-0'), { recursive: true });
  const endOffset = String(partitions + topics + 100).padStart(20, '0');
  writeFileSync(join(data, '__cluster_metadata-0', `${endOffset}-0000000001.checkpoint`), written);
  const command =
    target === 'ottla'
      ? [process.execPath, program, 'start', '--config', propertiesFile]
      : shippedKafka({ propertiesFile, directory }).map((arg) => arg.replace(/^-Xmx.*/, '-Xmx4g'));
  const log = join(directory, 'log');
  const output = openSync(log, 'a');
  const beganMs = performance.now();
  const child = spawn(command[0]!, command.slice(1), { cwd: directory, stdio: ['ignore', output, output] });
  try {
    const topic = { name: 'one-more', numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] };
    const request = { topics: [topic], timeoutMs: 5000, validateOnly: true };
    for (;;) {
      if (child.exitCode !== null || performance.now() - beganMs > 300_000)
        throw new Error(`${target} did not start:\n${readFileSync(log, 'utf8').slice(-3000)}`);
      try {
        const { topics: answers } = await ask({ host: '127.0.0.1', port }, CreateTopics, 7, request, 10_000);
        // No broker lives, and who knows so has loaded all.
        if (answers[0]?.errorCode === 38) break;
      } catch {
        // Nobody listens yet.
      }
      await sleep(50);
    }
    const seconds = (performance.now() - beganMs) / 1000;
    const { resident, peak } = memoryMiB(child.pid!);
    const cpu = cpuSeconds(child.pid!).toFixed(1);
    console.log(
      `${target}: decides ${seconds.toFixed(1)} s after its start, ${cpu} s of CPU time; memory ${Math.round(resident)} MiB, at its peak ${Math.round(peak)} MiB`,
    );
  } finally {
    child.kill('SIGKILL');
    await new Promise((resolve) => child.on('close', resolve));
    rmSync(directory, { recursive: true, force: true });
  }
}
