/**
 * Kafka's transactions in memory, as small as they can be, with clients that take turns at random: histories that must be clean, and,
 * with a bug planted, some that must not be.
 */
import { SeededRandom } from '@ottla/runtime';
import type { HistoryEvent, Isolation, Seen, Step, Transaction } from './history.ts';

export type ModelBug =
  /** Readers of what is committed are shown what is still open. */
  | 'no last stable offset'
  /** The end of an aborted transaction is forgotten: its records are shown as committed. */
  | 'abort markers lost'
  /** Only the first of its partitions gets the end of a transaction that is committed; the others get an abort. */
  | 'half a commit'
  /** Now and then an acknowledged record is not written. */
  | 'records lost'
  /** Now and then a record is written twice. */
  | 'records written twice'
  /** A later producer of the same id does not end what the one before had open, nor keep it from going on. */
  | 'no fencing'
  /** Offsets that a group commits in a transaction hold at once, also when it is aborted. */
  | 'offsets outside the transaction'
  /** A reader's place moves two records at a time, now and then. */
  | 'records skipped'
  /** A reader's place falls back, now and then. */
  | 'places fall back';

type Written = { readonly value: string; readonly producer: Producer; state: 'open' | 'committed' | 'aborted' };
type Producer = { readonly process: string; fenced: boolean; transaction: Open | undefined };
type Open = {
  readonly event: Omit<Transaction, 'outcome' | 'endedMs'> & { steps: Step[] };
  readonly records: Written[];
  offsets: Offsets;
};
type Offsets = Record<string, number>;

const partitions = ['p-0', 'p-1'];

export function modelHistory(seed: number, bug?: ModelBug): HistoryEvent[] {
  return new ModelKafka(seed, bug).run(400);
}

class ModelKafka {
  readonly #random: SeededRandom;
  readonly #bug: ModelBug | undefined;
  readonly #history: HistoryEvent[] = [];
  readonly #logs = new Map<string, Written[]>(partitions.map((partition) => [partition, []]));
  readonly #groupOffsets: Offsets = { 'p-0': 0, 'p-1': 0 };
  readonly #producers: Producer[] = [];
  readonly #places = new Map<string, Offsets>();
  #nowMs = 0;
  #values = 0;

  constructor(seed: number, bug: ModelBug | undefined) {
    this.#random = new SeededRandom(seed);
    this.#bug = bug;
    for (let id = 0; id < 3; id++) this.#initialize(id);
  }

  run(turns: number): HistoryEvent[] {
    for (let turn = 0; turn < turns; turn++) {
      const choice = this.#below(10);
      if (choice < 6) this.#act(this.#below(3));
      else this.#poll(`reader-${choice}`, choice % 2 === 0 ? 'read_committed' : 'read_uncommitted');
    }
    for (let id = 0; id < 3; id++) this.#initialize(id);
    for (const zombie of this.#zombies) this.#end(zombie, false);
    for (const isolation of ['read_committed', 'read_uncommitted'] as const) {
      for (const [partition, log] of this.#logs) {
        const records = log.flatMap((written, offset) =>
          this.#isShown(written, isolation) ? [[offset, written.value] as const] : [],
        );
        this.#history.push({ type: 'final', isolation, partition, endOffset: log.length, records });
      }
    }
    this.#history.push({ type: 'groupOffsets', group: 'g', offsets: this.#nonZero(this.#groupOffsets) });
    return this.#history;
  }

  readonly #zombies: Producer[] = [];

  #initialize(id: number): void {
    const before = this.#producers[id];
    const beganMs = this.#tick();
    if (before && this.#bug !== 'no fencing') {
      before.fenced = true;
      if (before.transaction) this.#mark(before.transaction, false);
    }
    if (before?.transaction) this.#zombies.push(before);
    const process = `writer-${id}#${this.#tick()}`;
    this.#producers[id] = { process, fenced: false, transaction: undefined };
    this.#history.push({ type: 'initialized', process, transactionalId: `writer-${id}`, beganMs, endedMs: this.#tick() });
  }

  #act(id: number): void {
    const producer = this.#zombies.length > 0 && this.#chance(0.1) ? this.#zombies.pop()! : this.#producers[id]!;
    if (producer.fenced) {
      this.#end(producer, true);
      return;
    }
    producer.transaction ??= this.#begin(producer);
    const choice = this.#below(10);
    if (choice < 5) this.#send(producer);
    else if (choice < 8) this.#end(producer, this.#chance(0.7));
    else if (choice === 8) this.#initialize(id);
    else this.#process(producer);
  }

  #begin({ process }: Producer): Open {
    const transactionalId = process.replace(/#.*/, '');
    const event = {
      type: 'transaction' as const,
      process,
      transactionalId,
      beganMs: this.#tick(),
      commitBeganMs: null,
      steps: [],
    };
    return { event, records: [], offsets: {} };
  }

  #send(producer: Producer): void {
    const partition = partitions[this.#below(2)]!;
    const log = this.#logs.get(partition)!;
    const value = `v${this.#values++}`;
    const written: Written = { value, producer, state: 'open' };
    if (this.#bug === 'records lost' && this.#chance(0.05)) {
      producer.transaction!.event.steps.push({ send: { partition, value, offset: null } });
      return;
    }
    log.push(written);
    const transaction = producer.transaction!;
    transaction.records.push(written);
    transaction.event.steps.push({ send: { partition, value, offset: log.length - 1 } });
    if (this.#bug !== 'records written twice' || !this.#chance(0.05)) return;
    const again: Written = { value, producer, state: 'open' };
    log.push(again);
    transaction.records.push(again);
  }

  /** Reads what the group is to read next and commits offsets, if nobody else is about to. */
  #process(producer: Producer): void {
    const transaction = producer.transaction!;
    const isBusy = this.#producers.some((other) => Object.keys(other.transaction?.offsets ?? {}).length > 0);
    if (isBusy || this.#zombies.some((other) => Object.keys(other.transaction?.offsets ?? {}).length > 0)) return;
    const partition = partitions[this.#below(2)]!;
    const records = this.#readable(partition, this.#groupOffsets[partition]!, 'read_committed').slice(0, 3);
    if (records.length === 0) return;
    const beganMs = this.#tick();
    transaction.event.steps.push({ placed: [partition] });
    transaction.event.steps.push({ poll: { isolation: 'read_committed', beganMs, endedMs: this.#tick(), records } });
    const offsets = { [partition]: records.at(-1)![1] + 1 };
    transaction.event.steps.push({ group: 'g', offsets });
    if (this.#bug === 'offsets outside the transaction') Object.assign(this.#groupOffsets, offsets);
    transaction.offsets = offsets;
  }

  #end(producer: Producer, commit: boolean): void {
    const { transaction } = producer;
    if (!transaction) return;
    producer.transaction = undefined;
    const commitBeganMs = commit ? this.#tick() : null;
    if (!producer.fenced) this.#mark(transaction, commit);
    // Without any record nothing would tell whether it took effect, so then the client is told.
    const isTold = transaction.records.length === 0 || !this.#chance(0.1);
    const outcome = !commit ? 'aborted' : producer.fenced || !isTold ? 'unknown' : 'committed';
    this.#history.push({ ...transaction.event, commitBeganMs, endedMs: this.#tick(), outcome });
  }

  #mark({ records, offsets }: Open, commit: boolean): void {
    for (const [index, written] of records.entries()) {
      const isCommitted = commit ? this.#bug !== 'half a commit' || index === 0 : this.#bug === 'abort markers lost';
      written.state = isCommitted ? 'committed' : 'aborted';
    }
    if (commit) Object.assign(this.#groupOffsets, offsets);
  }

  #poll(process: string, isolation: Isolation): void {
    let places = this.#places.get(process);
    if (!places) this.#places.set(process, (places = { 'p-0': 0, 'p-1': 0 }));
    const beganMs = this.#tick();
    const records: Seen[] = [];
    for (const partition of partitions) {
      if (this.#chance(0.05)) {
        this.#history.push({ type: 'placed', process, partitions: [partition] });
        places[partition] = 0;
      }
      if (this.#bug === 'records skipped' && this.#chance(0.1)) places[partition]! += 1;
      if (this.#bug === 'places fall back' && this.#chance(0.1)) places[partition] = Math.max(0, places[partition]! - 1);
      const found = this.#readable(partition, places[partition]!, isolation).slice(0, 1 + this.#below(10));
      records.push(...found);
      places[partition] = (found.at(-1)?.[1] ?? places[partition]! - 1) + 1;
    }
    if (records.length > 0) this.#history.push({ type: 'poll', process, isolation, beganMs, endedMs: this.#tick(), records });
  }

  #readable(partition: string, from: number, isolation: Isolation): Seen[] {
    const found: Seen[] = [];
    for (const [offset, written] of this.#logs.get(partition)!.entries()) {
      const isUnstable = written.state === 'open' && isolation === 'read_committed';
      if (isUnstable && this.#bug !== 'no last stable offset') break;
      if (offset >= from && (isUnstable || this.#isShown(written, isolation))) found.push([partition, offset, written.value]);
    }
    return found;
  }

  #isShown({ state }: Written, isolation: Isolation): boolean {
    return isolation === 'read_uncommitted' || state === 'committed';
  }

  #nonZero(offsets: Offsets): Offsets {
    return Object.fromEntries(Object.entries(offsets).filter(([, offset]) => offset > 0));
  }

  #tick(): number {
    return ++this.#nowMs;
  }

  #below(count: number): number {
    return Math.floor(this.#random.fraction() * count);
  }

  #chance(share: number): boolean {
    return this.#random.fraction() < share;
  }
}
