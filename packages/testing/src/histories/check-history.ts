import { type Anomaly, type AnomalyName, isAllowed } from './anomalies.ts';
import { checkCycles } from './checks/cycles.ts';
import { checkGroups } from './checks/groups.ts';
import { checkReads } from './checks/reads.ts';
import { checkWrites } from './checks/writes.ts';
import { Evidence } from './evidence.ts';
import type { HistoryEvent } from './history.ts';

/** Judges a history: everything that is remarkable about it, what Kafka's model allows included. */
export function checkHistory(history: readonly HistoryEvent[]): Verdict {
  const evidence = new Evidence(history);
  const all = [checkWrites, checkReads, checkCycles, checkGroups].flatMap((one) => one(evidence));
  return { all, forbidden: all.filter(({ name }) => !isAllowed(name)) };
}

export type Verdict = {
  readonly all: readonly Anomaly[];
  /** Those that no run against Kafka may have. */
  readonly forbidden: readonly Anomaly[];
};

/** How often each was found, by name. */
export function anomalyCounts(anomalies: readonly Anomaly[]): ReadonlyMap<AnomalyName, number> {
  const found = new Map<AnomalyName, number>();
  for (const { name } of anomalies) found.set(name, (found.get(name) ?? 0) + 1);
  return found;
}
