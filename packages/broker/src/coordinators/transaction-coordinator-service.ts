import {
  coordinatorErrorOf,
  decodeTransactionRecord,
  encodeTransactionRecord,
  PRODUCER_ID_NEEDED,
  type ProducerIdAndEpoch,
  type Transaction,
  TransactionCoordinator,
  type TransactionEffect,
  type TransactionFilters,
  type TransactionOutcome,
  type TransactionPartitions,
} from '@ottla/coordinator';
import { KafkaError, partitionForGroup } from '@ottla/protocol';
import type { Runtime } from '@ottla/runtime';
import { TRANSACTIONS_TOPIC } from '../internal-topics.ts';
import type { MarkerSender } from '../transactions/marker-sender.ts';
import type { CoordinatorLog } from './coordinator-log.ts';
import type { Moment } from './coordinator-machine.ts';
import { CoordinatorRuntime } from './coordinator-runtime.ts';
import type { TransactionServiceConfig } from './transaction-service-config.ts';

export type TransactionCoordinatorServiceOptions = {
  readonly runtime: Pick<Runtime, 'clock' | 'timers' | 'logger'>;
  readonly config: TransactionServiceConfig;
  /** Of `__transaction_state`; undefined until it exists. */
  readonly partitionCount: () => number | undefined;
  /** The log of a partition of `__transaction_state` that this broker leads. */
  readonly log: (partition: number) => CoordinatorLog;
  readonly nextProducerId: () => Promise<number>;
  readonly markers: MarkerSender;
};

type Origin = { readonly partition: number; readonly leaderEpoch: number };

const RETRY_BACKOFF_MS = 100;

/**
 * The transactions that this broker coordinates. Every operation rejects with the KafkaError that a client of the coordinator is told, unless
 * something is wrong with the broker itself.
 */
export class TransactionCoordinatorService {
  readonly #options: TransactionCoordinatorServiceOptions;
  readonly #runtime: CoordinatorRuntime<TransactionCoordinator>;
  #config: TransactionServiceConfig;
  #isActive = true;
  /** Per transactional id, who waits until its transaction is complete. */
  readonly #waiting = new Map<string, Set<() => void>>();

  constructor(options: TransactionCoordinatorServiceOptions) {
    this.#options = options;
    this.#config = options.config;
    this.#runtime = new CoordinatorRuntime<TransactionCoordinator>({
      topic: TRANSACTIONS_TOPIC,
      createMachine: () => new TransactionCoordinator(this.#config.transactions),
      codec: { encode: encodeTransactionRecord, decode: decodeTransactionRecord },
      log: options.log,
      config: options.config.partition,
      runtime: options.runtime,
      isBoundToEpoch: true,
      onEffects: (machine, from) => {
        for (const effect of machine.takeEffects()) this.#perform(effect, from);
      },
    });
  }

  // ── life ──

  /** This broker leads the partition. Resolves when its transactions are loaded; they are refused until then. */
  onPartitionElected(partition: number, leaderEpoch: number, leadsOn = false): Promise<void> {
    return this.#runtime.elect(partition, leaderEpoch, leadsOn);
  }

  onPartitionResigned(partition: number, leaderEpoch?: number): void {
    this.#runtime.resign(partition, leaderEpoch);
  }

  /** Timeouts, limits and the feature's level count from now on; how the partitions are written stays as it was at the start. */
  updateConfig(config: TransactionServiceConfig): void {
    this.#config = config;
    this.#runtime.configureAll((machine) => machine.updateConfig(config.transactions));
  }

  /** Everyone who waits is answered NOT_COORDINATOR, and nobody is taken in any more. */
  shutdown(): void {
    this.#isActive = false;
    this.#options.markers.stop();
    this.#runtime.shutdown();
  }

  // ── requests ──

  /** Rejects with INVALID_TRANSACTION_TIMEOUT, PRODUCER_FENCED, CONCURRENT_TRANSACTIONS: also when another's transaction has to be aborted first. */
  async initProducerId(request: {
    readonly transactionalId: string;
    readonly timeoutMs: number;
    readonly expected: ProducerIdAndEpoch | undefined;
  }): Promise<ProducerIdAndEpoch> {
    const response = await this.#withProducerId(request.transactionalId, (machine, moment, producerId) =>
      machine.initProducerId(request, producerId, moment),
    );
    if (response instanceof KafkaError) throw response;
    return response;
  }

  /** Rejects with INVALID_PRODUCER_ID_MAPPING, PRODUCER_FENCED, CONCURRENT_TRANSACTIONS. */
  addPartitions(request: Parameters<TransactionCoordinator['addPartitions']>[0]): Promise<void> {
    return this.#answer(() =>
      this.#runtime.write(this.#partitionOf(request.transactionalId), (machine, moment) =>
        machine.addPartitions(request, moment),
      ),
    );
  }

  /** Rejects with INVALID_PRODUCER_ID_MAPPING, PRODUCER_FENCED, CONCURRENT_TRANSACTIONS. */
  verifyPartitions(
    transactionalId: string,
    producer: ProducerIdAndEpoch,
    partitions: TransactionPartitions,
  ): Promise<{ topic: string; partition: number; isAdded: boolean }[]> {
    return this.#answer(() =>
      this.#runtime.write(this.#partitionOf(transactionalId), (machine) =>
        machine.verifyPartitions(transactionalId, producer, partitions),
      ),
    );
  }

  /** What the producer goes on as. Rejects with INVALID_PRODUCER_ID_MAPPING, PRODUCER_FENCED, CONCURRENT_TRANSACTIONS, INVALID_TXN_STATE. */
  endTransaction(request: Parameters<TransactionCoordinator['endTransaction']>[0]): Promise<ProducerIdAndEpoch> {
    return this.#withProducerId(request.transactionalId, (machine, moment, producerId) =>
      machine.endTransaction(request, producerId, moment),
    );
  }

  /** Resolves when a transaction of this id is complete, or so much time is over: for who was told CONCURRENT_TRANSACTIONS and asks again. */
  untilComplete(transactionalId: string, atMostMs: number): Promise<void> {
    return new Promise((resolve) => {
      const waiting = this.#waiting.get(transactionalId) ?? new Set();
      this.#waiting.set(transactionalId, waiting);
      const wake = (): void => {
        timer.cancel();
        waiting.delete(wake);
        if (waiting.size === 0) this.#waiting.delete(transactionalId);
        resolve();
      };
      const timer = this.#options.runtime.timers.after(atMostMs, wake);
      waiting.add(wake);
    });
  }

  /** Rejects with TRANSACTIONAL_ID_NOT_FOUND, INVALID_REQUEST. */
  describe(transactionalId: string): Promise<Transaction> {
    return this.#answer(() =>
      this.#runtime.read(this.#partitionOf(transactionalId), (machine) => machine.describe(transactionalId)),
    );
  }

  /** Of the partitions led here: a client asks every broker. Rejects with INVALID_REGULAR_EXPRESSION, COORDINATOR_LOAD_IN_PROGRESS. */
  list(filters: TransactionFilters): Promise<Transaction[]> {
    const { clock } = this.#options.runtime;
    const moment = { wallMs: clock.nowMs(), monotonicMs: clock.monotonicMs() };
    return this.#answer(() => this.#runtime.readAll((machine) => machine.list(filters, moment)).flat());
  }

  /** Draws a producer id only for who needs one: most do not. */
  #withProducerId<Response>(
    transactionalId: string,
    decide: (
      machine: TransactionCoordinator,
      moment: Moment,
      producerId: number | undefined,
    ) => TransactionOutcome<Response | typeof PRODUCER_ID_NEEDED>,
  ): Promise<Response> {
    return this.#answer(async () => {
      const partition = this.#partitionOf(transactionalId);
      for (let producerId: number | undefined; ; producerId = await this.#options.nextProducerId()) {
        const drawn = producerId;
        const response = await this.#runtime.write(partition, (machine, moment) => decide(machine, moment, drawn));
        if (response !== PRODUCER_ID_NEEDED) return response;
      }
    });
  }

  async #answer<Response>(operation: () => Response | Promise<Response>): Promise<Response> {
    try {
      if (!this.#isActive) throw new KafkaError('COORDINATOR_NOT_AVAILABLE', 'this broker is shutting down');
      return await operation();
    } catch (error) {
      if (!(error instanceof KafkaError)) throw error;
      const name = coordinatorErrorOf(error.name);
      throw name === error.name ? error : new KafkaError(name, error.message, { cause: error });
    }
  }

  /** Throws INVALID_REQUEST, NOT_COORDINATOR. */
  #partitionOf(transactionalId: string): number {
    if (transactionalId === '') throw new KafkaError('INVALID_REQUEST', 'the transactional id must not be empty');
    const count = this.#options.partitionCount();
    if (count !== undefined) return partitionForGroup(transactionalId, count);
    throw new KafkaError(
      'NOT_COORDINATOR',
      `${TRANSACTIONS_TOPIC} does not exist yet: look the coordinator up to have it created`,
    );
  }

  // ── what follows ──

  #perform(effect: TransactionEffect, from: Origin): void {
    const work = effect.type === 'SendMarkers' ? this.#finish(effect.prepared, from) : this.#abort(effect, from);
    work.catch((error: unknown) =>
      this.#options.runtime.logger.error('a transaction could not be brought to its end', { effect, error }),
    );
  }

  async #finish(prepared: Transaction, from: Origin): Promise<void> {
    const isOver = (): boolean => this.#isOver(from);
    if (!(await this.#options.markers.send(prepared, { coordinatorEpoch: from.leaderEpoch, isOver }))) return;
    while (!isOver()) {
      try {
        await this.#runtime.write(from.partition, (machine, moment) => machine.complete(prepared, moment));
        for (const wake of [...(this.#waiting.get(prepared.transactionalId) ?? [])]) wake();
        return;
      } catch (error) {
        if (!(error instanceof KafkaError)) throw error;
        this.#options.runtime.logger.debug('the end of a transaction could not be written, and is tried again', { error });
      }
      await new Promise<void>((resolve) => void this.#options.runtime.timers.after(RETRY_BACKOFF_MS, resolve));
    }
  }

  async #abort(timedOut: Extract<TransactionEffect, { type: 'AbortTimedOut' }>, from: Origin): Promise<void> {
    const { logger } = this.#options.runtime;
    const { transactionalId, producerId, producerEpoch } = timedOut;
    if (this.#isOver(from)) return;
    try {
      await this.#withProducerId(transactionalId, (machine, moment, newProducerId) =>
        machine.abortTimedOut(timedOut, newProducerId, moment),
      );
      logger.info('a transaction was open longer than its timeout and is aborted', {
        transactionalId,
        producerId,
        producerEpoch,
      });
    } catch (error) {
      // It is still open, and will be found at the next look.
      if (!(error instanceof KafkaError)) throw error;
      logger.warn('a transaction that was open too long could not be aborted yet', { transactionalId, error: error.message });
    }
  }

  #isOver({ partition, leaderEpoch }: Origin): boolean {
    const led = this.#runtime.partitions.get(partition);
    return !this.#isActive || led?.leaderEpoch !== leaderEpoch || led.state !== 'active';
  }
}
