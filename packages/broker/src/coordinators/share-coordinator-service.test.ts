import assert from 'node:assert/strict';
import { test } from 'node:test';
import { buildBatch, errorName, KafkaError, writeShareRecordKey } from '@ottla/protocol';
import { World } from '@ottla/runtime';
import { MemoryCoordinatorLog } from './memory-coordinator-log.ts';
import { PatientSharePersister } from './patient-share-persister.ts';
import { ShareCoordinatorService } from './share-coordinator-service.ts';

const TOPIC_ID = 'AAAAAAAAAAAAAAAAAAAAAQ';

function start() {
  const world = new World({ seed: 1 });
  const runtime = world.machine('broker').boot();
  const log = new MemoryCoordinatorLog();
  const pruned: number[] = [];
  const topic = { exists: true, creations: 0 };
  const service = new ShareCoordinatorService({
    runtime,
    config: {
      state: { updatesPerSnapshot: 2, coldPartitionSnapshotIntervalMs: 3_600_000 },
      partition: { appendLingerMs: -1, commitTimeoutMs: 5_000, compression: 'none', loadStepBytes: 4096 },
      pruneIntervalMs: 300_000,
    },
    partitionCount: () => (topic.exists ? 1 : undefined),
    log: () => log,
    deleteRecordsBefore: (_partition, offset) => void pruned.push(offset),
    hasPartition: (topicId, partition) => topicId === TOPIC_ID && partition < 3,
  });
  const persister = new PatientSharePersister({
    coordinators: service,
    ensureTopic: () => {
      if (topic.exists) return undefined;
      topic.creations++;
      return Promise.reject(new KafkaError('INVALID_REPLICATION_FACTOR'));
    },
    runtime,
  });
  return { world, log, pruned, topic, service, persister };
}

async function started() {
  const all = start();
  await all.world.runUntil(all.service.onPartitionElected(0, 0));
  return all;
}

const topics = <Partition>(...partitions: Partition[]) => ({ groupId: 'g', topics: [{ topicId: TOPIC_ID, partitions }] });
const begin = (partition = 0, startOffset = 0) => topics({ partition, stateEpoch: 1, startOffset });
const moved = (startOffset: number, partition = 0) =>
  topics({ partition, stateEpoch: 1, leaderEpoch: 0, startOffset, deliveryCompleteCount: -1, stateBatches: [] });
const asked = topics({ partition: 0, leaderEpoch: -1 });

type Answered = { results: { partitions: { errorCode: number }[] }[] };
const codes = ({ results }: Answered): string[] =>
  results.flatMap(({ partitions }) => partitions.map(({ errorCode }) => errorName(errorCode)));

test('each share partition of a request is answered for itself', async () => {
  const { world, service } = await started();
  await world.runUntil(service.initialize(begin(0)));
  const change = { stateEpoch: 1, leaderEpoch: 0, startOffset: 3, deliveryCompleteCount: 0, stateBatches: [] };
  const response = await world.runUntil(
    service.write(topics({ partition: 0, ...change }, { partition: 1, ...change }, { partition: -1, ...change })),
  );
  assert.deepEqual(codes(response), ['NONE', 'INVALID_REQUEST', 'INVALID_REQUEST']);
  const unknown = {
    groupId: 'g',
    topics: [{ topicId: TOPIC_ID, partitions: [{ partition: 7, stateEpoch: 1, startOffset: 0 }] }],
  };
  assert.deepEqual(codes(await world.runUntil(service.initialize(unknown))), ['UNKNOWN_TOPIC_OR_PARTITION']);
});

test('a partition that cannot be read makes its state unavailable, not empty', async () => {
  const { world, log, service } = start();
  const key = Buffer.from(writeShareRecordKey({ type: 'ShareSnapshot', key: { groupId: 'g', topicId: TOPIC_ID, partition: 0 } }));
  // A value of a version that does not exist yet.
  log.append(new Uint8Array(buildBatch({ records: [{ timestamp: 0, key, value: Buffer.from([0, 9, 0]) }] })));
  await world.runUntil(service.onPartitionElected(0, 0));
  assert.deepEqual(codes(await world.runUntil(service.readSummary(asked))), ['NOT_COORDINATOR']);
  assert.deepEqual(codes(await world.runUntil(service.initialize(begin()))), ['NOT_COORDINATOR']);
});

test("a write that fails is told in the coordinator's terms, and has not happened", async () => {
  const { world, log, service } = await started();
  await world.runUntil(service.initialize(begin()));
  log.appendError = new KafkaError('NOT_ENOUGH_REPLICAS');
  assert.deepEqual(codes(await world.runUntil(service.write(moved(5)))), ['COORDINATOR_NOT_AVAILABLE']);
  log.appendError = new KafkaError('MESSAGE_TOO_LARGE');
  assert.deepEqual(codes(await world.runUntil(service.write(moved(5)))), ['UNKNOWN_SERVER_ERROR']);
  log.appendError = null;
  const { results } = await world.runUntil(service.readSummary(asked));
  assert.equal(results[0]!.partitions[0]!.startOffset, 0);
});

test('nothing is answered before it is committed', async () => {
  const { world, log, service } = await started();
  await world.runUntil(service.initialize(begin()));
  log.holdsCommits = true;
  const answers: string[] = [];
  void service.write(moved(5)).then((response) => answers.push(...codes(response)));
  void service.readSummary(asked).then(({ results }) => answers.push(`${results[0]!.partitions[0]!.startOffset}`));
  await world.advance(1000);
  assert.deepEqual(answers, []);
  log.commit();
  await world.advance(1);
  assert.deepEqual(answers, ['NONE', '5']);
});

test('pruning says the same offset once', async () => {
  const { world, pruned, service } = await started();
  await world.runUntil(service.initialize(begin()));
  await world.advance(300_000);
  assert.deepEqual(pruned, []);
  for (let offset = 1; offset <= 4; offset++) await world.runUntil(service.write(moved(offset)));
  await world.advance(900_000);
  assert.deepEqual(pruned, [3]);
  service.shutdown();
  assert.deepEqual(codes(await world.runUntil(service.write(moved(9)))), ['COORDINATOR_NOT_AVAILABLE']);
});

test('the persister waits for a coordinator that is being loaded, and keeps the order', async () => {
  const { world, service, persister } = start();
  const answers: string[] = [];
  void persister.initialize(begin()).then((response) => answers.push('begun', ...codes(response)));
  void persister.write(moved(5)).then((response) => answers.push('5', ...codes(response)));
  void persister.write(moved(6)).then((response) => answers.push('6', ...codes(response)));
  await world.advance(500);
  assert.deepEqual(answers, []);
  await service.onPartitionElected(0, 0);
  await world.advance(2000);
  assert.deepEqual(answers, ['begun', 'NONE', '5', 'NONE', '6', 'NONE']);
  const { results } = await world.runUntil(persister.readSummary(asked));
  assert.equal(results[0]!.partitions[0]!.startOffset, 6);
});

test('the persister gives up in the end, and at once when the node stops or the topic cannot be created', async () => {
  const { world, service, persister, topic } = start();
  const patient = persister.initialize(begin());
  await world.advance(5000);
  assert.deepEqual(codes(await world.runUntil(patient)), ['NOT_COORDINATOR']);
  topic.exists = false;
  assert.deepEqual(codes(await world.runUntil(persister.initialize(begin()))), ['NOT_COORDINATOR']);
  assert.equal(topic.creations, 1);
  topic.exists = true;
  const last = persister.initialize(begin());
  persister.shutdown();
  service.shutdown();
  assert.deepEqual(codes(await world.runUntil(last)), ['COORDINATOR_NOT_AVAILABLE']);
});
