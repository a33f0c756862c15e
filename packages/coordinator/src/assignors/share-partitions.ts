/**
 * Shares partitions among members that all subscribe to them. A partition has as many readers as it takes to give everybody
 * one, ceil(members / partitions). That makes readers * partitions places, cut evenly: each member has a quota of them.
 *
 * Members keep what they have within their quota, partitions keep the readers that came last, and the places that are free
 * are dealt in turns to the members that have room.
 */
import type { DraftAssignment } from './draft-assignment.ts';
import type { AssignableMember } from './group-assignor.ts';
import type { TopicIdPartition } from './hash-order.ts';

export interface Pool {
  /** At least one. */
  readonly subscribers: readonly AssignableMember[];
  readonly partitions: readonly TopicIdPartition[];
  readonly order: DealingOrder;
}

export interface DealingOrder {
  /** A member with too much gives up the first. */
  ofOwned(owned: readonly TopicIdPartition[]): TopicIdPartition[];
  ofFree(free: readonly TopicIdPartition[], poolSize: number): TopicIdPartition[];
}

export function sharePartitions(draft: DraftAssignment, pool: Pool): void {
  if (pool.partitions.length === 0) return;
  const sharing = new Sharing(pool);
  sharing.keepOwned();
  sharing.limitReaders();
  sharing.dealFree();
  for (const { topicId, partition, readers } of sharing.places()) {
    for (const memberId of readers) draft.give(memberId, topicId, partition);
  }
}

/** A partition with those who are to read it. */
interface Place extends TopicIdPartition {
  readonly readers: string[];
}

class Sharing {
  readonly #subscribers: readonly AssignableMember[];
  readonly #order: DealingOrder;
  readonly #readersEach: number;
  readonly #places: ReadonlyMap<string, Place>;
  /** Those of partitions that anybody had, in the order in which members were asked. */
  readonly #owned = new Set<Place>();
  /** How much each member may still get, by member id. */
  readonly #rooms = new Map<string, number>();

  constructor({ subscribers, partitions, order }: Pool) {
    this.#subscribers = subscribers;
    this.#order = order;
    this.#readersEach = Math.ceil(subscribers.length / partitions.length);
    this.#places = new Map(partitions.map((partition) => [nameOf(partition), { ...partition, readers: [] }]));
  }

  places(): Iterable<Place> {
    return this.#places.values();
  }

  keepOwned(): void {
    for (const [at, { memberId, assignment }] of this.#subscribers.entries()) {
      const owned = [...assignment].flatMap(([topicId, partitions]) =>
        partitions.map((partition) => ({ topicId, partition })).filter((partition) => this.#places.has(nameOf(partition))),
      );
      const places = this.#order.ofOwned(owned).map((partition) => this.#places.get(nameOf(partition))!);
      for (const place of places) this.#owned.add(place);
      const quota = this.#quotaAt(at);
      const kept = places.slice(Math.max(0, places.length - quota));
      for (const { readers } of kept) readers.push(memberId);
      this.#rooms.set(memberId, quota - kept.length);
    }
  }

  /** So cut that members with one more than others are spread evenly. */
  #quotaAt(at: number): number {
    const places = this.#places.size * this.#readersEach;
    const before = (members: number): number => Math.ceil((members * places) / this.#subscribers.length);
    return before(at + 1) - before(at);
  }

  limitReaders(): void {
    for (const { readers } of this.#places.values()) {
      const tooMany = readers.splice(0, Math.max(0, readers.length - this.#readersEach));
      for (const memberId of tooMany) this.#rooms.set(memberId, this.#rooms.get(memberId)! + 1);
    }
  }

  dealFree(): void {
    const neverOwned = [...this.#places.values()].filter((place) => !this.#owned.has(place));
    const free = [...neverOwned, ...this.#owned].filter(({ readers }) => readers.length < this.#readersEach);
    const waiting = this.#subscribers.map(({ memberId }) => memberId).filter((memberId) => this.#rooms.get(memberId)! > 0);
    let turn = 0;
    for (const partition of this.#order.ofFree(free, this.#places.size)) {
      const { readers } = this.#places.get(nameOf(partition))!;
      for (let refused = 0; readers.length < this.#readersEach && refused < waiting.length; ) {
        turn %= waiting.length;
        const memberId = waiting[turn]!;
        if (readers.includes(memberId)) {
          refused++;
          turn++;
          continue;
        }
        readers.push(memberId);
        const room = this.#rooms.get(memberId)! - 1;
        this.#rooms.set(memberId, room);
        if (room === 0) waiting.splice(turn, 1);
        else turn++;
      }
    }
  }
}

function nameOf({ topicId, partition }: TopicIdPartition): string {
  return `${topicId}:${partition}`;
}
