/**
 * Members subscribe to different topics, so what balance is possible shows only while dealing. Members keep what they own and
 * may still read; what is free goes to the member with the fewest partitions that subscribes to it; then partitions move from
 * members with more to members with fewer while that helps. Of two ways to the same balance the one is taken that moves less.
 *
 * Balance is judged by the sum, over all pairs of members, of the difference in how many partitions they have: 0 is ideal.
 */
import type { TopicPartition } from '../../topic-partition.ts';
import { compareText, type MemberSubscription } from '../assignor.ts';
import type { RackMatching } from '../rack-matching.ts';
import { remove, type StickyGroup } from './claims.ts';
import { PartitionMovements } from './partition-movements.ts';

export function assignToDifferent(group: StickyGroup, racks: RackMatching | undefined): Map<string, TopicPartition[]> {
  const balance = new Balance(group, racks);
  balance.keepOwned();
  balance.giveFree();
  balance.move();
  return balance.assignment;
}

class Balance {
  readonly assignment: Map<string, TopicPartition[]>;
  readonly #group: StickyGroup;
  readonly #racks: RackMatching | undefined;
  readonly #members: ReadonlyMap<string, MemberSubscription>;
  /** Those that exist, by member id. */
  readonly #topicsOf: ReadonlyMap<string, ReadonlySet<string>>;
  readonly #subscribers: ReadonlyMap<string, readonly string[]>;
  /** Topics with few subscribers first: there is the least choice for them. */
  readonly #partitions: TopicPartition[];
  readonly #owner = new Map<TopicPartition, string>();
  /** Member ids, the one with the fewest partitions first. */
  #byLoad: string[] = [];
  #free: TopicPartition[] = [];
  #wasEmpty = false;
  #hasRevoked = false;
  #isKnownUnbalanced = false;
  readonly #movements = new PartitionMovements();

  constructor(group: StickyGroup, racks: RackMatching | undefined) {
    this.#group = group;
    this.#racks = racks;
    this.assignment = new Map(group.members.map(({ memberId }) => [memberId, []]));
    this.#members = new Map(group.members.map((member) => [member.memberId, member]));
    const topics = [...group.partitions.keys()];
    this.#topicsOf = new Map(
      group.members.map((member) => [member.memberId, new Set(member.topics.filter((topic) => group.partitions.has(topic)))]),
    );
    this.#subscribers = new Map(
      topics.map((topic) => [
        topic,
        group.members.map(({ memberId }) => memberId).filter((id) => this.#topicsOf.get(id)!.has(topic)),
      ]),
    );
    this.#partitions = topics
      .sort((one, other) => this.#subscribers.get(one)!.length - this.#subscribers.get(other)!.length || compareText(one, other))
      .flatMap((topic) => group.partitions.get(topic)!);
  }

  keepOwned(): void {
    for (const [memberId, owned] of this.#group.claims.owned) {
      for (const partition of owned) {
        const isKept = this.#mayRead(memberId, partition) && this.#isNearby(memberId, partition);
        if (!isKept) this.#hasRevoked = true;
        else {
          this.assignment.get(memberId)!.push(partition);
          this.#owner.set(partition, memberId);
        }
      }
    }
    this.#byLoad = [...this.assignment.keys()].sort((one, other) => this.#compareLoad(one, other));
    this.#wasEmpty = this.#load(this.#byLoad.at(-1)!) === 0;
    this.#free = this.#partitions.filter((partition) => !this.#owner.has(partition));
  }

  giveFree(): void {
    const left = this.#racks ? this.#free.filter((partition) => !this.#giveToLeastLoaded(partition, true)) : this.#free;
    for (const partition of left) this.#giveToLeastLoaded(partition, false);
  }

  /** Moves partitions while it helps. An existing assignment is left alone unless the new one is better balanced. */
  move(): void {
    const isMovable = ({ topic }: TopicPartition): boolean => this.#subscribers.get(topic)!.length > 1;
    this.#byLoad = this.#byLoad.filter((id) => this.#canTakePart(id, isMovable));
    const before = new Map(this.#byLoad.map((id) => [id, [...this.assignment.get(id)!]]));
    const scoreBefore = this.#score();
    if (!this.#hasRevoked) this.#moveAmong(this.#free.filter(isMovable));
    const hasMoved = this.#moveAmong(this.#partitions.filter(isMovable));
    if (!this.#wasEmpty && hasMoved && this.#score() >= scoreBefore) {
      for (const [id, partitions] of before) this.assignment.set(id, partitions);
    }
  }

  /** True if something moved. */
  #moveAmong(partitions: readonly TopicPartition[]): boolean {
    let hasMoved = false;
    let hasMovedNow: boolean;
    this.#isKnownUnbalanced = false;
    do {
      hasMovedNow = false;
      for (const partition of partitions) {
        if (this.#isBalanced()) break;
        const to = this.#betterOwner(partition);
        if (to === undefined) continue;
        this.#moveSomethingLike(partition, to);
        hasMovedNow = true;
      }
      hasMoved ||= hasMovedNow;
    } while (hasMovedNow);
    return hasMoved;
  }

  /** Somebody with at least two partitions fewer: best who had it before, else who has the fewest. */
  #betterOwner(partition: TopicPartition): string | undefined {
    const owner = this.#owner.get(partition)!;
    const hasFewer = (id: string): boolean => this.#load(owner) > this.#load(id) + 1;
    const earlier = this.#group.claims.earlierOwner.get(partition);
    if (earlier !== undefined && hasFewer(earlier)) return earlier;
    const least = this.#byLoad.find((id) => this.#mayRead(id, partition));
    return least !== undefined && hasFewer(least) ? least : undefined;
  }

  /** Rather than the partition itself one of its topic that came the other way: undoing a move is cheaper than another. */
  #moveSomethingLike(partition: TopicPartition, to: string): void {
    const moved = this.#movements.insteadOf(partition, { from: this.#owner.get(partition)!, to });
    const from = this.#owner.get(moved)!;
    this.#movements.add(moved, { from, to });
    this.#reload(from, () => remove(this.assignment.get(from)!, moved));
    this.#give(moved, to);
    this.#isKnownUnbalanced = false;
  }

  #giveToLeastLoaded(partition: TopicPartition, onlyNearby: boolean): boolean {
    const to = this.#byLoad.find((id) => this.#mayRead(id, partition) && (!onlyNearby || this.#isNearby(id, partition)));
    if (to !== undefined) this.#give(partition, to);
    return to !== undefined;
  }

  #give(partition: TopicPartition, to: string): void {
    this.#owner.set(partition, to);
    this.#reload(to, () => this.assignment.get(to)!.push(partition));
  }

  /** Keeps `#byLoad` in order while the load of a member changes. */
  #reload(id: string, change: () => void): void {
    const isRanked = this.#byLoad.includes(id);
    if (isRanked) remove(this.#byLoad, id);
    change();
    if (!isRanked) return;
    const at = this.#byLoad.findIndex((other) => this.#compareLoad(id, other) < 0);
    this.#byLoad.splice(at < 0 ? this.#byLoad.length : at, 0, id);
  }

  /** Nothing can move from one member to another that has fewer. */
  #isBalanced(): boolean {
    if (this.#isKnownUnbalanced) return false;
    if (this.#byLoad.length === 0 || this.#load(this.#byLoad[0]!) >= this.#load(this.#byLoad.at(-1)!) - 1) return true;
    const isBalanced = this.#byLoad.every((id) =>
      [...this.#topicsOf.get(id)!].every((topic) =>
        this.#group.partitions.get(topic)!.every((partition) => this.#load(id) >= this.#load(this.#owner.get(partition)!)),
      ),
    );
    this.#isKnownUnbalanced = !isBalanced;
    return isBalanced;
  }

  /** It could have more than it has, or something of it could go to another. */
  #canTakePart(id: string, isMovable: (partition: TopicPartition) => boolean): boolean {
    let most = 0;
    for (const topic of this.#topicsOf.get(id)!) most += this.#group.partitionCounts.get(topic)!;
    return this.#load(id) < most || this.assignment.get(id)!.some(isMovable);
  }

  #score(): number {
    const loads = this.#byLoad.map((id) => this.#load(id));
    return loads.reduce((sum, load, at) => sum + loads.slice(at + 1).reduce((own, other) => own + Math.abs(load - other), 0), 0);
  }

  #mayRead(id: string, { topic }: TopicPartition): boolean {
    return this.#topicsOf.get(id)!.has(topic);
  }

  #isNearby(id: string, partition: TopicPartition): boolean {
    return this.#racks === undefined || this.#racks.matches(this.#members.get(id)!, partition);
  }

  #load(id: string): number {
    return this.assignment.get(id)!.length;
  }

  #compareLoad(one: string, other: string): number {
    return this.#load(one) - this.#load(other) || compareText(one, other);
  }
}
