/**
 * The levels of metadata.version, and what each brings: which version of a record is written, and of the requests between
 * brokers. Below 7 (3.3-IV3) Kafka 4 does not go; 31 (4.4-IV0) is not yet released.
 */

export interface MetadataVersion {
  readonly level: number;
  readonly name: string;
  /** False: a downgrade across this level loses nothing. */
  readonly metadataChanged: boolean;
  readonly registerBrokerRecord: number;
  /** Of PartitionRecord and PartitionChangeRecord. */
  readonly partitionRecord: number;
  readonly fetchVersion: number;
  readonly listOffsetsVersion: number;
}

export const metadataVersionFeature = 'metadata.version';
export const minMetadataVersion = 7;
export const latestMetadataVersion = 30;

export const leaderEpochBumpsOnIsrShrinkBelow = 12; // 3.6-IV0
export const directoryAssignmentSince = 17; // 3.7-IV2
export const controllerRegistrationSince = 15; // 3.7-IV0
export const elrSince = 23; // 4.0-IV1
export const cordonedDirectoriesSince = 30; // 4.3-IV0

// level, name, metadata changed, RegisterBroker, Partition, Fetch, ListOffsets
const table: readonly [number, string, boolean, number, number, number, number][] = [
  [7, '3.3-IV3', true, 1, 0, 13, 7],
  [8, '3.4-IV0', true, 2, 0, 13, 7],
  [9, '3.5-IV0', false, 2, 0, 14, 8],
  [10, '3.5-IV1', false, 2, 0, 15, 8],
  [11, '3.5-IV2', true, 2, 0, 15, 8],
  [12, '3.6-IV0', false, 2, 0, 15, 8],
  [13, '3.6-IV1', true, 2, 0, 15, 8],
  [14, '3.6-IV2', true, 2, 0, 15, 8],
  [15, '3.7-IV0', true, 2, 0, 15, 8],
  [16, '3.7-IV1', false, 2, 0, 15, 8],
  [17, '3.7-IV2', true, 3, 1, 15, 8],
  [18, '3.7-IV3', false, 3, 1, 15, 8],
  [19, '3.7-IV4', false, 3, 1, 16, 8],
  [20, '3.8-IV0', false, 3, 1, 16, 8],
  [21, '3.9-IV0', false, 3, 1, 17, 9],
  [22, '4.0-IV0', false, 3, 1, 17, 9],
  [23, '4.0-IV1', true, 3, 2, 17, 9],
  [24, '4.0-IV2', false, 3, 2, 17, 9],
  [25, '4.0-IV3', false, 3, 2, 17, 10],
  [26, '4.1-IV0', false, 3, 2, 17, 10],
  [27, '4.1-IV1', false, 3, 2, 18, 10],
  [28, '4.2-IV0', false, 3, 2, 18, 10],
  [29, '4.2-IV1', false, 3, 2, 18, 11],
  [30, '4.3-IV0', true, 4, 2, 18, 11],
  [31, '4.4-IV0', false, 4, 2, 18, 11],
];

export const metadataVersions: readonly MetadataVersion[] = table.map(
  ([level, name, metadataChanged, registerBrokerRecord, partitionRecord, fetchVersion, listOffsetsVersion]) => ({
    level,
    name,
    metadataChanged,
    registerBrokerRecord,
    partitionRecord,
    fetchVersion,
    listOffsetsVersion,
  }),
);

export function metadataVersion(level: number): MetadataVersion {
  const version = metadataVersions[level - minMetadataVersion];
  if (version === undefined) throw new RangeError(`metadata.version ${level} is unknown: ${minMetadataVersion} to 31 are known`);
  return version;
}

/** By a level's name (`4.3-IV0`) or a release (`4.3`, `4.3.1`: its last level). */
export function metadataVersionNamed(name: string): MetadataVersion | undefined {
  const exact = metadataVersions.find((version) => version.name === name);
  if (exact) return exact;
  const release = name.split('.').slice(0, 2).join('.');
  return metadataVersions.findLast((version) => version.name.startsWith(`${release}-`));
}
