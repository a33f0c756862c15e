import { KafkaError } from '@ottla/protocol';
import { RE2JS } from 're2js';
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
    (pattern === null || pattern.matcher(transactionalId).matches());
}

function compile(pattern: string): RE2JS {
  try {
    return RE2JS.compile(pattern);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new KafkaError(
      'INVALID_REGULAR_EXPRESSION',
      `Transaction ID pattern \`${pattern}\` is not a valid regular expression: ${reason}.`,
    );
  }
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
