import { KafkaError } from '@ottla/protocol';
import { Deadlines } from '../deadlines.ts';
import { Journal } from '../journal.ts';
import type { Moment } from '../outcome.ts';
import { addPartitions, type PartitionsToAdd } from './add-partitions.ts';
import { concurrentTransactions, type Decision, type DecisionContext, PRODUCER_ID_NEEDED, requireProducer } from './decision.ts';
import { abortByCoordinator, completedTransaction, type EndTransaction, endTransaction } from './end-transaction.ts';
import { type InitProducerId, initProducerId } from './init-producer-id.ts';
import {
  isAtRest,
  isPrepared,
  type ProducerIdAndEpoch,
  type Transaction,
  type TransactionPartitions,
  TWO_PHASE_COMMIT_TIMEOUT_MS,
} from './transaction.ts';
import type { TransactionConfig } from './transaction-config.ts';
import { matcherOf, type TransactionFilters } from './transaction-filters.ts';
import type { TransactionRecord } from './transaction-record.ts';

/** What an operation wants to become true; see `Outcome` of the groups, whose requests can wait for each other where these cannot. */
export type TransactionOutcome<Response = undefined> = {
  readonly records: readonly TransactionRecord[];
  readonly response: Response;
  readonly answers: readonly [];
  readonly atomic: boolean;
};

/**
 * What is to be done outside because of committed records, or of the time.
 *
 * SendMarkers: the transaction's end is decided: its partitions are to be told, and then `complete` called.
 * AbortTimedOut: a transaction is older than its timeout: `abortTimedOut` is to be called.
 */
export type TransactionEffect =
  | { readonly type: 'SendMarkers'; readonly prepared: Transaction }
  | ({ readonly type: 'AbortTimedOut'; readonly transactionalId: string } & ProducerIdAndEpoch);

type TransactionDeadline = { readonly type: 'TimeoutsDue' } | { readonly type: 'ExpirationDue' };

type Known = {
  readonly transaction: Transaction;
  /** Of the record that says so. */
  readonly offset: number;
};

/**
 * The transactional ids of one partition of `__transaction_state` (KIP-98, KIP-360, KIP-890).
 *
 *              addPartitions            end                    markers are written
 *   Empty ───────────────► Ongoing ───────────► PrepareCommit ───────► CompleteCommit
 *     ▲                       │                  PrepareAbort           CompleteAbort
 *     └───────────────────────┴── InitProducerId, timeout: abort ──┘       │ (begins anew)
 *
 * Deterministic: times and producer ids are passed in. State comes from `replay` alone. As long as the latest record of an id is not committed,
 * or its markers are not written, the id takes no other step: CONCURRENT_TRANSACTIONS, and the client asks again.
 */
export class TransactionCoordinator {
  #config: TransactionConfig;
  readonly #journal = new Journal();
  readonly #known = new Map<string, Known>();
  readonly #deadlines = new Deadlines<TransactionDeadline>();
  /** Ids whose latest record prepares an end and was replayed since `activate`, in the order of the log. */
  #prepared: { readonly transactionalId: string; readonly offset: number }[] = [];
  #effects: TransactionEffect[] = [];
  #committedOffset = 0;
  #isActive = false;
  /** Since when each transaction was seen to be under way, by the clock that goes on evenly, as of the last look for those that take too long. */
  #underWay: ReadonlyMap<string, { readonly startMs: number; readonly sinceMs: number }> = new Map();

  constructor(config: TransactionConfig) {
    this.#config = config;
  }

  // ── requests ──

  /** Throws CONCURRENT_TRANSACTIONS, PRODUCER_FENCED, INVALID_TRANSACTION_TIMEOUT, INVALID_REQUEST. */
  initProducerId(
    request: InitProducerId,
    newProducerId: number | undefined,
    moment: Moment,
  ): TransactionOutcome<ProducerIdAndEpoch | KafkaError | typeof PRODUCER_ID_NEEDED> {
    requireTransactionalId(request.transactionalId);
    const known = this.#known.get(request.transactionalId);
    if (known !== undefined) this.#requireNotPending(known);
    return this.#become(initProducerId(known?.transaction, request, this.#context(moment, newProducerId)));
  }

  /** Throws INVALID_PRODUCER_ID_MAPPING, PRODUCER_FENCED, CONCURRENT_TRANSACTIONS, INVALID_REQUEST. */
  addPartitions(request: PartitionsToAdd, moment: Moment): TransactionOutcome {
    const known = this.#require(request.transactionalId);
    // Partitions may join while those before them are being written: a producer's first batches come all at once.
    if (known.transaction.status !== 'Ongoing') this.#requireNotPending(known);
    return this.#become(addPartitions(known.transaction, request, this.#context(moment)));
  }

  /**
   * Whether each partition is part of the producer's transaction, in the order of `partitions`. Throws INVALID_PRODUCER_ID_MAPPING,
   * PRODUCER_FENCED, CONCURRENT_TRANSACTIONS, INVALID_REQUEST.
   */
  verifyPartitions(
    transactionalId: string,
    producer: ProducerIdAndEpoch,
    partitions: TransactionPartitions,
  ): TransactionOutcome<{ topic: string; partition: number; isAdded: boolean }[]> {
    const { transaction } = this.#require(transactionalId);
    requireProducer(transaction, producer);
    if (isPrepared(transaction)) throw concurrentTransactions(transactionalId);
    const response = [...partitions].flatMap(([topic, indexes]) =>
      [...indexes].map((partition) => ({
        topic,
        partition,
        isAdded: transaction.partitions.get(topic)?.has(partition) ?? false,
      })),
    );
    return unchanged(response);
  }

  /** The producer's id and epoch from now on. Throws what an end of this transaction forbids. */
  endTransaction(
    request: EndTransaction,
    newProducerId: number | undefined,
    moment: Moment,
  ): TransactionOutcome<ProducerIdAndEpoch | typeof PRODUCER_ID_NEEDED> {
    const known = this.#require(request.transactionalId);
    const { transaction } = known;
    return this.#become(endTransaction(transaction, request, this.#isPending(known), this.#context(moment, newProducerId)));
  }

  /** For an `AbortTimedOut`: aborts unless something else has happened meanwhile. */
  abortTimedOut(
    { transactionalId, producerId, producerEpoch }: { readonly transactionalId: string } & ProducerIdAndEpoch,
    newProducerId: number | undefined,
    moment: Moment,
  ): TransactionOutcome<typeof PRODUCER_ID_NEEDED | undefined> {
    const known = this.#known.get(transactionalId);
    if (known === undefined || !this.#isTimedOut(known, moment)) return unchanged(undefined);
    const { transaction } = known;
    if (transaction.producerId !== producerId || transaction.producerEpoch !== producerEpoch) return unchanged(undefined);
    const decided = abortByCoordinator(transaction, this.#context(moment, newProducerId));
    return this.#become(decided === PRODUCER_ID_NEEDED ? decided : { next: decided, response: undefined });
  }

  /** The markers of a transaction were written to all of its partitions. */
  complete(prepared: Transaction, moment: Moment): TransactionOutcome {
    const known = this.#known.get(prepared.transactionalId);
    if (known?.transaction !== prepared) return unchanged(undefined);
    return this.#become({ next: completedTransaction(prepared, moment.wallMs), response: undefined });
  }

  // ── looking ──

  /** As of the last committed record. Throws INVALID_REQUEST, TRANSACTIONAL_ID_NOT_FOUND. */
  describe(transactionalId: string): Transaction {
    requireTransactionalId(transactionalId);
    const known = this.#journal.committed(this.#known, transactionalId);
    if (known === undefined) {
      throw new KafkaError('TRANSACTIONAL_ID_NOT_FOUND', `nothing is known of the transactional id ${transactionalId}`);
    }
    return known.transaction;
  }

  /** As of the last committed record. Throws INVALID_REGULAR_EXPRESSION. */
  list(filters: TransactionFilters, moment: Moment): Transaction[] {
    const matches = matcherOf(filters, moment.wallMs);
    const listed: Transaction[] = [];
    for (const [, { transaction }] of this.#journal.committedEntries(this.#known))
      if (matches(transaction)) listed.push(transaction);
    return listed;
  }

  /** What is to be done by now, each once. */
  takeEffects(): TransactionEffect[] {
    if (this.#effects.length === 0) return NO_EFFECTS;
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  // ── time ──

  nextWakeMs(): number | undefined {
    return this.#deadlines.nextMs();
  }

  wake(moment: Moment): TransactionOutcome | undefined {
    const due = this.#deadlines.takeDue(moment.monotonicMs);
    if (due === undefined) return undefined;
    this.#schedule(due, moment);
    return due.type === 'TimeoutsDue' ? this.#findTimedOut(moment) : this.#forgetExpired(moment);
  }

  #schedule(deadline: TransactionDeadline, { monotonicMs }: Moment): void {
    const { timeoutCheckIntervalMs, expirationCheckIntervalMs } = this.#config;
    const intervalMs = deadline.type === 'TimeoutsDue' ? timeoutCheckIntervalMs : expirationCheckIntervalMs;
    this.#deadlines.set(deadline.type, monotonicMs + intervalMs, deadline);
  }

  #findTimedOut(moment: Moment): TransactionOutcome {
    const underWay = new Map<string, { startMs: number; sinceMs: number }>();
    for (const { transaction } of this.#known.values()) {
      if (transaction.status !== 'Ongoing') continue;
      const { transactionalId, startMs } = transaction;
      const seen = this.#underWay.get(transactionalId);
      underWay.set(transactionalId, seen?.startMs === startMs ? seen : { startMs, sinceMs: moment.monotonicMs });
    }
    this.#underWay = underWay;
    for (const known of this.#known.values()) {
      if (!this.#isTimedOut(known, moment)) continue;
      const { transactionalId, producerId, producerEpoch } = known.transaction;
      this.#effects.push({ type: 'AbortTimedOut', transactionalId, producerId, producerEpoch });
    }
    return unchanged(undefined);
  }

  /** Its start in the log is of the wall clock: one that was set back since must not let the transaction live for as long. */
  #isTimedOut(known: Known, { wallMs, monotonicMs }: Moment): boolean {
    const { transactionalId, status, startMs, timeoutMs } = known.transaction;
    if (status !== 'Ongoing' || timeoutMs === TWO_PHASE_COMMIT_TIMEOUT_MS || this.#isPending(known)) return false;
    const seen = this.#underWay.get(transactionalId);
    return startMs + timeoutMs < wallMs || (seen?.startMs === startMs && seen.sinceMs + timeoutMs < monotonicMs);
  }

  #forgetExpired({ wallMs }: Moment): TransactionOutcome {
    const records: TransactionRecord[] = [];
    const { transactionalIdExpirationMs } = this.#config;
    for (const known of this.#known.values()) {
      const { transactionalId, lastUpdateMs } = known.transaction;
      if (!isAtRest(known.transaction) || this.#isPending(known)) continue;
      if (lastUpdateMs <= wallMs - transactionalIdExpirationMs) records.push(this.#record(transactionalId, null));
    }
    return { records, response: undefined, answers: [], atomic: false };
  }

  // ── durability ──

  /** The offset of the next record, by what was replayed. */
  get nextOffset(): number {
    return this.#journal.nextOffset;
  }

  /** The only place where transactional ids change. The caller replays in the order of the log. */
  replay({ transactionalId, transaction }: TransactionRecord, { offset }: { readonly offset: number }): void {
    this.#journal.advance(offset);
    if (transaction === null) this.#journal.delete(this.#known, transactionalId);
    else this.#journal.set(this.#known, transactionalId, { transaction, offset });
    if (this.#isActive && transaction !== null && isPrepared(transaction)) this.#prepared.push({ transactionalId, offset });
    this.#journal.advance(offset + 1);
  }

  /** Nobody writes to this partition in a transaction. */
  replayTransactionEnd(_producerId: number, _isCommit: boolean, offset: number): void {
    this.#journal.advance(offset + 1);
  }

  skipTo(nextOffset: number): void {
    this.#journal.advance(nextOffset);
  }

  commitTo(endOffset: number): void {
    this.#journal.commit(endOffset);
    this.#committedOffset = Math.max(this.#committedOffset, endOffset);
    this.#sendMarkersOfCommitted();
  }

  rollbackTo(offset: number): void {
    this.#journal.rollback(offset);
    this.#prepared = this.#prepared.filter((prepared) => prepared.offset < offset);
  }

  /** Nothing waits to be continued: what follows from a commit is an effect. */
  continueWith(_continuation: never): TransactionOutcome {
    return unchanged(undefined);
  }

  /** An end that was decided is decided, whether or not a client still waits: only when it is committed may it be acted upon. */
  #sendMarkersOfCommitted(): void {
    while (this.#prepared.length > 0 && this.#prepared[0]!.offset < this.#committedOffset) {
      const { transactionalId, offset } = this.#prepared.shift()!;
      const known = this.#known.get(transactionalId);
      if (known?.offset === offset) this.#effects.push({ type: 'SendMarkers', prepared: known.transaction });
    }
  }

  // ── life of the partition ──

  updateConfig(config: TransactionConfig): void {
    this.#config = config;
  }

  /** The log has been read: ends that were decided and not completed are taken up again, and their markers sent once more. */
  activate(moment: Moment): TransactionOutcome {
    this.#isActive = true;
    for (const [transactionalId, { transaction, offset }] of this.#known) {
      if (isPrepared(transaction)) this.#prepared.push({ transactionalId, offset });
    }
    this.#prepared.sort((a, b) => a.offset - b.offset);
    this.#sendMarkersOfCommitted();
    this.#schedule({ type: 'TimeoutsDue' }, moment);
    this.#schedule({ type: 'ExpirationDue' }, moment);
    return unchanged(undefined);
  }

  unload(): TransactionOutcome {
    return unchanged(undefined);
  }

  /** In the order of their latest records. For tests and tools. */
  get transactions(): Transaction[] {
    return [...this.#known.values()].sort((a, b) => a.offset - b.offset).map(({ transaction }) => transaction);
  }

  assertInvariants(): void {
    for (const [transactionalId, { transaction, offset }] of this.#known) {
      const { status, partitions, startMs, producerId, producerEpoch } = transaction;
      const fail = (what: string): never => {
        throw new Error(`${transactionalId} (${status}) ${what}`);
      };
      if (transaction.transactionalId !== transactionalId) fail('is another id');
      if (offset >= this.nextOffset) fail('was changed by a record that was not written');
      if (producerId < 0 || producerEpoch < 0) fail(`has producer ${producerId}, epoch ${producerEpoch}`);
      if ((status === 'Empty' || status.startsWith('Complete')) && partitions.size > 0) fail('has partitions');
      if (status === 'Ongoing' && (partitions.size === 0 || startMs < 0)) fail('has no partitions, or no start');
    }
  }

  #require(transactionalId: string): Known {
    requireTransactionalId(transactionalId);
    const known = this.#known.get(transactionalId);
    if (known !== undefined) return known;
    throw new KafkaError('INVALID_PRODUCER_ID_MAPPING', `no producer has the transactional id ${transactionalId}`);
  }

  #requireNotPending(known: Known): void {
    if (this.#isPending(known)) throw concurrentTransactions(known.transaction.transactionalId);
  }

  #isPending({ transaction, offset }: Known): boolean {
    return offset >= this.#committedOffset || isPrepared(transaction);
  }

  #context({ wallMs }: Moment, newProducerId?: number): DecisionContext {
    return { config: this.#config, nowMs: wallMs, newProducerId };
  }

  #become<Response>(decision: Decision<Response>): TransactionOutcome<Response>;
  #become<Response>(
    decision: Decision<Response> | typeof PRODUCER_ID_NEEDED,
  ): TransactionOutcome<Response | typeof PRODUCER_ID_NEEDED>;
  #become<Response>(
    decision: Decision<Response> | typeof PRODUCER_ID_NEEDED,
  ): TransactionOutcome<Response | typeof PRODUCER_ID_NEEDED> {
    if (decision === PRODUCER_ID_NEEDED) return unchanged(decision);
    const { next, response } = decision;
    const records = next === undefined ? [] : [this.#record(next.transactionalId, next)];
    return { records, response, answers: [], atomic: true };
  }

  #record(transactionalId: string, transaction: Transaction | null): TransactionRecord {
    return { transactionalId, transaction, version: this.#config.transactionVersion >= 1 ? 1 : 0 };
  }
}

const NO_EFFECTS: TransactionEffect[] = [];

function unchanged<Response>(response: Response): TransactionOutcome<Response> {
  return { records: [], response, answers: [], atomic: true };
}

function requireTransactionalId(transactionalId: string): void {
  if (transactionalId === '') throw new KafkaError('INVALID_REQUEST', 'the transactional id must not be empty');
}
