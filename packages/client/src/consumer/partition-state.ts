import type { OffsetSpec } from '../admin/offsets.ts';
import type { Cluster } from '../cluster/cluster.ts';
import type { TopicPartition } from '../topic-partition.ts';

/** An assigned partition: how far its consumer is. A new assignment makes new ones, so late answers find nobody. */
export class PartitionState implements TopicPartition {
  readonly topic: string;
  readonly partition: number;
  isPaused = false;
  /** In a row, since something was fetched. */
  failures = 0;
  /** In a row, how often its position was said to be outside the log and nobody else could say so. */
  doubts = 0;
  /** Where to look for the position when the committed offset shall not count. */
  reset: OffsetSpec | undefined;
  #position: number | undefined;
  #leaderEpoch = -1;
  #seeks = 0;
  #retryAtMs = 0;
  #refusedEpoch = -1;

  constructor({ topic, partition }: TopicPartition) {
    this.topic = topic;
    this.partition = partition;
  }

  /** The next offset to be given out; undefined until it is found out. */
  get position(): number | undefined {
    return this.#position;
  }

  /** Of the record before the position, as far as known. */
  get leaderEpoch(): number {
    return this.#leaderEpoch;
  }

  /** Changes with every jump: what was fetched before one is not wanted after it. */
  get seeks(): number {
    return this.#seeks;
  }

  /** Nobody is asked about it before: after an error. */
  get retryAtMs(): number {
    return this.#retryAtMs;
  }

  /** Whether it is time to ask, or another leader was elected since one refused. */
  mayAsk(nowMs: number, leaderEpoch: number): boolean {
    return this.#retryAtMs <= nowMs || leaderEpoch > this.#refusedEpoch;
  }

  /** Whoever leads in this epoch, if anybody, does not help: it is asked again later, by how often it was in vain. */
  postpone({ backoff, runtime }: Pick<Cluster, 'backoff' | 'runtime'>, leaderEpoch: number): void {
    this.failures++;
    this.#refusedEpoch = leaderEpoch;
    this.#retryAtMs = runtime.clock.monotonicMs() + backoff.delayMs(this.failures);
  }

  /** Records up to here were given out. */
  advance(position: number, leaderEpoch: number): void {
    this.#position = position;
    this.#leaderEpoch = leaderEpoch;
  }

  seek(position: number, leaderEpoch = -1): void {
    this.#seeks++;
    this.doubts = 0;
    this.reset = undefined;
    this.advance(position, leaderEpoch);
  }

  seekTo(spec: OffsetSpec): void {
    this.#seeks++;
    this.#position = undefined;
    this.reset = spec;
  }
}
