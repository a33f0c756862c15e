import type { Group } from '../group.ts';
import { type GroupRecord, offsetTombstone } from '../group-record.ts';
import type { OffsetAndMetadata } from './offset-and-metadata.ts';
import type { OffsetStore } from './offset-store.ts';

/**
 * Tombstones for the offsets of a group that nobody has needed for the retention time. Topics that the group reads are kept, and so
 * are partitions with an open transaction. True when no offset of the group is left, and none is on its way.
 */
export function expireOffsets(
  store: OffsetStore,
  group: Group,
  { nowMs, retentionMs }: { readonly nowMs: number; readonly retentionMs: number },
  records: GroupRecord[],
): boolean {
  const { groupId } = group;
  const baseOf = group.offsetRetentionBase();
  let nothingLeft = true;
  for (const [topic, partitions] of store.ofGroup(groupId)) {
    for (const [partition, committed] of partitions) {
      const at = { groupId, topic, partition };
      if (baseOf !== null && isExpired(committed, baseOf(committed)) && !group.isSubscribedTo(topic) && !store.isOpen(at)) {
        records.push(offsetTombstone(at));
      } else {
        nothingLeft = false;
      }
    }
  }
  return nothingLeft && !store.hasOpen(groupId);

  function isExpired({ expireTimestamp }: OffsetAndMetadata, baseMs: number): boolean {
    // A commit that brought its own retention (OffsetCommit v2 to v4) keeps to it.
    return expireTimestamp === -1 ? nowMs - baseMs >= retentionMs : nowMs >= expireTimestamp;
  }
}
