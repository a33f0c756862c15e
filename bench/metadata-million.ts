/**
 * `npm run bench metadata-million [-- --partitions N --target ottla --target kafka]`: a controller that finds the metadata of a million
 * partitions (a thousand topics, three replicas) in a snapshot: time from exec until it decides, and memory then and at its peak; then a new
 * broker that fetches the snapshot from it, and how long the controller lets a heartbeat wait meanwhile. And what the pure parts cost in this
 * process: replaying, telling the snapshot's records, writing its bytes and reading them.
 */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { defaultFeatureLevels, featureLevelRecord, MetadataImage } from '@ottla/metadata';
import { CreateTopics, Metadata, type MetadataRecord, type Uuid, uuidFromBytes } from '@ottla/protocol';
import { snapshotBatches } from '../packages/broker/src/quorum/snapshot-content.ts';
import { SnapshotReader } from '../packages/broker/src/quorum/snapshot-reader.ts';
import { namesOf, readOptions, wholeNumber } from '../scripts/command-line.ts';
import { ask } from '../test/cluster/ask.ts';
import { installKafka } from '../test/interop/kafka/kafka.ts';
import { Heartbeats } from './metadata-million/heartbeats.ts';
import { MillionNode, type Target } from './metadata-million/million-node.ts';

const values = readOptions(
  {
    partitions: { type: 'string', default: '1000000' },
    target: { type: 'string', multiple: true, default: ['ottla', 'kafka'] },
  },
  `npm run bench metadata-million [-- --partitions N --target ottla|kafka]`,
);
const targets = namesOf(values.target, ['ottla', 'kafka'], 'target');
const partitions = wholeNumber(values.partitions, 'partitions', 1);
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

if (targets.includes('kafka')) await installKafka();
for (const target of targets) {
  await using controller = await startController(target);
  await fetchBy(target, controller);
}

async function startController(target: Target): Promise<MillionNode> {
  const properties = (port: number): string => `process.roles=controller
node.id=1
listeners=CONTROLLER://127.0.0.1:${port}
controller.listener.names=CONTROLLER
controller.quorum.voters=1@127.0.0.1:${port}`;
  const endOffset = String(partitions + topics + 100).padStart(20, '0');
  const controller = await MillionNode.start(target, properties, (metadataLog) =>
    writeFileSync(join(metadataLog, `${endOffset}-0000000001.checkpoint`), written),
  );
  const topic = { name: 'one-more', numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] };
  const request = { topics: [topic], timeoutMs: 5000, validateOnly: true };
  const time = await controller.until(async () => {
    const { topics: answers } = await ask({ host: '127.0.0.1', port: controller.port }, CreateTopics, 7, request, 10_000);
    // No broker lives, and who knows so has loaded all.
    return answers[0]?.errorCode === 38;
  });
  console.log(
    `${target}: decides ${time} after its start, ${controller.cpuSeconds.toFixed(1)} s of CPU time; ${controller.memory}`,
  );
  return controller;
}

/** A new broker, of which no partition is a replica. */
async function fetchBy(target: Target, controller: MillionNode): Promise<void> {
  const before = controller.cpuSeconds;
  await using broker = await MillionNode.start(
    target,
    (port) => `process.roles=broker
node.id=${brokers + 1}
listeners=PLAINTEXT://127.0.0.1:${port}
controller.listener.names=CONTROLLER
controller.quorum.voters=1@127.0.0.1:${controller.port}`,
  );
  const heartbeats = new Heartbeats(controller.port);
  const topic = { topicId: 'AAAAAAAAAAAAAAAAAAAAAA', name: `topic-${topics - 1}` };
  const request = { topics: [topic], allowAutoTopicCreation: false, includeTopicAuthorizedOperations: false };
  const time = await broker.until(async () => {
    const { topics: answers } = await ask({ host: '127.0.0.1', port: broker.port }, Metadata, 12, request, 10_000);
    return answers[0]?.errorCode === 0;
  });
  const waits = await heartbeats.end();
  console.log(
    `  a new broker serves ${time} after its start, ${broker.cpuSeconds.toFixed(1)} s of CPU time; ${broker.memory}
  the controller meanwhile: ${(controller.cpuSeconds - before).toFixed(1)} s of CPU time; ${controller.memory}; ${waits}`,
  );
}
