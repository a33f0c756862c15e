/**
 * A cluster of real processes, of Kafka, of Ottla, or of both, each node at a place of its own in a network that can be broken.
 */
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DescribeQuorum } from '@ottla/protocol';
import { ask } from './ask.ts';
import { AskedCluster } from './asked-cluster.ts';
import type { FaultyCluster } from './cluster-faults.ts';
import { ClusterNode, type NodePlan, type Properties } from './cluster-node.ts';
import { type ClusterNetwork, clusterNetwork, loopback } from './network.ts';

export type ClusterPlan = {
  readonly nodes: readonly NodePlan[];
  /** For all nodes. */
  readonly properties?: Properties;
  /** `dynamic`: the voters are in the log (KIP-853); `static`: in the configuration. */
  readonly quorum?: 'dynamic' | 'static';
  /** Everybody on 127.0.0.1, where nothing has to break. */
  readonly onLoopback?: boolean;
};

export const clusterId = '4L6g3nShT-eMCtK--X86sw';

/** So that what takes its time with Kafka's defaults (a broker that vanishes, a follower that lags) does so within a short run. */
export const hasty: Properties = {
  'broker.session.timeout.ms': '4000',
  'broker.heartbeat.interval.ms': '500',
  'replica.lag.time.max.ms': '6000',
  'controller.quorum.append.linger.ms': '5',
  'group.initial.rebalance.delay.ms': '0',
  'group.min.session.timeout.ms': '1000',
  'group.consumer.min.heartbeat.interval.ms': '500',
  'group.consumer.heartbeat.interval.ms': '500',
  'group.consumer.min.session.timeout.ms': '4000',
  'group.consumer.session.timeout.ms': '4000',
  'transaction.abort.timed.out.transaction.cleanup.interval.ms': '500',
};

export class ProcessCluster extends AskedCluster<ClusterNode> implements FaultyCluster {
  readonly network: ClusterNetwork;
  readonly directory: string;
  readonly #nodes = new Map<number, ClusterNode>();
  readonly #plan: ClusterPlan;
  #shared: Properties = {};

  private constructor(plan: ClusterPlan, network: ClusterNetwork) {
    super();
    this.#plan = plan;
    this.network = network;
    this.directory = mkdtempSync(join(tmpdir(), 'ottla-cluster-'));
  }

  /** Formats all nodes, starts them and waits until they are one cluster. */
  static async create(plan: ClusterPlan): Promise<ProcessCluster> {
    const cluster = await ProcessCluster.format(plan);
    try {
      await cluster.start();
    } catch (error) {
      await cluster.destroy();
      throw error;
    }
    return cluster;
  }

  static async format(plan: ClusterPlan): Promise<ProcessCluster> {
    const cluster = new ProcessCluster(plan, plan.onLoopback ? loopback() : clusterNetwork());
    try {
      await cluster.#formatAll();
    } catch (error) {
      await cluster.destroy();
      throw error;
    }
    return cluster;
  }

  async #formatAll(): Promise<void> {
    const { nodes, properties = {}, quorum = 'dynamic' } = this.#plan;
    const places = new Map<number, Awaited<ReturnType<ClusterNetwork['add']>>>();
    for (const { id } of nodes) places.set(id, await this.network.add(id));
    const controllers = nodes.filter(({ roles }) => roles.includes('controller')).map(({ id }) => id);
    const at = (id: number): string => `${places.get(id)!.host}:${places.get(id)!.ports.controller}`;
    const copies = Math.min(3, nodes.filter(({ roles }) => roles.includes('broker')).length);
    this.#shared = {
      ...(quorum === 'dynamic'
        ? { 'controller.quorum.bootstrap.servers': controllers.map(at).join() }
        : { 'controller.quorum.voters': controllers.map((id) => `${id}@${at(id)}`).join() }),
      'default.replication.factor': String(copies),
      'offsets.topic.replication.factor': String(copies),
      'transaction.state.log.replication.factor': String(copies),
      'transaction.state.log.min.isr': String(Math.max(1, copies - 1)),
      'share.coordinator.state.topic.replication.factor': String(copies),
      'share.coordinator.state.topic.min.isr': String(Math.max(1, copies - 1)),
      'offsets.topic.num.partitions': '5',
      'transaction.state.log.num.partitions': '5',
      'share.coordinator.state.topic.num.partitions': '5',
      ...properties,
    };
    for (const plan of nodes) this.#nodes.set(plan.id, await this.#place(plan));
    const voters = this.nodes.filter(({ isController }) => isController).map(({ voter }) => voter);
    for (const node of this.nodes) {
      if (quorum === 'static') node.format(clusterId, []);
      else if (node.isController) node.format(clusterId, ['--initial-controllers', voters.join()]);
      else node.format(clusterId, ['--no-initial-controllers']);
    }
  }

  async #place(plan: NodePlan): Promise<ClusterNode> {
    const place = await this.network.add(plan.id);
    const directory = join(this.directory, `node-${plan.id}`);
    return new ClusterNode(plan, { ...place, network: this.network, directory }, this.#shared);
  }

  /** One more node, formatted to join and not started. */
  async add(plan: NodePlan): Promise<ClusterNode> {
    const node = await this.#place(plan);
    this.#nodes.set(plan.id, node);
    node.format(clusterId, this.#plan.quorum === 'static' ? [] : ['--no-initial-controllers']);
    return node;
  }

  /** It is no longer one of the nodes; the caller has ended it. */
  forget(node: ClusterNode): void {
    this.#nodes.delete(node.id);
  }

  get nodes(): readonly ClusterNode[] {
    return [...this.#nodes.values()];
  }

  get controllers(): readonly ClusterNode[] {
    return this.nodes.filter(({ isController }) => isController);
  }

  node(id: number): ClusterNode {
    return this.#nodes.get(id)!;
  }

  get controllerBootstrap(): string {
    return this.controllers.map(({ controllerAddress: { host, port } }) => `${host}:${port}`).join();
  }

  /** Starts what does not run, and waits until all are one cluster. */
  async start(): Promise<void> {
    const stopped = this.nodes.filter(({ isRunning }) => !isRunning);
    for (const node of stopped) node.launch();
    await Promise.all(stopped.map((node) => node.answers()));
    await this.whole();
  }

  /** The quorum as its leader describes it. */
  override async quorum() {
    // Brokers would pass the question on to whom they take for the leader, and wait for it while it hangs.
    const asked = this.controllers.filter(({ isRunning, isPaused }) => isRunning && !isPaused);
    const answers = await Promise.allSettled(asked.map((node) => this.#quorumTo(node)));
    const answered = answers.filter((answer) => answer.status === 'fulfilled').map(({ value }) => value);
    const [last] = answered.sort((a, b) => b.leaderEpoch - a.leaderEpoch);
    if (!last)
      throw new AggregateError(
        answers.map((answer) => (answer as PromiseRejectedResult).reason),
        'no controller leads',
      );
    return last;
  }

  /** Rejects when the node does not lead. */
  async #quorumTo(node: ClusterNode) {
    const topics = [{ topicName: '__cluster_metadata', partitions: [{ partitionIndex: 0 }] }];
    const answer = await ask(node.controllerAddress, DescribeQuorum, 2, { topics });
    if (answer.errorCode !== 0) throw new Error(`DescribeQuorum to ${node}: ${answer.errorCode} ${answer.errorMessage}`);
    const partition = answer.topics[0]!.partitions[0]!;
    if (partition.errorCode !== 0) throw new Error(`DescribeQuorum to ${node}: ${partition.errorCode} ${partition.errorMessage}`);
    return partition;
  }

  get endedUnasked(): string | undefined {
    const ended = this.nodes.filter(({ isRunning }) => !isRunning);
    return ended.map((node) => `${node}, with ${node.ending}:\n${node.log.slice(-3000)}`).join('\n') || undefined;
  }

  /** Everything that was broken is as it should be: ways, processes that hang or that ended. */
  async mend(): Promise<void> {
    await this.network.heal();
    for (const node of this.nodes) node.resume();
    await this.start();
  }

  async stop(): Promise<void> {
    await this.network.heal();
    await Promise.all(this.nodes.map((node) => node.stop()));
  }

  /** Copies what the nodes have written to where it can be looked at. */
  keep(directory: string): void {
    cpSync(this.directory, directory, { recursive: true });
  }

  /** Ends the nodes and forgets their data. */
  async destroy(): Promise<void> {
    for (const node of this.nodes) {
      node.resume();
      await node.kill();
    }
    await this.network.close();
    rmSync(this.directory, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** So many nodes of one kind, each of them broker and controller. */
export function combined(target: NodePlan['target'], count: number): NodePlan[] {
  return Array.from({ length: count }, (_, index) => ({ id: index + 1, target, roles: 'broker,controller' }));
}
