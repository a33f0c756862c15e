import type { ClusterPromise } from './cluster-promise.ts';
import { groups } from './groups.ts';
import { histories } from './histories.ts';
import { leadership } from './leadership.ts';
import { nodes } from './nodes.ts';
import { quorum } from './quorum.ts';
import { replication } from './replication.ts';
import { shares } from './shares.ts';

/** All that a cluster promises. */
export const clusterPromises: readonly ClusterPromise[] = [
  ...nodes,
  ...quorum,
  ...leadership,
  ...replication,
  ...groups,
  ...shares,
  ...histories,
];
