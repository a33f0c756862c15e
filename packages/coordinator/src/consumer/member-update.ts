/** What a heartbeat and a JoinGroup have in common: a member as it says it is now, and the steps that follow for it and its group. */
import type { Assignment } from '../assignors/group-assignor.ts';
import { revocationKey } from '../group-deadline.ts';
import type { GroupState } from '../group-state.ts';
import type { Turn } from '../outcome.ts';
import type { ConsumerGroup } from './consumer-group.ts';
import { type ConsumerMember, isReconciledTo, memberStates, sameNames } from './consumer-member.ts';
import { epochRecord, groupTombstone, memberRecord, progressRecord } from './consumer-records.ts';
import { type OwnedPartitions, reconcile } from './reconcile.ts';
import type { RegexChange, RegexRefresh } from './regex-refresh.ts';
import { NO_ASSIGNMENT, nextTarget, topicIdsOf } from './target-assignment.ts';

export type MemberUpdate = {
  readonly group: ConsumerGroup;
  /** As the group knows it; with a static member's new id if it has one. */
  readonly before: ConsumerMember;
  readonly after: ConsumerMember;
};

export type Destination = { readonly target: Assignment; readonly targetEpoch: number };

/** Writes down what the member says, and says what of it concerns its group. */
export function recordMember(
  { group, before, after }: MemberUpdate,
  regexes: RegexRefresh,
  turn: Turn,
): { readonly namesChanged: boolean; readonly regexChange: RegexChange } {
  if (after !== before) turn.records.push(memberRecord(group.groupId, after));
  return {
    namesChanged: !sameNames(before.subscribedTopicNames, after.subscribedTopicNames),
    regexChange: regexes.onMember({ group, before, after }, turn),
  };
}

/** The group's epoch, which grows if it has to or if what the group knows of its topics is no longer true. */
export function updateEpoch({ group, before, after }: MemberUpdate, hasToGrow: boolean, state: GroupState, turn: Turn): number {
  if (!hasToGrow && !group.needsRefresh) return group.groupEpoch;
  const members = group.membersWith(after);
  // An expression that was resolved counts while anyone subscribes with it.
  const regexes = [...group.regexes.keys()].filter(
    (regex) =>
      regex !== before.subscribedTopicRegex || members.some(({ subscribedTopicRegex }) => subscribedTopicRegex === regex),
  );
  const metadataHash = state.topicHashes.ofGroup(group.subscribedTopicsOf(members, regexes));
  const grows = hasToGrow || metadataHash !== group.metadataHash;
  const groupEpoch = group.groupEpoch + (grows ? 1 : 0);
  if (grows) turn.records.push(epochRecord(group.groupId, groupEpoch, metadataHash));
  group.refreshed(groupEpoch);
  if (group.hasOldTopicsRecord) turn.records.push(groupTombstone('ConsumerGroupPartitionMetadata', group.groupId));
  return groupEpoch;
}

/** What the member is to have: by a new target assignment if it is time for one, else by the last. */
export function updateTarget({ group, after }: MemberUpdate, groupEpoch: number, state: GroupState, turn: Turn): Destination {
  const intervalMs = state.configOf(group.groupId)['consumer.assignment.interval.ms'];
  const nowMs = turn.moment.wallMs;
  if (group.assignmentEpoch >= groupEpoch || !group.mayAssign(intervalMs, nowMs)) return lastTarget({ group, after });
  const assignorName = group.preferredAssignor(group.membersWith(after)) ?? state.config.consumer.assignors[0]!;
  const { records, targets } = nextTarget(group, { joining: after, assignorName, groupEpoch, topics: state.topics, nowMs });
  turn.records.push(...records);
  return { target: targets.get(after.memberId) ?? NO_ASSIGNMENT, targetEpoch: groupEpoch };
}

export function lastTarget({ group, after }: Pick<MemberUpdate, 'group' | 'after'>): Destination {
  const replacedId = after.instanceId === null ? after.memberId : group.staticMembers.get(after.instanceId);
  const target = replacedId === undefined ? undefined : group.targets.get(replacedId);
  return { target: target ?? NO_ASSIGNMENT, targetEpoch: group.assignmentEpoch };
}

/** Takes the member a step towards its target. It has its rebalance timeout to give up what it is asked to. */
export function stepTowards(
  { group, after }: Pick<MemberUpdate, 'group' | 'after'>,
  to: Destination & { readonly hasSubscriptionChanged: boolean; readonly owned: OwnedPartitions },
  state: GroupState,
  turn: Turn,
): ConsumerMember {
  if (!to.hasSubscriptionChanged && isReconciledTo(after, to.targetEpoch)) return after;
  const reconciled = reconcile(after, {
    ...to,
    subscribedTopicIds: topicIdsOf(group.subscriptionOf(after), state.topics),
    isOwned: (topicId, partition) => group.isOwned(topicId, partition),
  });
  if (reconciled === after) return after;
  const { groupId } = group;
  const { memberId } = reconciled;
  turn.records.push(progressRecord(groupId, reconciled));
  if (reconciled.classic === null) {
    if (reconciled.state === memberStates.unrevoked) expectRevocation(groupId, reconciled, state, turn);
    else state.deadlines.cancel(revocationKey(groupId, memberId));
  }
  return reconciled;
}

export function expectRevocation(
  groupId: string,
  { memberId, memberEpoch, rebalanceTimeoutMs }: ConsumerMember,
  { deadlines }: GroupState,
  { moment }: Turn,
): void {
  deadlines.set(revocationKey(groupId, memberId), moment.monotonicMs + rebalanceTimeoutMs, {
    type: 'RevocationExpired',
    groupId,
    memberId,
    memberEpoch,
  });
}
