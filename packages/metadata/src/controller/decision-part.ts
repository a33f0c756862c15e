/** What follows one broker may be records for each of very many partitions: it is decided in parts. */
import type { MetadataRecord } from '@ottla/protocol';
import type { PartitionOfTopic } from '../image/topics-image.ts';
import type { ControllerState } from './controller-state.ts';
import { type PartitionWish, partitionChange } from './partition-change.ts';

export interface Part {
  readonly records: MetadataRecord[];
  /** There is more: asked again when these records were replayed, the same function tells it. */
  readonly isPartial: boolean;
}

export const nothing: Part = { records: [], isPartial: false };

/** The last record comes with the last part. */
export function closed(part: Part, last: MetadataRecord): Part {
  return part.isPartial ? part : { records: [...part.records, last], isPartial: false };
}

export const joined = (first: Part, then: Part): Part => ({
  records: [...first.records, ...then.records],
  isPartial: then.isPartial,
});

/** Of the partitions that a broker has, as many as may be changed at once. */
export function changes(
  state: ControllerState,
  partitions: Iterable<PartitionOfTopic>,
  wish: (partition: PartitionOfTopic) => PartitionWish | null,
): Part {
  const limit = state.settings.maxRecordsPerPart;
  const records: MetadataRecord[] = [];
  for (const partition of partitions) {
    if (records.length >= limit) return { records, isPartial: true };
    const wished = wish(partition);
    const record = wished && partitionChange(state, partition, wished);
    if (record) records.push(record);
  }
  return { records, isPartial: false };
}
