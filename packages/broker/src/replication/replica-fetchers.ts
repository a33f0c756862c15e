import { javaStringHash } from '@ottla/protocol';
import type { Partition } from './partition.ts';
import { ReplicaFetcher, type ReplicaFetcherOptions } from './replica-fetcher.ts';

export type ReplicaFetchersOptions = {
  /** num.replica.fetchers: from each leader. */
  readonly fetchersPerLeader: () => number;
  readonly create: (leaderId: number, fetcherId: number) => ReplicaFetcherOptions;
};

/** All that this broker follows: each partition has its place with one of the fetchers of its leader. */
export class ReplicaFetchers {
  readonly #options: ReplicaFetchersOptions;
  readonly #fetchers = new Map<string, ReplicaFetcher>();
  readonly #placeOf = new Map<Partition, { readonly leaderId: number; readonly fetcher: ReplicaFetcher; readonly key: string }>();
  #perLeader: number;

  constructor(options: ReplicaFetchersOptions) {
    this.#options = options;
    this.#perLeader = options.fetchersPerLeader();
  }

  /** Under the epoch that the partition has been told; from another leader than before, if that has changed. */
  follow(partition: Partition): void {
    const place = this.#placeOf.get(partition);
    const { leader: leaderId } = partition;
    if (place && place.leaderId === leaderId) {
      place.fetcher.follow(partition);
      return;
    }
    this.unfollow(partition);
    const fetcherId = fetcherIdOf(partition, this.#perLeader);
    const key = `${leaderId}-${fetcherId}`;
    let fetcher = this.#fetchers.get(key);
    if (!fetcher) this.#fetchers.set(key, (fetcher = new ReplicaFetcher(this.#options.create(leaderId, fetcherId))));
    this.#placeOf.set(partition, { leaderId, fetcher, key });
    fetcher.follow(partition);
  }

  unfollow(partition: Partition): void {
    const place = this.#placeOf.get(partition);
    if (!place) return;
    this.#placeOf.delete(partition);
    place.fetcher.unfollow(partition);
    if (place.fetcher.size > 0) return;
    place.fetcher.close();
    this.#fetchers.delete(place.key);
  }

  /** num.replica.fetchers may have changed: every partition finds its place anew then. */
  resize(): void {
    const perLeader = this.#options.fetchersPerLeader();
    if (perLeader === this.#perLeader) return;
    this.#perLeader = perLeader;
    const followed = [...this.#placeOf.keys()];
    for (const partition of followed) this.unfollow(partition);
    for (const partition of followed) this.follow(partition);
  }

  close(): void {
    for (const fetcher of this.#fetchers.values()) fetcher.close();
    this.#fetchers.clear();
    this.#placeOf.clear();
  }
}

/** As Kafka spreads them. */
function fetcherIdOf({ topic, index }: Partition, fetchers: number): number {
  return Math.abs((Math.imul(31, javaStringHash(topic)) + index) | 0) % fetchers;
}
