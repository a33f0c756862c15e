export type { AssignableMember, Assignment, GroupAssignor } from './assignors/group-assignor.ts';
export { rangeAssignor } from './assignors/range-assignor.ts';
export { simpleAssignor } from './assignors/simple-assignor.ts';
export { uniformAssignor } from './assignors/uniform-assignor.ts';
export { ClassicGroup, type ClassicState } from './classic/classic-group.ts';
export type { ClassicMember } from './classic/classic-member.ts';
export type { Join } from './classic/join-group.ts';
export { ConsumerGroup } from './consumer/consumer-group.ts';
export { type RegexResolution, type ResolvedRegex, resolveRegexes } from './consumer/subscription-regexes.ts';
export { coordinatorErrorOf } from './coordinator-error.ts';
export type { CommitCheck, Committer, Group, GroupType } from './group.ts';
export { GroupCoordinator, type RecordPosition } from './group-coordinator.ts';
export type { ConsumerGroupsConfig } from './group-coordinator-config.ts';
export { defaultGroupCoordinatorConfig, type GroupCoordinatorConfig } from './group-coordinator-config.ts';
export { decodeGroupRecord, encodeGroupRecord, type GroupRecord, type OffsetKey } from './group-record.ts';
export type { GroupSurroundings } from './group-state.ts';
export { type GroupTopic, type GroupTopics, MemoryGroupTopics } from './group-topics.ts';
export type { FetchedGroup, FetchMode, OffsetFetchGroup } from './offsets/fetch-offsets.ts';
export type { OffsetAndMetadata } from './offsets/offset-and-metadata.ts';
export type { Answer, Continuation, MemberProtocol, Moment, Outcome, Token } from './outcome.ts';
export type { ShareHeartbeat, ShareHeartbeatSender } from './share/share-groups.ts';
export type { GroupToDelete, OffsetsToAlter, OffsetsToDelete, PartitionNumbers } from './share/share-offsets.ts';
export { defaultShareStateConfig, type ShareStateConfig } from './share-state/share-state-config.ts';
export {
  type AskedSharePartition,
  ShareStateCoordinator,
  type ShareStateOutcome,
} from './share-state/share-state-coordinator.ts';
export {
  decodeShareStateRecord,
  encodeShareStateRecord,
  keyOfText,
  type SharePartitionKey,
  type ShareStateRecord,
  textOfKey,
} from './share-state/share-state-record.ts';
export {
  plainFailure,
  readFailure,
  type SharePartitionFailure,
  summaryFailure,
} from './share-state/share-state-results.ts';
export { checkStreamsHeartbeat } from './streams/check-streams-heartbeat.ts';
export type { InternalTopic } from './streams/configure-topology.ts';
export type { StreamsHeartbeat } from './streams/streams-heartbeat.ts';
export { PRODUCER_ID_NEEDED } from './transactions/decision.ts';
export type { ProducerIdAndEpoch, Transaction, TransactionPartitions, TransactionStatus } from './transactions/transaction.ts';
export { defaultTransactionConfig, type TransactionConfig } from './transactions/transaction-config.ts';
export {
  TransactionCoordinator,
  type TransactionEffect,
  type TransactionOutcome,
} from './transactions/transaction-coordinator.ts';
export { isTransactionState, type TransactionFilters } from './transactions/transaction-filters.ts';
export { decodeTransactionRecord, encodeTransactionRecord, type TransactionRecord } from './transactions/transaction-record.ts';
