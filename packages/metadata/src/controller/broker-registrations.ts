/** Brokers and controllers register, say that they live, and leave. */

import {
  type BrokerHeartbeatRequest,
  type BrokerHeartbeatResponse,
  type BrokerRegistrationRequest,
  type BrokerRegistrationResponse,
  type ControllerRegistrationRequest,
  type ControllerRegistrationResponse,
  KafkaError,
  type MetadataRecord,
  type UnregisterBrokerRequest,
  type UnregisterBrokerResponse,
  type Uuid,
} from '@ottla/protocol';
import {
  controllerRegistrationSince,
  cordonedDirectoriesSince,
  directoryAssignmentSince,
  metadataVersionFeature,
} from '../features/metadata-versions.ts';
import { kraftVersionFeature } from '../features/supported-features.ts';
import { type BrokerRegistration, plainEndpoint, plainFeature, type SupportedFeature } from '../image/broker-registration.ts';
import { isReservedDirectory } from '../image/directory-ids.ts';
import { registerBrokerRecord, registerControllerRecord, registrationChangeRecord } from '../records.ts';
import { type ControllerState, registeredBroker } from './controller-state.ts';
import type { Decision, DecisionContext } from './decision.ts';
import { closed, nothing, type Part } from './decision-part.ts';
import { offlineDirectories } from './directories.ts';
import { controlledShutdown, fencing, returning, unfencing, unregistration } from './fencing.ts';

/**
 * @throws INCONSISTENT_CLUSTER_ID, DUPLICATE_BROKER_REGISTRATION, INVALID_REGISTRATION, UNSUPPORTED_VERSION,
 *   BROKER_ID_NOT_REGISTERED (a broker that still migrates from ZooKeeper)
 */
export function registerBroker(
  state: ControllerState,
  request: BrokerRegistrationRequest,
  context: DecisionContext,
): Decision<BrokerRegistrationResponse> {
  const { image, sessions, settings } = state;
  const { brokerId, incarnationId } = request;
  if (request.clusterId !== settings.clusterId) {
    const text = `Expected cluster ID ${settings.clusterId}, but got cluster ID ${request.clusterId}`;
    throw new KafkaError('INCONSISTENT_CLUSTER_ID', text);
  }
  const existing = image.brokers.get(brokerId);
  const isSameIncarnation = existing?.incarnationId === incarnationId;
  if (
    existing &&
    !isSameIncarnation &&
    !existing.inControlledShutdown &&
    sessions.isValid(brokerId, existing.epoch, context.nowMs)
  ) {
    const wait =
      "If the broker was recently restarted this should self-resolve once the heartbeat manager expires the broker's session.";
    throw new KafkaError('DUPLICATE_BROKER_REGISTRATION', `Another broker is registered with that broker id. ${wait}`);
  }
  if (request.isMigratingZkBroker) {
    throw new KafkaError('BROKER_ID_NOT_REGISTERED', 'Controller does not support registering ZK brokers.');
  }
  const { metadataVersion } = image.features;
  const knowsDirectories = metadataVersion.level >= directoryAssignmentSince;
  if (knowsDirectories) checkDirectories(image.brokers.values(), request);
  checkFeatures(state, request.features, 'broker');

  const tellsPreviousEpoch = (context.apiVersion ?? 3) >= 3;
  const stoppedCleanly = !tellsPreviousEpoch || existing?.epoch === request.previousBrokerEpoch;
  const left: Part = isSameIncarnation ? nothing : returning(state, brokerId, stoppedCleanly);
  const registration: BrokerRegistration = {
    id: brokerId,
    epoch: existing && isSameIncarnation ? existing.epoch : context.nextOffset,
    incarnationId,
    endpoints: request.listeners.map(plainEndpoint),
    features: request.features.map(plainFeature),
    rack: request.rack,
    fenced: existing && isSameIncarnation ? existing.fenced : true,
    inControlledShutdown: existing !== undefined && isSameIncarnation && existing.inControlledShutdown,
    isMigratingZkBroker: false,
    directories: knowsDirectories ? request.logDirs : [],
    // Its next heartbeat tells.
    cordonedDirectories: null,
  };
  const response = { throttleTimeMs: 0, errorCode: 0, brokerEpoch: registration.epoch };
  return { ...closed(left, registerBrokerRecord(registration, metadataVersion)), response, isDivisible: true };
}

function checkDirectories(brokers: Iterable<BrokerRegistration>, { brokerId, logDirs }: BrokerRegistrationRequest): void {
  const refuse = (text: string): never => {
    throw new KafkaError('INVALID_REGISTRATION', text);
  };
  if (logDirs.length === 0) refuse('No directories specified in request');
  if (logDirs.some(isReservedDirectory)) refuse('Reserved directory ID in request');
  if (new Set(logDirs).size !== logDirs.length) refuse('Duplicate directory ID in request');
  for (const broker of brokers) {
    const taken = broker.id === brokerId ? undefined : logDirs.find((id) => broker.directories.includes(id));
    if (taken) refuse(`Broker ${broker.id} is already registered with directory ${taken}`);
  }
}

/** A node must support every finalized level. kraft.version is finalized by the quorum, not here. */
function checkFeatures({ image }: ControllerState, features: readonly SupportedFeature[], who: string): void {
  if (who === 'broker' && !features.some(({ name }) => name === metadataVersionFeature))
    throw new KafkaError('INVALID_REGISTRATION', "Request features do not contain 'metadata.version'");
  for (const [name, level] of image.features) {
    if (name === kraftVersionFeature) continue;
    const range = features.find((feature) => feature.name === name) ?? { minSupportedVersion: 0, maxSupportedVersion: 0 };
    if (level >= range.minSupportedVersion && level <= range.maxSupportedVersion) continue;
    const wants = `a version between ${range.minSupportedVersion} and ${range.maxSupportedVersion}, inclusive`;
    const text = `Unable to register because the ${who} does not support finalized version ${level} of ${name}. The ${who} wants ${wants}.`;
    throw new KafkaError('UNSUPPORTED_VERSION', text);
  }
}

type BrokerStatus = 'fenced' | 'unfenced' | 'shutting down' | 'shut down';

/**
 * Also remembers, at once, that the broker was heard of, and behind what its shutdown is: sessions are not metadata. Neither may need to be
 * taken back where the records are refused.
 * @throws STALE_BROKER_EPOCH
 */
export function brokerHeartbeat(
  state: ControllerState,
  request: BrokerHeartbeatRequest,
  context: DecisionContext,
): Decision<BrokerHeartbeatResponse> & { readonly leavesElections: boolean } {
  const { sessions, image } = state;
  const broker = registeredBroker(state, request.brokerId, request.brokerEpoch);
  sessions.touch(broker.id, broker.epoch, context.nowMs, request.currentMetadataOffset);
  const registrationOffset = sessions.registrationOffset(broker.id);
  const status = statusOf(state, broker);
  const next = nextStatus(state, broker, request, registrationOffset);
  // A shutdown of which only the first records could be written has to go on.
  const leavesSome = next === 'shutting down' && image.topics.hasLeaderships(broker.id);
  const { level } = image.features.metadataVersion;
  const offline = level >= directoryAssignmentSince ? request.offlineLogDirs : [];
  const moved: Part = next !== status || leavesSome ? statusChange(state, broker, { next, offline }) : nothing;
  const lost = offlineDirectories(state, broker, offline, moved.records);
  const records = [...moved.records, ...lost.records];
  const cordoned = request.cordonedLogDirs;
  if (level >= cordonedDirectoriesSince && cordoned && !sameMembers(cordoned, broker.cordonedDirectories)) {
    records.push(registrationChangeRecord(broker, { cordonedLogDirs: cordoned }));
  }
  // Asked again, nothing would tell of its return.
  const isPartial = lost.isPartial || (moved.isPartial && next !== 'unfenced');
  // Behind all that this heartbeat has moved, also away from directories that failed.
  if (next === 'shutting down' && (status !== next || leavesSome))
    sessions.enteredShutdown(broker.id, context.nextOffset + records.length);
  return {
    records,
    response: {
      throttleTimeMs: 0,
      errorCode: 0,
      isCaughtUp: request.currentMetadataOffset >= registrationOffset,
      isFenced: isPartial ? broker.fenced : next === 'fenced' || next === 'shut down',
      shouldShutDown: next === 'shut down' && !isPartial,
    },
    isDivisible: true,
    isPartial,
    isAnswerOfPart: true,
    leavesElections: moved.isPartial && next === 'unfenced',
  };
}

function statusChange(
  state: ControllerState,
  broker: BrokerRegistration,
  { next, offline }: { readonly next: BrokerStatus; readonly offline: readonly Uuid[] },
): Part {
  if (next === 'unfenced') return unfencing(state, broker, offline);
  return next === 'shutting down' ? controlledShutdown(state, broker) : fencing(state, broker);
}

/**
 * What the registration says of a shutdown may be another controller's doing: to this one the broker has to ask for it again. Also where the
 * registration does not say it: then the records of the shutdown were refused.
 */
function statusOf({ sessions }: ControllerState, broker: BrokerRegistration): BrokerStatus {
  if (broker.inControlledShutdown && sessions.isShuttingDown(broker.id)) return 'shutting down';
  return broker.fenced ? 'fenced' : 'unfenced';
}

function nextStatus(
  state: ControllerState,
  broker: BrokerRegistration,
  { wantFence, wantShutDown, currentMetadataOffset }: BrokerHeartbeatRequest,
  registrationOffset: number,
): BrokerStatus {
  const { image, sessions } = state;
  const leads = () => image.topics.hasLeaderships(broker.id);
  switch (statusOf(state, broker)) {
    case 'fenced':
      if (wantShutDown) return 'shut down';
      return !wantFence && currentMetadataOffset >= registrationOffset ? 'unfenced' : 'fenced';
    case 'unfenced':
      if (wantFence) return wantShutDown ? 'shut down' : 'fenced';
      if (!wantShutDown) return 'unfenced';
      return leads() ? 'shutting down' : 'shut down';
    default: {
      if (leads()) return 'shutting down';
      // Everybody who stays must have heard that others lead now, or they would still send clients here.
      const alive = [...image.brokers.values()].filter((each) => statusOf(state, each) === 'unfenced').map(({ id }) => id);
      return sessions.shutdownOffset(broker.id) <= sessions.lowestMetadataOffset(alive) + 1 ? 'shut down' : 'shutting down';
    }
  }
}

function sameMembers(a: readonly Uuid[], b: readonly Uuid[] | null): boolean {
  return b !== null && a.length === b.length && a.every((id) => b.includes(id));
}

/** The one silent for longest, if longer than its session lasts. Its session lasts until it is fenced: whoever asks again is told the rest. */
export function fenceSilentBroker(state: ControllerState, nowMs: number): MetadataRecord[] {
  const id = state.sessions.expired(nowMs);
  if (id === undefined) return [];
  const broker = state.image.brokers.get(id);
  // Its session ends as the records are replayed: they may be refused.
  if (broker && !broker.fenced) {
    const { records, isPartial } = fencing(state, broker);
    // Leaders to whom it is not silent would take it back as quickly as it leaves.
    if (isPartial) state.sessions.beginLeaving(id);
    return records;
  }
  state.sessions.end(id);
  return [];
}

/** @throws BROKER_ID_NOT_REGISTERED */
export function unregisterBroker(
  state: ControllerState,
  { brokerId }: UnregisterBrokerRequest,
): Decision<UnregisterBrokerResponse> {
  const broker = state.image.brokers.get(brokerId);
  if (!broker) throw new KafkaError('BROKER_ID_NOT_REGISTERED', `Broker ID ${brokerId} is not currently registered`);
  const response = { throttleTimeMs: 0, errorCode: 0, errorMessage: '' };
  return { ...unregistration(state, broker), response, isDivisible: true };
}

/** @throws UNSUPPORTED_VERSION */
export function registerController(
  state: ControllerState,
  request: ControllerRegistrationRequest,
): Decision<ControllerRegistrationResponse> {
  const { metadataVersion } = state.image.features;
  if (metadataVersion.level < controllerRegistrationSince) {
    throw new KafkaError('UNSUPPORTED_VERSION', 'The current MetadataVersion is too old to support controller registrations.');
  }
  checkFeatures(state, request.features, 'controller');
  const { controllerId: id, incarnationId, zkMigrationReady } = request;
  const endpoints = request.listeners.map(plainEndpoint);
  const record = registerControllerRecord({
    id,
    incarnationId,
    zkMigrationReady,
    endpoints,
    features: request.features.map(plainFeature),
  });
  return { records: [record], response: { throttleTimeMs: 0, errorCode: 0, errorMessage: null } };
}
