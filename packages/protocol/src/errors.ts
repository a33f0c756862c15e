/**
 * Every error code of the protocol: its number on the wire, what a client may do about it, and a text for when the
 * thrower has none of its own. A handler throws a KafkaError; `errorCodeOf` turns whatever was thrown into a number.
 */

export interface ErrorDefinition {
  readonly code: number;
  /** A client may send the same request again. */
  readonly retriable: boolean;
  /** Before it does, it should ask for the metadata again: what it knew of leaders or brokers is stale. */
  readonly refreshMetadata: boolean;
  readonly text: string;
}

export const errors = {
  UNKNOWN_SERVER_ERROR: final(-1, 'the server failed in a way it has no code for; its log says more'),
  NONE: final(0, 'no error'),
  OFFSET_OUT_OF_RANGE: final(1, 'the offset is outside the range the partition holds'),
  CORRUPT_MESSAGE: retriable(
    2,
    'the records failed their checksum, exceed the valid size, or have a null key on a compacted topic',
  ),
  UNKNOWN_TOPIC_OR_PARTITION: stale(3, 'this server does not host this topic partition'),
  INVALID_FETCH_SIZE: final(4, 'the requested fetch size is not valid'),
  LEADER_NOT_AVAILABLE: stale(5, 'the partition has no leader at the moment; an election may be under way'),
  NOT_LEADER_OR_FOLLOWER: stale(6, 'this broker does not lead, or does not replicate, the partition: refresh metadata'),
  REQUEST_TIMED_OUT: retriable(7, 'the request timed out'),
  BROKER_NOT_AVAILABLE: final(8, 'the broker is not available'),
  REPLICA_NOT_AVAILABLE: stale(9, 'the replica is not available on this broker'),
  MESSAGE_TOO_LARGE: final(10, "the records are larger than the topic's max.message.bytes"),
  STALE_CONTROLLER_EPOCH: final(11, 'the controller has moved to another node'),
  OFFSET_METADATA_TOO_LARGE: final(12, 'the metadata of the committed offset is larger than offset.metadata.max.bytes'),
  NETWORK_EXCEPTION: stale(13, 'the connection was lost before an answer came'),
  COORDINATOR_LOAD_IN_PROGRESS: retriable(14, 'the coordinator is still loading its partition: retry'),
  COORDINATOR_NOT_AVAILABLE: retriable(15, 'no coordinator is available: retry'),
  NOT_COORDINATOR: retriable(16, 'this broker is not the coordinator: look it up again'),
  INVALID_TOPIC_EXCEPTION: final(17, 'the topic is not valid for this operation'),
  RECORD_LIST_TOO_LARGE: final(18, 'the batch is larger than a segment of this topic may be'),
  NOT_ENOUGH_REPLICAS: retriable(19, 'fewer replicas are in sync than min.insync.replicas asks for'),
  NOT_ENOUGH_REPLICAS_AFTER_APPEND: retriable(
    20,
    'the records were written, but to fewer in-sync replicas than min.insync.replicas asks for',
  ),
  INVALID_REQUIRED_ACKS: final(21, 'acks must be -1, 0 or 1'),
  ILLEGAL_GENERATION: final(22, 'the generation of the group is another one'),
  INCONSISTENT_GROUP_PROTOCOL: final(23, "the member's protocol type or protocols do not fit those of the group"),
  INVALID_GROUP_ID: final(24, 'the group id is not valid'),
  UNKNOWN_MEMBER_ID: final(25, 'the coordinator does not know this member'),
  INVALID_SESSION_TIMEOUT: final(
    26,
    'the session timeout is outside group.min.session.timeout.ms and group.max.session.timeout.ms',
  ),
  REBALANCE_IN_PROGRESS: final(27, 'the group is rebalancing: rejoin'),
  INVALID_COMMIT_OFFSET_SIZE: final(28, 'the offset commit would exceed the largest record of the offsets topic'),
  TOPIC_AUTHORIZATION_FAILED: final(29, 'not authorized to access the topic'),
  GROUP_AUTHORIZATION_FAILED: final(30, 'not authorized to access the group'),
  CLUSTER_AUTHORIZATION_FAILED: final(31, 'not authorized for this operation on the cluster'),
  INVALID_TIMESTAMP: final(32, 'the timestamp of a record is outside the accepted range'),
  UNSUPPORTED_SASL_MECHANISM: final(33, 'this listener does not offer the SASL mechanism'),
  ILLEGAL_SASL_STATE: final(34, 'the request is not valid in the present SASL state'),
  UNSUPPORTED_VERSION: final(35, 'this version of the API is not supported'),
  TOPIC_ALREADY_EXISTS: final(36, 'a topic of this name exists already'),
  INVALID_PARTITIONS: final(37, 'the number of partitions is not valid'),
  INVALID_REPLICATION_FACTOR: final(38, 'the replication factor is below 1 or larger than the number of available brokers'),
  INVALID_REPLICA_ASSIGNMENT: final(39, 'the replica assignment is not valid'),
  INVALID_CONFIG: final(40, 'the configuration is not valid'),
  NOT_CONTROLLER: retriable(41, 'this node is not the active controller'),
  INVALID_REQUEST: final(42, "the request is malformed or breaks the protocol's rules; the server's log may say more"),
  UNSUPPORTED_FOR_MESSAGE_FORMAT: final(43, 'the message format of the log does not support this request'),
  POLICY_VIOLATION: final(44, 'a policy of this cluster refuses the request'),
  OUT_OF_ORDER_SEQUENCE_NUMBER: final(45, "the sequence number does not follow the producer's last one"),
  DUPLICATE_SEQUENCE_NUMBER: final(46, "the producer's sequence number was seen before"),
  INVALID_PRODUCER_EPOCH: final(47, "the producer's epoch is older than the current one"),
  INVALID_TXN_STATE: final(48, 'the transaction is in a state that does not allow this operation'),
  INVALID_PRODUCER_ID_MAPPING: final(49, 'the producer id is not the one mapped to this transactional id'),
  INVALID_TRANSACTION_TIMEOUT: final(50, 'the transaction timeout is larger than transaction.max.timeout.ms'),
  CONCURRENT_TRANSACTIONS: retriable(51, 'an earlier change of this transaction is still being completed: retry'),
  TRANSACTION_COORDINATOR_FENCED: final(52, 'a newer transaction coordinator has taken over'),
  TRANSACTIONAL_ID_AUTHORIZATION_FAILED: final(53, 'not authorized to use the transactional id'),
  SECURITY_DISABLED: final(54, 'security features are switched off'),
  OPERATION_NOT_ATTEMPTED: final(55, 'the operation was not attempted, because another one of the same request failed'),
  KAFKA_STORAGE_ERROR: stale(56, 'the log directory failed on this broker'),
  LOG_DIR_NOT_FOUND: final(57, 'the log directory is not among those configured'),
  SASL_AUTHENTICATION_FAILED: final(58, 'SASL authentication failed'),
  UNKNOWN_PRODUCER_ID: final(59, 'the partition holds no state of this producer id; its records may have been deleted'),
  REASSIGNMENT_IN_PROGRESS: final(60, 'a reassignment of the partition is in progress'),
  DELEGATION_TOKEN_AUTH_DISABLED: final(61, 'delegation tokens are not enabled'),
  DELEGATION_TOKEN_NOT_FOUND: final(62, 'there is no such delegation token'),
  DELEGATION_TOKEN_OWNER_MISMATCH: final(63, 'the principal is neither owner nor renewer of the delegation token'),
  DELEGATION_TOKEN_REQUEST_NOT_ALLOWED: final(
    64,
    'delegation token requests are not allowed on plaintext, one-way TLS or token-authenticated connections',
  ),
  DELEGATION_TOKEN_AUTHORIZATION_FAILED: final(65, 'not authorized for the delegation token'),
  DELEGATION_TOKEN_EXPIRED: final(66, 'the delegation token has expired'),
  INVALID_PRINCIPAL_TYPE: final(67, 'the principal type is not supported'),
  NON_EMPTY_GROUP: final(68, 'the group is not empty'),
  GROUP_ID_NOT_FOUND: final(69, 'there is no such group'),
  FETCH_SESSION_ID_NOT_FOUND: retriable(70, 'there is no such fetch session'),
  INVALID_FETCH_SESSION_EPOCH: retriable(71, 'the epoch of the fetch session is not the expected one'),
  LISTENER_NOT_FOUND: stale(72, 'the leader has no listener that matches the one the request came in on'),
  TOPIC_DELETION_DISABLED: final(73, 'delete.topic.enable is false'),
  FENCED_LEADER_EPOCH: stale(74, "the leader epoch of the request is older than the broker's"),
  UNKNOWN_LEADER_EPOCH: retriable(75, "the leader epoch of the request is newer than the broker's"),
  UNSUPPORTED_COMPRESSION_TYPE: final(76, 'the compression type is not supported by this version of the request'),
  STALE_BROKER_EPOCH: final(77, "the broker's epoch is not the current one"),
  OFFSET_NOT_AVAILABLE: retriable(78, "the new leader's high watermark has not caught up yet: retry"),
  MEMBER_ID_REQUIRED: final(79, 'join again with the member id of this answer'),
  PREFERRED_LEADER_NOT_AVAILABLE: stale(80, 'the preferred leader is not available'),
  GROUP_MAX_SIZE_REACHED: final(81, 'the group has as many members as it may have'),
  FENCED_INSTANCE_ID: final(82, 'another member with the same group.instance.id has taken over'),
  ELIGIBLE_LEADERS_NOT_AVAILABLE: stale(83, 'no replica that may lead the partition is available'),
  ELECTION_NOT_NEEDED: stale(84, 'the partition needs no leader election'),
  NO_REASSIGNMENT_IN_PROGRESS: final(85, 'no reassignment of the partition is in progress'),
  GROUP_SUBSCRIBED_TO_TOPIC: final(86, 'offsets of a topic cannot be deleted while the group subscribes to it'),
  INVALID_RECORD: final(87, "a record was refused by the broker's validation"),
  UNSTABLE_OFFSET_COMMIT: retriable(88, 'an offset of an open transaction is not settled yet: retry'),
  THROTTLING_QUOTA_EXCEEDED: retriable(89, 'the quota is used up: retry later'),
  PRODUCER_FENCED: final(90, 'a newer producer with the same transactional id has taken over'),
  RESOURCE_NOT_FOUND: final(91, 'there is no such resource'),
  DUPLICATE_RESOURCE: final(92, 'the resource exists already, or is named twice'),
  UNACCEPTABLE_CREDENTIAL: final(93, 'the credential does not meet the requirements'),
  INCONSISTENT_VOTER_SET: final(94, 'sender or recipient is not a voter of the expected set'),
  INVALID_UPDATE_VERSION: final(95, "the update's version is not valid"),
  FEATURE_UPDATE_FAILED: final(96, 'the features could not be updated'),
  PRINCIPAL_DESERIALIZATION_FAILURE: final(97, 'the forwarded principal could not be decoded'),
  SNAPSHOT_NOT_FOUND: final(98, 'there is no such snapshot'),
  POSITION_OUT_OF_RANGE: final(99, "the position is not smaller than the snapshot's size, or negative"),
  UNKNOWN_TOPIC_ID: stale(100, 'this server does not host this topic id'),
  DUPLICATE_BROKER_REGISTRATION: final(101, 'the broker id is in use by another running broker'),
  BROKER_ID_NOT_REGISTERED: final(102, 'the broker id is not registered'),
  INCONSISTENT_TOPIC_ID: stale(103, "the log's topic id is not the one of the request"),
  INCONSISTENT_CLUSTER_ID: final(104, "the cluster id of the request is not this cluster's"),
  TRANSACTIONAL_ID_NOT_FOUND: final(105, 'there is no such transactional id'),
  FETCH_SESSION_TOPIC_ID_ERROR: retriable(
    106,
    'the fetch session uses topic ids where the request does not, or the other way round',
  ),
  INELIGIBLE_REPLICA: final(107, 'the new isr has a replica that may not be in it'),
  NEW_LEADER_ELECTED: final(108, 'the change was made, and the partition has a new leader by it'),
  OFFSET_MOVED_TO_TIERED_STORAGE: final(109, 'the offset is in tiered storage only'),
  FENCED_MEMBER_EPOCH: final(110, "the member's epoch was fenced by the coordinator: rejoin"),
  UNRELEASED_INSTANCE_ID: final(111, 'the instance id is still held by another member'),
  UNSUPPORTED_ASSIGNOR: final(112, 'the assignor, or its version range, is not supported by the group'),
  STALE_MEMBER_EPOCH: final(113, "the member's epoch is stale: retry after the next heartbeat"),
  MISMATCHED_ENDPOINT_TYPE: final(114, 'the request came to an endpoint of the wrong type'),
  UNSUPPORTED_ENDPOINT_TYPE: final(115, 'this endpoint type is not supported'),
  UNKNOWN_CONTROLLER_ID: final(116, 'there is no such controller id'),
  UNKNOWN_SUBSCRIPTION_ID: final(117, 'the telemetry subscription id is not the current one'),
  TELEMETRY_TOO_LARGE: final(118, 'the telemetry is larger than the broker accepts'),
  INVALID_REGISTRATION: final(119, "the controller finds the broker's registration not valid"),
  TRANSACTION_ABORTABLE: final(120, 'the transaction must be aborted; the producer may go on afterwards'),
  INVALID_RECORD_STATE: final(121, 'the record is in a state that does not allow this acknowledgement'),
  SHARE_SESSION_NOT_FOUND: retriable(122, 'there is no such share session'),
  INVALID_SHARE_SESSION_EPOCH: retriable(123, 'the epoch of the share session is not the expected one'),
  FENCED_STATE_EPOCH: final(124, 'the share coordinator refused the state epoch as stale'),
  INVALID_VOTER_KEY: final(125, "the voter key is not the receiver's"),
  DUPLICATE_VOTER: final(126, 'the voter is in the set already'),
  VOTER_NOT_FOUND: final(127, 'the voter is not in the set'),
  INVALID_REGULAR_EXPRESSION: final(128, 'the regular expression is not valid'),
  REBOOTSTRAP_REQUIRED: final(129, "the client's metadata is stale: start again from the bootstrap servers"),
  STREAMS_INVALID_TOPOLOGY: final(130, 'the topology of the streams group is not valid'),
  STREAMS_INVALID_TOPOLOGY_EPOCH: final(131, 'the topology epoch of the streams group is not valid'),
  STREAMS_TOPOLOGY_FENCED: final(132, 'the topology epoch of the streams group is outdated'),
  SHARE_SESSION_LIMIT_REACHED: retriable(133, 'the broker holds as many share sessions as it may'),
} as const satisfies Record<string, ErrorDefinition>;

/** An error of the protocol by its name, as in `KafkaError` or a response's `errorCode`. */
export type ErrorName = keyof typeof errors;

/** An outcome that the protocol has a code for. Its `name` is the protocol's name of the error. */
export class KafkaError extends Error {
  override readonly name: ErrorName;

  constructor(name: ErrorName, message?: string, options?: ErrorOptions) {
    const { stackTraceLimit } = Error;
    if (!areStacksWanted) Error.stackTraceLimit = 0;
    super(message ?? errors[name].text, options);
    if (!areStacksWanted) Error.stackTraceLimit = stackTraceLimit;
    this.name = name;
  }

  get code(): number {
    return errors[this.name].code;
  }

  get retriable(): boolean {
    return errors[this.name].retriable;
  }

  get refreshMetadata(): boolean {
    return errors[this.name].refreshMetadata;
  }
}

let areStacksWanted = true;

/**
 * KafkaErrors made by `work` have no stack: for what answers each of very many items, and catches each error only for its code and message. All
 * other errors, which are bugs, have theirs.
 */
export function withoutStacks<Result>(work: () => Result): Result {
  const before = areStacksWanted;
  areStacksWanted = false;
  try {
    return work();
  } finally {
    areStacksWanted = before;
  }
}

/** Bytes that are not what they claim to be: truncated, a length out of bounds, a null where none may be. */
export class ProtocolError extends KafkaError {
  constructor(message: string) {
    super('INVALID_REQUEST', message);
  }
}

/** The code for whatever was thrown. What is not a KafkaError is UNKNOWN_SERVER_ERROR: the caller logs it whole. */
export function errorCodeOf(error: unknown): number {
  return error instanceof KafkaError ? error.code : errors.UNKNOWN_SERVER_ERROR.code;
}

const namesByCode = new Map<number, ErrorName>(Object.entries(errors).map(([name, { code }]) => [code, name as ErrorName]));

/** The name of a code; a code that this version does not know is UNKNOWN_SERVER_ERROR, as for Kafka's own clients. */
export function errorName(code: number): ErrorName {
  return namesByCode.get(code) ?? 'UNKNOWN_SERVER_ERROR';
}

/** Turns a response's `errorCode` back into a KafkaError, or null for 0. Without a message, also an empty one, it has the code's text. */
export function errorOfCode(code: number, message?: string | null): KafkaError | null {
  return code === 0 ? null : new KafkaError(errorName(code), message || undefined);
}

function final(code: number, text: string): ErrorDefinition {
  return { code, retriable: false, refreshMetadata: false, text };
}

function retriable(code: number, text: string): ErrorDefinition {
  return { code, retriable: true, refreshMetadata: false, text };
}

function stale(code: number, text: string): ErrorDefinition {
  return { code, retriable: true, refreshMetadata: true, text };
}
