/** Metadata records with all their fields, in the version that the finalized metadata.version asks for. */

import type { MetadataRecord, Uuid } from '@ottla/protocol';
import { directoryAssignmentSince, elrSince, type MetadataVersion } from './features/metadata-versions.ts';
import type { AccessControlEntry } from './image/acls-image.ts';
import type { BrokerRegistration, ControllerRegistration } from './image/broker-registration.ts';
import type { QuotaEntityPart } from './image/client-quotas-image.ts';
import type { DelegationToken } from './image/delegation-tokens-image.ts';
import { noLeaderChange, type PartitionChangeValue, type PartitionState } from './image/partition-state.ts';
import type { ScramCredential } from './image/scram-image.ts';

export type RecordOf<Type extends MetadataRecord['type']> = Extract<MetadataRecord, { type: Type }>;

export function topicRecord(name: string, topicId: Uuid): RecordOf<'TopicRecord'> {
  return { type: 'TopicRecord', version: 0, value: { name, topicId } };
}

export function removeTopicRecord(topicId: Uuid): RecordOf<'RemoveTopicRecord'> {
  return { type: 'RemoveTopicRecord', version: 0, value: { topicId } };
}

export function partitionRecord(
  topicId: Uuid,
  partitionId: number,
  partition: PartitionState,
  metadataVersion: MetadataVersion,
): RecordOf<'PartitionRecord'> {
  const { level } = metadataVersion;
  return {
    type: 'PartitionRecord',
    version: metadataVersion.partitionRecord,
    value: {
      partitionId,
      topicId,
      replicas: [...partition.replicas],
      isr: [...partition.isr],
      removingReplicas: [...partition.removingReplicas],
      addingReplicas: [...partition.addingReplicas],
      leader: partition.leader,
      leaderRecoveryState: partition.leaderRecoveryState,
      leaderEpoch: partition.leaderEpoch,
      partitionEpoch: partition.partitionEpoch,
      directories: level >= directoryAssignmentSince ? [...partition.directories] : [],
      eligibleLeaderReplicas: level >= elrSince && partition.elr.length > 0 ? [...partition.elr] : null,
      lastKnownElr: level >= elrSince && partition.lastKnownElr.length > 0 ? [...partition.lastKnownElr] : null,
    },
  };
}

export type PartitionChange = Partial<Omit<PartitionChangeValue, 'topicId' | 'partitionId'>>;

export function partitionChangeRecord(
  topicId: Uuid,
  partitionId: number,
  change: PartitionChange,
  metadataVersion: MetadataVersion,
): RecordOf<'PartitionChangeRecord'> {
  return {
    type: 'PartitionChangeRecord',
    version: metadataVersion.partitionRecord,
    value: {
      partitionId,
      topicId,
      isr: null,
      leader: noLeaderChange,
      replicas: null,
      removingReplicas: null,
      addingReplicas: null,
      leaderRecoveryState: -1,
      directories: null,
      eligibleLeaderReplicas: null,
      lastKnownElr: null,
      ...change,
    },
  };
}

export function clearElrRecord(topicName: string): RecordOf<'ClearElrRecord'> {
  return { type: 'ClearElrRecord', version: 0, value: { topicName } };
}

export function configRecord(
  resourceType: number,
  resourceName: string,
  name: string,
  value: string | null,
): RecordOf<'ConfigRecord'> {
  return { type: 'ConfigRecord', version: 0, value: { resourceType, resourceName, name, value } };
}

export function registerBrokerRecord(
  broker: BrokerRegistration,
  { registerBrokerRecord: version }: MetadataVersion,
): RecordOf<'RegisterBrokerRecord'> {
  return {
    type: 'RegisterBrokerRecord',
    version,
    value: {
      brokerId: broker.id,
      isMigratingZkBroker: broker.isMigratingZkBroker,
      incarnationId: broker.incarnationId,
      brokerEpoch: broker.epoch,
      endPoints: broker.endpoints.map((endpoint) => ({ ...endpoint })),
      features: broker.features.map((feature) => ({ ...feature })),
      rack: broker.rack,
      fenced: broker.fenced,
      inControlledShutdown: version >= 1 && broker.inControlledShutdown,
      logDirs: version >= 3 ? [...broker.directories] : [],
      cordonedLogDirs: version >= 4 && broker.cordonedDirectories ? [...broker.cordonedDirectories] : null,
    },
  };
}

export function unregisterBrokerRecord(brokerId: number, brokerEpoch: number): RecordOf<'UnregisterBrokerRecord'> {
  return { type: 'UnregisterBrokerRecord', version: 0, value: { brokerId, brokerEpoch } };
}

/** Each change is written in the lowest version that can say it. */
export type RegistrationChange =
  | { readonly fenced: boolean }
  | { readonly inControlledShutdown: true }
  | { readonly logDirs: readonly Uuid[] }
  | { readonly cordonedLogDirs: readonly Uuid[] };

export function registrationChangeRecord(
  { id, epoch }: BrokerRegistration,
  change: RegistrationChange,
): RecordOf<'BrokerRegistrationChangeRecord'> {
  const version = 'fenced' in change ? 0 : 'inControlledShutdown' in change ? 1 : 'logDirs' in change ? 2 : 3;
  return {
    type: 'BrokerRegistrationChangeRecord',
    version,
    value: {
      brokerId: id,
      brokerEpoch: epoch,
      fenced: 'fenced' in change ? (change.fenced ? 1 : -1) : 0,
      inControlledShutdown: 'inControlledShutdown' in change ? 1 : 0,
      logDirs: 'logDirs' in change ? [...change.logDirs] : [],
      cordonedLogDirs: 'cordonedLogDirs' in change ? [...change.cordonedLogDirs] : null,
    },
  };
}

export function registerControllerRecord(controller: ControllerRegistration): RecordOf<'RegisterControllerRecord'> {
  return {
    type: 'RegisterControllerRecord',
    version: 0,
    value: {
      controllerId: controller.id,
      incarnationId: controller.incarnationId,
      zkMigrationReady: controller.zkMigrationReady,
      endPoints: controller.endpoints.map((endpoint) => ({ ...endpoint })),
      features: controller.features.map((feature) => ({ ...feature })),
    },
  };
}

export function featureLevelRecord(name: string, featureLevel: number): RecordOf<'FeatureLevelRecord'> {
  return { type: 'FeatureLevelRecord', version: 0, value: { name, featureLevel } };
}

/** A null value removes the quota. */
export function clientQuotaRecord(
  entity: readonly QuotaEntityPart[],
  key: string,
  value: number | null,
): RecordOf<'ClientQuotaRecord'> {
  const parts = entity.map(({ entityType, entityName }) => ({ entityType, entityName }));
  return { type: 'ClientQuotaRecord', version: 0, value: { entity: parts, key, value: value ?? 0, remove: value === null } };
}

export function producerIdsRecord(brokerId: number, brokerEpoch: number, nextProducerId: number): RecordOf<'ProducerIdsRecord'> {
  return { type: 'ProducerIdsRecord', version: 0, value: { brokerId, brokerEpoch, nextProducerId } };
}

export function accessControlEntryRecord(id: Uuid, entry: AccessControlEntry): RecordOf<'AccessControlEntryRecord'> {
  const { resourceType, resourceName, patternType, principal, host, operation, permissionType } = entry;
  const value = { id, resourceType, resourceName, patternType, principal, host, operation, permissionType };
  return { type: 'AccessControlEntryRecord', version: 0, value };
}

export function removeAccessControlEntryRecord(id: Uuid): RecordOf<'RemoveAccessControlEntryRecord'> {
  return { type: 'RemoveAccessControlEntryRecord', version: 0, value: { id } };
}

export function userScramCredentialRecord(
  mechanism: number,
  name: string,
  credential: ScramCredential,
): RecordOf<'UserScramCredentialRecord'> {
  const { salt, storedKey, serverKey, iterations } = credential;
  return { type: 'UserScramCredentialRecord', version: 0, value: { name, mechanism, salt, storedKey, serverKey, iterations } };
}

export function removeUserScramCredentialRecord(mechanism: number, name: string): RecordOf<'RemoveUserScramCredentialRecord'> {
  return { type: 'RemoveUserScramCredentialRecord', version: 0, value: { name, mechanism } };
}

export function delegationTokenRecord(token: DelegationToken): RecordOf<'DelegationTokenRecord'> {
  const { owner, requester, renewers, issueTimestamp, maxTimestamp, expirationTimestamp, tokenId } = token;
  const value = { owner, requester, renewers: [...renewers], issueTimestamp, maxTimestamp, expirationTimestamp, tokenId };
  return { type: 'DelegationTokenRecord', version: 0, value };
}

export function removeDelegationTokenRecord(tokenId: string): RecordOf<'RemoveDelegationTokenRecord'> {
  return { type: 'RemoveDelegationTokenRecord', version: 0, value: { tokenId } };
}

export const noOpRecord: RecordOf<'NoOpRecord'> = { type: 'NoOpRecord', version: 0, value: {} };

export function beginTransactionRecord(name: string): RecordOf<'BeginTransactionRecord'> {
  return { type: 'BeginTransactionRecord', version: 0, value: { name } };
}

export const endTransactionRecord: RecordOf<'EndTransactionRecord'> = { type: 'EndTransactionRecord', version: 0, value: {} };

export function abortTransactionRecord(reason: string): RecordOf<'AbortTransactionRecord'> {
  return { type: 'AbortTransactionRecord', version: 0, value: { reason } };
}
