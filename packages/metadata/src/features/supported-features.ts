/** The features a node of this release supports, and the levels a new cluster begins with. */

import { latestMetadataVersion, metadataVersionFeature, minMetadataVersion } from './metadata-versions.ts';

export interface FeatureDefinition {
  readonly name: string;
  readonly minLevel: number;
  readonly maxLevel: number;
  /** By level: the metadata.version from which a newly formatted cluster begins with it. */
  readonly bootstrapMetadataVersions: readonly number[];
  /** By level: other features that must be at least at a level. */
  readonly dependencies: readonly Readonly<Record<string, number>>[];
}

export const kraftVersionFeature = 'kraft.version';
export const elrVersionFeature = 'eligible.leader.replicas.version';
export const transactionVersionFeature = 'transaction.version';
export const groupVersionFeature = 'group.version';
export const shareVersionFeature = 'share.version';
export const streamsVersionFeature = 'streams.version';

const feature = (
  name: string,
  bootstrapMetadataVersions: readonly number[],
  dependencies: readonly Readonly<Record<string, number>>[] = [],
): FeatureDefinition => ({
  name,
  minLevel: 0,
  maxLevel: bootstrapMetadataVersions.length - 1,
  bootstrapMetadataVersions,
  dependencies,
});

/** All but metadata.version itself. */
export const featureDefinitions: readonly FeatureDefinition[] = [
  feature(kraftVersionFeature, [7, 21]),
  feature(transactionVersionFeature, [7, 24, 24]),
  feature(groupVersionFeature, [7, 22]),
  feature(elrVersionFeature, [7, 26], [{}, { [metadataVersionFeature]: 23 }]),
  feature(shareVersionFeature, [7, 28]),
  feature(streamsVersionFeature, [7, 29]),
];

export interface FeatureRange {
  readonly min: number;
  readonly max: number;
}

/** What this node tells when it registers. */
export const supportedFeatures: ReadonlyMap<string, FeatureRange> = new Map([
  [metadataVersionFeature, { min: minMetadataVersion, max: latestMetadataVersion }],
  ...featureDefinitions.map(({ name, minLevel, maxLevel }) => [name, { min: minLevel, max: maxLevel }] as const),
]);

/** The levels that `format` writes for a metadata.version: itself first, then the others by name; kraft.version is not one of them. */
export function defaultFeatureLevels(metadataVersionLevel = latestMetadataVersion): Map<string, number> {
  const levels = new Map([[metadataVersionFeature, metadataVersionLevel]]);
  const others = featureDefinitions.filter(({ name }) => name !== kraftVersionFeature);
  for (const { name, bootstrapMetadataVersions } of others.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const level = bootstrapMetadataVersions.findLastIndex((since) => since <= metadataVersionLevel);
    if (level > 0) levels.set(name, level);
  }
  return levels;
}
