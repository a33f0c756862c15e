/** Raising and lowering the finalized levels of features. */

import { KafkaError, type MetadataRecord, type UpdateFeaturesRequest, type UpdateFeaturesResponse } from '@ottla/protocol';
import { controllerRegistrationSince, metadataVersion, metadataVersionFeature } from '../features/metadata-versions.ts';
import { elrVersionFeature, featureDefinitions, kraftVersionFeature, supportedFeatures } from '../features/supported-features.ts';
import type { SupportedFeature } from '../image/broker-registration.ts';
import { configResource } from '../image/configs-image.ts';
import { configRecord, featureLevelRecord, noOpRecord } from '../records.ts';
import { clusterMinIsr } from './activation.ts';
import type { ControllerState } from './controller-state.ts';
import { type Decision, type DecisionContext, itemError, success } from './decision.ts';

type FeatureUpdate = UpdateFeaturesRequest['featureUpdates'][number];

const upgrade = 1;
const safeDowngrade = 2;
const unsafeDowngrade = 3;

/** All or nothing: the first feature that cannot be updated is the answer for all. */
export function updateFeatures(
  state: ControllerState,
  request: UpdateFeaturesRequest,
  { apiVersion = 2 }: Pick<DecisionContext, 'apiVersion'>,
): Decision<UpdateFeaturesResponse> {
  const levels = new Map(state.image.features);
  for (const { feature, maxVersionLevel } of request.featureUpdates) levels.set(feature, maxVersionLevel);
  const records: MetadataRecord[] = [];
  try {
    for (const update of request.featureUpdates) {
      const type = apiVersion === 0 ? (update.allowDowngrade ? safeDowngrade : upgrade) : update.upgradeType;
      records.push(...updateRecords(state, { ...update, upgradeType: type }, levels, request.validateOnly));
    }
    const beginsElr = (levels.get(elrVersionFeature) ?? 0) > 0 && !state.image.features.elrEnabled;
    if (beginsElr) records.unshift(...oneMinIsr(state));
  } catch (error) {
    const { errorCode, errorMessage } = itemError(error);
    const text = `The update failed for all features since the following feature had an error: ${errorMessage}`;
    return { records: [], response: { throttleTimeMs: 0, errorCode, errorMessage: text, results: [] } };
  }
  const results =
    apiVersion <= 1 ? request.featureUpdates.map(({ feature }) => ({ feature, errorCode: 0, errorMessage: 'NONE' })) : [];
  return { records: request.validateOnly ? [] : records, response: { throttleTimeMs: 0, ...success, results } };
}

function updateRecords(
  state: ControllerState,
  update: FeatureUpdate,
  levels: ReadonlyMap<string, number>,
  validateOnly: boolean,
): MetadataRecord[] {
  const { feature: name, maxVersionLevel: level, upgradeType } = update;
  const refuse = (why: string): never => {
    throw new KafkaError('INVALID_UPDATE_VERSION', `Invalid update version ${level} for feature ${name}. ${why}`);
  };
  if (upgradeType !== upgrade && upgradeType !== safeDowngrade && upgradeType !== unsafeDowngrade) {
    refuse('The controller does not support the given upgrade type.');
  }
  if (level < 0) refuse('A feature version cannot be less than 0.');
  const unsupported = whoDoesNotSupport(state, name, level);
  if (unsupported) refuse(unsupported);
  const before = levelBefore(state, name);
  if (level < before && upgradeType === upgrade) {
    refuse("Can't downgrade the version of this feature without setting the upgrade type to either safe or unsafe downgrade.");
  }
  if (level > before && upgradeType !== upgrade) refuse("Can't downgrade to a newer version.");
  if (name === kraftVersionFeature) {
    if (upgradeType !== upgrade) refuse("Can't downgrade the version of this feature.");
    // Only the quorum can change it, by control records; here it leaves no more than a trace.
    if (level !== before) state.settings.kraftVersion.upgrade(level, validateOnly);
    return [noOpRecord];
  }
  if (name === metadataVersionFeature) checkMetadataVersion(state, level, upgradeType);
  else checkDependencies(name, level, levels, refuse);
  return [featureLevelRecord(name, level)];
}

function levelBefore({ image, settings }: ControllerState, name: string): number {
  if (name === metadataVersionFeature) return image.features.metadataVersion.level;
  return name === kraftVersionFeature ? settings.kraftVersion.level() : image.features.level(name);
}

function checkMetadataVersion({ image }: ControllerState, level: number, upgradeType: number): void {
  const before = image.features.metadataVersion.level;
  if (level >= before) return;
  let losesMetadata = false;
  for (let each = level + 1; each <= before; each++) losesMetadata ||= metadataVersion(each).metadataChanged;
  if (!losesMetadata) return;
  const why =
    upgradeType === unsafeDowngrade
      ? 'Unsafe metadata downgrade is not supported in this version.'
      : 'Refusing to perform the requested downgrade because it might delete metadata information.';
  throw new KafkaError('INVALID_UPDATE_VERSION', `Unsupported metadata.version downgrade from ${before} to ${level}. ${why}`);
}

function checkDependencies(
  name: string,
  level: number,
  levels: ReadonlyMap<string, number>,
  refuse: (why: string) => never,
): void {
  const dependencies = featureDefinitions.find((feature) => feature.name === name)?.dependencies[level] ?? {};
  for (const [dependency, least] of Object.entries(dependencies)) {
    const actual = levels.get(dependency) ?? 0;
    if (actual < least) {
      refuse(`${name} could not be set to ${level} because it depends on ${dependency} level ${least}`);
    }
  }
}

/** This controller, then the other controllers, then the brokers: the first who does not, in words. */
function whoDoesNotSupport({ image, settings }: ControllerState, name: string, level: number): string | undefined {
  const own = supportedFeatures.get(name);
  const mine = own && { name, minSupportedVersion: own.min, maxSupportedVersion: own.max };
  const reason = whyUnsupported(`Local controller ${settings.nodeId}`, mine, level);
  if (reason) return reason;
  const controllersTell = name !== metadataVersionFeature || image.features.metadataVersion.level >= controllerRegistrationSince;
  const others = [
    ...(controllersTell ? [...image.controllers.values()].map((node) => ({ who: `Controller ${node.id}`, node })) : []),
    ...[...image.brokers.values()].map((node) => ({ who: `Broker ${node.id}`, node })),
  ];
  for (const { who, node } of others) {
    const feature = node.features.find((each) => each.name === name);
    const why = whyUnsupported(who, feature, level);
    if (why) return why;
  }
  return undefined;
}

function whyUnsupported(who: string, feature: SupportedFeature | undefined, level: number): string | undefined {
  const { minSupportedVersion: min, maxSupportedVersion: max } = feature ?? { minSupportedVersion: 0, maxSupportedVersion: 0 };
  if (level >= min && level <= max) return undefined;
  return max === 0 ? `${who} does not support this feature.` : `${who} only supports versions ${min}-${max}`;
}

/** From now on all brokers judge by one minimum isr: the cluster's, and no broker keeps its own. */
function oneMinIsr(state: ControllerState): MetadataRecord[] {
  const own = [...state.image.configs].filter(
    ({ type, name, values }) => type === configResource.broker && name !== '' && values.has('min.insync.replicas'),
  );
  return [
    ...clusterMinIsr(state),
    ...own.map(({ name }) => configRecord(configResource.broker, name, 'min.insync.replicas', null)),
  ];
}
