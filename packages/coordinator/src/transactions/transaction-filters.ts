import { KafkaError } from '@ottla/protocol';
import { abridged, type LinearRegex, linearRegex } from '../linear-regex.ts';
import type { Transaction, TransactionStatus } from './transaction.ts';

/** What ListTransactions asks for; what is empty, null or below zero lets everything through. */
export type TransactionFilters = {
  readonly states: ReadonlySet<string>;
  readonly producerIds: ReadonlySet<number>;
  /** Only transactions that are open longer than this. */
  readonly durationMs: number;
  /** The whole transactional id must match: a regular expression, of a kind that takes linear time. */
  readonly transactionalIdPattern: string | null;
};

/** Throws INVALID_REGULAR_EXPRESSION. */
export function matcherOf(
  { states, producerIds, durationMs, transactionalIdPattern }: TransactionFilters,
  nowMs: number,
): (transaction: Transaction) => boolean {
  const pattern = transactionalIdPattern ? compile(transactionalIdPattern) : null;
  return ({ transactionalId, status, producerId, startMs }) =>
    (producerIds.size === 0 || producerIds.has(producerId)) &&
    (states.size === 0 || states.has(status)) &&
    (durationMs < 0 || nowMs - startMs > durationMs) &&
    (pattern === null || pattern.matches(transactionalId));
}

/** A pattern is tried on every id at once, so it may not be huge. */
const MAX_PROGRAM_SIZE = 5_000;

function compile(pattern: string): LinearRegex {
  const refused = (reason: string): KafkaError =>
    new KafkaError(
      'INVALID_REGULAR_EXPRESSION',
      `Transaction ID pattern \`${abridged(pattern)}\` is not a valid regular expression: ${reason}.`,
    );
  let compiled: LinearRegex;
  try {
    compiled = linearRegex(pattern);
  } catch (error) {
    throw refused(error instanceof Error ? error.message : String(error));
  }
  if (compiled.programSize() > MAX_PROGRAM_SIZE) throw refused('it is too large');
  return compiled;
}

const statuses: ReadonlySet<string> = new Set<TransactionStatus | 'Dead' | 'PrepareEpochFence'>([
  'Empty',
  'Ongoing',
  'PrepareCommit',
  'PrepareAbort',
  'CompleteCommit',
  'CompleteAbort',
  'Dead',
  'PrepareEpochFence',
]);

export function isTransactionState(name: string): boolean {
  return statuses.has(name);
}
