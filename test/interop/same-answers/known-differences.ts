/** Where Ottla answers otherwise than Kafka 4.3.1, and why it may. Everything else that differs is a bug. */
import type { Difference } from './differences.ts';

type KnownDifference = { readonly label: RegExp; readonly path: RegExp; readonly reason: string };

export const knownDifferences: readonly KnownDifference[] = [
  {
    label: /^ApiVersions \//,
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
];

export const isKnown = (difference: Difference): boolean =>
  knownDifferences.some(({ label, path }) => label.test(difference.label) && path.test(difference.path));
