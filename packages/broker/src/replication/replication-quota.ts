import { type RateWindows, SampledRate } from '@ottla/network';
import type { Clock } from '@ottla/runtime';

export type ReplicationQuotaOptions = {
  /** Bytes a second; Infinity: no quota. */
  readonly bytesPerSecond: () => number;
  /** What leader.replication.throttled.replicas or follower.replication.throttled.replicas of a topic says. */
  readonly throttledReplicas: (topic: string) => readonly string[];
  readonly brokerId: number;
  /** replication.quota.window.* */
  readonly windows: RateWindows;
  readonly clock: Clock;
};

type Replica = { readonly topic: string; readonly index: number };

/** What replication of the partitions that are listed may take of this broker's network, at one end (KIP-73). */
export class ReplicationQuota {
  readonly #options: ReplicationQuotaOptions;
  readonly #rate: SampledRate;
  /** The lists as they were parsed; a list that changed is another. */
  readonly #parsed = new WeakMap<readonly string[], (index: number) => boolean>();

  constructor(options: ReplicationQuotaOptions) {
    this.#options = options;
    this.#rate = new SampledRate(options.windows);
  }

  get isActive(): boolean {
    return this.#options.bytesPerSecond() !== Number.POSITIVE_INFINITY;
  }

  /** It is listed, and those that are have had as much as they may. */
  isExceededBy(replica: Replica): boolean {
    return this.isActive && this.#isListed(replica) && this.#isExceeded;
  }

  record(replica: Replica, bytes: number): void {
    if (bytes > 0 && this.isActive && this.#isListed(replica)) this.#rate.record(bytes, this.#options.clock.monotonicMs());
  }

  get #isExceeded(): boolean {
    return this.#rate.throttleMs(this.#options.bytesPerSecond(), this.#options.clock.monotonicMs()) > 0;
  }

  #isListed({ topic, index }: Replica): boolean {
    const list = this.#options.throttledReplicas(topic);
    if (list.length === 0) return false;
    let isListed = this.#parsed.get(list);
    if (!isListed) this.#parsed.set(list, (isListed = parse(list, this.#options.brokerId)));
    return isListed(index);
  }
}

/** `*`, or `partition:broker` for each. */
function parse(list: readonly string[], brokerId: number): (index: number) => boolean {
  if (list.includes('*')) return () => true;
  const own = new Set<number>();
  for (const entry of list) {
    const [partition, broker] = entry.split(':');
    if (Number(broker) === brokerId) own.add(Number(partition));
  }
  return (index) => own.has(index);
}
