import { BrokerServer, formatDirectories, type ServerParts } from '@ottla/broker';
import { parseBrokerConfig } from '@ottla/metadata';
import type { Uuid } from '@ottla/protocol';
import { type Machine, type Runtime, World } from '@ottla/runtime';
import { type LoggedLine, NodeLog, tellError } from './node-log.ts';
import { hostOf, isBroker, isController, type NodePlan, type Plan } from './plan.ts';

const BROKER_PORT = 9092;
export const CONTROLLER_PORT = 9093;
const DATA = '/data';
/** A supervisor starts a node again that has ended by itself. */
const supervisorMs = 500;

export type ClusterEvents = {
  readonly onLine: (node: SimulatedNode, line: LoggedLine) => void;
  /** For the story. */
  readonly onNews: (text: string) => void;
};

/** The nodes of a plan, each the real server on a simulated machine. */
export class SimulatedCluster {
  readonly world: World;
  readonly nodes: readonly SimulatedNode[];

  constructor(plan: Plan, events: ClusterEvents) {
    this.world = new World({ seed: plan.seed, wires: { ...plan.wires, giveUpMs: 60_000 } });
    const controllers = plan.nodes.filter(isController);
    const initialControllers = controllers
      .map(({ id }) => `${id}@${hostOf(id)}:${CONTROLLER_PORT}:${directoryIdOf(id)}`)
      .join(',');
    this.nodes = plan.nodes.map(
      (node) =>
        new SimulatedNode({
          world: this.world,
          plan: node,
          settings: settingsOf(node, plan, controllers),
          clusterId,
          initialControllers,
          events,
        }),
    );
  }

  get bootstrapServers(): string[] {
    return this.nodes.filter(({ plan }) => isBroker(plan)).map(({ host }) => `${host}:${BROKER_PORT}`);
  }

  node(id: number): SimulatedNode {
    const found = this.nodes.find((node) => node.id === id);
    if (!found) throw new Error(`the plan has no node ${id}`);
    return found;
  }

  /** What a client on a machine of its own takes from outside. */
  clientRuntime(host: string): Runtime {
    return this.world.machine(host).boot();
  }
}

export type NodeState = 'down' | 'starting' | 'up' | 'stopping';

type SimulatedNodeOptions = {
  readonly world: World;
  readonly plan: NodePlan;
  readonly settings: Readonly<Record<string, string>>;
  readonly clusterId: string;
  readonly initialControllers: string;
  readonly events: ClusterEvents;
};

/** One node: its machine, and the process that runs there, if one does. */
export class SimulatedNode {
  readonly plan: NodePlan;
  readonly host: string;
  readonly machine: Machine;
  /** Since the last look a vote may have been written down. */
  hasNewElectionState = false;
  /** It is about to write down a vote, or an epoch. */
  onElectionState: (() => void) | undefined;
  /** How many processes there were: what is known of one says nothing of the next. */
  lives = 0;
  #state: NodeState = 'down';
  #server: BrokerServer | undefined;
  #look: (() => ServerParts) | undefined;
  readonly #options: SimulatedNodeOptions;

  constructor(options: SimulatedNodeOptions) {
    const { world, plan, events, settings, clusterId, initialControllers } = options;
    this.#options = options;
    this.plan = plan;
    this.host = hostOf(plan.id);
    this.machine = world.machine(this.host, {
      logger: new NodeLog((line) => events.onLine(this, line)),
      tornWrites: true,
      fault: ({ kind, path }) => {
        if (kind === 'rename' && path.includes('quorum-state')) {
          this.hasNewElectionState = true;
          this.onElectionState?.();
        }
        return undefined;
      },
    });
    const { files, random, clock } = this.machine.boot();
    const { config, properties } = parseBrokerConfig(settings);
    const isVoter = isController(plan);
    formatDirectories({
      ...{ files, random, config, properties, clusterId, nowMs: clock.nowMs() },
      ...(isVoter ? { initialControllers } : {}),
    });
    this.machine.kill();
  }

  get id(): number {
    return this.plan.id;
  }

  get state(): NodeState {
    return this.#state;
  }

  /** Of the process that runs, also while it starts or stops. */
  get parts(): ServerParts | undefined {
    return this.#look?.();
  }

  get directory(): string {
    return DATA;
  }

  /** The process begins; it serves later, or never. */
  start(): void {
    if (this.#state !== 'down') return;
    const life = ++this.lives;
    this.#state = 'starting';
    const runtime = this.machine.boot();
    const isThisLife = () => this.lives === life && this.#state !== 'down';
    const ends = (why: string): void => {
      if (!isThisLife()) return;
      this.#options.events.onNews(`node ${this.id} ends: ${why}`);
      this.#end();
      this.machine.kill();
      this.startIn(supervisorMs);
    };
    BrokerServer.start({
      runtime,
      properties: this.#options.settings,
      // In a turn of its own, as the end of a process is.
      onParts: (look) => {
        if (isThisLife()) this.#look = look;
      },
      onFatal: (error) => runtime.timers.soon(() => ends(`fatal: ${tellError(error)}`)),
    }).then(
      (server) => {
        if (!isThisLife()) return;
        this.#server = server;
        this.#state = 'up';
        this.#options.events.onNews(`node ${this.id} serves`);
      },
      (error) => ends(`it cannot start: ${tellError(error)}`),
    );
  }

  startIn(ms: number): void {
    const { lives } = this;
    this.#options.world.time.after(ms, () => {
      if (this.lives === lives) this.start();
    });
  }

  /** kill -9. */
  kill(): void {
    this.#end();
    this.machine.kill();
  }

  /** The power fails. */
  crash(): void {
    this.#end();
    this.machine.crash();
  }

  /** SIGTERM. Resolves when the process is gone, by itself or not. */
  async stop(patienceMs = 15_000): Promise<void> {
    const server = this.#server;
    if (!server || this.#state !== 'up') return;
    const { lives } = this;
    this.#state = 'stopping';
    const waited = new Promise<void>((resolve) => void this.#options.world.time.after(patienceMs, resolve));
    await Promise.race([
      server.stop().catch((error) => this.#options.events.onNews(`node ${this.id} stops: ${tellError(error)}`)),
      waited,
    ]);
    if (this.lives !== lives) return;
    this.kill();
  }

  #end(): void {
    this.#state = 'down';
    this.#server = undefined;
    this.#look = undefined;
  }
}

/** Of a controller: a uuid that says whose it is. */
export function directoryIdOf(id: number): Uuid {
  const bytes = Buffer.alloc(16);
  bytes.writeUInt32BE(0x4f74_6c61, 4);
  bytes.writeUInt32BE(id + 1, 12);
  return bytes.toString('base64url') as Uuid;
}

function settingsOf(node: NodePlan, plan: Plan, controllers: readonly NodePlan[]): Record<string, string> {
  const host = hostOf(node.id);
  const brokers = plan.nodes.filter(isBroker).length;
  const replicas = String(Math.min(3, brokers));
  const minIsr = String(Math.min(2, brokers));
  const listeners = [
    ...(isBroker(node) ? [`PLAINTEXT://${host}:${BROKER_PORT}`] : []),
    ...(isController(node) ? [`CONTROLLER://${host}:${CONTROLLER_PORT}`] : []),
  ];
  return {
    'process.roles': node.roles.join(','),
    'node.id': String(node.id),
    listeners: listeners.join(','),
    'controller.listener.names': 'CONTROLLER',
    'controller.quorum.bootstrap.servers': controllers.map(({ id }) => `${hostOf(id)}:${CONTROLLER_PORT}`).join(','),
    'log.dirs': DATA,
    ...timing,
    // Controllers too: it is they who decide how many replicas a topic gets.
    'default.replication.factor': replicas,
    'min.insync.replicas': minIsr,
    'offsets.topic.num.partitions': '2',
    'offsets.topic.replication.factor': replicas,
    'transaction.state.log.num.partitions': '2',
    'transaction.state.log.replication.factor': replicas,
    'transaction.state.log.min.isr': minIsr,
    'share.coordinator.state.topic.num.partitions': '2',
    'share.coordinator.state.topic.replication.factor': replicas,
    'share.coordinator.state.topic.min.isr': minIsr,
    ...plan.settings,
  };
}

/** Seconds of a usual cluster are too long for runs that shall be many. */
const timing = {
  'broker.session.timeout.ms': '1500',
  'broker.heartbeat.interval.ms': '400',
  'replica.lag.time.max.ms': '1500',
  'controller.quorum.election.timeout.ms': '300',
  'controller.quorum.fetch.timeout.ms': '1000',
  'group.initial.rebalance.delay.ms': '0',
  'group.min.session.timeout.ms': '1000',
  'group.share.min.record.lock.duration.ms': '1000',
  'group.share.record.lock.duration.ms': '2000',
  'metadata.max.idle.interval.ms': '2000',
  'transaction.abort.timed.out.transaction.cleanup.interval.ms': '2000',
} as const;

export const clusterId = directoryIdOf(0);
