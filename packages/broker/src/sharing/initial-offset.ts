import type { Clock } from '@ottla/runtime';
import type { Partition } from '../replication/partition.ts';
import type { GroupSharing } from './group-sharing.ts';

const BY_DURATION = 'by_duration:';

/** Where a group begins in a partition that it has never consumed: share.auto.offset.reset. */
export function startOffsetFor(partition: Partition, { autoOffsetReset }: GroupSharing, clock: Clock): number {
  if (autoOffsetReset === 'earliest') return partition.log.logStartOffset;
  if (!autoOffsetReset.startsWith(BY_DURATION)) return partition.highWatermark;
  const fromMs = clock.nowMs() - durationMs(autoOffsetReset.slice(BY_DURATION.length));
  const found = partition.log.offsetForTimestamp(Math.max(0, fromMs));
  // Nothing is that young: the next record will be.
  return found && found.offset < partition.highWatermark ? found.offset : partition.highWatermark;
}

/** Of `PnDTnHnMn.nS`, which was checked when it was set. */
export function durationMs(text: string): number {
  const match = /^\+?P(?:\+?(\d+)D)?(?:T(?:\+?(\d+)H)?(?:\+?(\d+)M)?(?:\+?(\d+(?:[.,]\d*)?)S)?)?$/i.exec(text);
  if (!match) return 0;
  const [days, hours, minutes, seconds] = match.slice(1).map((part) => Number((part ?? '0').replace(',', '.')));
  return Math.round((((days! * 24 + hours!) * 60 + minutes!) * 60 + seconds!) * 1000);
}
