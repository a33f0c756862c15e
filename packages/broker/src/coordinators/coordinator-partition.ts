import { buildControlBatch, type CompressionCodec, KafkaError } from '@ottla/protocol';
import type { Runtime, Timer } from '@ottla/runtime';
import type { VerificationGuard } from '@ottla/storage';
import type { TransactionMarker } from '../transactions/transaction-marker.ts';
import { loadMachine } from './coordinator-loader.ts';
import type { CoordinatorAppend, CoordinatorLog } from './coordinator-log.ts';
import type { CoordinatorMachine, MachineOutcome, Moment, RecordCodec } from './coordinator-machine.ts';
import { encodedPieces, OpenBatch, type TransactionalWriter } from './record-batcher.ts';

export type CoordinatorPartitionConfig = {
  /** How long records wait for company: 0 for none, -1 for the rest of this turn of the event loop. */
  readonly appendLingerMs: number;
  /** How long an operation waits for its records to be committed. */
  readonly commitTimeoutMs: number;
  readonly compression: CompressionCodec;
  readonly loadStepBytes: number;
};

export type CoordinatorPartitionOptions<Machine, Record> = {
  readonly name: string;
  readonly leaderEpoch: number;
  readonly machine: Machine;
  readonly log: CoordinatorLog;
  readonly codec: RecordCodec<Record>;
  readonly config: CoordinatorPartitionConfig;
  readonly runtime: Pick<Runtime, 'clock' | 'timers' | 'logger'>;
  /** The machine cannot be relied on: it and the log have come apart, or it threw halfway. The owner loads the partition again. */
  readonly onDiverged: (reason: unknown) => void;
  /** Called after each operation, commit and failure, and when the partition was loaded: what the machine wants done outside can be taken from it. */
  readonly onEffects?: ((machine: Machine) => void) | undefined;
};

type Writer = TransactionalWriter & { readonly verificationGuard: VerificationGuard | undefined };

type State = 'loading' | 'active' | 'failed' | 'closed';

/** An operation on its way to being durable. */
type Operation<Continuation> = {
  readonly continuation: Continuation | undefined;
  readonly committed: () => void;
  readonly failed: (error: KafkaError) => void;
};

type Uncommitted<Continuation> = {
  readonly endOffset: number;
  readonly deadlineMs: number;
  /** Emptied when they were answered, which a timeout may do before the commit. */
  operations: Operation<Continuation>[];
};

/** Timers that come due at once are worked off in pieces of this many. */
const WAKES_PER_TURN = 200;

/**
 * One partition of a coordinator: its state machine, made durable. An operation is decided and replayed at once, so the next one
 * sees it; its records are appended together with those of the same turn; it is answered when the high watermark has passed them.
 *
 *   loading ──► active ──► closed        (loading ──► failed ──► closed)
 */
export class CoordinatorPartition<
  Machine extends CoordinatorMachine<Record, Continuation>,
  Record = RecordOf<Machine>,
  Continuation = ContinuationOf<Machine>,
> {
  #leaderEpoch: number;
  readonly #options: CoordinatorPartitionOptions<Machine, Record>;
  readonly #machine: Machine;
  readonly #log: CoordinatorLog;
  #state: State = 'loading';
  #batch: OpenBatch<Operation<Continuation>> | null = null;
  /** Where the log ends, by what the machine has replayed. */
  #endOffset = 0;
  #appendTimer: Timer | null = null;
  /** Appended and not yet committed, in the order of the log. */
  #uncommitted: Uncommitted<Continuation>[] = [];
  #commitTimer: Timer | null = null;
  #isAwaitingCommit = false;
  /** What follows from commits and failures, done when the present operation is through. */
  readonly #followUps: (() => void)[] = [];
  #depth = 0;
  readonly #waiting = new Map<number, { resolve: (response: unknown) => void; reject: (error: KafkaError) => void }>();
  #lastToken = 0;
  #wakeTimer: { readonly timer: Timer; readonly atMs: number } | null = null;

  constructor(options: CoordinatorPartitionOptions<Machine, Record>) {
    this.#options = options;
    this.#leaderEpoch = options.leaderEpoch;
    this.#machine = options.machine;
    this.#log = options.log;
  }

  get leaderEpoch(): number {
    return this.#leaderEpoch;
  }

  /** This broker leads on in a later epoch, with nobody in between: the log is as it was, and whoever waits for a commit goes on waiting. */
  leadOn(leaderEpoch: number): void {
    this.#leaderEpoch = leaderEpoch;
  }

  get state(): State {
    return this.#state;
  }

  /** How many operations and requests wait for something. */
  get pendingCount(): number {
    const appended = this.#uncommitted.reduce((sum, { operations }) => sum + operations.length, 0);
    return appended + (this.#batch?.operations.length ?? 0) + this.#waiting.size;
  }

  /**
   * Reads the partition, then serves. Resolves to the number of records read. Never rejects: a partition that cannot be read stays
   * refused, and the log says why.
   */
  async load(): Promise<number> {
    const { codec, config, runtime, name } = this.#options;
    const startedMs = runtime.clock.monotonicMs();
    try {
      const records = await loadMachine(this.#machine, this.#log, {
        codec,
        timers: runtime.timers,
        logger: runtime.logger,
        stepBytes: config.loadStepBytes,
        isCancelled: () => this.#state !== 'loading',
      });
      if (this.#state !== 'loading') return 0;
      this.#state = 'active';
      this.#appended(this.#log.logEndOffset, []);
      this.#whole(() => this.#submit(this.#machine.activate(this.#moment())));
      runtime.logger.debug('coordinator loaded', {
        partition: name,
        records,
        ms: Math.round(runtime.clock.monotonicMs() - startedMs),
      });
      return records;
    } catch (error) {
      if (this.#state !== 'loading' && this.#state !== 'active') return 0;
      this.#state = 'failed';
      runtime.logger.error('coordinator could not be loaded', { partition: name, error });
      return 0;
    }
  }

  /** Runs an operation; resolves with its response when its records, and all before them, are committed. Throws what it throws. */
  write<Response>(
    decide: (machine: Machine, moment: Moment) => MachineOutcome<Record, Continuation, Response>,
  ): Promise<Response> {
    this.#requireActive();
    return this.#whole(() => this.#submit(decide(this.#machine, this.#moment())));
  }

  /** As `write`, in a transaction of a producer: the records take effect when its marker comes, see `endTransaction`. */
  writeTransactional<Response>(
    writer: Writer,
    decide: (machine: Machine, moment: Moment) => MachineOutcome<Record, Continuation, Response>,
  ): Promise<Response> {
    this.#requireActive();
    return this.#whole(() => {
      // A batch has one producer. Should the append fail, the decision is made upon what is left.
      this.#append();
      return this.#submit(decide(this.#machine, this.#moment()), writer);
    });
  }

  /** Writes the marker that ends a producer's transaction, in the log and in the machine. Resolves when it is committed. */
  endTransaction(marker: TransactionMarker): Promise<void> {
    this.#requireActive();
    const { producerId, producerEpoch, isCommit, coordinatorEpoch, transactionVersion } = marker;
    return this.#whole(() => {
      this.#append();
      const offset = this.#endOffset;
      const bytes = buildControlBatch({
        records: [{ type: isCommit ? 'commit' : 'abort', coordinatorEpoch }],
        timestamp: this.#options.runtime.clock.nowMs(),
        baseOffset: offset,
        producerId,
        producerEpoch,
      });
      try {
        const endOffset = this.#appendBatch(offset, bytes, { transactionVersion2: transactionVersion >= 2 });
        this.#machine.replayTransactionEnd(producerId, isCommit, offset);
        return new Promise<void>((committed, failed) => {
          this.#appended(endOffset, [{ continuation: undefined, committed, failed }]);
        });
      } catch (error) {
        return Promise.reject(this.#asKafkaError(error));
      }
    });
  }

  /** Runs an operation whose response may have to wait for others: it comes as the answer to the token. */
  park<Response>(
    decide: (machine: Machine, moment: Moment, token: number) => MachineOutcome<Record, Continuation, undefined>,
  ): Promise<Response> {
    this.#requireActive();
    const token = ++this.#lastToken;
    return this.#whole(() => {
      const outcome = decide(this.#machine, this.#moment(), token);
      return new Promise<Response>((resolve, reject) => {
        this.#waiting.set(token, { resolve: resolve as (response: unknown) => void, reject });
        this.#submit(outcome).catch((error: KafkaError) => {
          // The continuation has answered whom it concerns; this is for an operation that has none.
          if (this.#waiting.delete(token)) reject(error);
        });
      });
    });
  }

  /** Looks at the machine. What is read must be asked for as of the last committed record. */
  read<Response>(look: (machine: Machine) => Response): Response {
    this.#requireActive();
    return look(this.#machine);
  }

  /** Tells the machine what it needs to know also while it is being loaded: a setting, not an operation. */
  configure(tell: (machine: Machine) => void): void {
    if (this.#state === 'loading' || this.#state === 'active') tell(this.#machine);
  }

  /** Appends now what waits for company. */
  flush(): void {
    this.#undertake(() => this.#append());
  }

  /** This broker no longer leads the partition, or stops: everyone who waits is sent away. */
  close(): void {
    if (this.#state === 'closed') return;
    const wasActive = this.#state === 'active';
    this.#state = 'closed';
    this.#appendTimer?.cancel();
    this.#commitTimer?.cancel();
    this.#wakeTimer?.timer.cancel();
    const gone = new KafkaError('NOT_COORDINATOR', `${this.#options.name} is coordinated by another broker now`);
    if (wasActive) this.#unload();
    const operations = [...this.#uncommitted.flatMap(({ operations }) => operations), ...(this.#batch?.operations ?? [])];
    this.#uncommitted = [];
    this.#batch = null;
    for (const { failed } of operations) failed(gone);
    for (const { reject } of this.#waiting.values()) reject(gone);
    this.#waiting.clear();
  }

  #unload(): void {
    try {
      this.#deliver(this.#machine.unload(this.#moment()).answers);
    } catch (error) {
      this.#options.runtime.logger.error('coordinator could not be unloaded', { partition: this.#options.name, error });
    }
  }

  #requireActive(): void {
    if (this.#state === 'active') return;
    const { name } = this.#options;
    if (this.#state === 'loading') throw new KafkaError('COORDINATOR_LOAD_IN_PROGRESS', `${name} is being loaded: retry`);
    throw new KafkaError('NOT_COORDINATOR', `${name} is not coordinated here: look the coordinator up again`);
  }

  #moment(): Moment {
    const { clock } = this.#options.runtime;
    return { wallMs: clock.nowMs(), monotonicMs: clock.monotonicMs() };
  }

  /** Follow-ups of an operation come after it, never in its midst: what it has decided must not change before it is replayed. */
  #whole<Result>(work: () => Result): Result {
    this.#depth++;
    try {
      return work();
    } finally {
      if (this.#depth === 1) this.#afterwards();
      this.#depth--;
      if (this.#depth === 0 && this.#state === 'active') this.#guard(() => this.#options.onEffects?.(this.#machine));
    }
  }

  #afterwards(): void {
    for (let next = this.#followUps.shift(); next !== undefined; next = this.#followUps.shift()) this.#guard(next);
    if (this.#state === 'active') this.#guard(() => this.#scheduleWake());
  }

  /** Work on behalf of nobody: of a timer, or of a commit. */
  #undertake(work: () => void): void {
    this.#guard(() => this.#whole(work));
  }

  /**
   * For what nobody waits for: nobody would catch it, and the broker would end by one group's trouble. What it was about may be half
   * done, so the partition begins again from its log.
   */
  #guard(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#diverged(error);
    }
  }

  #diverged(reason: unknown): void {
    if (this.#state === 'active') this.#options.onDiverged(reason);
  }

  #submit<Response>(outcome: MachineOutcome<Record, Continuation, Response>, writer?: Writer): Promise<Response> {
    const done = new Promise<Response>((resolve, reject) => {
      const operation: Operation<Continuation> = {
        continuation: outcome.continuation,
        committed: () => resolve(outcome.response),
        failed: reject,
      };
      if (outcome.records.length === 0) this.#afterAllBefore(operation);
      else this.#accumulate(outcome.records, outcome.atomic, operation, writer);
      this.#deliver(outcome.answers);
    });
    // Whoever has no use for the response (a timer's work) has none for its failure either: the machine was told.
    done.catch(() => undefined);
    return done;
  }

  #deliver(answers: MachineOutcome<Record, Continuation, unknown>['answers']): void {
    for (const { token, response } of answers) {
      const waiting = this.#waiting.get(token);
      this.#waiting.delete(token);
      waiting?.resolve(response);
    }
  }

  /** An operation without records may have seen what is not committed yet: it is answered after that is. */
  #afterAllBefore(operation: Operation<Continuation>): void {
    const last = this.#uncommitted.at(-1);
    if (this.#batch !== null) this.#batch.operations.push(operation);
    else if (last !== undefined) last.operations.push(operation);
    else if (operation.continuation !== undefined) this.#followUps.push(() => this.#committed(operation));
    else operation.committed();
  }

  #accumulate(records: readonly Record[], atomic: boolean, operation: Operation<Continuation>, writer?: Writer): void {
    const maxBytes = this.#log.maxBatchBytes;
    const { codec } = this.#options;
    let pieces: ReturnType<typeof encodedPieces>;
    try {
      pieces = encodedPieces(records, (record) => codec.encode(record), { isAtomic: atomic, maxBytes });
    } catch (error) {
      // A text may be longer than the format of a record has room for.
      this.#refuse(operation, this.#asKafkaError(error));
      return;
    }
    if (!pieces) {
      this.#refuse(operation, new KafkaError('MESSAGE_TOO_LARGE', `the records do not fit into ${maxBytes} bytes`));
      return;
    }
    let index = 0;
    for (const piece of pieces) {
      if (this.#batch !== null && !this.#batch.hasRoomFor(piece, maxBytes)) {
        const error = this.#append(writer);
        if (error !== null) {
          // It was decided upon what has just been undone.
          this.#failed([operation], error);
          return;
        }
      }
      this.#batch ??= new OpenBatch(this.#endOffset, writer);
      for (const record of piece) {
        this.#replay(records[index]!, { offset: this.#batch.nextOffset, producerId: writer?.producerId ?? -1 });
        this.#batch.add(record);
        index++;
      }
    }
    this.#batch!.operations.push(operation);
    if (writer === undefined) this.#scheduleAppend();
    else this.#append(writer);
  }

  /** Nothing was replayed; yet deciding may have begun something that only its record makes true. */
  #refuse(operation: Operation<Continuation>, error: KafkaError): void {
    this.#machine.rollbackTo(this.#nextOffset);
    this.#failed([operation], error);
  }

  #replay(record: Record, position: { readonly offset: number; readonly producerId: number }): void {
    try {
      this.#machine.replay(record, position);
    } catch (error) {
      // Before the batch, which holds what was replayed of it, can be appended.
      this.#followUps.push(() => this.#diverged(error));
      throw error;
    }
  }

  get #nextOffset(): number {
    return this.#batch?.nextOffset ?? this.#endOffset;
  }

  #scheduleAppend(): void {
    const { appendLingerMs } = this.#options.config;
    if (appendLingerMs === 0) {
      this.#append();
    } else if (this.#appendTimer === null) {
      const { timers } = this.#options.runtime;
      if (appendLingerMs > 0) {
        this.#appendTimer = timers.after(appendLingerMs, () => this.flush());
      } else {
        const turn = { isCancelled: false, cancel: () => void (turn.isCancelled = true) };
        this.#appendTimer = turn;
        timers.soon(() => {
          if (!turn.isCancelled) this.flush();
        });
      }
    }
  }

  /** Appends the open batch. An error has undone it, and failed its operations. */
  #append(writer?: Writer): KafkaError | null {
    this.#appendTimer?.cancel();
    this.#appendTimer = null;
    const batch = this.#batch;
    if (batch === null || this.#state !== 'active') return null;
    this.#batch = null;
    try {
      const bytes = batch.build(this.#options.config.compression, this.#options.runtime.clock.nowMs());
      const endOffset = this.#appendBatch(batch.baseOffset, bytes, { verificationGuard: writer?.verificationGuard });
      this.#appended(endOffset, batch.operations);
      return null;
    } catch (error) {
      const reason = this.#asKafkaError(error);
      this.#machine.rollbackTo(batch.baseOffset);
      // The latest first: each finds the soft state as it left it.
      this.#failed(batch.operations.toReversed(), reason);
      return reason;
    }
  }

  #appendBatch(baseOffset: number, bytes: Uint8Array, options: CoordinatorAppend): number {
    if (this.#log.logEndOffset !== baseOffset) {
      const error = new KafkaError('NOT_COORDINATOR', `${this.#options.name} was written to by another: it is loaded again`);
      this.#followUps.push(() => this.#diverged(error));
      throw error;
    }
    return this.#log.append(bytes, options);
  }

  #appended(endOffset: number, operations: Operation<Continuation>[]): void {
    const { clock } = this.#options.runtime;
    const deadlineMs = clock.monotonicMs() + this.#options.config.commitTimeoutMs;
    this.#endOffset = endOffset;
    this.#uncommitted.push({ endOffset, deadlineMs, operations });
    this.#whole(() => this.#advanceCommit());
  }

  #advanceCommit(): void {
    const { highWatermark } = this.#log;
    this.#machine.commitTo(highWatermark);
    for (let head = this.#uncommitted[0]; head !== undefined && head.endOffset <= highWatermark; head = this.#uncommitted[0]) {
      this.#uncommitted.shift();
      for (const operation of head.operations) this.#followUps.push(() => this.#committed(operation));
    }
    this.#awaitCommit();
  }

  #awaitCommit(): void {
    const head = this.#uncommitted[0];
    this.#commitTimer?.cancel();
    this.#commitTimer = null;
    if (head === undefined || this.#state !== 'active') return;
    const { clock, timers } = this.#options.runtime;
    const deadlineMs = this.#uncommitted.find(({ operations }) => operations.length > 0)?.deadlineMs;
    if (deadlineMs !== undefined) {
      this.#commitTimer = timers.after(Math.max(0, Math.ceil(deadlineMs - clock.monotonicMs())), () => this.#expireOperations());
    }
    if (this.#isAwaitingCommit) return;
    this.#isAwaitingCommit = true;
    this.#log.whenCommitted(head.endOffset).then(
      () => {
        this.#isAwaitingCommit = false;
        if (this.#state === 'active') this.#undertake(() => this.#advanceCommit());
      },
      (error: unknown) => {
        this.#isAwaitingCommit = false;
        if (this.#state !== 'active') return;
        // The new leader may or may not have the records: who retries there will find out.
        const operations = this.#uncommitted.flatMap(({ operations }) => operations);
        this.#uncommitted = [];
        this.#undertake(() => this.#failed(operations, this.#asKafkaError(error)));
      },
    );
  }

  /** The records may still be committed, but nobody waits that long: clients ask again, and find what became of it. */
  #expireOperations(): void {
    const nowMs = this.#options.runtime.clock.monotonicMs();
    const late: Operation<Continuation>[] = [];
    for (const entry of this.#uncommitted) {
      if (entry.deadlineMs > nowMs) break;
      late.push(...entry.operations);
      entry.operations = [];
    }
    const error = new KafkaError('REQUEST_TIMED_OUT', `${this.#options.name} did not commit in time`);
    this.#undertake(() => {
      this.#failed(late, error);
      this.#awaitCommit();
    });
  }

  #committed({ continuation, committed }: Operation<Continuation>): void {
    this.#continueWith(continuation, null);
    committed();
  }

  #failed(operations: readonly Operation<Continuation>[], error: KafkaError): void {
    for (const { continuation, failed } of operations) {
      this.#followUps.push(() => {
        this.#continueWith(continuation, error);
        failed(error);
      });
    }
  }

  /** What comes of the operation is told even when its continuation throws. */
  #continueWith(continuation: Continuation | undefined, error: KafkaError | null): void {
    if (continuation === undefined || this.#state !== 'active') return;
    this.#guard(() => this.#submit(this.#machine.continueWith(continuation, error, this.#moment())));
  }

  #scheduleWake(): void {
    const atMs = this.#machine.nextWakeMs();
    if (atMs === undefined) return;
    // A timer that comes early finds nothing due and sets the next: heartbeats need not touch it.
    if (this.#wakeTimer !== null && this.#wakeTimer.atMs <= atMs) return;
    this.#wakeTimer?.timer.cancel();
    const { clock, timers } = this.#options.runtime;
    const delayMs = Math.max(0, Math.ceil(atMs - clock.monotonicMs()));
    this.#wakeTimer = { timer: timers.after(delayMs, () => this.#wake()), atMs };
  }

  #wake(): void {
    this.#wakeTimer = null;
    if (this.#state !== 'active') return;
    this.#undertake(() => {
      for (let count = 0; count < WAKES_PER_TURN; count++) {
        const outcome = this.#machine.wake(this.#moment());
        if (outcome === undefined) break;
        this.#submit(outcome);
      }
    });
  }

  #asKafkaError(error: unknown): KafkaError {
    if (error instanceof KafkaError) return error;
    this.#options.runtime.logger.error('coordinator could not write', { partition: this.#options.name, error });
    return new KafkaError('KAFKA_STORAGE_ERROR', 'the coordinator could not write', { cause: error });
  }
}

type RecordOf<Machine> = Machine extends CoordinatorMachine<infer Record, infer _> ? Record : never;
type ContinuationOf<Machine> = Machine extends CoordinatorMachine<infer _, infer Continuation> ? Continuation : never;
