/** What can happen to a cluster while clients work. Each fault is over before the next, and leaves a majority of the nodes alive. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { SeededRandom } from '@ottla/runtime';
import type { FaultTable } from '../histories/faults.ts';
import type { AskedCluster, AskedNode } from './asked-cluster.ts';
import type { ClusterNetwork } from './network.ts';

/** What can be done to a node. */
export type FaultyNode = AskedNode & {
  /** Somebody starts it as soon as it has ended; `start` only waits for that. */
  readonly comesBack: boolean;
  kill(): Promise<void>;
  stop(): Promise<void>;
  start(): Promise<void>;
  pause(): void;
  resume(): void;
};

export type FaultyCluster = AskedCluster<FaultyNode> & {
  readonly network: ClusterNetwork;
  node(id: number): FaultyNode;
  /** Of nodes that nobody has ended: what they said. */
  readonly endedUnasked: string | undefined;
  /** Everything that was broken is as it should be. */
  mend(): Promise<void>;
  /** Starts what does not run. */
  start(): Promise<void>;
};

/** Those that need only processes. */
export const processFaults = ['kill-leader', 'kill-follower', 'kill-controller', 'pause', 'restart', 'rolling-restart'] as const;
/** Those that need a network that can be broken. */
export const networkFaults = ['isolate', 'partition', 'one-way', 'bridge', 'half-open', 'latency'] as const;
/** More than a majority at once: all that the nodes had acknowledged is still in the system's caches. */
export const wideFaults = ['kill-all'] as const;

export type ClusterFault = (typeof processFaults)[number] | (typeof networkFaults)[number] | (typeof wideFaults)[number];

export const allClusterFaults: readonly ClusterFault[] = [...processFaults, ...networkFaults, ...wideFaults];

/** `topic` is one whose leaders the faults look for. */
export function faultsOfCluster(cluster: FaultyCluster, topic: string, partitions: number): FaultTable<ClusterFault> {
  const { network } = cluster;

  const one = <T>(of: readonly T[], random: SeededRandom): T => of[Math.floor(random.fraction() * of.length)]!;
  const others = (node: FaultyNode): FaultyNode[] => cluster.nodes.filter((other) => other !== node);
  const while_ = (random: SeededRandom): Promise<void> => sleep(1500 + random.fraction() * 8000);

  async function leader(random: SeededRandom): Promise<FaultyNode> {
    const id = await cluster.leaderOf(topic, Math.floor(random.fraction() * partitions));
    return cluster.node(id) ?? one(cluster.brokers, random);
  }

  async function killed(node: FaultyNode, random: SeededRandom): Promise<string> {
    await node.kill();
    // Often so soon that nobody has missed it, often so late that all have gone on without it.
    if (!node.comesBack) await sleep(random.fraction() < 0.5 ? 0 : random.fraction() * 7000);
    await mended(node);
    return String(node);
  }

  async function mended(node: FaultyNode): Promise<void> {
    if (node.comesBack || !node.isRunning) await node.start();
    await cluster.whole({ timeoutMs: 180_000 });
  }

  async function broken(random: SeededRandom): Promise<void> {
    await while_(random);
    await network.heal();
    await cluster.whole({ timeoutMs: 180_000 });
  }

  function cutBoth(one: FaultyNode, other: FaultyNode): void {
    network.cut(one.id, other.id);
    network.cut(other.id, one.id);
  }

  return {
    'kill-leader': async (random) => killed(await leader(random), random),
    async 'kill-follower'(random) {
      const leading = await leader(random);
      return killed(
        one(
          cluster.brokers.filter((node) => node !== leading),
          random,
        ),
        random,
      );
    },
    'kill-controller': async (random) => killed(cluster.node(await cluster.activeController()), random),
    /** Hangs, and goes on as if no time had passed. */
    async pause(random) {
      const node = one(cluster.nodes, random);
      node.pause();
      await while_(random);
      node.resume();
      await cluster.whole({ timeoutMs: 180_000 });
      return String(node);
    },
    async restart(random) {
      const node = one(cluster.nodes, random);
      await node.stop();
      await mended(node);
      return String(node);
    },
    /** As an operator does it: the next one when the cluster is whole again. */
    async 'rolling-restart'() {
      for (const node of cluster.nodes) {
        await node.stop();
        await mended(node);
      }
      return 'all nodes';
    },
    /** One node is alone: neither the others nor the clients hear of it. */
    async isolate(random) {
      const node = one(cluster.nodes, random);
      for (const other of others(node)) cutBoth(node, other);
      network.cut(node.id, 'clients');
      network.cut('clients', node.id);
      await broken(random);
      return String(node);
    },
    /** One node is alone, but clients still reach it, and believe what it says. */
    async partition(random) {
      const node = random.fraction() < 0.5 ? await leader(random) : one(cluster.nodes, random);
      for (const other of others(node)) cutBoth(node, other);
      await broken(random);
      return String(node);
    },
    /** One node hears the others, and is not heard, or the other way round. */
    async 'one-way'(random) {
      const node = one(cluster.nodes, random);
      const isDeaf = random.fraction() < 0.5;
      for (const other of others(node)) {
        if (isDeaf) network.cut(other.id, node.id);
        else network.cut(node.id, other.id);
      }
      await broken(random);
      return `${node} is ${isDeaf ? 'deaf' : 'dumb'}`;
    },
    /** Two nodes do not reach one another, and all others reach both. */
    async bridge(random) {
      const node = one(cluster.nodes, random);
      const other = one(others(node), random);
      cutBoth(node, other);
      await broken(random);
      return `${node} and ${other}`;
    },
    /** A node that nobody hears dies, so that connections to it stay open at the other ends. */
    async 'half-open'(random) {
      const node = one(cluster.nodes, random);
      for (const other of others(node)) cutBoth(node, other);
      network.cut(node.id, 'clients');
      network.cut('clients', node.id);
      await node.kill();
      await network.heal();
      await mended(node);
      return String(node);
    },
    async latency(random) {
      const node = one(cluster.nodes, random);
      await network.slow(node.id, { ms: 10 + random.fraction() * 90, jitterMs: random.fraction() * 50 });
      await broken(random);
      return String(node);
    },
    async 'kill-all'() {
      await Promise.all(cluster.nodes.map((node) => node.kill()));
      await cluster.start();
      return 'all nodes';
    },
  };
}
