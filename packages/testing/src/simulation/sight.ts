import type { ServerParts } from '@ottla/broker';
import type { ClientNews } from './clients/client-news.ts';
import type { SimulatedCluster, SimulatedNode } from './simulated-cluster.ts';

export type Replica = ReturnType<NonNullable<ServerParts['partitions']>['get']> & object;
export type ReplicaLog = Replica['log'];
export type Image = ServerParts['metadata']['image'];

/** What can be seen of a node that runs. */
export type NodeSight = { readonly node: SimulatedNode; readonly parts: ServerParts };

/** What promises look at: the insides of all nodes, at a moment in which nothing is under way on any of them. */
export type Sight = {
  readonly cluster: SimulatedCluster;
  readonly nowMs: number;
  /** Those that run, whether or not anybody can reach them. */
  readonly nodes: readonly NodeSight[];
  /** Every replica on them. */
  readonly replicas: readonly ReplicaSight[];
};

export type ReplicaSight = {
  readonly node: SimulatedNode;
  readonly replica: Replica /** Topic id and number. */;
  readonly key: string;
};

export function look(cluster: SimulatedCluster): Sight {
  const nodes: NodeSight[] = [];
  const replicas: ReplicaSight[] = [];
  for (const node of cluster.nodes) {
    const { parts } = node;
    if (!parts) continue;
    nodes.push({ node, parts });
    for (const replica of parts.partitions ?? []) {
      if (!replica.log.isClosed) replicas.push({ node, replica, key: `${replica.topicId} ${replica.index}` });
    }
  }
  return { cluster, nowMs: cluster.world.time.nowMs, nodes, replicas };
}

export type { ClientNews };
