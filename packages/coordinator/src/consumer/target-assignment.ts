import { inJavaHashOrder, type Uuid } from '@ottla/protocol';
import { type AssignableMember, type Assignment, type GroupAssignor, sameAssignment } from '../assignors/group-assignor.ts';
import { rangeAssignor } from '../assignors/range-assignor.ts';
import { uniformAssignor } from '../assignors/uniform-assignor.ts';
import type { GroupTopics } from '../group-topics.ts';
import type { ConsumerGroup } from './consumer-group.ts';
import type { ConsumerMember } from './consumer-member.ts';
import { type ConsumerRecord, targetEpochRecord, targetRecord } from './consumer-records.ts';

export const NO_ASSIGNMENT: Assignment = new Map();

/** Those that a group can be led by; the configured names are checked when the broker starts. */
const assignors: ReadonlyMap<string, GroupAssignor> = new Map(
  [uniformAssignor, rangeAssignor].map((assignor) => [assignor.name, assignor]),
);

export type NextTarget = { readonly records: ConsumerRecord[]; readonly targets: ReadonlyMap<string, Assignment> };

/** What everybody is to have from now on, as if the group had `joining` as it is given here: in the place of the static member it replaces. */
export function nextTarget(
  group: ConsumerGroup,
  {
    joining,
    assignorName,
    groupEpoch,
    topics,
    nowMs,
  }: {
    readonly joining: ConsumerMember;
    readonly assignorName: string;
    readonly groupEpoch: number;
    readonly topics: GroupTopics;
    readonly nowMs: number;
  },
): NextTarget {
  const members = new Map(group.members.entries());
  const replacedId = joining.instanceId === null ? undefined : group.staticMembers.get(joining.instanceId);
  if (replacedId !== undefined && replacedId !== joining.memberId) members.delete(replacedId);
  members.set(joining.memberId, joining);

  const subscriptions = new Subscriptions(group, topics);
  const assignable = inJavaHashOrder([...members.keys()]).map((memberId): AssignableMember => {
    const member = members.get(memberId)!;
    const hadAs = memberId === joining.memberId ? (replacedId ?? memberId) : memberId;
    return {
      memberId,
      instanceId: member.instanceId,
      subscribedTopicIds: subscriptions.topicIdsOf(member),
      assignment: group.targets.get(hadAs) ?? NO_ASSIGNMENT,
    };
  });
  const assignor = assignors.get(assignorName) ?? uniformAssignor;
  const targets = assignor.assign(assignable, subscriptions.partitionCounts);
  const records: ConsumerRecord[] = [];
  for (const { memberId } of assignable) {
    const target = targets.get(memberId) ?? NO_ASSIGNMENT;
    const before = group.targets.get(memberId);
    if (before === undefined || !sameAssignment(before, target)) records.push(targetRecord(group.groupId, memberId, target));
  }
  records.push(targetEpochRecord(group.groupId, groupEpoch, nowMs));
  return { records, targets };
}

/** The topics that members subscribe to and that exist. Members with the same subscription share one set. */
class Subscriptions {
  readonly #group: ConsumerGroup;
  readonly #topics: GroupTopics;
  readonly #sets = new Map<string, ReadonlySet<Uuid>>();
  readonly partitionCounts = new Map<Uuid, number>();

  constructor(group: ConsumerGroup, topics: GroupTopics) {
    this.#group = group;
    this.#topics = topics;
  }

  topicIdsOf(member: ConsumerMember): ReadonlySet<Uuid> {
    const names = this.#group.subscriptionOf(member);
    const key = JSON.stringify([...names]);
    let ids = this.#sets.get(key);
    if (ids === undefined) this.#sets.set(key, (ids = this.#existing(names)));
    return ids;
  }

  #existing(names: Iterable<string>): ReadonlySet<Uuid> {
    const ids = new Set<Uuid>();
    for (const name of inJavaHashOrder([...names])) {
      const topic = this.#topics.byName(name);
      if (topic === undefined) continue;
      ids.add(topic.id);
      this.partitionCounts.set(topic.id, topic.partitionCount);
    }
    return ids;
  }
}

export function topicIdsOf(names: Iterable<string>, topics: GroupTopics): Set<Uuid> {
  const ids = new Set<Uuid>();
  for (const name of names) {
    const topic = topics.byName(name);
    if (topic !== undefined) ids.add(topic.id);
  }
  return ids;
}
