import { BrokerConnection } from '@ottla/network';
import {
  type Api,
  type BatchOptions,
  batchesOf,
  buildBatch,
  CreateTopics,
  DeleteTopics,
  DescribeConfigs,
  type ErrorName,
  errorName,
  Fetch,
  IncrementalAlterConfigs,
  ListOffsets,
  Metadata,
  Produce,
  readControlRecord,
  type Uuid,
  type Writable,
} from '@ottla/protocol';
import {
  type LogFields,
  type Logger,
  type Machine,
  type MachineOptions,
  type Runtime,
  World,
  type WorldOptions,
} from '@ottla/runtime';
import { formatForDevelopment } from './format.ts';
import { BrokerServer } from './server.ts';
import { spoilReleasedMemory } from './spoiled-memory.ts';

spoilReleasedMemory();

/** A node for tests: one listener for clients, one for the controller, in one directory. */
export const testSettings: Readonly<Record<string, string>> = {
  'process.roles': 'broker,controller',
  'node.id': '1',
  listeners: 'PLAINTEXT://node:9092,CONTROLLER://node:9093',
  'controller.listener.names': 'CONTROLLER',
  'controller.quorum.bootstrap.servers': 'node:9093',
  'log.dirs': '/data',
  'offsets.topic.num.partitions': '2',
  'offsets.topic.replication.factor': '1',
  'transaction.state.log.num.partitions': '2',
  'transaction.state.log.replication.factor': '1',
  'transaction.state.log.min.isr': '1',
  'group.initial.rebalance.delay.ms': '0',
  // A record every half a second makes long virtual times long.
  'metadata.max.idle.interval.ms': '0',
};

type Settings = Readonly<Record<string, string>>;

export type TestNodeOptions = Partial<WorldOptions> & {
  /** Over `testSettings`. */
  readonly settings?: Settings;
  readonly machine?: Omit<MachineOptions, 'logger'>;
};

type ConnectOptions = { readonly host?: string; readonly port?: number };

/** Test support: the whole node on a simulated machine, with clients on other machines, in time that passes only when told to. */
export class TestNode {
  readonly world: World;
  readonly machine: Machine;
  readonly logs = new RecordedLogs();
  settings: Settings;
  #runtime: Runtime | undefined;
  #server: BrokerServer | undefined;
  readonly #clientHosts = new Map<string, Runtime>();
  #clients = 0;
  #client: TestClient | undefined;

  static async start(options: TestNodeOptions = {}): Promise<TestNode> {
    const node = new TestNode(options);
    formatForDevelopment(node.machine.boot(), node.settings);
    await node.start();
    return node;
  }

  /** A machine with nothing on its disk. */
  constructor({ settings = {}, machine, ...world }: TestNodeOptions = {}) {
    this.world = new World({ seed: 1, ...world });
    this.machine = this.world.machine('node', { ...machine, logger: this.logs });
    this.settings = { ...testSettings, ...settings };
  }

  get server(): BrokerServer {
    return this.#server!;
  }

  /** Boots the machine, with other settings from now on if any are given. */
  async start(settings: Settings = {}): Promise<void> {
    this.settings = { ...this.settings, ...settings };
    this.#runtime = this.machine.boot();
    await this.startAgain();
  }

  /** Starts the node in the process that is there: what an attempt before has left behind is still there. */
  async startAgain(): Promise<void> {
    this.#client = undefined;
    const runtime = this.#runtime!;
    const onFatal = (error: unknown): void => this.logs.error('fatal', { error });
    this.#server = await this.run(BrokerServer.start({ runtime, properties: this.settings, logLevel: 'debug', onFatal }));
  }

  stop(): Promise<void> {
    return this.run(this.server.stop());
  }

  async restart(settings: Settings = {}): Promise<void> {
    await this.stop();
    await this.start(settings);
  }

  /** Lets virtual time pass until the promise settles. */
  run<T>(promise: Promise<T>): Promise<T> {
    return this.world.runUntil(promise);
  }

  advance(ms: number): Promise<void> {
    return this.world.advance(ms);
  }

  /** A client on a machine of its own. */
  connect(from: ConnectOptions = {}): Promise<TestClient> {
    return this.run(this.dial(from));
  }

  /** As `connect`, for a connection that does not open at once. */
  async dial({ host = `client${++this.#clients}`, port = 9092 }: ConnectOptions = {}): Promise<TestClient> {
    const { network, timers, clock } = this.#runtimeOf(host);
    const address = { host: 'node', port };
    return new TestClient(this.world, await BrokerConnection.connect({ network, timers, clock, clientId: 'test', address }));
  }

  #runtimeOf(host: string): Runtime {
    let runtime = this.#clientHosts.get(host);
    if (!runtime) this.#clientHosts.set(host, (runtime = this.world.machine(host).boot()));
    return runtime;
  }

  /** The client for tests that need just one; a new one after a restart. */
  async client(): Promise<TestClient> {
    this.#client ??= await this.connect();
    return this.#client;
  }

  /** The names in a directory of the node. */
  list(path: string): string[] {
    return this.machine.files.stat(path) ? this.machine.files.list(path) : [];
  }
}

export type ProduceOptions = BatchOptions & {
  readonly partition?: number;
  readonly acks?: number;
  readonly timestamp?: number;
  readonly version?: number;
};
export type Produced = { readonly error: ErrorName; readonly baseOffset: number; readonly logAppendTimeMs: number };
export type FetchOptions = {
  readonly partition?: number;
  readonly offset?: number;
  readonly minBytes?: number;
  readonly maxWaitMs?: number;
  readonly isolationLevel?: number;
  readonly version?: number;
};

const text = new TextDecoder();

/** What tests ask of a node, over a connection: each answer is awaited while virtual time passes. */
export class TestClient {
  readonly connection: BrokerConnection;
  readonly #world: World;
  readonly #topicIds = new Map<string, Uuid>();

  constructor(world: World, connection: BrokerConnection) {
    this.#world = world;
    this.connection = connection;
  }

  /** For a request that is answered only after something else has happened: nothing passes until the test makes it. */
  later<Request, Response>(api: Api<Request, Response>, request: Writable<Request>, version?: number): Promise<Response> {
    return this.connection.send(api, request, { version, timeoutMs: 600_000 });
  }

  ask<Request, Response>(api: Api<Request, Response>, request: Writable<Request>, version?: number): Promise<Response> {
    return this.#world.runUntil(this.later(api, request, version));
  }

  /** Lets virtual time pass. */
  pause(ms: number): Promise<void> {
    return this.#world.advance(ms);
  }

  /** The error's name. */
  async createTopic(
    name: string,
    configs: Settings = {},
    { partitions = 1, replicas = -1 }: { partitions?: number; replicas?: number } = {},
  ): Promise<ErrorName> {
    const topic = {
      name,
      numPartitions: partitions,
      replicationFactor: replicas,
      configs: Object.entries(configs).map(([key, value]) => ({ name: key, value })),
    };
    const { topics } = await this.ask(CreateTopics, { topics: [topic], timeoutMs: 10_000 });
    return errorName(topics[0]!.errorCode);
  }

  /** Sets configs, or unsets those that are null, of a topic (2), broker (4) or logger (8). The error's name. */
  async configure(
    resource: { type: number; name: string },
    changes: Readonly<Record<string, string | null>>,
  ): Promise<ErrorName> {
    const configs = Object.entries(changes).map(([name, value]) => ({ name, value, configOperation: value === null ? 1 : 0 }));
    const resources = [{ resourceType: resource.type, resourceName: resource.name, configs }];
    const { responses } = await this.ask(IncrementalAlterConfigs, { resources });
    return errorName(responses[0]!.errorCode);
  }

  async deleteTopic(name: string): Promise<ErrorName> {
    const { responses } = await this.ask(DeleteTopics, { topics: [{ name }], topicNames: [name], timeoutMs: 10_000 });
    return errorName(responses[0]!.errorCode);
  }

  /** The values in force, and where each comes from. */
  async describe(resource: {
    type: number;
    name: string;
  }): Promise<{ error: ErrorName; configs: Record<string, string | null>; sources: Record<string, number> }> {
    const { results } = await this.ask(DescribeConfigs, {
      resources: [{ resourceType: resource.type, resourceName: resource.name, configurationKeys: null }],
    });
    const { errorCode, configs } = results[0]!;
    return {
      error: errorName(errorCode),
      configs: Object.fromEntries(configs.map(({ name, value }) => [name, value])),
      sources: Object.fromEntries(configs.map(({ name, configSource }) => [name, configSource])),
    };
  }

  async topicNames(): Promise<string[]> {
    const { topics } = await this.ask(Metadata, { topics: null });
    return topics.map(({ name }) => name!).sort();
  }

  /** Without an answer awaited: for acks=0 and for tests of what happens in between. */
  async produceRequest(topic: string, values: readonly string[], options: ProduceOptions = {}) {
    const { partition = 0, acks = -1, timestamp = this.#nowMs, version: _version, ...batch } = options;
    const records = buildBatch({ ...batch, records: values.map((value) => ({ timestamp, value: Buffer.from(value) })) });
    return {
      acks,
      timeoutMs: 30_000,
      topicData: [
        {
          name: topic,
          topicId: await this.topicId(topic),
          partitionData: [{ index: partition, records: new Uint8Array(records) }],
        },
      ],
    };
  }

  async produce(topic: string, values: readonly string[], options: ProduceOptions = {}): Promise<Produced> {
    const { responses } = await this.ask(Produce, await this.produceRequest(topic, values, options), options.version);
    const { errorCode, baseOffset, logAppendTimeMs } = responses[0]!.partitionResponses[0]!;
    return { error: errorName(errorCode), baseOffset, logAppendTimeMs };
  }

  async fetchRequest(
    topic: string,
    { partition = 0, offset = 0, ...options }: FetchOptions = {},
  ): Promise<Writable<FetchRequest>> {
    return {
      maxWaitMs: options.maxWaitMs ?? 0,
      minBytes: options.minBytes ?? 1,
      maxBytes: 1 << 20,
      isolationLevel: options.isolationLevel ?? 0,
      sessionEpoch: -1,
      topics: [
        {
          topic,
          topicId: await this.topicId(topic),
          partitions: [{ partition, fetchOffset: offset, partitionMaxBytes: 1 << 20 }],
        },
      ],
    };
  }

  /** What a read_committed consumer delivers, from the start: up to the last stable offset, without what was aborted. */
  async fetchCommitted(topic: string, { partition = 0 } = {}): Promise<string[]> {
    const { responses } = await this.ask(Fetch, await this.fetchRequest(topic, { partition, isolationLevel: 1 }));
    const [fetched] = responses[0]!.partitions;
    const aborted = (fetched!.abortedTransactions ?? []).toSorted((a, b) => a.firstOffset - b.firstOffset);
    const dropping = new Set<number>();
    const values: string[] = [];
    for (const batch of batchesOf(fetched!.records ?? new Uint8Array(0))) {
      while (aborted.length > 0 && aborted[0]!.firstOffset <= batch.lastOffset) dropping.add(aborted.shift()!.producerId);
      if (batch.isControl) {
        const [record] = [...batch.records()].map(readControlRecord);
        if (record!.type === 'abort') dropping.delete(batch.producerId);
      } else if (!(batch.isTransactional && dropping.has(batch.producerId))) {
        values.push(...[...batch.records()].map(({ value }) => text.decode(value!)));
      }
    }
    return values;
  }

  /** The values of the records from an offset on. */
  async fetch(topic: string, options: FetchOptions = {}): Promise<string[]> {
    return valuesIn(await this.ask(Fetch, await this.fetchRequest(topic, options), options.version));
  }

  /** -1 for the end, -2 for the start. */
  async offset(topic: string, timestamp: number): Promise<number> {
    const partitions = [{ partitionIndex: 0, timestamp, currentLeaderEpoch: -1 }];
    const { topics } = await this.ask(ListOffsets, { replicaId: -1, topics: [{ name: topic, partitions }] });
    return topics[0]!.partitions[0]!.offset;
  }

  /** A topic of that name will have another id. */
  forget(topic: string): void {
    this.#topicIds.delete(topic);
  }

  async topicId(topic: string): Promise<Uuid> {
    let id = this.#topicIds.get(topic);
    if (id === undefined) {
      const { topics } = await this.ask(Metadata, { topics: [{ name: topic }], allowAutoTopicCreation: false });
      id = topics[0]!.topicId;
      if (topics[0]!.errorCode === 0) this.#topicIds.set(topic, id);
    }
    return id;
  }

  get #nowMs(): number {
    return this.#world.startMs + Math.floor(this.#world.time.nowMs);
  }
}

type FetchRequest = Parameters<typeof Fetch.request.write>[1];
type FetchResponse = ReturnType<typeof Fetch.response.read>;

/** Of the data: control records are no values. */
export function valuesIn({ responses }: FetchResponse): string[] {
  return responses.flatMap(({ partitions }) =>
    partitions.flatMap(({ records }) =>
      [...batchesOf(records ?? new Uint8Array(0))].flatMap((batch) =>
        batch.isControl ? [] : [...batch.records()].map(({ value }) => text.decode(value!)),
      ),
    ),
  );
}

export type LoggedLine = { readonly level: string; readonly message: string; readonly fields: LogFields };

/** A logger that keeps what it is told. */
export class RecordedLogs implements Logger {
  readonly lines: LoggedLine[];
  readonly #fields: LogFields;

  constructor(lines: LoggedLine[] = [], fields: LogFields = {}) {
    this.lines = lines;
    this.#fields = fields;
  }

  debug(message: string, fields?: LogFields): void {
    this.#keep('debug', message, fields);
  }

  info(message: string, fields?: LogFields): void {
    this.#keep('info', message, fields);
  }

  warn(message: string, fields?: LogFields): void {
    this.#keep('warn', message, fields);
  }

  error(message: string, fields?: LogFields): void {
    this.#keep('error', message, fields);
  }

  child(fields: LogFields): Logger {
    return new RecordedLogs(this.lines, { ...this.#fields, ...fields });
  }

  /** The messages at a level. */
  at(level: string): string[] {
    return this.lines.filter((line) => line.level === level).map(({ message }) => message);
  }

  #keep(level: string, message: string, fields: LogFields = {}): void {
    this.lines.push({ level, message, fields: { ...this.#fields, ...fields } });
  }
}
