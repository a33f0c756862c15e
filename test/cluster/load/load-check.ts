/**
 * Whether what the load programs were told is what the logs hold: all that was acknowledged, once, in order, where it was said to be;
 * transactions whole or not at all. What is wrong has the names of test/histories/anomalies.ts.
 */
import type { Admin, Consumer, ConsumerRecord } from '@ottla/client';
import type { AnomalyName } from '@ottla/testing';
import type { GroupStep, LoadOutcomes } from './cluster-load.ts';
import { Numbers } from './numbers.ts';

export class Findings {
  readonly counts = new Map<AnomalyName, number>();
  readonly examples: string[] = [];

  add(name: AnomalyName, what: string): void {
    const count = (this.counts.get(name) ?? 0) + 1;
    this.counts.set(name, count);
    if (count <= 5) this.examples.push(`${name}: ${what}`);
  }

  get total(): number {
    let total = 0;
    for (const count of this.counts.values()) total += count;
    return total;
  }
}

/** Where each record of the plain streams was seen, by somebody who reads each partition from its start. */
export class PlainReading {
  readonly offsets = new Map<number, Numbers>();
  readonly #findings: Findings;
  readonly #by: string;
  readonly #next = new Map<number, number>();
  readonly #places = new Map<number, number>();
  count = 0;

  constructor(by: string, findings: Findings) {
    this.#by = by;
    this.#findings = findings;
  }

  hear({ partition, offset, value }: Pick<ConsumerRecord, 'partition' | 'offset' | 'value'>): void {
    this.count++;
    const place = this.#places.get(partition) ?? 0;
    if (offset < place) this.#findings.add('nonmonotonic-poll', `${this.#by} read ${partition}@${offset} after ${place - 1}`);
    else if (offset > place) this.#findings.add('poll-skip', `${this.#by} read ${partition}@${offset} after ${place - 1}`);
    this.#places.set(partition, offset + 1);
    const [stream, number] = numbersOf(value as Uint8Array, 2) as [number, number];
    let offsets = this.offsets.get(stream);
    if (!offsets) this.offsets.set(stream, (offsets = new Numbers()));
    const earlier = offsets.get(number);
    if (earlier >= 0 && earlier !== offset)
      this.#findings.add('duplicate', `${stream}:${number} is at ${partition}@${earlier} and at ${offset} to ${this.#by}`);
    const next = this.#next.get(stream) ?? 0;
    if (number < next && earlier < 0)
      this.#findings.add('nonmonotonic-send', `${stream}:${number} is at ${partition}@${offset}, after ${stream}:${next - 1}`);
    this.#next.set(stream, Math.max(next, number + 1));
    offsets.set(number, offset);
  }
}

/** Reads the plain topic to its end and compares: with what was acknowledged, and with what others read meanwhile. */
export async function checkPlain(
  reading: PlainReading,
  outcomes: LoadOutcomes,
  meanwhile: readonly { readonly by: string; readonly reading: PlainReading }[],
  findings: Findings,
): Promise<void> {
  for (const [stream, told] of outcomes.acknowledged) {
    const found = reading.offsets.get(stream);
    for (let number = 0; number < told.length; number++) {
      const offset = told.get(number);
      const at = found?.get(number) ?? -1;
      if (offset < 0) continue;
      if (at < 0) {
        const isLast = number >= (found?.length ?? 0);
        findings.add(isLast ? 'unseen' : 'lost-write', `${stream}:${number}, acknowledged at ${offset}, is not there`);
      } else if (at !== offset) {
        findings.add('inconsistent-offsets', `${stream}:${number} was acknowledged at ${offset} and is at ${at}`);
      }
    }
  }
  for (const { by, reading: other } of meanwhile) {
    for (const [stream, seen] of other.offsets) {
      for (let number = 0; number < seen.length; number++) {
        const offset = seen.get(number);
        const at = reading.offsets.get(stream)?.get(number) ?? -1;
        if (offset < 0 || at === offset) continue;
        if (at < 0) findings.add('lost-write', `${stream}:${number}, read at ${offset} by ${by}, is not there`);
        else findings.add('inconsistent-offsets', `${stream}:${number} was at ${offset} to ${by}, and is at ${at}`);
      }
    }
  }
  for (const [stream, found] of reading.offsets) {
    const sent = outcomes.sent.get(stream);
    if (sent === undefined || found.length > sent) findings.add('unknown-value', `${stream}:${found.length - 1} was never sent`);
  }
}

/**
 * A group with one member at a time is given each record at least once: where it is placed anew, it goes on from what it has committed
 * last, or from later if a commit took effect of which it was not told, and never beyond what it was given.
 */
export function checkGroup(group: string, steps: readonly GroupStep[], findings: Findings): { given: number; commits: number } {
  const ends = new Map<number, number>();
  const committed = new Map<number, number>();
  let given = 0;
  let commits = 0;
  for (const step of steps) {
    const { partition, offset } = step;
    if (step.what === 'committed') {
      commits++;
      committed.set(partition, offset);
      continue;
    }
    const { end, count } = step;
    given += count;
    const last = ends.get(partition) ?? 0;
    const where = `${group} was given ${partition}@${offset} to ${end}, ${count} records`;
    if (offset > last || count !== end - offset) findings.add('poll-skip', `${where}, after ${last - 1}`);
    if (offset < (committed.get(partition) ?? 0))
      findings.add('nonmonotonic-poll', `${where}, though it had committed ${committed.get(partition)}`);
    ends.set(partition, Math.max(last, end));
  }
  return { given, commits };
}

/** What is committed of each transaction, by writer and number. */
export class TransactionalReading {
  readonly #findings: Findings;
  /** By writer and transaction: a bit for each record that was seen. */
  readonly #seen = new Map<number, Numbers>();
  /** By writer and partition: the last transaction and index there. */
  readonly #last = new Map<string, readonly [transaction: number, index: number]>();
  count = 0;

  constructor(findings: Findings) {
    this.#findings = findings;
  }

  hear({ partition, offset, value }: Pick<ConsumerRecord, 'partition' | 'offset' | 'value'>): void {
    this.count++;
    const [writer, transaction, index] = numbersOf(value as Uint8Array, 3) as [number, number, number];
    const name = `${writer}:${transaction}:${index}`;
    let of = this.#seen.get(writer);
    if (!of) this.#seen.set(writer, (of = new Numbers()));
    const seen = Math.max(0, of.get(transaction));
    if (hasBit(seen, index)) this.#findings.add('duplicate', `${name} is at ${partition}@${offset} once more`);
    else of.set(transaction, seen + 2 ** index);
    const key = `${writer} ${partition}`;
    const last = this.#last.get(key);
    if (last && (last[0] > transaction || (last[0] === transaction && last[1] > index)))
      this.#findings.add('nonmonotonic-send', `${name} is at ${partition}@${offset}, after ${writer}:${last.join(':')}`);
    this.#last.set(key, [transaction, index]);
  }

  check(outcomes: LoadOutcomes): void {
    for (const [writer, transactions] of outcomes.transactions) {
      for (const [number, transaction] of transactions.entries()) {
        if (!transaction) continue; // its program was ended before it could tell
        const { outcome, count } = transaction;
        const seen = bits(this.#seen.get(writer)?.get(number) ?? 0);
        const what = `${seen} of ${count} records of transaction ${writer}:${number}, ${outcome}, are read as committed`;
        if (outcome === 'aborted' && seen > 0) this.#findings.add('G1a', what);
        else if (outcome === 'committed' && seen === 0) this.#findings.add('lost-write', what);
        else if (outcome !== 'aborted' && seen > 0 && seen < count) this.#findings.add('torn-transaction', what);
      }
    }
  }
}

/** Reads partitions from their first record to the end that they have now. */
export async function readToEnd(
  consumer: Consumer,
  admin: Admin,
  places: readonly { readonly topic: string; readonly partition: number }[],
  hear: (record: ConsumerRecord) => void,
): Promise<void> {
  const ends = await admin.listOffsets(places.map((place) => ({ ...place, at: 'latest' as const })));
  consumer.assign([...places]);
  for (const place of places) consumer.seek(place, 0);
  for (;;) {
    const behind = ends.filter(({ topic, partition, offset }) => (consumer.position({ topic, partition }) ?? 0) < offset);
    if (behind.length === 0) return;
    const beganMs = performance.now();
    const records = await consumer.poll({ timeoutMs: 30_000 });
    for (const record of records) hear(record);
    if (records.length === 0 && performance.now() - beganMs > 25_000) {
      const where = behind.map(({ topic, partition, offset }) => `${topic}-${partition} ends at ${offset}`);
      throw new Error(`nothing more to read, but ${where.join(', ')}`);
    }
  }
}

/** The numbers that a value begins with, each before a colon. */
function numbersOf(value: Uint8Array, count: number): number[] {
  const numbers: number[] = [];
  let number = 0;
  for (let index = 0; numbers.length < count && index < value.length; index++) {
    if (value[index] === 0x3a) {
      numbers.push(number);
      number = 0;
    } else number = number * 10 + value[index]! - 0x30;
  }
  return numbers;
}

/** Numbers hold 53 bits, and a transaction has fewer records. */
const hasBit = (set: number, bit: number): boolean => Math.floor(set / 2 ** bit) % 2 === 1;

function bits(set: number): number {
  let count = 0;
  for (let rest = Math.max(0, set); rest > 0; rest = Math.floor(rest / 2)) count += rest % 2;
  return count;
}
