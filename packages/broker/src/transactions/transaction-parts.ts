import { transactionVersionFeature } from '@ottla/metadata';
import type { Runtime } from '@ottla/runtime';
import type { BrokerParts } from '../broker-parts.ts';
import type { BrokerSettings } from '../broker-settings.ts';
import type { ClusterMetadata } from '../cluster-metadata.ts';
import { TransactionCoordinatorService } from '../coordinators/transaction-coordinator-service.ts';
import { transactionServiceConfig } from '../coordinators/transaction-service-config.ts';
import { TRANSACTIONS_TOPIC } from '../internal-topics.ts';
import type { BrokerPeers } from '../peers/index.ts';
import type { ProducerIds } from '../producer-ids.ts';
import { coordinatedPartition } from '../replication/coordinated-partition.ts';
import type { Partitions } from '../replication/partitions.ts';
import { CoordinatorRoutes } from './coordinator-routes.ts';
import { MarkerRoutes } from './marker-routes.ts';
import { MarkerSender } from './marker-sender.ts';
import { MarkerWriter, type MarkerWriterOptions } from './marker-writer.ts';
import { TransactionVerifier } from './transaction-verifier.ts';

export type TransactionParts = Pick<BrokerParts, 'transactions' | 'markers' | 'verifier'>;

/** The transaction coordinator, and what takes its decisions to partitions and theirs to it. */
export function transactionParts({
  runtime,
  settings,
  metadata,
  partitions,
  brokers,
  producerIds,
  endInGroups,
}: {
  readonly runtime: Runtime;
  readonly settings: BrokerSettings;
  readonly metadata: ClusterMetadata;
  readonly partitions: Partitions;
  readonly brokers: BrokerPeers;
  readonly producerIds: ProducerIds;
  readonly endInGroups: MarkerWriterOptions['endInGroups'];
}): TransactionParts {
  const minInsyncReplicas = (topic: string): number => settings.topic(topic)['min.insync.replicas'];
  const markers = new MarkerWriter({ partitions, clock: runtime.clock, minInsyncReplicas, endInGroups });
  const leaderOf = (topic: string, index: number): number | undefined => metadata.leaderOf(topic, index);
  const timeoutMs = (): number => settings.get('request.timeout.ms');
  const destination = new MarkerRoutes({ local: markers, leaderOf, brokers, timeoutMs });
  const hasPartition = (topic: string, index: number): boolean => metadata.hasPartition(topic, index);
  const transactionVersion = (): number => metadata.image.features.level(transactionVersionFeature);
  const config = () => transactionServiceConfig((name) => settings.get(name), transactionVersion());
  const partitionCount = (): number | undefined => metadata.partitionCount(TRANSACTIONS_TOPIC);
  const transactions = new TransactionCoordinatorService({
    runtime,
    config: config(),
    partitionCount,
    log: (index) =>
      coordinatedPartition(partitions.leader(TRANSACTIONS_TOPIC, index), () => minInsyncReplicas(TRANSACTIONS_TOPIC)),
    nextProducerId: () => producerIds.next(),
    markers: new MarkerSender({ runtime, destination, hasPartition }),
  });
  settings.onChange(() => transactions.updateConfig(config()));
  let level = transactionVersion();
  metadata.onChange(() => {
    if (level === transactionVersion()) return;
    level = transactionVersion();
    transactions.updateConfig(config());
  });
  const coordinators = new CoordinatorRoutes({
    local: transactions,
    partitionCount,
    leaderOf: (index) => leaderOf(TRANSACTIONS_TOPIC, index),
    brokers,
    timers: runtime.timers,
  });
  return { transactions, markers, verifier: new TransactionVerifier(coordinators) };
}
