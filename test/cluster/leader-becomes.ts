import type { ClusterNode } from './cluster-node.ts';
import type { ProcessCluster } from './process-cluster.ts';

/** Restarts leaders until the one that is wanted is elected. */
export async function leaderBecomes(cluster: ProcessCluster, wanted: ClusterNode): Promise<void> {
  for (let attempts = 10; attempts > 0; attempts--) {
    const leaderId = await cluster.activeController();
    if (leaderId === wanted.id) return;
    const leader = cluster.node(leaderId);
    await leader.stop();
    await leader.start();
    await cluster.whole();
  }
  throw new Error(`${wanted} is never elected`);
}
