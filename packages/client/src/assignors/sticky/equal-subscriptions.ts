/**
 * Everybody subscribes to the same topics, so a balance is known before anything is dealt: with P partitions and M members
 * each gets floor(P/M), and P mod M of them one more. Members keep what they own up to that; the rest is dealt in turns.
 */
import type { TopicPartition } from '../../topic-partition.ts';
import { compareText, type MemberSubscription } from '../assignor.ts';
import type { RackMatching } from '../rack-matching.ts';
import type { StickyGroup } from './claims.ts';

/** `racks`, where they matter: nobody keeps what it cannot read nearby, and what is dealt goes nearby first. */
export function assignToEqual(
  { members, partitions, claims }: StickyGroup,
  racks: RackMatching | undefined,
): Map<string, TopicPartition[]> {
  const all = [...partitions.values()].flat();
  const deal = new Deal(members, all.length);
  for (const member of members) {
    const owned = claims.owned.get(member.memberId)!.toSorted(byNumberThenTopic);
    deal.keep(member, racks ? owned.filter((partition) => racks.matches(member, partition)) : owned);
  }
  deal.sortWaiting();
  let free = all.filter((partition) => !deal.dealt.has(partition));
  if (racks) {
    free = racks.mostConstrainedFirst(free, members);
    free = deal.out(free, (member, partition) => racks.isNearby(member, partition));
  }
  deal.out(free, () => true);
  return deal.assignment;
}

/** Who has too much gives up whole topics evenly, from the highest partitions down. */
function byNumberThenTopic(one: TopicPartition, other: TopicPartition): number {
  return one.partition - other.partition || compareText(one.topic, other.topic);
}

class Deal {
  readonly assignment: Map<string, TopicPartition[]>;
  readonly dealt = new Set<TopicPartition>();
  readonly #quota: number;
  /** How many members may still get one more than the quota. */
  #larger: number;
  readonly #belowQuota: MemberSubscription[] = [];
  #atQuota: MemberSubscription[] = [];

  constructor(members: readonly MemberSubscription[], partitionCount: number) {
    this.assignment = new Map(members.map(({ memberId }) => [memberId, []]));
    this.#quota = Math.floor(partitionCount / members.length);
    this.#larger = partitionCount % members.length;
  }

  /** As much of what a member owns as it may. */
  keep(member: MemberSubscription, owned: readonly TopicPartition[]): void {
    const isLarger = owned.length > this.#quota && this.#larger > 0;
    const kept = owned.slice(0, this.#quota + (isLarger ? 1 : 0));
    this.assignment.get(member.memberId)!.push(...kept);
    for (const partition of kept) this.dealt.add(partition);
    if (isLarger) this.#larger--;
    else if (kept.length < this.#quota) this.#belowQuota.push(member);
    else this.#atQuota.push(member);
  }

  sortWaiting(): void {
    const byId = (one: MemberSubscription, other: MemberSubscription): number => compareText(one.memberId, other.memberId);
    this.#belowQuota.sort(byId);
    this.#atQuota.sort(byId);
    if (this.#larger === 0) this.#atQuota = [];
  }

  /** In turns among those below the quota; then one each to those at it. Returns what nobody could take. */
  out(
    partitions: readonly TopicPartition[],
    suits: (member: MemberSubscription, partition: TopicPartition) => boolean,
  ): TopicPartition[] {
    let turn = 0;
    return partitions.filter((partition) => {
      const next = this.#nextBelowQuota(turn, (member) => suits(member, partition));
      if (next !== undefined) turn = this.#giveBelowQuota(next, partition);
      return next === undefined && !this.#giveAtQuota(partition, suits);
    });
  }

  #nextBelowQuota(turn: number, suits: (member: MemberSubscription) => boolean): number | undefined {
    const count = this.#belowQuota.length;
    for (let step = 0; step < count; step++) {
      const at = (turn + step) % count;
      if (suits(this.#belowQuota[at]!)) return at;
    }
    return undefined;
  }

  /** Returns whose turn is next. */
  #giveBelowQuota(at: number, partition: TopicPartition): number {
    const member = this.#belowQuota[at]!;
    const isFilled = this.#give(member, partition) === this.#quota;
    if (isFilled) {
      this.#belowQuota.splice(at, 1);
      if (this.#larger > 0) this.#atQuota.push(member);
    }
    return this.#belowQuota.length === 0 ? 0 : (at + (isFilled ? 0 : 1)) % this.#belowQuota.length;
  }

  #giveAtQuota(partition: TopicPartition, suits: (member: MemberSubscription, partition: TopicPartition) => boolean): boolean {
    const at = this.#larger > 0 ? this.#atQuota.findIndex((member) => suits(member, partition)) : -1;
    if (at < 0) return false;
    this.#give(this.#atQuota[at]!, partition);
    this.#atQuota.splice(at, 1);
    this.#larger--;
    return true;
  }

  #give({ memberId }: MemberSubscription, partition: TopicPartition): number {
    this.dealt.add(partition);
    return this.assignment.get(memberId)!.push(partition);
  }
}
