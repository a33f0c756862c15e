/** What was written: that it is there, once, where it was said to be, whole, and in order. */
import type { Anomaly } from '../anomalies.ts';
import { type Evidence, type Origin, sendings } from '../evidence.ts';
import type { HistoryEvent } from '../history.ts';

export function checkWrites(evidence: Evidence): Anomaly[] {
  return [
    ...lostWrites(evidence),
    ...offsets(evidence),
    ...tornTransactions(evidence),
    ...orderOfSends(evidence),
    ...zombies(evidence),
    ...hanging(evidence),
  ];
}

function* lostWrites(evidence: Evidence): Generator<Anomaly> {
  const missed = (partition: string, value: string, why: string): Anomaly | undefined => {
    const log = evidence.final('read_committed', partition);
    if (log.offsetOf.has(value)) return undefined;
    const offset = evidence.origins.get(value)?.offset ?? undefined;
    const name = offset !== undefined && offset > log.last ? 'unseen' : 'lost-write';
    return { name, what: `${value}, ${why}${offset === undefined ? '' : ` at ${partition}@${offset}`}, is not in ${partition}` };
  };
  const told = new Set<string>();
  for (const { value, partition, offset, process, transaction } of evidence.origins.values()) {
    const isDue = transaction ? transaction.outcome === 'committed' : offset !== null;
    const anomaly = isDue ? missed(partition, value, `${transaction ? 'committed' : 'acknowledged'} to ${process}`) : undefined;
    if (anomaly) yield anomaly;
    if (anomaly) told.add(value);
  }
  for (const { isolation, seen, by } of evidence.sightings()) {
    const [partition, , value] = seen;
    const origin = evidence.origins.get(value);
    if (isolation !== 'read_committed' || told.has(value) || !origin || origin.transaction?.outcome === 'aborted') continue;
    told.add(value);
    const anomaly = missed(partition, value, `read as committed by ${by}`);
    if (anomaly) yield anomaly;
  }
}

/** An offset has one value, a value one offset, and both are as they were told. */
function* offsets(evidence: Evidence): Generator<Anomaly> {
  const valueAt = new Map<string, string>();
  const placeOf = new Map<string, string>();
  const told = new Set<string>();
  function* see(place: string, value: string, by: string): Generator<Anomaly> {
    const otherValue = valueAt.get(place) ?? value;
    const otherPlace = placeOf.get(value) ?? place;
    valueAt.set(place, otherValue);
    placeOf.set(value, otherPlace);
    if (told.has(`${place} ${value}`)) return;
    if (otherValue !== value) yield { name: 'inconsistent-offsets', what: `${place} is ${otherValue}, and ${value} to ${by}` };
    if (otherPlace !== place) yield { name: 'duplicate', what: `${value} is at ${otherPlace}, and at ${place} to ${by}` };
    if (otherValue !== value || otherPlace !== place) told.add(`${place} ${value}`);
  }
  for (const { seen, by } of evidence.sightings()) {
    const [partition, offset, value] = seen;
    const origin = evidence.origins.get(value);
    if (origin?.partition !== partition && !told.has(value)) {
      told.add(value);
      yield { name: 'unknown-value', what: `${by} read ${value} in ${partition}, where nobody sent it` };
    }
    yield* see(`${partition}@${offset}`, value, by);
  }
  for (const { partition, offset, value, process } of evidence.origins.values()) {
    if (offset === null) continue;
    const place = `${partition}@${offset}`;
    const seenAt = placeOf.get(value);
    if (seenAt !== undefined && seenAt !== place && !told.has(`${place} ${value}`)) {
      yield { name: 'inconsistent-offsets', what: `${process} was told that ${value} is at ${place}, but it is at ${seenAt}` };
    } else {
      yield* see(place, value, `${process}, who sent it`);
    }
  }
}

/** Commits are of all that was sent, and only asked for when all of it was acknowledged; so one part shows that the rest is due. */
function* tornTransactions(evidence: Evidence): Generator<Anomaly> {
  for (const transaction of evidence.transactions) {
    if (transaction.outcome !== 'unknown' || !evidence.isCommitted(transaction)) continue;
    const [here, missing] = [[] as string[], [] as string[]];
    for (const { partition, value } of sendings(transaction)) {
      (evidence.final('read_committed', partition).offsetOf.has(value) ? here : missing).push(value);
    }
    if (missing.length > 0 && here.length > 0) {
      yield {
        name: 'torn-transaction',
        what: `of a transaction of ${transaction.process} there is ${here[0]}, but not ${missing}`,
      };
    }
  }
}

function* orderOfSends(evidence: Evidence): Generator<Anomaly> {
  const lastOf = new Map<string, Origin>();
  for (const origin of evidence.origins.values()) {
    const { process, partition, transaction, value } = origin;
    const offset = origin.offset ?? evidence.final('read_uncommitted', partition).offsetOf.get(value) ?? null;
    if (offset === null) continue;
    const stream = `${process} ${partition}`;
    const last = lastOf.get(stream);
    lastOf.set(stream, { ...origin, offset });
    if (!last) continue;
    const isInternal = transaction !== undefined && last.transaction === transaction;
    if (offset <= last.offset!) {
      const what = `${process} sent ${last.value} to ${partition}@${last.offset}, and then ${value} to ${offset}`;
      yield { name: isInternal ? 'int-nonmonotonic-send' : 'nonmonotonic-send', what };
    } else if (isInternal) {
      const { count, first } = evidence.final('read_uncommitted', partition).between(last.offset! + 1, offset);
      if (count > 0) {
        const what = `between ${last.value} at ${partition}@${last.offset} and ${value} at ${offset} lies ${first}`;
        yield { name: 'int-send-skip', what };
      }
    }
  }
}

function* zombies(evidence: Evidence): Generator<Anomaly> {
  const initialized = evidence.history.filter((event) => event.type === 'initialized');
  const firstMs = new Map<string, number>(initialized.map(({ process, endedMs }) => [process, endedMs]));
  const successors = Map.groupBy(initialized, ({ transactionalId }) => transactionalId);
  for (const transaction of evidence.transactions) {
    const { transactionalId, process, commitBeganMs } = transaction;
    if (commitBeganMs === null || !evidence.isCommitted(transaction)) continue;
    const own = firstMs.get(process) ?? Number.NEGATIVE_INFINITY;
    const fencing = successors.get(transactionalId)?.find((other) => other.beganMs > own && other.endedMs < commitBeganMs);
    if (fencing && fencing.process !== process) {
      const what = `${process} committed as ${transactionalId} at ${commitBeganMs} ms, but ${fencing.process} had it since ${fencing.endedMs} ms`;
      yield { name: 'unfenced-zombie', what };
    }
  }
}

function* hanging({ history }: Evidence): Generator<Anomaly> {
  const ends = new Map<string, number>();
  const finals = history.filter((event): event is HistoryEvent & { type: 'final' } => event.type === 'final');
  for (const { isolation, partition, endOffset } of finals) if (isolation === 'read_uncommitted') ends.set(partition, endOffset);
  for (const { isolation, partition, endOffset } of finals) {
    const end = ends.get(partition) ?? endOffset;
    if (isolation !== 'read_committed' || endOffset >= end) continue;
    yield { name: 'hanging-transaction', what: `${partition} is stable until ${endOffset} and ends at ${end}` };
  }
}
