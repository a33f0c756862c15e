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
import { KafkaError } from '@ottla/protocol';
import { nextTurn, type Runtime, silentLogger, World } from '@ottla/runtime';
import { ClusterMetadata } from '../cluster-metadata.ts';
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

/** An active controller of brokers 1 and 2 whose log takes what it is given, or refuses it. */
async function withLog() {
  const world = new World({ seed: 1 });
  const runtime = world.machine('controller', { logger: silentLogger }).boot();
  const metadata = new ClusterMetadata();
  const full = { isTold: false, isFound: false };
  const noRoom = () => new KafkaError('KAFKA_STORAGE_ERROR', 'the disk is full');
  let nextOffset = 0;
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
    append: async (records) => {
      await nextTurn(runtime.timers);
      if (full.isFound) {
        full.isTold = true;
        throw noRoom();
      }
      const baseOffset = nextOffset;
      nextOffset += records.length;
      metadata.apply(records, nextOffset - 1);
      return { baseOffset, lastOffset: nextOffset - 1 };
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
  const heartbeat = (brokerId: number, { wantShutDown = false } = {}) => {
    const brokerEpoch = metadata.image.brokers.get(brokerId)!.epoch;
    const told = { currentMetadataOffset: nextOffset, wantFence: false, wantShutDown, offlineLogDirs: [], cordonedLogDirs: [] };
    return world.runUntil(
      quorumController.submit((each, context) => each.brokerHeartbeat({ brokerId, brokerEpoch, ...told }, context)),
    );
  };
  for (const brokerId of [1, 2]) {
    const registration = {
      brokerId,
      clusterId,
      incarnationId: `${brokerId}`.repeat(22),
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
  }
  const topic = {
    name: 't',
    numPartitions: -1,
    replicationFactor: -1,
    assignments: [{ partitionIndex: 0, brokerIds: [2, 1] }],
    configs: [],
  };
  await world.runUntil(
    quorumController.submit((each, context) =>
      each.createTopics({ topics: [topic], timeoutMs: 0, validateOnly: false }, context),
    ),
  );
  return { world, full, metadata, heartbeat, leader: () => metadata.image.topics.byName('t')!.partition(0)!.leader };
}

test('a broker that dies while the disk of the metadata log is full is fenced when there is room again', async () => {
  const { world, full, metadata, heartbeat, leader } = await withLog();
  full.isFound = true;
  for (let ms = 0; ms < 20_000; ms += 2_000) {
    await world.advance(2_000);
    if (!full.isTold) await heartbeat(1);
  }
  assert.equal(full.isTold, true);
  assert.equal(leader(), 2);
  full.isFound = false;
  full.isTold = false;
  for (let ms = 0; ms < 20_000; ms += 2_000) {
    await heartbeat(1);
    await world.advance(2_000);
  }
  assert.deepEqual([leader(), metadata.image.brokers.get(2)!.fenced, metadata.image.brokers.get(1)!.fenced], [1, true, false]);
});

test('a broker that asks to shut down while the disk is full hands its partitions over when there is room again', async () => {
  const { full, heartbeat, leader } = await withLog();
  full.isTold = true;
  await assert.rejects(heartbeat(2, { wantShutDown: true }), { name: 'KAFKA_STORAGE_ERROR' });
  full.isTold = false;
  assert.equal((await heartbeat(2, { wantShutDown: true })).shouldShutDown, false);
  assert.equal(leader(), 1);
  await heartbeat(1);
  assert.equal((await heartbeat(2, { wantShutDown: true })).shouldShutDown, true);
});
