import type { Cluster } from '../cluster/cluster.ts';

/** What is known of the cluster did not serve: another broker is asked. In vain, if so: the next look at the partitions is soon, and asks again. */
export function refreshFromAnother(
  cluster: Pick<Cluster, 'closed' | 'askAnother' | 'refreshMetadata'>,
  onRefreshed: () => void,
): void {
  if (cluster.closed) return;
  cluster.askAnother();
  cluster.refreshMetadata().then(onRefreshed, () => {});
}
