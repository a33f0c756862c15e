/**
 * Where the replicas of new partitions go: spread over racks first, over brokers next, live brokers before fenced ones.
 * It begins at a random place, so that many topics of one partition spread as well as one topic of many.
 *
 * Racks stand in a ring, the brokers of a rack in two more (live, fenced). Replica 1 of each partition goes to the next rack
 * in turn; the others walk the ring of racks from there. Each partition moves every ring on by one.
 */

import { KafkaError } from '@ottla/protocol';
import type { RandomSource } from './decision.ts';

export interface PlaceableBroker {
  readonly id: number;
  readonly rack: string | null;
  readonly fenced: boolean;
}

/** @throws INVALID_REPLICATION_FACTOR */
export function placeReplicas(
  brokers: Iterable<PlaceableBroker>,
  { partitions, replicationFactor }: { partitions: number; replicationFactor: number },
  random: RandomSource,
): number[][] {
  const placement = new Placement([...brokers], random);
  placement.assertPossible(replicationFactor);
  return Array.from({ length: partitions }, () => placement.next(replicationFactor));
}

class Placement {
  readonly #racks: Rack[];
  readonly #brokers: readonly PlaceableBroker[];
  readonly #live: number;
  readonly #random: RandomSource;
  #offset: number;
  #placed = 0;

  constructor(brokers: readonly PlaceableBroker[], random: RandomSource) {
    this.#brokers = brokers;
    this.#random = random;
    this.#live = brokers.filter(({ fenced }) => !fenced).length;
    this.#racks = racksOf(brokers, random);
    this.#offset = this.#racks.length > 0 ? random.below(this.#racks.length) : 0;
  }

  assertPossible(replicationFactor: number): void {
    const refuse = (text: string): never => {
      throw new KafkaError('INVALID_REPLICATION_FACTOR', text);
    };
    if (replicationFactor <= 0)
      refuse(`Invalid replication factor ${replicationFactor}: the replication factor must be positive.`);
    if (this.#live === 0) refuse('All brokers are currently fenced, or have all their log directories cordoned.');
    if (replicationFactor > this.#brokers.length) {
      refuse(
        `The target replication factor of ${replicationFactor} cannot be reached because only ${this.#brokers.length} broker(s) ` +
          'are registered or some brokers have all their log directories cordoned.',
      );
    }
  }

  #rack(at: number): Rack {
    return this.#racks[at % this.#racks.length]!;
  }

  next(replicationFactor: number): number[] {
    if (this.#placed === this.#live) {
      this.#placed = 0;
      shuffle(this.#racks, this.#random);
      for (const rack of this.#racks) rack.shuffle(this.#random);
    }
    this.#placed++;
    for (const rack of this.#racks) rack.begin();

    // The first rack, in turn, that has a live broker: its replica becomes the leader.
    let at = this.#offset;
    while (!this.#rack(at).hasLive) at++;
    const first = this.#rack(at);
    const replicas = [first.takeLive()!];

    // The others walk all racks from the same place, and pass the first one by the first time.
    let passBy: Rack | undefined = first;
    for (at = this.#offset; replicas.length < replicationFactor; at++) {
      const rack = this.#rack(at);
      if (rack === passBy) {
        passBy = undefined;
        continue;
      }
      const broker = rack.takeLive() ?? rack.takeFenced();
      if (broker !== undefined) replicas.push(broker);
    }
    this.#offset = (this.#offset + 1) % this.#racks.length;
    return replicas;
  }
}

class Rack {
  readonly #live: Ring;
  readonly #fenced: Ring;

  constructor(live: number[], fenced: number[], random: RandomSource) {
    this.#live = new Ring(live, random);
    this.#fenced = new Ring(fenced, random);
  }

  get hasLive(): boolean {
    return this.#live.size > 0;
  }

  begin(): void {
    this.#live.begin();
    this.#fenced.begin();
  }

  takeLive(): number | undefined {
    return this.#live.take();
  }

  takeFenced(): number | undefined {
    return this.#fenced.take();
  }

  shuffle(random: RandomSource): void {
    this.#live.shuffle(random);
    this.#fenced.shuffle(random);
  }
}

/** Brokers in a circle; each partition takes each at most once, and begins one further than the partition before it. */
class Ring {
  readonly #brokers: number[];
  #offset: number;
  #taken = 0;
  #used = false;

  constructor(brokers: number[], random: RandomSource) {
    this.#brokers = brokers.sort((a, b) => a - b);
    this.#offset = brokers.length > 0 ? random.below(brokers.length) : 0;
  }

  get size(): number {
    return this.#brokers.length;
  }

  begin(): void {
    if (this.#used) this.#offset = (this.#offset + 1) % this.#brokers.length;
    this.#used = false;
    this.#taken = 0;
  }

  take(): number | undefined {
    if (this.#taken >= this.#brokers.length) return undefined;
    this.#used = true;
    return this.#brokers[(this.#offset + this.#taken++) % this.#brokers.length];
  }

  shuffle(random: RandomSource): void {
    shuffle(this.#brokers, random);
  }
}

function racksOf(brokers: readonly PlaceableBroker[], random: RandomSource): Rack[] {
  const names = [...new Set(brokers.map(({ rack }) => rack))].sort((a, b) => (a === null ? -1 : b === null ? 1 : a < b ? -1 : 1));
  return names.map((name) => {
    const inRack = brokers.filter(({ rack }) => rack === name);
    const ids = (fenced: boolean) => inRack.filter((broker) => broker.fenced === fenced).map(({ id }) => id);
    return new Rack(ids(false), ids(true), random);
  });
}

function shuffle<T>(list: T[], random: RandomSource): void {
  for (let last = list.length - 1; last > 0; last--) {
    const other = random.below(last + 1);
    [list[last], list[other]] = [list[other]!, list[last]!];
  }
}
