/** Where Ottla answers otherwise than Kafka 4.3.1, and why it may. Everything else that differs is a bug. */
import type { Difference } from './differences.ts';

type KnownDifference = {
  readonly label: RegExp;
  readonly path: RegExp;
  /** What Kafka says there. */
  readonly kafka?: RegExp;
  readonly reason: string;
};

export const knownDifferences: readonly KnownDifference[] = [
  {
    label: /ApiVersions v\d: /,
    path: /^apiKeys\[\d+\]$/,
    reason: 'APIs of later releases of Ottla are not advertised before they are served',
  },
  {
    label: /null records|AlterConfigs v\d: a resource twice/,
    path: /^$/,
    reason:
      'Kafka stumbles over a null or a duplicate key, never answers and never reads from that connection again; Ottla answers an error',
  },
  {
    label: /Produce v\d+: length 2\^31-1/,
    path: /errorCode$/,
    reason: 'an integer overflow in Kafka, UNKNOWN_SERVER_ERROR; here the batch is one that is cut, INVALID_RECORD',
  },
  {
    label: /log\.cleaner\.threads=0/,
    path: /errorMessage$/,
    reason: 'Kafka divides by zero while it checks, and says so',
  },
  {
    label: /metric\.reporters=/,
    path: /error(Code|Message)$/,
    reason: 'there are no classes to load, so any name of a reporter is taken, with a warning',
  },
  {
    label: /DescribeConfigs v\d: the broker/,
    path: /configs\[ottla\./,
    reason: 'Kafka does not know what this is, and so it may be secret there',
  },
  {
    label: /StreamsGroupHeartbeat v0: a an epoch ago/,
    path: /^(active|standby|warmup)Tasks/,
    reason: 'a member that names other tasks than it should have is told again: an answer to it may have been lost',
  },
  {
    label:
      /StreamsGroupHeartbeat v0: m (has a topology of a bad epoch|a topology of two subtopologies of one name|copartitions that are not there)/,
    path: /^error(Code|Message)$/,
    reason:
      'Kafka fails over a topology that contradicts itself, UNKNOWN_SERVER_ERROR; here the answer says what is wrong with it',
  },
  {
    label: /Share(Fetch|Acknowledge|GroupHeartbeat|GroupState\w*|GroupOffsets) v\d: /,
    path: /errorMessage$/,
    reason: 'texts that say what Kafka leaves out, or more of what is wrong',
  },
  {
    label: /ShareFetch v\d: begins with (an unknown|the zero) topic/,
    path: /./,
    kafka: /./,
    reason:
      'Kafka fails over a topic it does not know, UNKNOWN_SERVER_ERROR, and the session with it; here that partition has the error',
  },
  {
    label: /CreatePartitions v3: to 20000/,
    path: /error(Code|Message)$/,
    reason: 'Kafka says UNKNOWN_SERVER_ERROR; here it is POLICY_VIOLATION, as for CreateTopics, and the message says why',
  },
  {
    label: /IncrementalAlterConfigs v1: operation /,
    path: /error(Code|Message)$/,
    reason: 'Kafka follows a null pointer, UNKNOWN_SERVER_ERROR; here INVALID_REQUEST says which operation is unknown',
  },
  {
    label: /Metadata v1\d: by the zero id/,
    path: /errorCode$/,
    reason: 'Kafka follows a null pointer, UNKNOWN_SERVER_ERROR; here it is INVALID_REQUEST',
  },
  {
    label: /automatic creation .* a colliding name/,
    path: /errorCode$/,
    reason: 'Kafka creates in the background and never tells why it could not; here the first answer says so',
  },
  {
    label: /StreamsGroupHeartbeat v0: a an epoch ago/,
    path: /Tasks$/,
    reason: 'a member that names other tasks than it should have has missed an answer, and is told again',
  },
  {
    label: /a transactional batch without a transaction/,
    path: /errorMessage$/,
    kafka: /COORDINATOR_NOT_AVAILABLE/,
    reason: 'which of its troubles a coordinator that is only just coming has',
  },
  {
    label: /AddPartitionsToTxn v[45]: none/,
    path: /^$/,
    reason: 'Kafka waits for the last of no transactions, never answers and never reads from that connection again',
  },
  {
    label: /AddPartitionsToTxn v\d: twice/,
    path: /resultsByPartition\[1\]/,
    reason: 'a partition that is named twice is answered once',
  },
  {
    label: /WriteTxnMarkers v\d: an old epoch/,
    path: /errorCode$/,
    reason: 'Kafka has no name for it among the errors of an append, UNKNOWN_SERVER_ERROR; here it is INVALID_PRODUCER_EPOCH',
  },
  {
    label: /FindCoordinator v\d: key type 2/,
    path: /errorMessage$/,
    kafka: /^$/,
    reason: 'a key that names no share partition is told what it should be',
  },
  {
    label: /AlterPartitionReassignments v1: nothing/,
    path: /^errorMessage$/,
    reason: 'an empty text where there is no error',
  },
  {
    label: /from one protocol to the other .*DescribeGroups v6: the old one/,
    path: /memberAssignment$/,
    reason: 'a group that goes back to the classic protocol notes what its members hold, not what they were to have',
  },
  {
    label: /OffsetDelete v0: a topic twice/,
    path: /^topics/,
    reason: 'what is said of a topic stands together in one entry',
  },
  {
    label: /./,
    path: /errorMessage$/,
    kafka: /^(This most likely occurs because of a request being malformed|This server does not host this topic-partition\.)/,
    reason: 'texts that say no more than the error code are our own',
  },
];

export const isKnown = (difference: Difference): boolean =>
  knownDifferences.some(
    ({ label, path, kafka }) =>
      label.test(difference.label) && path.test(difference.path) && (kafka === undefined || kafka.test(String(difference.kafka))),
  );
