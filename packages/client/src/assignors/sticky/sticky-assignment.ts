/** What the sticky and the cooperative sticky assignor share: an assignment as balanced as can be that moves as little as can be. */
import type { TopicPartition } from '../../topic-partition.ts';
import type { MemberSubscription, ReplicaRacks } from '../assignor.ts';
import { RackMatching } from '../rack-matching.ts';
import type { StickyGroup } from './claims.ts';
import { assignToDifferent } from './different-subscriptions.ts';
import { assignToEqual } from './equal-subscriptions.ts';

/** Every member has an entry, in the order of the group. */
export function stickyAssignment(group: StickyGroup, replicaRacks: ReplicaRacks | undefined): Map<string, TopicPartition[]> {
  if (group.members.length === 0) return new Map();
  const racks = new RackMatching(group.partitionCounts, replicaRacks);
  const mattering = racks.matterFor(group.partitionCounts.keys(), group.members) ? racks : undefined;
  return haveEqualSubscriptions(group.members) ? assignToEqual(group, mattering) : assignToDifferent(group, mattering);
}

/** Topics that do not exist count too. */
function haveEqualSubscriptions(members: readonly MemberSubscription[]): boolean {
  const [first, ...others] = members.map(({ topics }) => new Set(topics));
  return others.every((topics) => topics.size === first!.size && [...topics].every((topic) => first!.has(topic)));
}
