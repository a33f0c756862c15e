import {
  defaultFeatureLevels,
  type FeatureDefinition,
  featureDefinitions,
  kraftVersionFeature,
  latestMetadataVersion,
  metadataVersion,
  metadataVersionFeature,
  metadataVersionNamed,
  metadataVersions,
  minMetadataVersion,
} from '@ottla/metadata';
import { FormatError } from './format-error.ts';

export type FeatureChoice = {
  /** A level's name (4.3-IV0) or a release (4.3). */
  readonly releaseVersion?: string;
  /** `name=level` each. */
  readonly features?: readonly string[];
  /** The voters are in the log: standalone, initial controllers or none yet. */
  readonly isDynamicQuorum: boolean;
};

/** The feature levels that a cluster begins with, metadata.version first, then by name; those at level 0 are left out. Throws FormatError. */
export function bootstrapFeatures({ releaseVersion, features = [], isDynamicQuorum }: FeatureChoice): Map<string, number> {
  const chosen = new Map(features.map(parseFeature));
  const metadataLevel = chosenMetadataVersion(chosen.get(metadataVersionFeature), releaseVersion);
  chosen.delete(metadataVersionFeature);
  for (const [name, level] of chosen) requireKnown(name, level);
  requireQuorumOf(chosen.get(kraftVersionFeature), isDynamicQuorum);
  chosen.delete(kraftVersionFeature);
  const levels = new Map([...defaultFeatureLevels(metadataLevel), ...chosen]);
  levels.delete(metadataVersionFeature);
  const sorted = [...levels].filter(([, level]) => level > 0).sort(([a], [b]) => (a < b ? -1 : 1));
  const all = new Map([[metadataVersionFeature, metadataLevel] as [string, number], ...sorted]);
  for (const [name, level] of sorted) requireDependencies(name, level, all);
  return all;
}

function parseFeature(text: string): [string, number] {
  const equals = text.indexOf('=');
  if (equals < 0) throw new FormatError(`Can't parse feature=level string ${text}: equals sign not found.`);
  const level = text.slice(equals + 1).trim();
  if (!/^[+-]?[0-9]+$/.test(level))
    throw new FormatError(`Can't parse feature=level string ${text}: unable to parse ${level} as a short.`);
  return [text.slice(0, equals).trim(), Number(level)];
}

function chosenMetadataVersion(level: number | undefined, releaseVersion: string | undefined): number {
  if (releaseVersion === undefined) return level === undefined ? latestMetadataVersion : knownMetadataVersion(level);
  if (level !== undefined)
    throw new FormatError('Use --release-version instead of --feature metadata.version=X to avoid ambiguity.');
  const named = metadataVersionNamed(releaseVersion);
  if (named && named.level <= latestMetadataVersion) return named.level;
  const supported = metadataVersions.filter((version) => version.level <= latestMetadataVersion).map(({ name }) => name);
  throw new FormatError(`Unknown metadata.version '${releaseVersion}'. Supported metadata.version are: ${supported.join(', ')}`);
}

function knownMetadataVersion(level: number): number {
  const greatest = metadataVersions.at(-1)!.level;
  if (level < minMetadataVersion || level > greatest) {
    throw new FormatError(
      `No MetadataVersion with feature level ${level}. Valid feature levels are from ${minMetadataVersion} to ${greatest}.`,
    );
  }
  if (level > latestMetadataVersion) throw new FormatError(`metadata.version ${metadataVersion(level).name} is not yet stable.`);
  return level;
}

const definitionOf = (name: string): FeatureDefinition | undefined => featureDefinitions.find((each) => each.name === name);

function requireKnown(name: string, level: number): void {
  const definition = definitionOf(name);
  if (!definition) {
    const names = featureDefinitions.map((each) => each.name).sort();
    throw new FormatError(`Unsupported feature: ${name}. Supported features are: ${names.join(', ')}`);
  }
  if (level < definition.minLevel || level > definition.maxLevel)
    throw new FormatError(`No feature:${name} with feature level ${level}`);
}

function requireQuorumOf(kRaftVersion: number | undefined, isDynamicQuorum: boolean): void {
  const flags = '--standalone, --initial-controllers, or --no-initial-controllers';
  if (kRaftVersion === 0 && isDynamicQuorum) {
    throw new FormatError(
      `Cannot set kraft.version to 0 if controller.quorum.voters is empty and one of the flags ${flags} is used. ` +
        'For dynamic controllers support, try removing the --feature flag for kraft.version.',
    );
  }
  if (kRaftVersion === 1 && !isDynamicQuorum) {
    throw new FormatError(
      `Cannot set kraft.version to 1 unless controller.quorum.voters is empty and one of the flags ${flags} is used. ` +
        `For dynamic controllers support, try using one of ${flags} and removing controller.quorum.voters.`,
    );
  }
}

function requireDependencies(name: string, level: number, levels: ReadonlyMap<string, number>): void {
  for (const [needed, neededLevel] of Object.entries(definitionOf(name)?.dependencies[level] ?? {})) {
    if ((levels.get(needed) ?? 0) >= neededLevel) continue;
    throw new FormatError(`${name} could not be set to ${level} because it depends on ${needed} level ${neededLevel}`);
  }
}
