/** Exactly-once between topics: a group whose members commit their offsets in the transactions that hold the results. */
import type { Anomaly } from '../anomalies.ts';
import type { Evidence } from '../evidence.ts';
import type { Transaction } from '../history.ts';

export function checkGroups(evidence: Evidence): Anomaly[] {
  const byGroup = Map.groupBy(evidence.transactions.flatMap(processing), ({ group }) => group);
  return [...byGroup].flatMap(([group, all]) => {
    const committed = all.filter(({ transaction }) => evidence.isCommitted(transaction));
    return [...processedOnce(evidence, group, committed), ...offsetsKept(evidence, group, committed)];
  });
}

type Processing = {
  readonly group: string;
  readonly transaction: Transaction;
  readonly offsets: Readonly<Record<string, number>>;
  readonly read: readonly (readonly [partition: string, offset: number])[];
};

/** What a transaction has processed for a group: what it read of the partitions whose offsets it gave. */
function processing(transaction: Transaction): Processing[] {
  return transaction.steps.flatMap((step) => {
    if (!('offsets' in step)) return [];
    const { group, offsets } = step;
    const read = transaction.steps.flatMap((other) =>
      'poll' in other
        ? other.poll.records
            .filter(([partition, offset]) => offset < (offsets[partition] ?? 0))
            .map(([partition, offset]) => [partition, offset] as const)
        : [],
    );
    return [{ group, transaction, offsets, read }];
  });
}

function* processedOnce(evidence: Evidence, group: string, committed: readonly Processing[]): Generator<Anomaly> {
  const by = new Map<string, Transaction>();
  const ends = new Map<string, number>();
  for (const { transaction, offsets, read } of committed) {
    for (const [partition, next] of Object.entries(offsets)) ends.set(partition, Math.max(next, ends.get(partition) ?? 0));
    for (const [partition, offset] of read) {
      const place = `${partition}@${offset}`;
      const other = by.get(place);
      by.set(place, transaction);
      if (!other || other === transaction) continue;
      yield { name: 'processed-twice', what: `${place} for ${group}, by ${other.process} and by ${transaction.process}` };
    }
  }
  for (const [partition, end] of ends) {
    const log = evidence.final('read_committed', partition);
    const missed = log.offsets.filter((offset) => offset < end && !by.has(`${partition}@${offset}`));
    if (missed.length === 0) continue;
    yield { name: 'processed-never', what: `${group} is at ${partition}@${end}, and has not processed ${missed.slice(0, 5)}` };
  }
}

/** Transactions of a partition follow one another, so its last one gave it the greatest offset. */
function* offsetsKept(evidence: Evidence, group: string, committed: readonly Processing[]): Generator<Anomaly> {
  const kept = evidence.history.findLast((event) => event.type === 'groupOffsets' && event.group === group);
  if (kept?.type !== 'groupOffsets') return;
  const given = new Map<string, number>();
  for (const { offsets } of committed) {
    for (const [partition, next] of Object.entries(offsets)) given.set(partition, Math.max(next, given.get(partition) ?? 0));
  }
  for (const partition of new Set([...given.keys(), ...Object.keys(kept.offsets)])) {
    if (given.get(partition) === kept.offsets[partition]) continue;
    const what = `${group} was given ${partition}@${given.get(partition)} and has ${kept.offsets[partition]}`;
    yield { name: 'lost-offsets', what };
  }
}
