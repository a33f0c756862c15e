/** Lives through a plan, and says which promise was broken, if one was. */
import process from 'node:process';
import { Consumer, stringDeserializer } from '@ottla/client';
import { SeededRandom, sleep } from '@ottla/runtime';
import type { HistoryEvent, Isolation } from '../histories/history.ts';
import type { ClientNews } from './clients/client-news.ts';
import { GroupClient } from './clients/group-client.ts';
import { ModernGroupClient } from './clients/modern-group-client.ts';
import { PipelineClient } from './clients/pipeline-client.ts';
import { ProducingClient } from './clients/producing-client.ts';
import { ReadingClient } from './clients/reading-client.ts';
import { LastShareClient, ShareClient } from './clients/share-client.ts';
import { type ClientSurroundings, clientTiming, type SimulatedClient } from './clients/simulated-client.ts';
import { TransactionalClient } from './clients/transactional-client.ts';
import { Faults } from './faults.ts';
import { tellError, tellLine } from './node-log.ts';
import { Operator } from './operator.ts';
import { type ClientPlan, isBroker, type Plan, type Step } from './plan.ts';
import { BrokenPromise, type ClusterPromise, type Watch } from './promises/cluster-promise.ts';
import { clusterPromises } from './promises/index.ts';
import { Ledger } from './promises/ledger.ts';
import { Onlooker, type Sight } from './sight.ts';
import { SimulatedCluster } from './simulated-cluster.ts';

export type Outcome = {
  /** Undefined when all promises were kept. */
  readonly broken: BrokenPromise | undefined;
  /** What happened, a line each, with its time. */
  readonly story: readonly string[];
  /** Of all that happened on wires, disks and clocks: the same for the same plan. */
  readonly hash: string;
  readonly events: number;
  readonly virtualMs: number;
  readonly counts: { readonly acknowledged: number; readonly committedTransactions: number; readonly read: number };
};

export type RunOptions = { readonly promises?: readonly ClusterPromise[] };

/** Between looks at everything, whether or not something seems to have happened to it, and between close ones. */
const lookAtAllEveryMs = 250;
const lookCloselyEveryMs = 1_000;
/** Between one look for what is waited for and the next. */
const askEveryMs = 25;
const startPatienceMs = 40_000;
const restPatienceMs = 90_000;
const storyLines = 400;

export async function run(plan: Plan, options: RunOptions = {}): Promise<Outcome> {
  const life = new Run(plan, options);
  const broken = await life.live();
  return life.outcome(broken);
}

type NamedWatch = { readonly name: string; readonly watch: Watch };

class Run {
  readonly #plan: Plan;
  readonly #cluster: SimulatedCluster;
  readonly #operator: Operator;
  readonly #faults: Faults;
  readonly #clients: readonly SimulatedClient[];
  readonly #history: HistoryEvent[] = [];
  readonly #ledger = new Ledger();
  readonly #onlooker: Onlooker;
  readonly #watches: readonly NamedWatch[];
  readonly #looking: readonly NamedWatch[];
  readonly #hearing: readonly NamedWatch[];
  readonly #story: string[] = [];
  #broken: BrokenPromise | undefined;
  #lookedAtAllMs = 0;
  #lookedCloselyMs = 0;
  #acknowledged = 0;
  #read = 0;

  constructor(plan: Plan, { promises = clusterPromises }: RunOptions) {
    this.#plan = plan;
    const ledger = this.#ledger;
    this.#watches = promises.map(({ name, watch }) => ({ name, watch: watch({ plan, ledger }) }));
    this.#looking = this.#watches.filter(({ watch }) => watch.look);
    this.#hearing = this.#watches.filter(({ watch }) => watch.hear);
    this.#cluster = new SimulatedCluster(plan, {
      onNews: (text) => this.#tell(text),
      onLine: (node, line) => {
        this.#tell(`node ${node.id}: ${tellLine(line)}`);
        this.#watch(this.#watches, ({ readLine }) => readLine?.(node, line));
      },
    });
    this.#onlooker = new Onlooker(this.#cluster);
    this.#cluster.world.time.afterEach = () => this.#look();
    this.#operator = new Operator(this.#cluster, plan);
    this.#faults = new Faults(
      this.#cluster,
      plan.clients.map(({ name }) => name),
      (text) => this.#tell(text),
    );
    this.#clients = plan.clients.map((client) => this.#client(client));
  }

  /** Undefined when all promises were kept. */
  async live(): Promise<BrokenPromise | undefined> {
    // A process that was killed leaves promises that nobody waits for any more.
    const onRejection = (error: unknown): void => this.#rejected(error);
    process.on('unhandledRejection', onRejection);
    try {
      await this.#liveThrough();
    } catch (error) {
      if (!(error instanceof BrokenPromise)) this.#break(new BrokenPromise('noHandlerThrew', stackOf(error)));
    } finally {
      process.off('unhandledRejection', onRejection);
    }
    for (const node of this.#cluster.nodes) node.kill();
    return this.#broken;
  }

  outcome(broken: BrokenPromise | undefined): Outcome {
    const { trace, time } = this.#cluster.world;
    return {
      broken,
      story: this.#story,
      hash: trace.hash,
      events: trace.events,
      virtualMs: Math.round(time.nowMs),
      counts: {
        acknowledged: this.#acknowledged,
        read: this.#read,
        committedTransactions: this.#history.filter((event) => event.type === 'transaction' && event.outcome === 'committed')
          .length,
      },
    };
  }

  async #liveThrough(): Promise<void> {
    for (const node of this.#cluster.nodes) node.start();
    await this.#until('the cluster serves', startPatienceMs, this.#operatorMakesTopics());
    this.#tell('the topics are there');
    for (const client of this.#clients) client.start();
    const beganMs = this.#nowMs;
    for (const step of this.#plan.steps) {
      await this.#pass(beganMs + step.atMs - this.#nowMs);
      this.#carryOut(step);
      this.#lookAtAll();
    }
    await this.#pass(beganMs + this.#plan.workMs - this.#nowMs);
    this.#tell('everything is mended');
    this.#faults.mendAll();
    // Clients go on for a while in a cluster that has nothing to fear any more.
    await this.#pass(800);
    await this.#until('the clients have done what they were doing', restPatienceMs, this.#stopClients());
    await this.#comeToRest();
    for (const node of this.#plan.finale) {
      this.#carryOut({ do: 'kill', node, downMs: 100, atMs: 0 });
      await this.#pass(150);
      await this.#comeToRest();
    }
    await this.#finishShareGroups();
    await this.#until('everything can be read', restPatienceMs, this.#readEverything());
    this.#tell('the clients have read everything');
    // Members of groups that were given up leave late, and that is written down.
    for (let looks = 0; looks < 400 && this.#unrest() !== undefined; looks++) await this.#pass(askEveryMs);
    const sight = this.#lookAtAll();
    this.#watch(this.#watches, ({ lookClosely }) => lookClosely?.(sight));
    this.#watch(this.#watches, ({ judge }) => judge?.(sight, this.#history));
  }

  async #operatorMakesTopics(): Promise<void> {
    const { timers } = this.#cluster.clientRuntime('starter');
    for (;;) {
      try {
        for (const topic of this.#plan.topics) {
          await this.#operator.do({ do: 'createTopic', topic }).catch((error: unknown) => {
            if (!tellError(error).includes('already exists')) throw error;
          });
        }
        for (const name of this.#shareGroups) {
          const set = { 'share.auto.offset.reset': 'earliest' };
          await this.#operator.admin.incrementalAlterConfigs([{ type: 'group', name, set }]);
        }
        return;
      } catch (error) {
        this.#tell(`topics cannot be created yet: ${tellError(error)}`);
        await sleep(timers, 500);
      }
    }
  }

  #carryOut(step: Step): void {
    const { atMs: _, ...happening } = step;
    const what = JSON.stringify(happening);
    const news = this.#faults.begin(happening);
    if (news !== undefined) {
      this.#tell(`${what}: ${news}`);
      return;
    }
    this.#tell(`${what}: asked for`);
    this.#operator.do(happening).then(
      (outcome) => this.#tell(`${what}: ${outcome ?? 'nobody knows how to do that'}`),
      (error) => this.#tell(`${what}: ${tellError(error)}`),
    );
  }

  get #shareGroups(): ReadonlySet<string> {
    return new Set(this.#plan.clients.flatMap(({ kind, group }) => (kind === 'share' && group ? [group] : [])));
  }

  async #stopClients(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.stop()));
  }

  /** All replicas have everything, or as long as that may take. */
  async #comeToRest(): Promise<void> {
    const deadlineMs = this.#nowMs + restPatienceMs;
    const impatientMs = this.#nowMs + restPatienceMs / 10;
    let hasCancelled = false;
    for (;;) {
      const unrest = this.#unrest();
      if (unrest === undefined) break;
      if (this.#nowMs >= deadlineMs) {
        throw this.#break(new BrokenPromise('clusterComesToRest', `after ${restPatienceMs} ms ${unrest}`));
      }
      // One that overtook another may wait for a replica that it adds and removes, as in Kafka: an operator takes it back.
      if (!hasCancelled && this.#nowMs >= impatientMs) {
        hasCancelled = true;
        this.#carryOut({ do: 'cancelReassignments', atMs: 0 });
      }
      await this.#pass(100);
    }
    this.#tell('the cluster is at rest');
    // What high watermarks and followers learn with the next fetch.
    await this.#pass(600);
  }

  /** What is not as it is when the cluster rests, if something is. */
  #unrest(): string | undefined {
    const { nodes, replicas } = this.#lookAtAll();
    for (const { id, state } of this.#cluster.nodes) if (state !== 'up') return `node ${id} is ${state}`;
    const newest = Math.max(...nodes.map(({ parts }) => parts.metadata.appliedOffset));
    for (const { node, parts } of nodes) {
      const { image, appliedOffset } = parts.metadata;
      // A packet that was lost is sent again late, or its sender gives up the connection. Two: what is written while nobody asks for anything.
      if (newest - appliedOffset > 2) return `node ${node.id} has applied the metadata to ${appliedOffset}, others to ${newest}`;
      for (const { id, plan } of this.#cluster.nodes) {
        if (isBroker(plan) && image.brokers.get(id)?.fenced !== false) return `broker ${id} is fenced to node ${node.id}`;
      }
      for (const topic of image.topics) {
        for (const [index, { leader, isr, replicas, addingReplicas, removingReplicas }] of topic.partitions()) {
          if (leader >= 0 && isr.length === replicas.length && addingReplicas.length + removingReplicas.length === 0) continue;
          return (
            `to node ${node.id} ${topic.name}-${index} has leader ${leader}, isr ${isr}, replicas ${replicas}, ` +
            `adding ${addingReplicas}, removing ${removingReplicas}`
          );
        }
      }
    }
    for (const { node, replica } of replicas) {
      const { highWatermark, lastStableOffset, log, name } = replica;
      if (highWatermark >= log.logEndOffset && lastStableOffset >= log.logEndOffset) continue;
      return (
        `${name} of node ${node.id} ends at ${log.logEndOffset}, ` +
        `is committed to ${highWatermark} and stable to ${lastStableOffset}`
      );
    }
    return undefined;
  }

  /** One more member accepts whatever its group is given, until nothing is left. */
  async #finishShareGroups(): Promise<void> {
    for (const group of this.#shareGroups) {
      const last = new LastShareClient(this.#surroundings({ name: `last of ${group}`, kind: 'share', everyMs: 50, group }));
      last.start();
      const deadlineMs = this.#nowMs + restPatienceMs;
      for (;;) {
        const left = this.#ledger.leftFor(group, this.#plan.topics);
        if (left === undefined) break;
        if (this.#nowMs >= deadlineMs)
          throw this.#break(
            new BrokenPromise('sharedRecordsAreDelivered', `after ${restPatienceMs} ms nobody is done with ${left}`),
          );
        await this.#pass(100);
      }
      await this.#until('the last member of a share group has left', restPatienceMs, last.stop());
    }
  }

  /** As clients do, from the first record to the last. */
  async #readEverything(): Promise<void> {
    const runtime = this.#cluster.clientRuntime('auditor');
    const common = { ...clientTiming, bootstrapServers: this.#cluster.bootstrapServers, runtime };
    const partitions = this.#plan.topics.flatMap(({ name, partitions: count }) =>
      Array.from({ length: count }, (_, partition) => ({ topic: name, partition })),
    );
    // A coordinator may write a marker once more meanwhile: what is stable is asked for last, so that only an open transaction is behind.
    for (const isolation of ['read_uncommitted', 'read_committed'] as const satisfies Isolation[]) {
      const consumer = new Consumer<string, string>({
        ...common,
        clientId: 'auditor',
        isolationLevel: isolation,
        keyDeserializer: stringDeserializer,
        valueDeserializer: stringDeserializer,
      });
      consumer.assign(partitions);
      consumer.seekToBeginning();
      const ends = await this.#operator.admin.listOffsets(
        partitions.map((partition) => ({ ...partition, at: 'latest' as const })),
        { isolationLevel: isolation },
      );
      const records = new Map<string, [number, string][]>();
      const isDone = () =>
        ends.every(({ topic, partition, offset }) => offset === 0 || (consumer.position({ topic, partition }) ?? 0) >= offset);
      while (!isDone()) {
        for (const { topic, partition, offset, value } of await consumer.poll({ timeoutMs: 1_000 })) {
          const name = `${topic}-${partition}`;
          const known = records.get(name);
          if (known) known.push([offset, value ?? '']);
          else records.set(name, [[offset, value ?? '']]);
        }
      }
      await consumer.close();
      for (const { topic, partition, offset: endOffset } of ends) {
        const name = `${topic}-${partition}`;
        this.#history.push({ type: 'final', isolation, partition: name, endOffset, records: records.get(name) ?? [] });
      }
    }
    for (const group of new Set(this.#plan.clients.flatMap(({ kind, group }) => (kind === 'share' ? [] : (group ?? [])))))
      await this.#readOffsets(group);
  }

  async #readOffsets(group: string): Promise<void> {
    const committed = await this.#operator.admin.listConsumerGroupOffsets(group);
    const offsets: Record<string, number> = {};
    for (const { topic, partition, offset } of committed) if (offset >= 0) offsets[`${topic}-${partition}`] = offset;
    this.#history.push({ type: 'groupOffsets', group, offsets });
  }

  #surroundings(plan: ClientPlan): ClientSurroundings {
    return {
      plan,
      runtime: this.#cluster.clientRuntime(plan.name),
      random: new SeededRandom(`${this.#plan.seed} ${plan.name}`),
      bootstrapServers: this.#cluster.bootstrapServers,
      topics: this.#plan.topics,
      history: this.#history,
      hear: (news) => this.#hear(news),
    };
  }

  #client(plan: ClientPlan): SimulatedClient {
    const surroundings = this.#surroundings(plan);
    switch (plan.kind) {
      case 'producer':
        return new ProducingClient(surroundings);
      case 'transactions':
        return new TransactionalClient(surroundings);
      case 'pipeline':
        return new PipelineClient(surroundings);
      case 'reader':
        return new ReadingClient(surroundings);
      case 'modernGroup':
        return new ModernGroupClient(surroundings);
      case 'share':
        return new ShareClient(surroundings);
      default:
        return new GroupClient(surroundings);
    }
  }

  #hear(news: ClientNews): void {
    if (news.type === 'acknowledged') this.#acknowledged++;
    if (news.type === 'read') this.#read++;
    this.#watch(this.#hearing, ({ hear }) => hear?.(news));
  }

  get #nowMs(): number {
    return this.#cluster.world.time.nowMs;
  }

  /** Lets time pass, and looks after each event. */
  async #pass(ms: number): Promise<void> {
    if (ms > 0) await this.#cluster.world.advance(ms);
    if (this.#broken) throw this.#broken;
  }

  async #until(what: string, limitMs: number, done: Promise<void>): Promise<void> {
    let isDone = false;
    let failure: unknown;
    done.then(
      () => (isDone = true),
      (error) => {
        isDone = true;
        failure = error;
      },
    );
    const deadlineMs = this.#nowMs + limitMs;
    while (!isDone && this.#nowMs < deadlineMs) await this.#pass(askEveryMs);
    if (failure !== undefined) throw this.#break(new BrokenPromise('clientsAreServed', `${what}: ${stackOf(failure)}`));
    if (!isDone) throw this.#break(new BrokenPromise('clientsAreServed', `after ${limitMs} ms it is not so that ${what}`));
  }

  /** At what the last event has changed. */
  #look(): void {
    if (this.#nowMs - this.#lookedAtAllMs >= lookAtAllEveryMs) {
      this.#lookAtAll();
      return;
    }
    const sight = this.#onlooker.lookAtTouched();
    if (sight) this.#watchOver(sight);
    if (this.#broken) throw this.#broken;
  }

  #lookAtAll(): Sight {
    this.#lookedAtAllMs = this.#nowMs;
    const sight = this.#onlooker.lookAtAll();
    this.#watchOver(sight);
    if (this.#nowMs - this.#lookedCloselyMs >= lookCloselyEveryMs) {
      this.#lookedCloselyMs = this.#nowMs;
      this.#watch(this.#watches, ({ lookClosely }) => lookClosely?.(sight));
    }
    if (this.#broken) throw this.#broken;
    return sight;
  }

  #watchOver(sight: Sight): void {
    this.#ledger.advance(sight);
    this.#watch(this.#looking, (watch) => watch.look!(sight));
  }

  /** Runs a check of every promise; the first that is broken is remembered. Never throws, as it may be called from within a node. */
  #watch(watches: readonly NamedWatch[], check: (watch: Watch) => void): void {
    for (const { name, watch } of watches) {
      try {
        check(watch);
      } catch (error) {
        this.#break(error instanceof BrokenPromise ? error : new BrokenPromise(name, stackOf(error)));
      }
    }
  }

  #break(broken: BrokenPromise): BrokenPromise {
    if (!this.#broken) this.#tell(`BROKEN ${broken.promise}: ${broken.message}`);
    this.#broken ??= broken;
    return this.#broken;
  }

  #rejected(error: unknown): void {
    if (error instanceof BrokenPromise) return;
    this.#tell(`nobody waits for: ${tellError(error)}`);
  }

  #tell(text: string): void {
    const at = (this.#nowMs / 1000).toFixed(3).padStart(8);
    if (this.#story.length >= storyLines) this.#story.splice(storyLines / 4, 1);
    this.#story.push(`${at} ${text}`);
  }
}

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
