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
    label: /a transactional batch without a transaction/,
    path: /./,
    reason: 'there are no transactions yet: INVALID_TXN_STATE instead of a wait for their coordinator',
  },
  {
    label: /FindCoordinator v\d: key type 2/,
    path: /errorMessage$/,
    kafka: /^$/,
    reason: 'share groups come later, and the text says so',
  },
  {
    label: /AlterPartitionReassignments v1: nothing/,
    path: /^errorMessage$/,
    reason: 'an empty text where there is no error',
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
