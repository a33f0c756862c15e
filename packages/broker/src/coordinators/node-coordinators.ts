import type { Runtime } from '@ottla/runtime';
import type { BrokerSettings } from '../broker-settings.ts';
import type { ClusterMetadata } from '../cluster-metadata.ts';
import { OFFSETS_TOPIC, SHARE_STATE_TOPIC } from '../internal-topics.ts';
import type { BrokerPeers } from '../peers/index.ts';
import { coordinatedPartition } from '../replication/coordinated-partition.ts';
import type { Partitions } from '../replication/partitions.ts';
import type { SharePersister } from '../sharing/share-persister.ts';
import type { CreateTopic } from '../topic-creation.ts';
import type { TransactionVerifier } from '../transactions/transaction-verifier.ts';
import { verifyOffsetCommit } from '../transactions/verify-offset-commit.ts';
import { committedTopics } from './committed-topics.ts';
import { GroupCoordinatorService } from './group-coordinator-service.ts';
import { isGroupProtocolEnabled } from './group-protocols.ts';
import { groupServiceConfig } from './group-service-config.ts';
import { LatestOffsets } from './latest-offsets.ts';
import { shareCoordinatorConfig } from './share-coordinator-config.ts';
import { ShareCoordinatorService } from './share-coordinator-service.ts';

type GroupParts = {
  readonly runtime: Runtime;
  readonly settings: BrokerSettings;
  readonly metadata: ClusterMetadata;
  readonly partitions: Partitions;
  readonly brokers: BrokerPeers;
  readonly createTopic: CreateTopic;
  readonly sharePersister: SharePersister;
  readonly verifier: TransactionVerifier;
};

/** The groups of a node, told of what changes in its settings and topics. */
export function groupCoordinators(parts: GroupParts): GroupCoordinatorService {
  const { runtime, settings, metadata, partitions, brokers, createTopic, sharePersister, verifier } = parts;
  const latestOffsets = new LatestOffsets({
    local: (topic, index) => partitions.leader(topic, index).highWatermark,
    leaderOf: (topic, index) => metadata.leaderOf(topic, index),
    brokers,
  });
  const groups = new GroupCoordinatorService({
    runtime,
    config: groupServiceConfig((name) => settings.get(name)),
    partitionCount: () => metadata.partitionCount(OFFSETS_TOPIC),
    log: (index) =>
      coordinatedPartition(partitions.leader(OFFSETS_TOPIC, index), () => settings.topic(OFFSETS_TOPIC)['min.insync.replicas']),
    topics: committedTopics(metadata),
    configOf: (groupId) => settings.group(groupId),
    isEnabled: (protocol) => isGroupProtocolEnabled(protocol, settings, metadata),
    createTopic,
    share: {
      persister: sharePersister,
      latestOffset: (topic, index) => latestOffsets.of(topic, index),
    },
    verifyTransaction: verifyOffsetCommit({
      partitions,
      verifier,
      isVerified: () => settings.get('transaction.partition.verification.enable'),
    }),
  });
  metadata.onChange(({ topics }) => {
    if (topics.size === 0) return;
    const changes = [...topics.values()];
    groups.onTopicsChanged(new Set(changes.map(({ name }) => name)), { hasNew: changes.some(({ created }) => created) });
  });
  settings.onChange(() => groups.updateConfig(groupServiceConfig((name) => settings.get(name))));
  return groups;
}

/** The share coordinator of a node. */
export function shareCoordinator(
  runtime: Runtime,
  settings: BrokerSettings,
  metadata: ClusterMetadata,
  partitions: Partitions,
): ShareCoordinatorService {
  return new ShareCoordinatorService({
    runtime,
    config: shareCoordinatorConfig((name) => settings.get(name)),
    partitionCount: () => metadata.partitionCount(SHARE_STATE_TOPIC),
    log: (index) =>
      coordinatedPartition(
        partitions.leader(SHARE_STATE_TOPIC, index),
        () => settings.topic(SHARE_STATE_TOPIC)['min.insync.replicas'],
      ),
    deleteRecordsBefore: (index, offset) => void partitions.leader(SHARE_STATE_TOPIC, index).deleteRecordsBefore(offset),
    hasPartition: (topicId, index) => {
      const name = metadata.topicName(topicId);
      return name !== undefined && metadata.hasPartition(name, index);
    },
  });
}
