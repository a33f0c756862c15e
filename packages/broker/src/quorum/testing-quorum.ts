import assert from 'node:assert/strict';
import { featureLevelRecord, parseBrokerConfig, supportedFeatures } from '@ottla/metadata';
import { acceptConnections, BrokerConnection } from '@ottla/network';
import {
  type Api,
  ApiVersions,
  type MetadataRecord,
  Reader,
  readRequestHeader,
  type Uuid,
  uuidFromBytes,
  type Writable,
  Writer,
  writeResponseHeader,
} from '@ottla/protocol';
import type { RaftMessages, ServedApi } from '@ottla/raft';
import { type Machine, type MachineOptions, type Runtime, World, type WorldOptions } from '@ottla/runtime';
import { readMetaProperties } from '@ottla/storage';
import { formatDirectories } from '../format.ts';
import type { CommittedBatch, MetadataListener, SnapshotListener, SnapshotToHear } from './metadata-listener.ts';
import { MetadataQuorum, type MetadataQuorumOptions } from './metadata-quorum.ts';
import { quorumConfig } from './quorum-config.ts';
import { raftApis } from './raft-apis.ts';

export type TestQuorumOptions = Partial<WorldOptions> & {
  readonly voters?: number;
  /** Brokers: they only follow. Their ids begin at 101. */
  readonly observers?: number;
  /** Controllers that were formatted without knowing the voters. Their ids follow those of the voters. */
  readonly joining?: number;
  /** A quorum by controller.quorum.voters. */
  readonly isStatic?: boolean;
  readonly settings?: Readonly<Record<string, string>>;
  readonly machine?: (id: number) => MachineOptions;
  readonly options?: Partial<MetadataQuorumOptions>;
};

const clusterId = 'test-cluster-of-quorums';
const controllerPort = 9093;

export const hostOf = (id: number): string => `node${id}`;
export const directoryIdOf = (id: number): Uuid => uuidFromBytes(new Uint8Array(16).fill(id));
export const level = (value: number, name = 'test'): MetadataRecord => featureLevelRecord(name, value);

/** The only voter of a quorum that is configured, whose directory need not be formatted. */
export const loneVoter: Omit<MetadataQuorumOptions, 'runtime'> = {
  directory: '/data',
  directoryId: 'AAAAAAAAAAAAAAAAAAABAA',
  nodeId: 1,
  controllerEndpoints: [{ name: 'CONTROLLER', host: 'localhost', port: 9093 }],
  staticVoters: [{ id: 1, host: 'localhost', port: 9093 }],
  onFailure: (error) => assert.fail(String(error)),
};

/** Keeps feature levels, which stand for the whole metadata here, and can tell them as a snapshot. */
export class LevelListener implements MetadataListener {
  readonly snapshots: SnapshotToHear[] = [];
  readonly batches: CommittedBatch[] = [];
  readonly leaders: { leaderId: number | null; leaderEpoch: number }[] = [];
  readonly levels = new Map<string, number>();
  /** Every value of `test`, in the order heard. */
  values: number[] = [];
  nextOffset = 0;
  #problem: string | undefined;

  snapshot(snapshot: SnapshotToHear): SnapshotListener {
    if (snapshot.endOffset < this.nextOffset) this.#problem ??= `a snapshot to ${snapshot.endOffset} after ${this.nextOffset}`;
    const records: MetadataRecord[] = [];
    return {
      records: (slice) => void records.push(...slice),
      end: () => {
        this.snapshots.push(snapshot);
        this.levels.clear();
        this.#keep(records);
        this.nextOffset = snapshot.endOffset;
      },
    };
  }

  batch(batch: CommittedBatch): void {
    const { baseOffset, lastOffset, records } = batch;
    this.batches.push(batch);
    if (baseOffset !== this.nextOffset) this.#problem ??= `a batch of ${baseOffset} after ${this.nextOffset}`;
    this.#keep(records);
    this.nextOffset = lastOffset + 1;
  }

  leaderChanged(leader: { leaderId: number | null; leaderEpoch: number }): void {
    this.leaders.push(leader);
  }

  toSnapshot(): MetadataRecord[] {
    return [...this.levels].map(([name, value]) => level(value, name));
  }

  /** Which records were in each batch. */
  get story(): string[] {
    return this.batches.map(({ baseOffset, lastOffset, records }) =>
      `${baseOffset}-${lastOffset} ${records.map(({ type }) => type).join(' ')}`.trim(),
    );
  }

  /** Throws when something was heard twice, or not at all. */
  check(): void {
    if (this.#problem) throw new Error(this.#problem);
  }

  #keep(records: readonly MetadataRecord[]): void {
    for (const { type, value } of records) {
      if (type !== 'FeatureLevelRecord') continue;
      this.levels.set(value.name, value.featureLevel);
      if (value.name === 'test') this.values.push(value.featureLevel);
    }
  }
}

/** A node that has nothing but its part of the metadata quorum. */
export class QuorumNode {
  readonly id: number;
  readonly isVoter: boolean;
  readonly machine: Machine;
  quorum!: MetadataQuorum;
  listener = new LevelListener();
  failures: unknown[] = [];
  isUp = false;
  readonly #settings: Readonly<Record<string, string>>;
  readonly #options: TestQuorumOptions;

  constructor(
    machine: Machine,
    id: number,
    isVoter: boolean,
    settings: Readonly<Record<string, string>>,
    options: TestQuorumOptions,
  ) {
    this.machine = machine;
    this.id = id;
    this.isVoter = isVoter;
    this.#settings = settings;
    this.#options = options;
  }

  get metadataDirectory(): string {
    return '/data/__cluster_metadata-0';
  }

  /** `knows`: as `--initial-controllers`. */
  format(initialControllers: string | undefined, cluster = clusterId): void {
    const { config, properties } = parseBrokerConfig(this.#settings);
    const runtime = this.machine.boot();
    formatDirectories({
      ...runtime,
      nowMs: runtime.clock.nowMs(),
      config,
      properties,
      clusterId: cluster,
      ...(initialControllers === undefined ? { noInitialControllers: this.#options.isStatic !== true } : { initialControllers }),
    });
  }

  async start(): Promise<void> {
    const runtime = this.machine.boot();
    const parsed = parseBrokerConfig(this.#settings);
    const isController = this.id < 100;
    this.listener = new LevelListener();
    // A process that was killed may still hear that its disk is gone.
    const failures: unknown[] = [];
    this.failures = failures;
    const meta = readMetaProperties(runtime.files, '/data')!;
    if (isController) await serve(runtime, () => this.quorum);
    this.quorum = await MetadataQuorum.open({
      ...quorumConfig(parsed),
      runtime,
      directory: '/data',
      directoryId: meta.directoryId!,
      clusterId: meta.clusterId,
      controllerEndpoints: isController ? [{ name: 'CONTROLLER', host: hostOf(this.id), port: controllerPort }] : [],
      onFailure: (error) => failures.push(error),
      ...this.#options.options,
    });
    await this.quorum.subscribe(this.listener);
    this.isUp = true;
  }

  /** The process ends; what it wrote is there. */
  kill(): void {
    this.isUp = false;
    this.machine.kill();
  }

  /** The power fails. */
  crash(): void {
    this.isUp = false;
    this.machine.crash();
  }

  async stop(): Promise<void> {
    await this.quorum.close();
    this.kill();
  }
}

/** What a controller's listener does, and no more. */
async function serve(runtime: Runtime, quorum: () => MetadataQuorum | undefined): Promise<void> {
  const names = Object.keys(raftApis).filter((name) => name !== 'apiVersions') as ServedApi[];
  const byKey = new Map(names.map((name) => [raftApis[name].apiKey, name]));
  const apiKeys = [ApiVersions, ...names.map((name) => raftApis[name])].map(({ apiKey, minVersion, maxVersion }) => ({
    apiKey,
    minVersion,
    maxVersion,
  }));
  await acceptConnections({
    ...runtime,
    address: { host: '', port: controllerPort },
    listenerName: 'CONTROLLER',
    onRequest: async (frame, { listenerName }) => {
      const reader = new Reader(new Uint8Array(frame));
      const { apiKey, apiVersion: version, correlationId } = readRequestHeader(reader);
      const name = byKey.get(apiKey);
      const api = (name ? raftApis[name] : ApiVersions) as Api;
      const request = api.request.read(reader, version);
      const response: object = name
        ? await quorum()!.handle(name, request as never, { version, listenerName })
        : {
            apiKeys,
            supportedFeatures: [...supportedFeatures, ['kraft.version', { min: 0, max: 1 }] as const].map(
              ([feature, { min, max }]) => ({
                name: feature,
                minVersion: min,
                maxVersion: max,
              }),
            ),
          };
      const writer = new Writer();
      writeResponseHeader(writer, api, version, correlationId);
      api.response.write(writer, response, version);
      return writer.chunks();
    },
  });
}

/** Nodes of a metadata quorum on simulated machines, in virtual time. */
export class TestQuorum {
  readonly world: World;
  readonly nodes = new Map<number, QuorumNode>();
  readonly #options: TestQuorumOptions;
  #client: Runtime | undefined;

  static async start(options: TestQuorumOptions = {}): Promise<TestQuorum> {
    const quorum = new TestQuorum(options);
    await quorum.world.runUntil(Promise.all([...quorum.nodes.values()].map((node) => node.start())));
    return quorum;
  }

  /** Formatted, and not started. */
  constructor(options: TestQuorumOptions = {}) {
    this.#options = options;
    this.world = new World({ seed: 1, ...options });
    const { voters = 3, observers = 0, joining = 0 } = options;
    const ids = Array.from({ length: voters }, (_, index) => index + 1);
    const initial = ids.map((id) => `${id}@${hostOf(id)}:${controllerPort}:${directoryIdOf(id)}`).join(',');
    for (const id of ids) this.#add(id, true).format(options.isStatic ? undefined : initial);
    for (let id = voters + 1; id <= voters + joining; id++) this.#add(id, false).format(undefined);
    for (let id = 101; id < 101 + observers; id++) this.#add(id, false).format(undefined);
  }

  #add(id: number, isVoter: boolean): QuorumNode {
    const { voters = 3, isStatic = false, settings = {}, machine } = this.#options;
    const servers = Array.from({ length: voters }, (_, index) => `${hostOf(index + 1)}:${controllerPort}`);
    const isController = id < 100;
    const own = {
      'process.roles': isController ? 'controller' : 'broker',
      'node.id': String(id),
      listeners: isController ? `CONTROLLER://${hostOf(id)}:${controllerPort}` : `PLAINTEXT://${hostOf(id)}:9092`,
      'controller.listener.names': 'CONTROLLER',
      ...(isStatic
        ? { 'controller.quorum.voters': servers.map((server, index) => `${index + 1}@${server}`).join(',') }
        : { 'controller.quorum.bootstrap.servers': servers.join(',') }),
      'log.dirs': '/data',
      ...settings,
    };
    const node = new QuorumNode(this.world.machine(hostOf(id), machine?.(id) ?? {}), id, isVoter, own, this.#options);
    this.nodes.set(id, node);
    return node;
  }

  node(id: number): QuorumNode {
    return this.nodes.get(id)!;
  }

  get up(): QuorumNode[] {
    return [...this.nodes.values()].filter(({ isUp }) => isUp);
  }

  /** The one that leads in the newest epoch, if it is one. */
  get leader(): QuorumNode | undefined {
    const leaders = this.up.filter(({ quorum }) => quorum.isLeader);
    return leaders.sort((a, b) => b.quorum.leaderAndEpoch.leaderEpoch - a.quorum.leaderAndEpoch.leaderEpoch)[0];
  }

  /** Time passes until it holds. */
  async until(what: string, holds: () => boolean, limitMs = 60_000): Promise<void> {
    const endMs = this.world.time.nowMs + limitMs;
    while (!holds()) {
      if (this.world.time.nowMs >= endMs) throw new Error(`not within ${limitMs} ms: ${what}`);
      await this.world.advance(5);
    }
  }

  /** Somebody leads, and knows all that is committed. */
  async untilLed(limitMs?: number): Promise<QuorumNode> {
    const knows = ({ id, listener }: QuorumNode) => listener.leaders.at(-1)?.leaderId === id;
    await this.until('a leader', () => this.leader !== undefined && knows(this.leader), limitMs);
    return this.leader!;
  }

  /** Every node that is up has heard the same, up to the leader's end. */
  async untilCaughtUp(limitMs?: number): Promise<void> {
    const isSame = () => {
      const { leader } = this;
      return leader !== undefined && this.up.every(({ listener }) => listener.nextOffset === leader.quorum.nextOffset);
    };
    await this.until('everybody has all', isSame, limitMs);
    for (const { listener } of this.up) listener.check();
  }

  async append(...records: MetadataRecord[]): Promise<number> {
    return (await this.world.runUntil(this.leader!.quorum.append(records), 60_000)).lastOffset;
  }

  /** As a tool would, over the network. */
  async ask<Name extends ServedApi>(
    id: number,
    api: Name,
    request: Writable<RaftMessages[Name]['request']>,
    version?: number,
  ): Promise<RaftMessages[Name]['response']> {
    this.#client ??= this.world.machine('client').boot();
    const address = { host: hostOf(id), port: controllerPort };
    const connection = await this.world.runUntil(BrokerConnection.connect({ ...this.#client, address, clientId: 'tool' }));
    try {
      const sent = connection.send(raftApis[api] as Api, request as object, version === undefined ? {} : { version });
      return (await this.world.runUntil(sent, 60_000)) as RaftMessages[Name]['response'];
    } finally {
      void connection.close();
    }
  }
}
