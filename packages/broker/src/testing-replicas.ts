import assert from 'node:assert/strict';
import {
  BrokerConfigSchema,
  Controller,
  type Decision,
  type DecisionContext,
  defaultFeatureLevels,
  featureLevelRecord,
  parseBrokerConfig,
  supportedFeatures,
} from '@ottla/metadata';
import { acceptConnections, BrokerConnection } from '@ottla/network';
import {
  type Api,
  batchesOf,
  buildBatch,
  CreateTopics,
  errorName,
  Fetch,
  type MetadataRecord,
  Produce,
  type Writable,
} from '@ottla/protocol';
import { type Machine, type Runtime, World, type WorldOptions } from '@ottla/runtime';
import { LogManager, readMetaProperties } from '@ottla/storage';
import type { BrokerParts } from './broker-parts.ts';
import { BrokerSettings } from './broker-settings.ts';
import { ClusterMetadata } from './cluster-metadata.ts';
import type { ControllerChannel } from './controller/controller-channel.ts';
import { operationOf } from './controller/controller-operations.ts';
import { FetchSessionCache } from './fetching/fetch-session-cache.ts';
import { formatForDevelopment, randomUuid } from './format.ts';
import { brokerHandlers } from './handlers/index.ts';
import { ProduceTurn } from './handlers/produce-turn.ts';
import type { Partition } from './replication/partition.ts';
import { Partitions } from './replication/partitions.ts';
import { ReplicaMoves } from './replication/replica-moves.ts';
import { ReplicaPublisher } from './replication/replica-publisher.ts';
import { Replication } from './replication/replication.ts';
import { RequestDispatcher } from './request-dispatcher.ts';
import { RecordedLogs, valuesIn } from './testing-node.ts';

type Settings = Readonly<Record<string, string>>;

export type TestReplicasOptions = Partial<WorldOptions> & {
  readonly brokers?: number;
  readonly settings?: Settings;
  readonly rackOf?: (id: number) => string;
};

/** How long news of the controller are on their way to a broker, and a question to the controller. */
const controllerMs = 5;

/**
 * Test support: what brokers do about replication, joined by simulated wires, under a controller that is always there and whose words each
 * broker hears a little later, or not at all while it is cut off. No quorum, no coordinators: those are for tests of the whole cluster.
 */
export class TestReplicas {
  readonly world: World;
  readonly logs = new RecordedLogs();
  readonly brokers = new Map<number, ReplicaBroker>();
  readonly settings: Settings;
  readonly options: TestReplicasOptions;
  readonly #controller: Controller;
  readonly #records: MetadataRecord[] = [];
  readonly clusterId = 'vPeOCWypqUOSepEvx0cbog';
  #clients = 0;

  static async start(options: TestReplicasOptions = {}): Promise<TestReplicas> {
    const cluster = new TestReplicas(options);
    for (let id = 1; id <= (options.brokers ?? 3); id++) {
      const broker = new ReplicaBroker(cluster, id);
      cluster.brokers.set(id, broker);
      await broker.start();
    }
    return cluster;
  }

  private constructor(options: TestReplicasOptions) {
    const { brokers: _brokers, settings = {}, rackOf: _rackOf, ...world } = options;
    this.options = options;
    this.world = new World({ seed: 1, ...world });
    this.settings = settings;
    const schema = new BrokerConfigSchema(parseBrokerConfig({ ...settingsOf(1), ...settings }));
    this.#controller = new Controller({ schema, clusterId: this.clusterId, nodeId: 1, brokerSessionTimeoutMs: 9_000 });
    const features = [...defaultFeatureLevels()].map(([name, level]) => featureLevelRecord(name, level));
    this.decide((controller, context) => controller.activate(features, context));
  }

  broker(id: number): ReplicaBroker {
    return this.brokers.get(id)!;
  }

  get image() {
    return this.#controller.image;
  }

  get records(): readonly MetadataRecord[] {
    return this.#records;
  }

  decide<Response>(decide: (controller: Controller, context: DecisionContext) => Decision<Response>): Response {
    const nextOffset = this.#records.length;
    const random = this.world.random;
    const { records, response } = decide(this.#controller, { nowMs: this.world.time.nowMs + 1e9, random, nextOffset });
    for (const [at, record] of records.entries()) this.#controller.replay(record, nextOffset + at);
    this.#records.push(...records);
    if (records.length > 0) for (const broker of this.brokers.values()) broker.hear();
    return response;
  }

  /** Fences it, as one that has been silent for too long. */
  fence(id: number): void {
    this.heartbeat(id, { wantFence: true });
  }

  heartbeat(id: number, { wantFence = false, wantShutDown = false } = {}): void {
    const { epoch } = this.image.brokers.get(id)!;
    const heartbeat = {
      brokerId: id,
      brokerEpoch: epoch,
      currentMetadataOffset: this.#records.length,
      wantFence,
      wantShutDown,
      offlineLogDirs: [],
      cordonedLogDirs: [],
    };
    this.decide((controller, context) => controller.brokerHeartbeat(heartbeat, context));
  }

  /** On these brokers, led by the first. */
  async createTopic(name: string, replicas: readonly number[], configs: Settings = {}): Promise<void> {
    const topic = {
      name,
      numPartitions: -1,
      replicationFactor: -1,
      assignments: [{ partitionIndex: 0, brokerIds: [...replicas] }],
      configs: Object.entries(configs).map(([key, value]) => ({ name: key, value })),
    };
    const { topics } = this.decide((controller, context) =>
      operationOf(CreateTopics).decide(
        controller,
        { topics: [topic], timeoutMs: 1000, validateOnly: false } as never,
        context as never,
        {
          deletesTopics: () => true,
        },
      ),
    );
    assert.equal(errorName(topics[0]!.errorCode), 'NONE', topics[0]!.errorMessage ?? '');
    await this.advance(2 * controllerMs);
  }

  /** The replicas that partition 0 shall have. */
  reassign(name: string, replicas: readonly number[] | null): void {
    const topics = [{ name, partitions: [{ partitionIndex: 0, replicas: replicas && [...replicas] }] }];
    const { responses } = this.decide((controller) =>
      controller.alterPartitionReassignments({ topics, timeoutMs: 1000, allowReplicationFactorChange: true }),
    );
    assert.equal(errorName(responses[0]!.partitions[0]!.errorCode), 'NONE');
  }

  configure(resourceType: number, resourceName: string, settings: Settings): void {
    const configs = Object.entries(settings).map(([name, value]) => ({ name, value, configOperation: 0 }));
    const { responses } = this.decide((controller) =>
      controller.incrementalAlterConfigs({ resources: [{ resourceType, resourceName, configs }], validateOnly: false }),
    );
    assert.equal(errorName(responses[0]!.errorCode), 'NONE', responses[0]!.errorMessage ?? '');
  }

  state(topic: string, index = 0) {
    return this.image.topics.byName(topic)!.partition(index)!;
  }

  advance(ms: number): Promise<void> {
    return this.world.advance(ms);
  }

  run<T>(promise: Promise<T>): Promise<T> {
    return this.world.runUntil(promise);
  }

  /** Lets time pass until it is so. */
  async until(what: string, isSo: () => boolean, limitMs = 60_000): Promise<void> {
    for (let ms = 0; ms < limitMs; ms += 10) {
      if (isSo()) return;
      await this.advance(10);
    }
    assert.fail(`not in time: ${what}`);
  }

  async client(id: number): Promise<ReplicaClient> {
    const { network, timers, clock } = this.world.machine(`client${++this.#clients}`).boot();
    const address = { host: `broker${id}`, port: 9092 };
    return new ReplicaClient(
      this,
      await this.run(BrokerConnection.connect({ network, timers, clock, clientId: 'test', address })),
    );
  }
}

const settingsOf = (id: number): Settings => ({
  'process.roles': 'broker,controller',
  'node.id': `${id}`,
  listeners: `PLAINTEXT://broker${id}:9092,CONTROLLER://broker${id}:9093`,
  'controller.listener.names': 'CONTROLLER',
  'controller.quorum.bootstrap.servers': `broker${id}:9093`,
  'log.dirs': '/data/a,/data/b',
});

export class ReplicaBroker {
  readonly id: number;
  readonly machine: Machine;
  readonly #cluster: TestReplicas;
  #heard = 0;
  #process: { runtime: Runtime; parts: BrokerParts; brokerEpoch: number } | undefined;
  /** Hears nothing of the controller meanwhile, and is not heard. */
  isDeaf = false;

  constructor(cluster: TestReplicas, id: number) {
    this.#cluster = cluster;
    this.id = id;
    this.machine = cluster.world.machine(`broker${id}`, { logger: cluster.logs });
  }

  get parts(): BrokerParts {
    return this.#process!.parts;
  }

  get isRunning(): boolean {
    return this.#process !== undefined;
  }

  partition(topic: string, index = 0): Partition {
    return this.parts.partitions.get(topic, index)!;
  }

  /** Of the records in its log, committed or not. */
  values(topic: string, index = 0): string[] {
    const { log } = this.partition(topic, index);
    const { records } = log.read({
      startOffset: log.logStartOffset,
      endOffset: log.logEndOffset,
      maxBytes: 1 << 30,
      minOneBatch: true,
    });
    return [...batchesOf(records)].flatMap((batch) => [...batch.records()].map(({ value }) => Buffer.from(value!).toString()));
  }

  async start(): Promise<void> {
    // The session of the incarnation before has to end.
    if (this.#cluster.image.brokers.has(this.id)) await this.#cluster.advance(10_000);
    const runtime = this.machine.boot();
    const settings = { ...settingsOf(this.id), ...this.#cluster.settings };
    formatForDevelopment(runtime, settings);
    await this.#cluster.run(this.#assemble(runtime, settings));
    await this.#cluster.advance(3 * controllerMs);
  }

  kill(): void {
    this.machine.kill();
    this.#process = undefined;
  }

  crash(): void {
    this.machine.crash();
    this.#process = undefined;
  }

  /** Applies what the controller has said since. */
  hear(): void {
    const process = this.#process;
    process?.runtime.timers.after(controllerMs, () => {
      if (this.#process !== process || this.isDeaf) return;
      const records = this.#cluster.records.slice(this.#heard);
      if (records.length === 0) return;
      this.#heard += records.length;
      process.parts.metadata.apply(records, this.#heard - 1);
    });
  }

  async #assemble(runtime: Runtime, properties: Settings): Promise<void> {
    const { clock, timers, random } = runtime;
    const parsed = parseBrokerConfig(properties);
    const { clusterId } = this.#cluster;
    const metadata = new ClusterMetadata();
    const settings = new BrokerSettings(parsed, this.id, metadata);
    const logManager = await LogManager.open({
      directories: ['/data/a', '/data/b'],
      clusterId: readMetaProperties(runtime.files, '/data/a')!.clusterId,
      nodeId: this.id,
      runtime,
      configOf: (topic) => settings.log(topic),
    });
    const partitions = new Partitions(metadata);
    const channel: Pick<ControllerChannel, 'send'> = {
      send: async (api, request) => {
        await new Promise<void>((resolve) => timers.after(controllerMs, resolve));
        while (this.isDeaf) await new Promise<void>((resolve) => timers.after(controllerMs, resolve));
        const { decide } = operationOf(api);
        return this.#cluster.decide((controller, context) =>
          decide(controller, request, context as never, { deletesTopics: () => true }),
        );
      },
    };
    const { brokerEpoch } = this.#cluster.decide((controller, context) =>
      controller.registerBroker(
        {
          brokerId: this.id,
          clusterId,
          incarnationId: randomUuid(random),
          listeners: [{ name: 'PLAINTEXT', host: `broker${this.id}`, port: 9092, securityProtocol: 0 }],
          features: [...supportedFeatures].map(([name, { min, max }]) => ({
            name,
            minSupportedVersion: min,
            maxSupportedVersion: max,
          })),
          rack: this.#cluster.options.rackOf?.(this.id) ?? null,
          isMigratingZkBroker: false,
          logDirs: logManager.directoryIds,
          previousBrokerEpoch: -1,
        },
        context,
      ),
    );
    const moves = new ReplicaMoves({
      brokerId: this.id,
      logManager,
      partitions,
      metadata,
      assignments: { assign: () => Promise.resolve() },
      clock,
      timers,
      logger: runtime.logger,
      maxBytesPerSecond: () => Number.POSITIVE_INFINITY,
    });
    const replication = new Replication({
      brokerId: this.id,
      brokerEpoch: () => brokerEpoch,
      interBrokerListener: 'PLAINTEXT',
      settings,
      metadata,
      channel,
      partitions,
      onTruncated: (partition, offset) => moves.onTruncated(partition, offset),
      runtime,
    });
    const publisher = new ReplicaPublisher({
      brokerId: this.id,
      logManager,
      partitions,
      settings,
      leadership: { elected: () => {}, resigned: () => {}, topicsDeleted: () => {} },
      logger: runtime.logger,
      timers,
      assignments: { assign: () => Promise.resolve() } as never,
      moves,
      replication,
      clock,
    });
    const parts = {
      runtime,
      nodeId: this.id,
      clusterId,
      supportedFeatures,
      config: settings,
      metadata,
      quorum: { kRaftVersion: 1 },
      channel: { ...channel, controllerVersions: undefined },
      logManager,
      partitions,
      produceTurn: new ProduceTurn(runtime.logger),
      moves,
      replication,
      fetchSessions: new FetchSessionCache({ clock, random, slots: 100 }),
    } as unknown as BrokerParts;
    const dispatcher = RequestDispatcher.forBroker(parts, brokerHandlers({ clientTelemetry: false }));
    await acceptConnections({
      ...runtime,
      address: { host: `broker${this.id}`, port: 9092 },
      listenerName: 'PLAINTEXT',
      onRequest: (frame, connection, reply) => dispatcher.dispatch(frame, connection, reply),
      onRequestsTaken: () => dispatcher.requestsTaken(),
    });
    const records = this.#cluster.records.slice();
    metadata.apply(records, records.length - 1);
    this.#heard = records.length;
    publisher.publishAll(metadata.image);
    metadata.onChange((delta, image) => publisher.publish(delta, image));
    replication.start();
    this.#process = { runtime, parts, brokerEpoch };
    this.#cluster.heartbeat(this.id);
    const tick = (): void => {
      void logManager.runTasks(clock.nowMs());
      timers.after(1_000, tick);
    };
    timers.after(1_000, tick);
  }
}

/** What tests ask of one broker. */
export class ReplicaClient {
  readonly #cluster: TestReplicas;
  readonly #connection: BrokerConnection;

  constructor(cluster: TestReplicas, connection: BrokerConnection) {
    this.#cluster = cluster;
    this.#connection = connection;
  }

  later<Request, Response>(api: Api<Request, Response>, request: Writable<Request>): Promise<Response> {
    return this.#connection.send(api, request, { timeoutMs: 600_000 });
  }

  ask<Request, Response>(api: Api<Request, Response>, request: Writable<Request>): Promise<Response> {
    return this.#cluster.run(this.later(api, request));
  }

  topicId(topic: string): string {
    return this.#cluster.image.topics.byName(topic)!.id;
  }

  /** The error's name, or the offset. */
  async produceLater(topic: string, values: readonly string[], { acks = -1, timeoutMs = 30_000 } = {}): Promise<string | number> {
    const records = new Uint8Array(buildBatch({ records: values.map((value) => ({ timestamp: 1, value: Buffer.from(value) })) }));
    const topicData = [{ topicId: this.topicId(topic), partitionData: [{ index: 0, records }] }];
    const { responses } = await this.later(Produce, { acks, timeoutMs, topicData });
    const { errorCode, baseOffset } = responses[0]!.partitionResponses[0]!;
    return errorCode === 0 ? baseOffset : errorName(errorCode);
  }

  produce(
    topic: string,
    values: readonly string[],
    options: { acks?: number; timeoutMs?: number } = {},
  ): Promise<string | number> {
    return this.#cluster.run(this.produceLater(topic, values, options));
  }

  fetchAnswer(topic: string, { offset = 0, rackId = '' } = {}) {
    const partitions = [{ partition: 0, fetchOffset: offset, partitionMaxBytes: 1 << 20 }];
    const topics = [{ topicId: this.topicId(topic), partitions }];
    return this.ask(Fetch, { maxWaitMs: 0, minBytes: 1, maxBytes: 1 << 20, sessionEpoch: -1, rackId, topics });
  }

  async fetch(topic: string, options: { offset?: number; rackId?: string } = {}): Promise<string[] | string> {
    const response = await this.fetchAnswer(topic, options);
    const { errorCode } = response.responses[0]!.partitions[0]!;
    return errorCode === 0 ? valuesIn(response) : errorName(errorCode);
  }
}
