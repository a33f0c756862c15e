// Configs: tables, parsing, validation, description.
export * from './configs/index.ts';
// The controller: decides what becomes of the cluster's metadata. What a broker answers from its own image stands beside it.
export { describeAcls } from './controller/acls.ts';
export { BrokerConfigSchema } from './controller/broker-config-schema.ts';
export { describeClientQuotas } from './controller/client-quotas.ts';
export type { ConfigSchema, TopicConfigSources } from './controller/config-schema.ts';
export { Controller, type ControllerOptions, type Tick } from './controller/controller.ts';
export type { ControllerSettings } from './controller/controller-state.ts';
export type { Decision, DecisionContext, RandomSource } from './controller/decision.ts';
export { delegationTokenHmac, describeDelegationTokens } from './controller/delegation-tokens.ts';
export { listPartitionReassignments } from './controller/reassignments.ts';
export { type PlaceableBroker, placeReplicas } from './controller/replica-placer.ts';
export { describeUserScramCredentials } from './controller/scram-credentials.ts';
export { checkTopicName, collidingName, isValidTopicName } from './controller/topic-names.ts';
// Features: metadata.version and the others, with their levels.
export {
  directoryAssignmentSince,
  latestMetadataVersion,
  type MetadataVersion,
  metadataVersion,
  metadataVersionFeature,
  metadataVersionNamed,
  metadataVersions,
  minMetadataVersion,
} from './features/metadata-versions.ts';
export {
  defaultFeatureLevels,
  elrVersionFeature,
  type FeatureDefinition,
  type FeatureRange,
  featureDefinitions,
  groupVersionFeature,
  kraftVersionFeature,
  shareVersionFeature,
  streamsVersionFeature,
  supportedFeatures,
  transactionVersionFeature,
} from './features/supported-features.ts';
// The image: what every node knows.
export type { AccessControlEntry, AclsImage } from './image/acls-image.ts';
export {
  type BrokerRegistration,
  type ControllerRegistration,
  type Endpoint,
  isActive,
  type SupportedFeature,
} from './image/broker-registration.ts';
export { type ClientQuotas, type ClientQuotasImage, type QuotaEntityPart, quotaEntityKey } from './image/client-quotas-image.ts';
export { type ConfigsImage, type ConfigsOfResource, configResource } from './image/configs-image.ts';
export type { DelegationToken, DelegationTokensImage } from './image/delegation-tokens-image.ts';
export {
  isOnlineDirectory,
  isReservedDirectory,
  lostDirectory,
  migratingDirectory,
  unassignedDirectory,
} from './image/directory-ids.ts';
export type { FeaturesImage } from './image/features-image.ts';
export { imageDifference } from './image/image-difference.ts';
export { MetadataDelta, type TopicChange } from './image/metadata-delta.ts';
export { MetadataImage, type ProducerIdBlocks } from './image/metadata-image.ts';
export { directoryOf, isReassigning, noLeader, type PartitionState, recovered, recovering } from './image/partition-state.ts';
export type { ScramCredential, ScramImage } from './image/scram-image.ts';
export type { PartitionOfTopic, TopicImage, TopicsImage } from './image/topics-image.ts';
export { featureLevelRecord, userScramCredentialRecord } from './records.ts';
