/** Load on a cluster (load-settings.ts) that is judged in the end: what the programs and a reader were told beside what is there. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Admin, Consumer } from '@ottla/client';
import { compileJavaClient } from '../../interop/kafka/kafka.ts';
import { eventually } from '../../interop/processes.ts';
import type { AskedCluster, AskedNode } from '../asked-cluster.ts';
import { ClusterLoad } from './cluster-load.ts';
import { checkGroup, checkPlain, Findings, PlainReading, readToEnd, TransactionalReading } from './load-check.ts';
import type { LoadProgram } from './load-settings.ts';

export type JudgedLoadOptions = {
  readonly seed: number;
  readonly programs: readonly LoadProgram[];
  /** Of all programs together; a fifth of it in transactions. */
  readonly recordsPerSecond: number;
  /** Each program is the member of a group, too. */
  readonly groups?: boolean;
};

export type Silence = { readonly ms: number; readonly fromSecond: number };

export type LoadFigures = {
  readonly seconds: number;
  readonly acknowledged: number;
  readonly acknowledgedPerSecond: number;
  readonly transactions: { readonly committed: number; readonly aborted: number; readonly unknown: number };
  readonly transactionalRecords: number;
  readonly readMeanwhile: number;
  /** Records that groups were given, and commits that they were told of. */
  readonly groups: { readonly given: number; readonly commits: number };
  /** The longest times in which a reader of all partitions was shown nothing, the longest first. */
  readonly silences: readonly Silence[];
  /** Records that a program gave up. */
  readonly failures: number;
};

export const plainTopic = 'numbered';
export const transactionalTopic = 'numbered-in-transactions';
export const partitions = 6;

export class JudgedLoad {
  readonly findings = new Findings();
  readonly #bootstrapServers: string;
  readonly #directory = mkdtempSync(join(tmpdir(), 'ottla-cluster-load-'));
  readonly #admin: Admin;
  readonly #reader: MeanwhileReader;
  #load: ClusterLoad | undefined;
  #beganMs = 0;

  private constructor(cluster: AskedCluster<AskedNode>) {
    this.#bootstrapServers = cluster.bootstrap;
    this.#admin = new Admin({ bootstrapServers: this.#bootstrapServers });
    this.#reader = new MeanwhileReader(this.#bootstrapServers, this.findings);
  }

  /** Makes the topics, and resolves when all programs write. */
  static async start(cluster: AskedCluster<AskedNode>, options: JudgedLoadOptions): Promise<JudgedLoad> {
    await compileJavaClient();
    const judged = new JudgedLoad(cluster);
    try {
      await judged.#begin(cluster, options);
    } catch (error) {
      await judged[Symbol.asyncDispose]();
      throw error;
    }
    return judged;
  }

  async #begin(
    cluster: AskedCluster<AskedNode>,
    { seed, programs, recordsPerSecond, groups = false }: JudgedLoadOptions,
  ): Promise<void> {
    const copies = Math.min(3, cluster.brokers.length);
    const configs = { 'min.insync.replicas': String(Math.max(1, copies - 1)) };
    const topics = [plainTopic, transactionalTopic];
    await this.#admin.createTopics(topics.map((name) => ({ name, partitions, replicationFactor: copies, configs })));
    await cluster.whole();
    this.#load = await ClusterLoad.start({
      ...{ bootstrap: this.#bootstrapServers, seed, programs, plainTopic, transactionalTopic, partitions },
      ...{ streams: partitions, writers: 2, valueBytes: 100, groups, directory: this.#directory },
      recordsPerSecond: recordsPerSecond * 0.8,
      transactionalPerSecond: recordsPerSecond * 0.2,
    });
    this.#beganMs = performance.now();
    this.#reader.start();
  }

  get secondsSinceStart(): number {
    return (performance.now() - this.#beganMs) / 1000;
  }

  /** Records that the reader was shown so far. */
  get read(): number {
    return this.#reader.reading.count;
  }

  /** Resolves when the reader has been shown so many records more: the load goes on. */
  async goesOn(records = 500): Promise<void> {
    const awaited = this.read + records;
    await eventually('the load goes on', () => this.#reader.failure !== undefined || this.read >= awaited, {
      timeoutMs: 120_000,
    });
    if (this.#reader.failure !== undefined) throw this.#reader.failure;
  }

  /** Lets the programs end, reads all that there is and judges it. All nodes must be well by now. */
  async finish(): Promise<{ findings: Findings; figures: LoadFigures; notes: readonly string[] }> {
    const seconds = this.secondsSinceStart;
    // From now on there is less and less to read.
    const { silences } = this.#reader;
    const outcomes = await this.#load!.finish();
    await this.#reader.stop();
    const { findings } = this;
    const bootstrapServers = this.#bootstrapServers;
    const places = (topic: string) => Array.from({ length: partitions }, (_, partition) => ({ topic, partition }));
    const reading = new PlainReading('the last reader', findings);
    await using consumer = new Consumer({ bootstrapServers, maxPollRecords: 5000 });
    await readToEnd(consumer, this.#admin, places(plainTopic), (record) => reading.hear(record));
    await checkPlain(reading, outcomes, [{ by: 'a reader meanwhile', reading: this.#reader.reading }], findings);
    await stable(this.#admin, places(transactionalTopic), findings);
    const transactional = new TransactionalReading(findings);
    await using committed = new Consumer({ bootstrapServers, maxPollRecords: 5000, isolationLevel: 'read_committed' });
    await readToEnd(committed, this.#admin, places(transactionalTopic), (record) => transactional.hear(record));
    transactional.check(outcomes);
    const groups = { given: 0, commits: 0 };
    for (const [group, steps] of outcomes.groups) {
      const { given, commits } = checkGroup(group, steps, findings);
      groups.given += given;
      groups.commits += commits;
    }

    const ended = [...outcomes.transactions.values()].flat().filter((one) => one !== undefined);
    const count = (outcome: string): number => ended.filter((one) => one.outcome === outcome).length;
    const inTransactions = ended.reduce((sum, { outcome, count }) => sum + (outcome === 'committed' ? count : 0), 0);
    const acknowledged = outcomes.acknowledgedCount + inTransactions;
    return {
      findings,
      figures: {
        seconds,
        acknowledged,
        acknowledgedPerSecond: acknowledged / seconds,
        transactions: { committed: count('committed'), aborted: count('aborted'), unknown: count('unknown') },
        transactionalRecords: transactional.count,
        readMeanwhile: this.#reader.reading.count,
        groups,
        silences,
        failures: outcomes.failures.length,
      },
      notes: [...outcomes.failures.slice(0, 20), ...outcomes.notes],
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#load?.kill();
    await this.#reader.stop().catch(() => {});
    await this.#admin.close();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

/** Reads the plain topic while it is written. */
class MeanwhileReader {
  readonly reading: PlainReading;
  silences: Silence[] = [];
  failure: unknown;
  readonly #consumer: Consumer;
  #running: Promise<void> | undefined;
  #isOver = false;

  constructor(bootstrapServers: string, findings: Findings) {
    this.reading = new PlainReading('a reader meanwhile', findings);
    this.#consumer = new Consumer({ bootstrapServers, maxPollRecords: 2000, requestTimeoutMs: 10_000 });
  }

  start(): void {
    this.#running = this.#run();
    this.#running.catch((error) => {
      this.failure = error;
    });
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
    const beganMs = performance.now();
    let lastMs = beganMs;
    while (!this.#isOver) {
      const records = await this.#consumer.poll({ timeoutMs: 500 });
      for (const record of records) this.reading.hear(record);
      const nowMs = performance.now();
      if (records.length === 0 && !this.#isOver) continue;
      this.#wasSilent({ ms: nowMs - lastMs, fromSecond: Math.round((lastMs - beganMs) / 1000) });
      lastMs = nowMs;
    }
  }

  #wasSilent(silence: Silence): void {
    if (silence.ms <= (this.silences[9]?.ms ?? 0)) return;
    this.silences = [...this.silences, silence].sort((one, other) => other.ms - one.ms).slice(0, 10);
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
