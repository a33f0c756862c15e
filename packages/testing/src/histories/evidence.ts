import type { HistoryEvent, Isolation, Polled, Seen, Sending, Transaction } from './history.ts';

/** A sending with all that is known of it. Outside transactions `transaction` is undefined. */
export type Origin = Sending & { readonly process: string; readonly transaction?: Transaction };

/** One reading, by whom, and the transaction that it was part of, if any. */
export type Reading = Polled & { readonly process: string; readonly transaction?: Transaction };

/** What a partition held when everything was over: offsets in order, and the value at each. */
export class FinalLog {
  readonly offsets: number[] = [];
  readonly values = new Map<number, string>();
  readonly offsetOf = new Map<string, number>();
  endOffset = 0;

  /** How many records there are with offsets in [from, before), and one of them. */
  between(from: number, before: number): { count: number; first: number | undefined } {
    const start = lowerBound(this.offsets, from);
    return { count: Math.max(0, lowerBound(this.offsets, before) - start), first: this.offsets[start] };
  }

  get last(): number {
    return this.offsets.at(-1) ?? -1;
  }
}

/** A history in the order in which the checks ask about it. */
export class Evidence {
  readonly history: readonly HistoryEvent[];
  readonly transactions: readonly Transaction[];
  /** By value. */
  readonly origins = new Map<string, Origin>();
  readonly readings: readonly Reading[];
  readonly finals: Readonly<Record<Isolation, ReadonlyMap<string, FinalLog>>>;
  readonly #committed = new Set<Transaction>();

  constructor(history: readonly HistoryEvent[]) {
    this.history = history;
    this.transactions = history.filter((event) => event.type === 'transaction');
    this.finals = {
      read_committed: finalLogs(history, 'read_committed'),
      read_uncommitted: finalLogs(history, 'read_uncommitted'),
    };
    this.readings = readings(history);
    for (const event of history) {
      if (event.type === 'send') this.origins.set(event.value, event);
      if (event.type !== 'transaction') continue;
      for (const send of sendings(event)) this.origins.set(send.value, { ...send, process: event.process, transaction: event });
    }
    const read = new Set(this.readings.filter(isCommitted).flatMap(({ records }) => records.map(([, , value]) => value)));
    for (const transaction of this.transactions) if (this.#wasCommitted(transaction, read)) this.#committed.add(transaction);
  }

  /** Whether a transaction took effect. Where its client was not told, what was read tells. */
  isCommitted(transaction: Transaction): boolean {
    return this.#committed.has(transaction);
  }

  final(isolation: Isolation, partition: string): FinalLog {
    return this.finals[isolation].get(partition) ?? nothing;
  }

  /** Everything that was ever read anywhere, the whole logs at the end included. */
  *sightings(): Generator<{ readonly isolation: Isolation; readonly seen: Seen; readonly by: string }> {
    for (const { isolation, records, process } of this.readings)
      for (const seen of records) yield { isolation, seen, by: process };
    for (const isolation of ['read_committed', 'read_uncommitted'] as const) {
      for (const [partition, log] of this.finals[isolation]) {
        for (const [offset, value] of log.values)
          yield { isolation, seen: [partition, offset, value], by: `the last ${isolation} reading` };
      }
    }
  }

  #wasCommitted(transaction: Transaction, read: ReadonlySet<string>): boolean {
    if (transaction.outcome !== 'unknown') return transaction.outcome === 'committed';
    return sendings(transaction).some(
      ({ partition, value }) => read.has(value) || this.final('read_committed', partition).offsetOf.has(value),
    );
  }
}

const nothing = new FinalLog();

export function sendings({ steps }: Transaction): Sending[] {
  return steps.flatMap((step) => ('send' in step ? [step.send] : []));
}

export function isCommitted({ isolation }: Polled): boolean {
  return isolation === 'read_committed';
}

function readings(history: readonly HistoryEvent[]): Reading[] {
  return history.flatMap((event): Reading[] => {
    if (event.type === 'poll') return [event];
    if (event.type !== 'transaction') return [];
    return event.steps.flatMap((step) => ('poll' in step ? [{ ...step.poll, process: event.process, transaction: event }] : []));
  });
}

function finalLogs(history: readonly HistoryEvent[], isolation: Isolation): Map<string, FinalLog> {
  const logs = new Map<string, FinalLog>();
  for (const event of history) {
    if (event.type !== 'final' || event.isolation !== isolation) continue;
    const log = new FinalLog();
    log.endOffset = event.endOffset;
    for (const [offset, value] of event.records) {
      log.offsets.push(offset);
      log.values.set(offset, value);
      if (!log.offsetOf.has(value)) log.offsetOf.set(value, offset);
    }
    log.offsets.sort((one, other) => one - other);
    logs.set(event.partition, log);
  }
  return logs;
}

/** Where the first of the sorted numbers stands that is not below. */
function lowerBound(sorted: readonly number[], least: number): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle]! < least) low = middle + 1;
    else high = middle;
  }
  return low;
}
