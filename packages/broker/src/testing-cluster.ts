import { parseBrokerConfig } from '@ottla/metadata';
import { BrokerConnection } from '@ottla/network';
import { type Api, DescribeCluster, type ErrorName, Metadata, type Uuid, uuidFromBytes, type Writable } from '@ottla/protocol';
import { type Machine, type MachineOptions, type Runtime, World, type WorldOptions } from '@ottla/runtime';
import { formatDirectories } from './format.ts';
import { BrokerServer } from './server.ts';
import { RecordedLogs, TestClient, testSettings } from './testing-node.ts';

type Settings = Readonly<Record<string, string>>;
export type TestRoles = 'broker,controller' | 'broker' | 'controller';

export type TestClusterOptions = Partial<WorldOptions> & {
  /** Nodes with both roles, from id 1 on. */
  readonly combined?: number;
  /** Nodes that are brokers only, from id 1 on, or behind the combined ones. */
  readonly brokers?: number;
  /** Nodes that are controllers only, from id 101 on. */
  readonly controllers?: number;
  /** By controller.quorum.voters, and not by voters in the log. */
  readonly isStatic?: boolean;
  /** Of every node, over those of a test node. */
  readonly settings?: Settings;
  readonly settingsOf?: (id: number) => Settings;
  readonly machine?: (id: number) => Omit<MachineOptions, 'logger'>;
};

const clientPort = 9092;
const controllerPort = 9093;
const clusterId = 'a-cluster-for-tests-xx';
const firstControllerId = 101;

export const hostOf = (id: number): string => `node${id}`;
const directoryIdOf = (id: number): Uuid => uuidFromBytes(new Uint8Array(16).fill(id));

/** One of the nodes, on a machine of its own. */
export class ClusterNode {
  readonly id: number;
  readonly roles: TestRoles;
  readonly machine: Machine;
  readonly logs = new RecordedLogs();
  settings: Settings;
  #server: BrokerServer | undefined;
  /** What made it give up, if anything did. */
  fatal: unknown;

  constructor(world: World, id: number, roles: TestRoles, settings: Settings, machine: Omit<MachineOptions, 'logger'>) {
    this.id = id;
    this.roles = roles;
    this.settings = settings;
    this.machine = world.machine(hostOf(id), { ...machine, logger: this.logs });
  }

  get isController(): boolean {
    return this.roles !== 'broker';
  }

  get isBroker(): boolean {
    return this.roles !== 'controller';
  }

  /** Its process is there. It may still be starting. */
  isUp = false;
  boots = 0;

  /** It serves. */
  get isServing(): boolean {
    return this.#server !== undefined;
  }

  get server(): BrokerServer {
    return this.#server!;
  }

  /** Boots the machine and starts the node; resolves when it serves. Other settings, if any, hold from now on. */
  async start(settings: Settings = {}): Promise<void> {
    this.settings = { ...this.settings, ...settings };
    this.#server = undefined;
    this.isUp = true;
    this.boots++;
    const runtime = this.machine.boot();
    const onFatal = (error: unknown): void => {
      this.fatal ??= error;
      this.logs.error('fatal', { error });
    };
    this.#server = await BrokerServer.start({ runtime, properties: this.settings, logLevel: 'debug', onFatal });
  }

  async stop(): Promise<void> {
    await this.server.stop();
    this.#server = undefined;
    this.isUp = false;
  }

  /** The process ends at once. */
  kill(): void {
    this.machine.kill();
    this.#server = undefined;
    this.isUp = false;
  }

  /** The power fails. */
  crash(): void {
    this.machine.crash();
    this.#server = undefined;
    this.isUp = false;
  }
}

/** Test support: whole nodes in any roles on simulated machines, in time that passes only when told to. */
export class TestCluster {
  readonly world: World;
  readonly nodes: readonly ClusterNode[];
  readonly #clientHosts = new Map<string, Runtime>();
  readonly #clients = new Map<string, TestClient>();
  #hosts = 0;

  static async start(options: TestClusterOptions): Promise<TestCluster> {
    const cluster = new TestCluster(options);
    cluster.format();
    await cluster.startAll();
    return cluster;
  }

  constructor({ combined = 0, brokers = 0, controllers = 0, ...options }: TestClusterOptions) {
    const { isStatic = false, settings = {}, settingsOf = () => ({}), machine = () => ({}), ...world } = options;
    this.world = new World({ seed: 1, ...world });
    const ids = (first: number, count: number): number[] => Array.from({ length: count }, (_, index) => first + index);
    const roles = new Map<number, TestRoles>([
      ...ids(1, combined).map((id) => [id, 'broker,controller'] as const),
      ...ids(combined + 1, brokers).map((id) => [id, 'broker'] as const),
      ...ids(firstControllerId, controllers).map((id) => [id, 'controller'] as const),
    ]);
    const voters = [...roles].filter(([, each]) => each !== 'broker').map(([id]) => id);
    const quorum: Settings = isStatic
      ? { 'controller.quorum.voters': voters.map((id) => `${id}@${hostOf(id)}:${controllerPort}`).join(',') }
      : { 'controller.quorum.bootstrap.servers': voters.map((id) => `${hostOf(id)}:${controllerPort}`).join(',') };
    this.nodes = [...roles].map(
      ([id, each]) =>
        new ClusterNode(this.world, id, each, { ...settingsFor(id, each, quorum), ...settings, ...settingsOf(id) }, machine(id)),
    );
  }

  /** Prepares the directories of all nodes, as `storage format` does on each. */
  format(): void {
    const voters = this.controllers.map(({ id }) => `${id}@${hostOf(id)}:${controllerPort}:${directoryIdOf(id)}`).join(',');
    for (const { machine, settings, isController } of this.nodes) {
      const { files, random, clock } = machine.boot();
      const { config, properties } = parseBrokerConfig(settings);
      const isStatic = config['controller.quorum.voters'].length > 0;
      const quorum = isStatic ? {} : isController ? { initialControllers: voters } : { noInitialControllers: true };
      formatDirectories({ files, random, nowMs: clock.nowMs(), config, properties, clusterId, ...quorum });
    }
  }

  get brokers(): ClusterNode[] {
    return this.nodes.filter(({ isBroker }) => isBroker);
  }

  get controllers(): ClusterNode[] {
    return this.nodes.filter(({ isController }) => isController);
  }

  node(id: number): ClusterNode {
    const node = this.nodes.find((each) => each.id === id);
    if (!node) throw new Error(`there is no node ${id}`);
    return node;
  }

  async startAll(): Promise<void> {
    await this.run(Promise.all(this.nodes.filter(({ isUp }) => !isUp).map((node) => node.start())));
  }

  async stopAll(): Promise<void> {
    await this.run(Promise.all(this.nodes.filter(({ isServing }) => isServing).map((node) => node.stop())));
  }

  /** In an orderly way, one after the other when several are named. */
  async restart(...ids: number[]): Promise<void> {
    for (const id of ids) {
      await this.run(this.node(id).stop());
      await this.run(this.node(id).start());
    }
  }

  /** Nothing goes between the node and any other node; clients still reach it. */
  isolate(id: number): void {
    for (const other of this.nodes) if (other.id !== id) this.world.wires.cut(hostOf(id), hostOf(other.id));
  }

  cut(from: number, to: number, options: { oneWay?: boolean } = {}): void {
    this.world.wires.cut(hostOf(from), hostOf(to), options);
  }

  heal(): void {
    this.world.wires.heal();
  }

  /** Lets virtual time pass until the promise settles. */
  run<T>(promise: Promise<T>): Promise<T> {
    return this.world.runUntil(promise);
  }

  advance(ms: number): Promise<void> {
    return this.world.advance(ms);
  }

  /** Lets time pass until it is so. Throws when it is not after `limitMs`. */
  async waitFor(what: string, isSo: () => boolean | Promise<boolean>, limitMs = 60_000): Promise<void> {
    const deadlineMs = this.world.time.nowMs + limitMs;
    while (!(await isSo())) {
      if (this.world.time.nowMs >= deadlineMs) throw new Error(`after ${limitMs} ms of virtual time it is not so that ${what}`);
      await this.advance(20);
    }
  }

  /** On a machine of its own, to a broker's listener for clients, or a controller's listener. */
  async connect(id: number, port = this.node(id).isBroker ? clientPort : controllerPort): Promise<TestClient> {
    const { network, timers, clock } = this.#runtimeOf(`client${++this.#hosts}`);
    const address = { host: hostOf(id), port };
    return new TestClient(
      this.world,
      await this.run(BrokerConnection.connect({ network, timers, clock, clientId: 'test', address })),
    );
  }

  /** One client for each node, connected anew after it was lost or the node began anew. */
  async client(id: number, port?: number): Promise<TestClient> {
    const key = `${id}:${port ?? ''}:${this.node(id).boots}`;
    let client = this.#clients.get(key);
    if (!client || client.connection.closed) this.#clients.set(key, (client = await this.connect(id, port)));
    return client;
  }

  async ask<Request, Response>(
    id: number,
    api: Api<Request, Response>,
    request: Writable<Request>,
    version?: number,
  ): Promise<Response> {
    return (await this.client(id)).ask(api, request, version);
  }

  /** As the controller listener of any node that serves says; undefined where nobody leads. */
  async activeController(exceptId?: number): Promise<number | undefined> {
    for (const { id } of this.controllers.filter((each) => each.isUp && each.id !== exceptId)) {
      const { controllerId } = await (await this.client(id, controllerPort)).ask(DescribeCluster, { endpointType: 2 });
      if (controllerId >= 0) return controllerId;
    }
    return undefined;
  }

  /** Resolves with its id when there is one other than `exceptId`. */
  async newController(exceptId?: number): Promise<number> {
    let found: number | undefined;
    await this.waitFor('there is an active controller', async () => {
      const id = await this.activeController(exceptId);
      found = id === exceptId ? undefined : id;
      return found !== undefined;
    });
    return found!;
  }

  /** The ids of the brokers that a broker gives to clients, in order. */
  async liveBrokers(asked: number): Promise<number[]> {
    const { brokers } = await this.ask(asked, Metadata, { topics: [] });
    return brokers.map(({ nodeId }) => nodeId).sort((a, b) => a - b);
  }

  /** As one broker knows it. */
  async partition(asked: number, topic: string, index = 0): Promise<{ leader: number; isr: number[]; replicas: number[] }> {
    const { topics } = await this.ask(asked, Metadata, { topics: [{ name: topic }], allowAutoTopicCreation: false });
    const found = topics[0]!.partitions.find(({ partitionIndex }) => partitionIndex === index);
    const { leaderId = -1, isrNodes = [], replicaNodes = [] } = found ?? {};
    return { leader: leaderId, isr: [...isrNodes].sort((a, b) => a - b), replicas: replicaNodes };
  }

  /** Asks any broker for it. The error's name. */
  async createTopic(
    asked: number,
    name: string,
    shape: { partitions?: number; replicas?: number } = {},
    configs: Settings = {},
  ): Promise<ErrorName> {
    return (await this.client(asked)).createTopic(name, configs, shape);
  }

  /** All that went wrong on any node. */
  errors(): string[] {
    return this.nodes.flatMap(({ id, logs }) =>
      logs.lines
        .filter(({ level }) => level === 'error')
        .map(({ message, fields }) => `node ${id}: ${message} ${fields['error'] ?? ''}`),
    );
  }

  #runtimeOf(host: string): Runtime {
    let runtime = this.#clientHosts.get(host);
    if (!runtime) this.#clientHosts.set(host, (runtime = this.world.machine(host).boot()));
    return runtime;
  }
}

function settingsFor(id: number, roles: TestRoles, quorum: Settings): Settings {
  const { 'controller.quorum.bootstrap.servers': _own, ...settings } = testSettings;
  const clients = `PLAINTEXT://${hostOf(id)}:${clientPort}`;
  const controller = `CONTROLLER://${hostOf(id)}:${controllerPort}`;
  const listeners = { 'broker,controller': `${clients},${controller}`, broker: clients, controller };
  return { ...settings, ...quorum, 'process.roles': roles, 'node.id': String(id), listeners: listeners[roles] };
}
