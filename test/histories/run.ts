import { cpSync } from 'node:fs';
import { checkHistory, Evidence, type HistoryEvent, isCommitted, type Verdict } from '@ottla/testing';
import { type TargetName, TargetNode } from '../interop/targets/node.ts';
import { type Fault, Faults, faultsOf } from './faults.ts';
import { Workload, type WorkloadOptions } from './workload.ts';

export type RunOptions = Omit<WorkloadOptions, 'bootstrap' | 'replicas'> & {
  readonly target: TargetName;
  readonly faults: readonly Fault[];
  readonly report: (line: string) => void;
  /** Where the node's directory goes when something is wrong. */
  readonly keepNodeIn?: string;
};

export type Run = { readonly history: readonly HistoryEvent[]; readonly verdict: Verdict };

/** So that what takes its time (members that vanish, transactions that are left open) does so within a short run. */
const hasty = {
  'broker.session.timeout.ms': '6000',
  'group.min.session.timeout.ms': '1000',
  'group.consumer.min.heartbeat.interval.ms': '500',
  'group.consumer.heartbeat.interval.ms': '500',
  'group.consumer.min.session.timeout.ms': '4000',
  'group.consumer.session.timeout.ms': '4000',
  'group.consumer.assignment.interval.ms': '0',
  'transaction.abort.timed.out.transaction.cleanup.interval.ms': '500',
};

/** The clients on one node of this kind, with faults meanwhile; what they saw is judged. */
export async function runOnce({ target, faults: kinds, report, keepNodeIn, ...options }: RunOptions): Promise<Run> {
  const node = await TargetNode.create(target, hasty);
  try {
    await using workload = new Workload({ ...options, bootstrap: node.bootstrap, replicas: 1 });
    await workload.ready;
    const faults = new Faults(faultsOf(node), {
      ...{ seed: options.seed, kinds, everyMs: [4000, 10_000] },
      onFault(fault) {
        workload.note('faults', fault);
        report(`${fault} after ${workload.history.length} events`);
      },
    });
    try {
      await workload.quiet;
    } finally {
      await faults.stop();
    }
    report(`the clients are quiet after ${workload.history.length} events`);
    const history = await workload.finish();
    const verdict = checkHistory(history);
    if (verdict.forbidden.length > 0 && keepNodeIn !== undefined) {
      await node.stop();
      cpSync(node.directory, keepNodeIn, { recursive: true });
    }
    return { history, verdict };
  } finally {
    await node.destroy();
  }
}

/** What a history consists of, in a line. */
export function summary(history: readonly HistoryEvent[]): string {
  const { transactions, readings, origins, finals } = new Evidence(history);
  const ended = (outcome: string): number => transactions.filter((one) => one.outcome === outcome).length;
  const records = readings.reduce((sum, { records }) => sum + records.length, 0);
  const faults = history.filter((event) => event.type === 'note' && event.process === 'faults').length;
  const committed = [...finals.read_committed.values()].reduce((sum, { offsets }) => sum + offsets.length, 0);
  return (
    `${transactions.length} transactions (${ended('committed')} committed, ${ended('aborted')} aborted, ${ended('unknown')} unknown), ` +
    `${origins.size} records sent, ${committed} of them committed, ${records} read in ${readings.length} polls ` +
    `(${readings.filter(isCommitted).length} read_committed), ${faults} faults`
  );
}
