import { KafkaError } from '@ottla/protocol';
import { PRODUCER_ID_NEEDED } from './decision.ts';
import type { ProducerIdAndEpoch, Transaction, TransactionPartitions } from './transaction.ts';
import { defaultTransactionConfig, type TransactionConfig } from './transaction-config.ts';
import { TransactionCoordinator, type TransactionEffect, type TransactionOutcome } from './transaction-coordinator.ts';
import { decodeTransactionRecord, encodeTransactionRecord, type TransactionRecord } from './transaction-record.ts';

type Encoded = { readonly key: Uint8Array; readonly value: Uint8Array | null };

/** Test support: a coordinator with a log in memory, in whose stead commits, failures and reloads are told. */
export class TransactionWorld {
  machine: TransactionCoordinator;
  config: TransactionConfig;
  nowMs = 1_000_000;
  /** How much later it is by the wall clock. */
  wallAheadMs = 0;
  /** Records are committed as soon as they are written. */
  commitsAtOnce = true;
  /** The next records cannot be written. */
  failsAppends = false;
  log: Encoded[] = [];
  committedOffset = 0;
  /** Not yet performed. */
  effects: TransactionEffect[] = [];
  #lastProducerId = 999;

  constructor(config: Partial<TransactionConfig> = {}) {
    this.config = { ...defaultTransactionConfig, ...config };
    this.machine = this.#activated(new TransactionCoordinator(this.config));
  }

  get moment() {
    return { wallMs: this.nowMs + this.wallAheadMs, monotonicMs: this.nowMs };
  }

  /** The response, or the name of the error. */
  run<Response>(
    decide: (producerId: number | undefined) => TransactionOutcome<Response | KafkaError | typeof PRODUCER_ID_NEEDED>,
  ): Response | string {
    try {
      let outcome = decide(undefined);
      if (outcome.response === PRODUCER_ID_NEEDED) outcome = decide(++this.#lastProducerId);
      if (!this.#write(outcome.records)) return 'not written';
      return outcome.response instanceof KafkaError ? outcome.response.name : (outcome.response as Response);
    } catch (error) {
      if (error instanceof KafkaError) return error.name;
      throw error;
    }
  }

  init(transactionalId: string, expected?: ProducerIdAndEpoch, timeoutMs = 60_000): ProducerIdAndEpoch | string {
    return this.run((producerId) =>
      this.machine.initProducerId({ transactionalId, timeoutMs, expected }, producerId, this.moment),
    );
  }

  add(transactionalId: string, producer: ProducerIdAndEpoch, topic: string, version = 2): string {
    const request = { transactionalId, ...producer, partitions: oneOf(topic), clientTransactionVersion: version };
    return this.run(() => this.machine.addPartitions(request, this.moment)) ?? 'added';
  }

  end(transactionalId: string, producer: ProducerIdAndEpoch, isCommit: boolean, version = 2): ProducerIdAndEpoch | string {
    const request = { transactionalId, ...producer, isCommit, clientTransactionVersion: version };
    return this.run((producerId) => this.machine.endTransaction(request, producerId, this.moment));
  }

  /** As after very many transactions: the id is at rest at an epoch. */
  restAt(transactionalId: string, producerId: number, producerEpoch: number): ProducerIdAndEpoch {
    const transaction: Transaction = {
      transactionalId,
      producerId,
      previousProducerId: producerId,
      nextProducerId: -1,
      producerEpoch,
      lastProducerEpoch: -1,
      timeoutMs: 60_000,
      status: 'Empty',
      partitions: new Map(),
      lastUpdateMs: this.nowMs,
      startMs: -1,
      clientTransactionVersion: 2,
    };
    this.#write([{ transactionalId, transaction, version: 1 }]);
    return { producerId, producerEpoch };
  }

  /** Everything written so far is committed. */
  commit(): void {
    this.committedOffset = this.log.length;
    this.machine.commitTo(this.committedOffset);
    this.#takeEffects();
  }

  /** Performs the effects that there are: markers are written at once. Returns those that were sent. */
  perform(): Transaction[] {
    const sent: Transaction[] = [];
    for (const effect of this.effects.splice(0)) {
      if (effect.type === 'SendMarkers') {
        sent.push(effect.prepared);
        this.run(() => this.machine.complete(effect.prepared, this.moment));
      } else {
        this.run((producerId) => this.machine.abortTimedOut(effect, producerId, this.moment));
      }
    }
    return sent;
  }

  advance(ms: number): void {
    this.nowMs += ms;
    for (let outcome = this.machine.wake(this.moment); outcome !== undefined; outcome = this.machine.wake(this.moment)) {
      this.#write(outcome.records);
      this.#takeEffects();
    }
  }

  /** Another broker, or this one after a crash: what is committed is loaded. */
  reload(): void {
    this.log.length = this.committedOffset;
    this.effects = [];
    this.machine = this.#activated(this.loaded());
  }

  /** A machine that has read the log. */
  loaded(): TransactionCoordinator {
    const machine = new TransactionCoordinator(this.config);
    this.log.forEach(({ key, value }, offset) => void machine.replay(decodeTransactionRecord(key, value)!, { offset }));
    machine.skipTo(this.log.length);
    machine.commitTo(this.committedOffset);
    return machine;
  }

  /** One line, as a story tells it. */
  state(transactionalId: string): string {
    const known = this.machine.transactions.find((transaction) => transaction.transactionalId === transactionalId);
    if (known === undefined) return 'unknown';
    const { status, producerId, producerEpoch, partitions } = known;
    return `${status} ${producerId}/${producerEpoch} [${[...partitions.keys()].join(',')}]`;
  }

  #activated(machine: TransactionCoordinator): TransactionCoordinator {
    machine.activate(this.moment);
    this.effects.push(...machine.takeEffects());
    return machine;
  }

  #write(records: readonly TransactionRecord[]): boolean {
    const baseOffset = this.log.length;
    for (const record of records) {
      this.machine.replay(record, { offset: this.log.length });
      this.log.push(encodeTransactionRecord(record));
    }
    if (records.length > 0 && this.failsAppends) {
      this.log.length = baseOffset;
      this.machine.rollbackTo(baseOffset);
      return false;
    }
    if (this.commitsAtOnce) this.commit();
    return true;
  }

  #takeEffects(): void {
    this.effects.push(...this.machine.takeEffects());
  }
}

export function oneOf(topic: string): TransactionPartitions {
  return new Map([[topic, new Set([0])]]);
}
