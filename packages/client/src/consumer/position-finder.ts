import { KafkaError } from '@ottla/protocol';
import type { CommittedOffset } from '../admin/group-offsets.ts';
import { knowTopics, listOffsetsAt, type OffsetSpec } from '../admin/offsets.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { partitionName, type TopicPartition } from '../topic-partition.ts';
import type { CompleteConsumerConfig } from './consumer-config.ts';
import { parseOffsetReset } from './offset-reset.ts';
import type { PartitionState } from './partition-state.ts';
import { refreshFromAnother } from './refresh-from-another.ts';

export type PositionFinderEvents = {
  /** The partitions to be read. */
  readonly assigned: () => Iterable<PartitionState>;
  /** What the group has committed for these, without patience. */
  readonly committed: (partitions: readonly TopicPartition[]) => Promise<readonly CommittedOffset[]>;
  /** There may be a position, or something else to look for. */
  readonly onProgress: () => void;
  /** What does not pass by itself. */
  readonly onFailure: (error: Error) => void;
};

/** A partition without a position, as of a jump: the answer to an earlier question is not wanted after another. */
type Sought = { readonly state: PartitionState; readonly seeks: number };
type Asked = Sought & TopicPartition & { readonly at: OffsetSpec; readonly leaderEpoch: number };

/**
 * Finds out where reading begins: where the group's commits say, else by `autoOffsetReset`. Each coordinator and leader is asked for itself,
 * once at a time: who does not answer, and a partition without a leader, keep none of the others waiting.
 */
export class PositionFinder {
  readonly #cluster: Cluster;
  readonly #config: CompleteConsumerConfig;
  readonly #events: PositionFinderEvents;
  /** What is being looked for: the last that was asked about each partition. */
  readonly #seeking = new Map<PartitionState, Sought>();
  readonly #searches = new Set<Promise<void>>();

  constructor(cluster: Cluster, config: CompleteConsumerConfig, events: PositionFinderEvents) {
    this.#cluster = cluster;
    this.#config = config;
    this.#events = events;
  }

  /** Looks for the positions that are missing, unless it does already or one was refused a moment ago. */
  send(): void {
    const nowMs = this.#cluster.runtime.clock.monotonicMs();
    const uncommitted: Sought[] = [];
    const toReset: Sought[] = [];
    for (const state of this.#events.assigned()) {
      const { seeks, reset } = state;
      if (state.position !== undefined || this.#seeking.get(state)?.seeks === seeks) continue;
      if (!state.mayAsk(nowMs, this.#epochOf(state))) continue;
      if (reset === undefined && this.#config.groupId !== '') uncommitted.push({ state, seeks });
      else toReset.push({ state, seeks });
    }
    this.#search(uncommitted, () => this.#lookAtCommits(uncommitted));
    this.#search(toReset, () => this.#lookAtLogs(toReset));
  }

  /** What is under way comes to its end: for who closes. */
  async ended(): Promise<void> {
    while (this.#searches.size > 0) await Promise.all(this.#searches);
  }

  /** The committed offset, if any, shall not count. Throws OFFSET_OUT_OF_RANGE where `autoOffsetReset` is none. */
  startOver(state: PartitionState): void {
    state.seekTo(this.#resetOf(state));
  }

  #resetOf(partition: TopicPartition): OffsetSpec {
    const policy = parseOffsetReset(this.#config.autoOffsetReset);
    if (policy) return policy(this.#cluster.runtime.clock.nowMs());
    throw new KafkaError(
      'OFFSET_OUT_OF_RANGE',
      `${partitionName(partition)} has no committed offset within its log, and autoOffsetReset is none: seek to where reading shall begin`,
    );
  }

  #search(sought: readonly Sought[], look: () => Promise<void>): void {
    if (sought.length === 0) return;
    for (const one of sought) this.#seeking.set(one.state, one);
    const search = look()
      .catch((error: unknown) => {
        for (const one of sought) this.#postpone(one);
        this.#failed(error);
      })
      .finally(() => {
        this.#searches.delete(search);
        for (const one of sought) if (this.#seeking.get(one.state) === one) this.#seeking.delete(one.state);
        if (this.#cluster.closed) return;
        // What had no commit is looked for in its log now, also while nobody polls.
        this.send();
        this.#events.onProgress();
      });
    this.#searches.add(search);
  }

  async #lookAtCommits(sought: readonly Sought[]): Promise<void> {
    const committed = new Map<string, CommittedOffset>();
    for (const one of await this.#events.committed(sought.map(({ state }) => state))) committed.set(partitionName(one), one);
    for (const one of sought) {
      const found = committed.get(partitionName(one.state));
      if (!isLacking(one)) continue;
      if (found) {
        one.state.advance(found.offset, found.leaderEpoch);
      } else this.#beginReset(one);
    }
  }

  /** As of now: a duration back is counted from the first time it is asked for. */
  #beginReset(one: Sought): void {
    try {
      one.state.reset ??= this.#resetOf(one.state);
    } catch (error) {
      this.#postpone(one);
      this.#failed(error);
    }
  }

  async #lookAtLogs(sought: readonly Sought[]): Promise<void> {
    await knowTopics(
      this.#cluster,
      sought.map(({ state }) => state),
    );
    const byLeader = new Map<number, Asked[]>();
    let isLeaderMissing = false;
    for (const one of sought) {
      if (!isLacking(one)) continue;
      this.#beginReset(one);
      const { topic, partition, reset: at } = one.state;
      if (at === undefined) continue;
      const { leaderId = -1, leaderEpoch = -1 } = this.#cluster.metadata.partition(topic, partition) ?? {};
      const asked = { ...one, topic, partition, at, leaderEpoch };
      if (leaderId < 0 || !this.#cluster.metadata.nodes.has(leaderId)) {
        isLeaderMissing = true;
        this.#postpone(asked);
        this.#tellIfRefused(topic);
      } else {
        const others = byLeader.get(leaderId);
        if (others) others.push(asked);
        else byLeader.set(leaderId, [asked]);
      }
    }
    if (isLeaderMissing) this.#refreshMetadata();
    for (const [leaderId, asked] of byLeader) this.#search(asked, () => this.#ask(leaderId, asked));
  }

  #tellIfRefused(topic: string): void {
    const error = this.#cluster.metadata.errorOf(topic);
    if (error && !error.retriable) this.#failed(new KafkaError(error.name, `topic ${topic}: ${error.message}`, { cause: error }));
  }

  async #ask(leaderId: number, asked: readonly Asked[]): Promise<void> {
    const { requestTimeoutMs: timeoutMs, isolationLevel } = this.#config;
    const connection = await this.#cluster.connectionTo(leaderId);
    const outcomes = await listOffsetsAt(connection, asked, { timeoutMs, isolationLevel });
    asked.forEach((one, index) => {
      const outcome = outcomes[index]!;
      if (outcome instanceof KafkaError) this.#refused(one, outcome);
      else this.#found(one, outcome);
    });
  }

  #found(one: Asked, { offset, leaderEpoch }: { offset: number; leaderEpoch: number }): void {
    if (!isLacking(one)) return;
    if (offset >= 0) one.state.seek(offset, leaderEpoch);
    // No record is younger than the time asked for: only what is yet to come is.
    else if (typeof one.at === 'object') one.state.reset = 'latest';
    else this.#refused(one, new KafkaError('UNKNOWN_SERVER_ERROR', `the broker names no offset as the ${one.at} one`));
  }

  #refused(one: Asked, error: KafkaError): void {
    this.#postpone(one);
    this.#failed(new KafkaError(error.name, `${partitionName(one)}: ${error.message}`, { cause: error }));
  }

  #failed(error: unknown): void {
    if (this.#cluster.closed) return;
    if (!(error instanceof KafkaError && error.retriable)) this.#events.onFailure(error as Error);
    // Who does not answer in time may be the leader no more.
    else if (error.refreshMetadata || error.name === 'REQUEST_TIMED_OUT') this.#refreshMetadata();
  }

  #epochOf({ topic, partition }: TopicPartition): number {
    return this.#cluster.metadata.partition(topic, partition)?.leaderEpoch ?? -1;
  }

  #postpone(one: Sought & { readonly leaderEpoch?: number }): void {
    if (!isLacking(one)) return;
    const { state, leaderEpoch = this.#epochOf(state) } = one;
    state.postpone(this.#cluster, leaderEpoch);
  }

  #refreshMetadata(): void {
    refreshFromAnother(this.#cluster, this.#events.onProgress);
  }
}

function isLacking({ state, seeks }: Sought): boolean {
  return state.position === undefined && state.seeks === seeks;
}
