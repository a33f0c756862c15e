import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  BrokerConfigSchema,
  Controller,
  defaultFeatureLevels,
  featureLevelRecord,
  parseBrokerConfig,
  supportedFeatures,
} from '@ottla/metadata';
import { KafkaError, type MetadataRecord } from '@ottla/protocol';
import { type Runtime, silentLogger, World } from '@ottla/runtime';
import { ClusterMetadata } from '../cluster-metadata.ts';
import { dividedIntoBatches } from '../quorum/batch-limits.ts';
import { type MetadataLog, QuorumController } from './quorum-controller.ts';

const clusterId = 'vPeOCWypqUOSepEvx0cbog';

test('a controller that was held up tells so before it judges who has been silent', () => {
  let nowMs = 1_000;
  let wake = (): void => assert.fail('no timer was set');
  const told: string[] = [];
  const controller = {
    tick: () => {
      told.push('tick');
      return { records: [], wakeAtMs: nowMs + 400 };
    },
    activate: () => ({ records: [], response: null }),
    overslept: (ms: number, now: number) => void told.push(`overslept ${ms} at ${now}`),
  } as unknown as Controller;
  const runtime = {
    // Whoever sets the clock of the wall holds nobody up.
    clock: { nowMs: () => 1_000, monotonicMs: () => nowMs },
    logger: silentLogger,
    timers: {
      after: (_ms: number, callback: () => void) => {
        wake = callback;
        return { cancel() {} };
      },
    },
  } as unknown as Runtime;
  const quorumController = new QuorumController({
    controller,
    runtime,
    nodeId: 1,
    log: { nextOffset: 0 } as MetadataLog,
    metadata: {} as ClusterMetadata,
    bootstrap: [],
    hasRegisteredBroker: () => false,
    onFatal: () => assert.fail(),
  });
  quorumController.leaderChanged({ leaderId: 1, leaderEpoch: 1 });
  nowMs += 410;
  wake();
  nowMs += 400 + 11_000;
  wake();
  assert.deepEqual(told, ['tick', 'tick', 'overslept 11000 at 12810', 'tick']);
});

/**
 * An active controller of brokers 1 and 2 whose log takes what it is given, or refuses it: what comes in one turn is written together, as far as
 * there is room, and a lead is lost when so many batches more are written.
 */
async function withLog({ maxDividedRecords = 10_000, maxRecordsPerPart = 5_000, writeMs = 0 } = {}) {
  const world = new World({ seed: 1 });
  const runtime = world.machine('controller', { logger: silentLogger }).boot();
  const metadata = new ClusterMetadata();
  const full = { isTold: false, isFound: false, behind: 0 };
  const lost = { behind: Number.POSITIVE_INFINITY };
  let leaderEpoch = 1;
  const batches: number[] = [];
  const noRoom = () => new KafkaError('KAFKA_STORAGE_ERROR', 'the disk is full');
  type Batch = { records: readonly MetadataRecord[]; resolve: (offsets: Offsets) => void; reject: (error: unknown) => void };
  type Offsets = { baseOffset: number; lastOffset: number };
  const unwritten: Batch[] = [];
  let nextOffset = 0;
  const write = (): void => {
    while (unwritten.length > 0) {
      if (full.isFound && full.behind-- <= 0) full.isTold = true;
      if (full.isTold) {
        for (const { records } of unwritten) nextOffset -= records.length;
        for (const { reject } of unwritten.splice(0)) reject(noRoom());
        return;
      }
      if (lost.behind-- <= 0) {
        for (const { records } of unwritten) nextOffset -= records.length;
        for (const { reject } of unwritten.splice(0)) reject(new KafkaError('NOT_CONTROLLER'));
        quorumController.leaderChanged({ leaderId: null, leaderEpoch: ++leaderEpoch });
        return;
      }
      const { records, resolve } = unwritten.shift()!;
      const baseOffset = metadata.appliedOffset + 1;
      const lastOffset = metadata.appliedOffset + records.length;
      batches.push(records.length);
      quorumController.heard({ records: [...records], baseOffset, lastOffset, leaderEpoch, appendTimestampMs: 0 });
      metadata.apply(records, lastOffset);
      resolve({ baseOffset, lastOffset });
    }
  };
  const log: MetadataLog = {
    get nextOffset() {
      return nextOffset;
    },
    get isBlocked() {
      return full.isTold;
    },
    hasOpenTransaction: false,
    requireWritable: () => {
      if (full.isTold) throw noRoom();
    },
    divide: (records) => {
      log.requireWritable(records);
      return dividedIntoBatches(records, { maxBytes: 8 * 1024 * 1024, maxRecords: maxDividedRecords });
    },
    append: (records) => {
      nextOffset += records.length;
      if (unwritten.length === 0) runtime.timers.after(writeMs, write);
      return new Promise((resolve, reject) => void unwritten.push({ records, resolve, reject }));
    },
  };
  const properties = {
    'process.roles': 'controller',
    'node.id': '9',
    listeners: 'CONTROLLER://controller:9093',
    'controller.listener.names': 'CONTROLLER',
    'controller.quorum.bootstrap.servers': 'controller:9093',
  };
  const controller = new Controller({
    schema: new BrokerConfigSchema(parseBrokerConfig(properties)),
    clusterId,
    nodeId: 9,
    brokerSessionTimeoutMs: 9_000,
    maxIdleIntervalMs: 0,
    maxRecordsPerPart,
  });
  const bootstrap = [...defaultFeatureLevels()].map(([name, level]) => featureLevelRecord(name, level));
  const quorumController = new QuorumController({
    controller,
    runtime,
    nodeId: 9,
    log,
    metadata,
    bootstrap,
    hasRegisteredBroker: () => false,
    onFatal: (error) => assert.fail(error as Error),
  });
  quorumController.leaderChanged({ leaderId: 9, leaderEpoch: 1 });
  await world.runUntil(quorumController.activation);
  const heartbeat = (brokerId: number, { wantShutDown = false, wantFence = false } = {}) => {
    const brokerEpoch = metadata.image.brokers.get(brokerId)!.epoch;
    const told = { currentMetadataOffset: nextOffset, wantFence, wantShutDown, offlineLogDirs: [], cordonedLogDirs: [] };
    return world.runUntil(
      quorumController.submit((each, context) => each.brokerHeartbeat({ brokerId, brokerEpoch, ...told }, context)),
    );
  };
  const register = async (brokerId: number, incarnation = brokerId) => {
    const registration = {
      brokerId,
      clusterId,
      incarnationId: `${incarnation}`.repeat(22),
      listeners: [{ name: 'PLAINTEXT', host: `broker${brokerId}`, port: 9092, securityProtocol: 0 }],
      features: [...supportedFeatures].map(([name, { min, max }]) => ({
        name,
        minSupportedVersion: min,
        maxSupportedVersion: max,
      })),
      rack: null,
      isMigratingZkBroker: false,
      logDirs: [`${brokerId + 2}`.repeat(22)],
      previousBrokerEpoch: -1,
    };
    await world.runUntil(quorumController.submit((each, context) => each.registerBroker(registration, context)));
    await heartbeat(brokerId);
  };
  const createTopic = async (name: string, partitions: number) => {
    const assignments = Array.from({ length: partitions }, (_, partitionIndex) => ({ partitionIndex, brokerIds: [2, 1] }));
    const topic = { name, numPartitions: -1, replicationFactor: -1, assignments, configs: [] };
    const request = { topics: [topic], timeoutMs: 0, validateOnly: false };
    const { topics } = await world.runUntil(quorumController.submit((each, context) => each.createTopics(request, context)));
    assert.equal(topics[0]!.errorCode, 0);
  };
  /** How many partitions each broker leads. */
  const leaders = (image = metadata.image) => {
    const counts: Record<number, number> = {};
    for (const topic of image.topics) for (const [, { leader }] of topic.partitions()) counts[leader] = (counts[leader] ?? 0) + 1;
    return counts;
  };
  await register(1);
  await register(2);
  const isFenced = (brokerId: number) => metadata.image.brokers.get(brokerId)!.fenced;
  return {
    world,
    full,
    lost,
    batches,
    metadata,
    controller,
    quorumController,
    heartbeat,
    register,
    createTopic,
    leaders,
    isFenced,
  };
}

test('a broker that dies while the disk of the metadata log is full is fenced when there is room again', async () => {
  const { world, full, heartbeat, createTopic, leaders, isFenced } = await withLog();
  await createTopic('t', 1);
  full.isFound = true;
  for (let ms = 0; ms < 20_000; ms += 2_000) {
    await world.advance(2_000);
    if (!full.isTold) await heartbeat(1);
  }
  assert.equal(full.isTold, true);
  assert.deepEqual(leaders(), { 2: 1 });
  full.isFound = false;
  full.isTold = false;
  for (let ms = 0; ms < 20_000; ms += 2_000) {
    await heartbeat(1);
    await world.advance(2_000);
  }
  assert.deepEqual([leaders(), isFenced(2), isFenced(1)], [{ 1: 1 }, true, false]);
});

test('a broker that asks to shut down while the disk is full hands its partitions over when there is room again', async () => {
  const { full, heartbeat, createTopic, leaders } = await withLog();
  await createTopic('t', 1);
  full.isTold = true;
  await assert.rejects(heartbeat(2, { wantShutDown: true }), { name: 'KAFKA_STORAGE_ERROR' });
  full.isTold = false;
  assert.equal((await heartbeat(2, { wantShutDown: true })).shouldShutDown, false);
  assert.deepEqual(leaders(), { 1: 1 });
  await heartbeat(1);
  assert.equal((await heartbeat(2, { wantShutDown: true })).shouldShutDown, true);
});

test('what follows one broker with very many replicas is decided and written in parts', async () => {
  const { world, batches, heartbeat, createTopic, leaders, isFenced } = await withLog();
  for (let topic = 0; topic < 14; topic++) await createTopic(`t${topic}`, 9_500);
  assert.deepEqual(leaders(), { 2: 133_000 });
  batches.length = 0;
  for (let beats = 0; beats < 6; beats++) {
    await heartbeat(1);
    await world.advance(2_000);
  }
  assert.equal(isFenced(2), true);
  assert.deepEqual(leaders(), { 1: 133_000 });
  assert.deepEqual(batches, [...Array<number>(26).fill(5_000), 3_001]);
});

test('so is its shutdown, which its heartbeat waits for', async () => {
  const { world, batches, heartbeat, createTopic, leaders, isFenced } = await withLog({ maxRecordsPerPart: 2 });
  await createTopic('t', 9);
  batches.length = 0;
  assert.equal((await heartbeat(2, { wantShutDown: true })).shouldShutDown, false);
  assert.deepEqual(batches, [3, 2, 2, 2, 1]);
  assert.deepEqual(leaders(), { 1: 9 });
  await heartbeat(1);
  assert.equal((await heartbeat(2, { wantShutDown: true })).shouldShutDown, true);
  await world.advance(1_000);
  assert.deepEqual([leaders(), isFenced(2)], [{ 1: 9 }, true]);
});

test('a heartbeat does not wait for more than a second of it, and the next one goes on', async () => {
  const { batches, heartbeat, createTopic, leaders } = await withLog({ maxRecordsPerPart: 2, writeMs: 300 });
  await createTopic('t', 20);
  batches.length = 0;
  const { isFenced, shouldShutDown } = await heartbeat(2, { wantShutDown: true });
  assert.deepEqual([isFenced, shouldShutDown], [false, false]);
  assert.deepEqual(batches, [3, 2, 2, 2]);
  assert.deepEqual(leaders(), { 1: 8, 2: 12 });
  await heartbeat(2, { wantShutDown: true });
  await heartbeat(2, { wantShutDown: true });
  assert.deepEqual(leaders(), { 1: 20 });
});

test('so is its return: the first part brings it back, and the rest follows by itself', async () => {
  const { world, batches, heartbeat, createTopic, leaders, isFenced } = await withLog({ maxRecordsPerPart: 2 });
  await createTopic('t', 9);
  await heartbeat(2, { wantFence: true });
  await heartbeat(1, { wantFence: true });
  assert.deepEqual(leaders(), { '-1': 9 });
  batches.length = 0;
  await heartbeat(1);
  assert.equal(isFenced(1), false);
  await world.advance(100);
  assert.deepEqual(batches, [3, 2, 2, 2, 1]);
  assert.deepEqual(leaders(), { 1: 9 });
});

for (const taken of [0, 1, 2, 3])
  test(`a fencing of which the disk takes ${taken} batches of 4 is brought to its end when there is room again`, async () => {
    const { world, full, batches, controller, metadata, heartbeat, createTopic, leaders, isFenced } = await withLog({
      maxDividedRecords: 3,
    });
    await createTopic('t', 10);
    batches.length = 0;
    Object.assign(full, { isFound: true, behind: taken });
    while (!full.isTold) {
      await world.advance(1_000);
      if (!full.isTold) await heartbeat(1);
    }
    assert.deepEqual(batches, Array(taken).fill(3));
    assert.deepEqual(controller.image.toRecords(), metadata.image.toRecords());
    assert.equal(isFenced(2), false);
    full.isFound = false;
    full.isTold = false;
    for (let ms = 0; ms < 20_000; ms += 2_000) {
      await heartbeat(1);
      await world.advance(2_000);
    }
    assert.deepEqual([leaders(), isFenced(2), isFenced(1)], [{ 1: 10 }, true, false]);
    assert.deepEqual(controller.image.toRecords(), metadata.image.toRecords());
  });

for (const taken of [0, 1, 2, 3])
  test(`a shutdown of which the disk takes ${taken} batches of 4 is brought to its end when there is room again`, async () => {
    const { full, heartbeat, createTopic, leaders } = await withLog({ maxDividedRecords: 3 });
    await createTopic('t', 10);
    Object.assign(full, { isFound: true, behind: taken });
    await assert.rejects(heartbeat(2, { wantShutDown: true }), { name: 'KAFKA_STORAGE_ERROR' });
    full.isFound = false;
    full.isTold = false;
    assert.equal((await heartbeat(2, { wantShutDown: true })).shouldShutDown, false);
    assert.deepEqual(leaders(), { 1: 10 });
    await heartbeat(1);
    assert.equal((await heartbeat(2, { wantShutDown: true })).shouldShutDown, true);
  });

for (const taken of [0, 1, 2, 3])
  test(`a return of which the disk takes ${taken} batches of 4 is brought to its end when there is room again`, async () => {
    const { world, full, heartbeat, createTopic, leaders, isFenced } = await withLog({ maxDividedRecords: 3 });
    await createTopic('t', 10);
    await heartbeat(2, { wantFence: true });
    await heartbeat(1, { wantFence: true });
    assert.deepEqual(leaders(), { '-1': 10 });
    Object.assign(full, { isFound: true, behind: taken });
    await assert.rejects(heartbeat(1), { name: 'KAFKA_STORAGE_ERROR' });
    assert.equal(isFenced(1), taken === 0);
    full.isFound = false;
    full.isTold = false;
    await heartbeat(1);
    await world.advance(2_000);
    assert.deepEqual([leaders(), isFenced(1)], [{ 1: 10 }, false]);
  });

for (const taken of [0, 1, 2, 3])
  test(`of a fencing a controller that loses its lead behind ${taken} batches of 4 knows what is committed`, async () => {
    const { world, lost, batches, controller, metadata, quorumController, heartbeat, createTopic, leaders, isFenced } =
      await withLog({ maxDividedRecords: 3 });
    await createTopic('t', 10);
    batches.length = 0;
    lost.behind = taken;
    const fencing = heartbeat(2, { wantFence: true });
    await assert.rejects(fencing, { name: 'NOT_CONTROLLER' });
    assert.deepEqual(batches, Array(taken).fill(3));
    assert.deepEqual(controller.image.toRecords(), metadata.image.toRecords());
    lost.behind = Number.POSITIVE_INFINITY;
    // It leads again, and the broker is silent.
    quorumController.leaderChanged({ leaderId: 9, leaderEpoch: 2 });
    for (let ms = 0; ms < 20_000; ms += 2_000) {
      await heartbeat(1);
      await world.advance(2_000);
    }
    assert.deepEqual([leaders(), isFenced(2)], [{ 1: 10 }, true]);
    assert.deepEqual(controller.image.toRecords(), metadata.image.toRecords());
  });
