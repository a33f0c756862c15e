import type { FeatureRange } from '@ottla/metadata';
import type { Runtime } from '@ottla/runtime';
import type { BrokerLoggers } from './broker-loggers.ts';
import type { BrokerSettings } from './broker-settings.ts';
import type { ClusterMetadata } from './cluster-metadata.ts';
import type { MetadataQuorum } from './quorum/metadata-quorum.ts';

/** What every node has, whatever its roles. `server.ts` makes and joins them. */
export type NodeParts = {
  readonly runtime: Runtime;
  readonly nodeId: number;
  readonly clusterId: string;
  readonly supportedFeatures: ReadonlyMap<string, FeatureRange>;
  readonly config: BrokerSettings;
  readonly loggers: BrokerLoggers;
  readonly metadata: ClusterMetadata;
  readonly quorum: MetadataQuorum;
};
