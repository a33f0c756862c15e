/**
 * A cluster under load and under faults: programs of three client libraries write numbered records, others use transactions at random
 * (test/histories), nodes and the network break and mend, and in the end all that anybody was told is compared with what is there.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { checkHistory, type HistoryEvent } from '@ottla/testing';
import { Faults } from '../histories/faults.ts';
import { Workload } from '../histories/workload.ts';
import { type ClusterFault, type FaultyCluster, faultsOfCluster } from './cluster-faults.ts';
import { JudgedLoad, type JudgedLoadOptions, type LoadFigures, partitions, plainTopic } from './load/judged-load.ts';
import type { Findings } from './load/load-check.ts';

export type FaultRunOptions = JudgedLoadOptions & {
  /** For how long, with faults of all kinds at random; undefined: until each fault has been, in their order. */
  readonly seconds: number | undefined;
  readonly faults: readonly ClusterFault[];
  /** From one fault to the next, at least and at most. */
  readonly everyMs?: readonly [number, number];
  /** Random transactions with Jepsen's checks beside the load. */
  readonly histories: boolean;
  readonly report: (line: string) => void;
};

export type FaultRunResult = {
  readonly findings: Findings;
  readonly history: readonly HistoryEvent[];
  readonly faults: ReadonlyMap<ClusterFault, number>;
  readonly figures: LoadFigures;
  readonly notes: readonly string[];
};

export async function runUnderFaults(cluster: FaultyCluster, options: FaultRunOptions): Promise<FaultRunResult> {
  const { seed, seconds, report } = options;
  await using workload = options.histories
    ? new Workload({
        ...{ bootstrap: cluster.bootstrap, seed, seconds, writers: 2, partitions: 3 },
        ...{ replicas: Math.min(3, cluster.brokers.length), protocols: ['classic', 'consumer'] },
      })
    : undefined;
  await workload?.ready;
  await using load = await JudgedLoad.start(cluster, options);
  const counts = new Map<ClusterFault, number>();
  const faults = new Faults(faultsOfCluster(cluster, plainTopic, partitions), {
    ...{ seed, kinds: options.faults, everyMs: options.everyMs ?? [2000, 6000], eachOnce: seconds === undefined },
    onFault(fault) {
      counts.set(fault, (counts.get(fault) ?? 0) + 1);
      workload?.note('faults', fault);
    },
    onMended(fault, whom, tookMs) {
      const after = `${Math.round(load.secondsSinceStart)} s: ${fault} of ${whom}`;
      report(`${after}, mended after ${(tookMs / 1000).toFixed(1)} s, ${load.read} read`);
    },
  });
  await (seconds === undefined ? faults.over : sleep(seconds * 1000));
  await faults.stop();
  if (cluster.endedUnasked !== undefined) throw new Error(`nodes have ended by themselves: ${cluster.endedUnasked}`);
  await cluster.mend();
  report('all faults are over');
  const history = workload ? await workload.finish() : [];
  const { findings, figures, notes } = await load.finish();
  for (const { name, what } of checkHistory(history).forbidden) findings.add(name, `history: ${what}`);
  return { findings, history, faults: counts, figures, notes };
}
