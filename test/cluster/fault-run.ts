/**
 * A cluster under load and under faults: programs of three client libraries write numbered records, others use transactions at random
 * (test/histories), nodes and the network break and mend, and in the end all that anybody was told is compared with what is there.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Admin, Consumer } from '@ottla/client';
import { checkHistory, type HistoryEvent } from '@ottla/testing';
import { Faults } from '../histories/faults.ts';
import { Workload } from '../histories/workload.ts';
import { compileJavaClient } from '../interop/kafka/kafka.ts';
import { eventually } from '../interop/processes.ts';
import { type ClusterFault, faultsOfCluster } from './cluster-faults.ts';
import { ClusterLoad } from './load/cluster-load.ts';
import { checkPlain, Findings, PlainReading, readToEnd, TransactionalReading } from './load/load-check.ts';
import type { LoadProgram } from './load/load-settings.ts';
import type { ProcessCluster } from './process-cluster.ts';

export type FaultRunOptions = {
  readonly seed: number;
  readonly seconds: number;
  readonly faults: readonly ClusterFault[];
  /** From one fault to the next, at least and at most. */
  readonly everyMs?: readonly [number, number];
  readonly programs: readonly LoadProgram[];
  /** Of all programs together; a fifth of it in transactions. */
  readonly recordsPerSecond: number;
  /** Random transactions with Jepsen's checks beside the load. */
  readonly histories: boolean;
  readonly report: (line: string) => void;
};

export type FaultRunResult = {
  readonly findings: Findings;
  readonly history: readonly HistoryEvent[];
  readonly faults: ReadonlyMap<ClusterFault, number>;
  readonly figures: {
    readonly seconds: number;
    readonly acknowledged: number;
    readonly acknowledgedPerSecond: number;
    readonly transactions: { readonly committed: number; readonly aborted: number; readonly unknown: number };
    readonly transactionalRecords: number;
    readonly readMeanwhile: number;
    /** The longest time in which a reader of all partitions was shown nothing. */
    readonly longestSilenceMs: number;
    /** Records that a program gave up. */
    readonly failures: number;
  };
  readonly notes: readonly string[];
};

const plainTopic = 'numbered';
const transactionalTopic = 'numbered-in-transactions';
const partitions = 6;

export async function runUnderFaults(cluster: ProcessCluster, options: FaultRunOptions): Promise<FaultRunResult> {
  const { seed, seconds, report } = options;
  compileJavaClient();
  const bootstrapServers = cluster.bootstrap;
  const directory = mkdtempSync(join(tmpdir(), 'ottla-cluster-load-'));
  const findings = new Findings();
  await using admin = new Admin({ bootstrapServers });
  const copies = Math.min(3, cluster.brokers.length);
  const configs = { 'min.insync.replicas': String(Math.min(2, copies)) };
  await admin.createTopics(
    [plainTopic, transactionalTopic].map((name) => ({ name, partitions, replicationFactor: copies, configs })),
  );
  await cluster.whole();
  await using workload = options.histories
    ? new Workload({
        ...{ bootstrap: bootstrapServers, seed, seconds, writers: 2, partitions: 3, replicas: copies },
        protocols: ['classic', 'consumer'],
      })
    : undefined;
  await workload?.ready;
  const load = await ClusterLoad.start({
    ...{ bootstrap: bootstrapServers, seed, programs: options.programs, plainTopic, transactionalTopic, partitions, directory },
    ...{ streams: partitions, writers: 2, valueBytes: 100 },
    recordsPerSecond: options.recordsPerSecond * 0.8,
    transactionalPerSecond: options.recordsPerSecond * 0.2,
  });
  try {
    const reader = new MeanwhileReader(bootstrapServers, findings);
    const counts = new Map<ClusterFault, number>();
    const beganMs = performance.now();
    const faults = new Faults(faultsOfCluster(cluster, plainTopic, partitions), {
      ...{ seed, kinds: options.faults, everyMs: options.everyMs ?? [2000, 6000] },
      onFault(fault) {
        counts.set(fault, (counts.get(fault) ?? 0) + 1);
        workload?.note('faults', fault);
      },
      onMended(fault, whom, tookMs) {
        const atSeconds = Math.round((performance.now() - beganMs) / 1000);
        report(`${atSeconds} s: ${fault} of ${whom}, mended after ${(tookMs / 1000).toFixed(1)} s, ${reader.reading.count} read`);
      },
    });
    await sleep(seconds * 1000);
    await faults.stop();
    await cluster.mend();
    report('all faults are over');
    const outcomes = await load.finish();
    const tookSeconds = (performance.now() - beganMs) / 1000;
    await reader.stop();
    const history = workload ? await workload.finish() : [];
    for (const { name, what } of checkHistory(history).forbidden) findings.add(name, `history: ${what}`);

    report('reading all that there is');
    const places = (topic: string) => Array.from({ length: partitions }, (_, partition) => ({ topic, partition }));
    const reading = new PlainReading('the last reader', findings);
    await using consumer = new Consumer({ bootstrapServers, maxPollRecords: 5000 });
    await readToEnd(consumer, admin, places(plainTopic), (record) => reading.hear(record));
    await checkPlain(reading, outcomes, [{ by: 'a reader meanwhile', reading: reader.reading }], findings);
    await stable(admin, places(transactionalTopic), findings);
    const transactional = new TransactionalReading(findings);
    await using committed = new Consumer({ bootstrapServers, maxPollRecords: 5000, isolationLevel: 'read_committed' });
    await readToEnd(committed, admin, places(transactionalTopic), (record) => transactional.hear(record));
    transactional.check(outcomes);

    const ended = [...outcomes.transactions.values()].flat().filter((one) => one !== undefined);
    const count = (outcome: string): number => ended.filter((one) => one.outcome === outcome).length;
    const inTransactions = ended.reduce((sum, { outcome, count }) => sum + (outcome === 'committed' ? count : 0), 0);
    return {
      findings,
      history,
      faults: counts,
      figures: {
        seconds: tookSeconds,
        acknowledged: outcomes.acknowledgedCount + inTransactions,
        acknowledgedPerSecond: (outcomes.acknowledgedCount + inTransactions) / tookSeconds,
        transactions: { committed: count('committed'), aborted: count('aborted'), unknown: count('unknown') },
        transactionalRecords: transactional.count,
        readMeanwhile: reader.reading.count,
        longestSilenceMs: reader.longestSilenceMs,
        failures: outcomes.failures.length,
      },
      notes: [...outcomes.failures.slice(0, 20), ...outcomes.notes],
    };
  } finally {
    await load.kill();
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Reads the plain topic while it is written. */
class MeanwhileReader {
  readonly reading: PlainReading;
  longestSilenceMs = 0;
  readonly #consumer: Consumer;
  readonly #running: Promise<void>;
  #isOver = false;

  constructor(bootstrapServers: string, findings: Findings) {
    this.reading = new PlainReading('a reader meanwhile', findings);
    this.#consumer = new Consumer({ bootstrapServers, maxPollRecords: 2000, requestTimeoutMs: 10_000 });
    this.#running = this.#run();
    this.#running.catch(() => {});
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await this.#running;
    await this.#consumer.close();
  }

  async #run(): Promise<void> {
    const places = Array.from({ length: partitions }, (_, partition) => ({ topic: plainTopic, partition }));
    this.#consumer.assign(places);
    for (const place of places) this.#consumer.seek(place, 0);
    let lastMs = performance.now();
    while (!this.#isOver) {
      const records = await this.#consumer.poll({ timeoutMs: 500 });
      for (const record of records) this.reading.hear(record);
      const nowMs = performance.now();
      this.longestSilenceMs = Math.max(this.longestSilenceMs, nowMs - lastMs);
      if (records.length > 0) lastMs = nowMs;
    }
  }
}

/** When all writers are done each transaction ends, at the latest when its time is up. */
async function stable(admin: Admin, places: readonly { topic: string; partition: number }[], findings: Findings): Promise<void> {
  const latest = places.map((place) => ({ ...place, at: 'latest' as const }));
  const look = async () => {
    const ends = await admin.listOffsets(latest);
    const stable = await admin.listOffsets(latest, { isolationLevel: 'read_committed' });
    return ends.flatMap(({ partition, offset }, index) =>
      stable[index]!.offset < offset
        ? [`partition ${partition} is stable until ${stable[index]!.offset} and ends at ${offset}`]
        : [],
    );
  };
  await eventually('all transactions have ended', async () => (await look()).length === 0, {
    timeoutMs: 90_000,
    pauseMs: 500,
  }).catch(async () => {
    for (const what of await look()) findings.add('hanging-transaction', what);
  });
}
