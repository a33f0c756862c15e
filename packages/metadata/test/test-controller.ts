/** A controller with a log of its own in memory: decides, replays what it decided, and can check that replaying tells the truth. */

import assert from 'node:assert/strict';
import { type MetadataRecord, readMetadataRecord, writeMetadataRecord } from '@ottla/protocol';
import { parseBrokerConfig } from '../src/configs/index.ts';
import { BrokerConfigSchema } from '../src/controller/broker-config-schema.ts';
import { Controller, type ControllerOptions } from '../src/controller/controller.ts';
import type { Decision, DecisionContext, RandomSource } from '../src/controller/decision.ts';
import { defaultFeatureLevels, supportedFeatures } from '../src/features/supported-features.ts';
import { MetadataImage } from '../src/image/metadata-image.ts';
import { featureLevelRecord } from '../src/records.ts';

export const clusterId = 'vPeOCWypqUOSepEvx0cbog';

export const offeredFeatures = [...supportedFeatures].map(([name, { min, max }]) => ({
  name,
  minSupportedVersion: min,
  maxSupportedVersion: max,
}));

export function seededRandom(seed = 1): RandomSource {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
  return { below: (bound) => next() % bound, bytes: (length) => Uint8Array.from({ length }, () => next() & 255) };
}

const properties = {
  'node.id': '1',
  'process.roles': 'broker,controller',
  'controller.listener.names': 'CONTROLLER',
  listeners: 'PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093',
  'controller.quorum.bootstrap.servers': 'localhost:9093',
};

export class TestController {
  readonly controller: Controller;
  readonly log: MetadataRecord[] = [];
  nowMs = 1_000_000;
  readonly #random: RandomSource;
  #nextOffset = 0;

  constructor(options: Partial<ControllerOptions> & { seed?: number; static?: Record<string, string> } = {}) {
    const { seed, static: extra, ...settings } = options;
    const schema = new BrokerConfigSchema(parseBrokerConfig({ ...properties, ...extra }));
    this.controller = new Controller({ schema, clusterId, nodeId: 1, ...settings });
    this.#random = seededRandom(seed);
  }

  /** A new cluster with these brokers, alive, of one log directory each. */
  static withBrokers(
    count: number,
    options: ConstructorParameters<typeof TestController>[0] & { rack?: (id: number) => string } = {},
  ): TestController {
    const { rack, ...rest } = options;
    const test = new TestController(rest);
    test.activate();
    for (let id = 1; id <= count; id++) test.startBroker(id, rack?.(id) ?? null);
    return test;
  }

  get image(): MetadataImage {
    return this.controller.image;
  }

  get nextOffset(): number {
    return this.#nextOffset;
  }

  context(): DecisionContext {
    return { nowMs: this.nowMs, random: this.#random, nextOffset: this.#nextOffset };
  }

  activate(levels = defaultFeatureLevels()): void {
    const records = [...levels].map(([name, level]) => featureLevelRecord(name, level));
    this.do((controller, context) => controller.activate(records, context));
  }

  startBroker(id: number, rack: string | null = null, previousBrokerEpoch = -1): number {
    const { brokerEpoch } = this.register(id, { rack, previousBrokerEpoch });
    this.heartbeat(id);
    return brokerEpoch;
  }

  register(
    id: number,
    { rack = null as string | null, previousBrokerEpoch = -1, incarnation = this.#nextOffset, logDirs = [directory(id)] } = {},
  ) {
    return this.do((controller, context) =>
      controller.registerBroker(
        {
          brokerId: id,
          clusterId,
          incarnationId: Buffer.from(`${incarnation}`.padStart(16, 'i')).toString('base64url'),
          listeners: [{ name: 'PLAINTEXT', host: 'localhost', port: 9000 + id, securityProtocol: 0 }],
          features: offeredFeatures,
          rack,
          isMigratingZkBroker: false,
          logDirs,
          previousBrokerEpoch,
        },
        context,
      ),
    );
  }

  heartbeat(
    id: number,
    fields: { wantFence?: boolean; wantShutDown?: boolean; currentMetadataOffset?: number; offlineLogDirs?: string[] } = {},
  ) {
    const brokerEpoch = this.image.brokers.get(id)?.epoch ?? -1;
    const request = {
      brokerId: id,
      brokerEpoch,
      currentMetadataOffset: this.#nextOffset - 1,
      wantFence: false,
      wantShutDown: false,
      offlineLogDirs: [],
      cordonedLogDirs: [],
      ...fields,
    };
    return this.do((controller, context) => controller.brokerHeartbeat(request, context));
  }

  createTopic(name: string, partitions: number, replicationFactor: number, configs: Record<string, string> = {}) {
    const asked = {
      name,
      numPartitions: partitions,
      replicationFactor,
      assignments: [],
      configs: Object.entries(configs).map(([name, value]) => ({ name, value })),
    };
    return this.do((controller, context) =>
      controller.createTopics({ topics: [asked], timeoutMs: 0, validateOnly: false }, context),
    ).topics[0]!;
  }

  /** Partition 0 of topic n is `assignments[0]` and so on. */
  createTopicOn(name: string, assignments: number[][], configs: Record<string, string> = {}) {
    const asked = {
      name,
      numPartitions: -1,
      replicationFactor: -1,
      assignments: assignments.map((brokerIds, partitionIndex) => ({ partitionIndex, brokerIds })),
      configs: Object.entries(configs).map(([name, value]) => ({ name, value })),
    };
    return this.do((controller, context) =>
      controller.createTopics({ topics: [asked], timeoutMs: 0, validateOnly: false }, context),
    ).topics[0]!;
  }

  partition(topic: string, index = 0) {
    return this.image.topics.byName(topic)!.partition(index)!;
  }

  do<Response>(decide: (controller: Controller, context: DecisionContext) => Decision<Response>): Response {
    for (;;) {
      const { records, response, isPartial } = decide(this.controller, this.context());
      this.commit(records);
      if (!isPartial) return response;
    }
  }

  tick(): MetadataRecord[] {
    const { records } = this.controller.tick(this.context());
    this.commit(records);
    return records;
  }

  /** Through bytes, as the log would: so every decision is also one that can be written. */
  commit(records: readonly MetadataRecord[]): void {
    for (const record of records) {
      const copy = readMetadataRecord(writeMetadataRecord(record));
      assert.deepEqual(plain(copy), plain(record));
      this.log.push(copy);
      this.controller.replay(copy, this.#nextOffset++);
    }
  }

  /** Only the first of them can be written: the controller has seen all, and goes back to what was. */
  commitFirst(count: number, records: readonly MetadataRecord[]): void {
    const committed = this.image.copy();
    for (const [at, record] of records.entries()) {
      if (at < count) this.log.push(record);
      if (at < count) committed.replay(record, this.#nextOffset + at);
      this.controller.replay(record, this.#nextOffset + at);
    }
    this.#nextOffset += count;
    this.controller.restore(committed, this.nowMs);
  }

  /** Takes over with what the other one's log has. */
  succeed(other: TestController): void {
    this.nowMs = other.nowMs;
    for (const [offset, record] of other.log.entries()) {
      this.log.push(record);
      this.follow(record, offset);
    }
    this.do((controller, context) => controller.activate([], context, { ownBrokerIsDead: false }));
  }

  /** Replays a record of another controller. */
  follow(record: MetadataRecord, offset: number): void {
    this.controller.replay(record, offset);
    this.#nextOffset = offset + 1;
  }

  assertInvariants(): void {
    assertSameImage(this.image, replayed(this.log));
    assertSameImage(this.image, replayed(this.image.toRecords()));
    assertSameImage(this.image, this.image.copy());
    for (const topic of this.image.topics) {
      for (const [index, { leader, isr, elr, replicas, directories }] of topic.partitions()) {
        const where = `${topic.name}-${index}`;
        assert.ok(leader === -1 || isr.includes(leader), `${where}: the leader is in the isr`);
        assert.ok(
          isr.every((id) => replicas.includes(id)),
          `${where}: the isr are replicas`,
        );
        assert.ok(
          elr.every((id) => !isr.includes(id)),
          `${where}: the elr is beside the isr`,
        );
        assert.ok(leader === -1 || !this.image.brokers.get(leader)?.fenced, `${where}: the leader is not fenced`);
        assert.equal(new Set(replicas).size, replicas.length, `${where}: replicas are distinct`);
        assert.equal(directories.length, replicas.length, `${where}: each replica has a directory`);
      }
    }
  }
}

export function directory(brokerId: number): string {
  return Buffer.from(`dir-${brokerId}`.padStart(16, 'd')).toString('base64url');
}

export function replayed(records: readonly MetadataRecord[]): MetadataImage {
  const image = new MetadataImage();
  records.forEach((record, offset) => {
    image.replay(record, offset);
  });
  return image;
}

export function assertSameImage(actual: MetadataImage, expected: MetadataImage): void {
  assert.deepEqual(sortedRecords(actual), sortedRecords(expected));
}

const sortedRecords = (image: MetadataImage): string[] =>
  image
    .toRecords()
    .map((record) => JSON.stringify(plain(record)))
    .sort();

function plain(record: MetadataRecord): unknown {
  return JSON.parse(JSON.stringify(record, (_, value) => (value instanceof Uint8Array ? [...value] : value)));
}
