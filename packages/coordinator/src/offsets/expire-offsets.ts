import { ZERO_UUID } from '@ottla/protocol';
import type { Group } from '../group.ts';
import { type GroupRecord, offsetTombstone } from '../group-record.ts';
import type { GroupTopics } from '../group-topics.ts';
import type { OffsetAndMetadata } from './offset-and-metadata.ts';
import type { OffsetStore } from './offset-store.ts';

/** `topics` are those that exist, to tell a topic from a deleted one of the same name. */
type Retention = { readonly nowMs: number; readonly retentionMs: number; readonly topics: Pick<GroupTopics, 'byId'> };

/**
 * Tombstones for the offsets of a group that nobody has needed for the retention time. Topics that the group reads are kept, and so
 * are partitions with an open transaction. True when no offset of the group is left, and none is on its way.
 */
export function expireOffsets(
  store: OffsetStore,
  group: Group,
  { nowMs, retentionMs, topics }: Retention,
  records: GroupRecord[],
): boolean {
  const { groupId } = group;
  const baseOf = group.offsetRetentionBase();
  let nothingLeft = true;
  for (const [topic, partitions] of store.ofGroup(groupId)) {
    for (const [partition, committed] of partitions) {
      const at = { groupId, topic, partition };
      if (baseOf !== null && isExpired(committed, baseOf(committed)) && !isRead(topic, committed) && !store.isOpen(at)) {
        records.push(offsetTombstone(at));
      } else {
        nothingLeft = false;
      }
    }
  }
  return nothingLeft && !store.hasOpen(groupId);

  function isRead(topic: string, { topicId }: OffsetAndMetadata): boolean {
    return group.isSubscribedTo(topic) && (topicId === ZERO_UUID || topics.byId(topicId) !== undefined);
  }

  function isExpired({ expireTimestamp }: OffsetAndMetadata, baseMs: number): boolean {
    // A commit that brought its own retention (OffsetCommit v2 to v4) keeps to it.
    return expireTimestamp === -1 ? nowMs - baseMs >= retentionMs : nowMs >= expireTimestamp;
  }
}
