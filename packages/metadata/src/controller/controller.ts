/**
 * The controller: takes every decision about the cluster's metadata. Deterministic and without I/O: it is given the time,
 * random bytes and the offset its records will have, and gives back records to commit and the answer for when they are.
 *
 *   const { records, response } = controller.createTopics(request, context);   // decides, and changes nothing
 *   records.forEach((record, at) => controller.replay(record, context.nextOffset + at));
 *   await log.append(records);                                                 // if this fails: restore(what is committed)
 *   return response;
 *
 * Every node with the controller role replays the log into one; only the active one decides.
 */

import type * as wire from '@ottla/protocol';
import type { MetadataRecord } from '@ottla/protocol';
import { MetadataImage } from '../image/metadata-image.ts';
import { noOpRecord } from '../records.ts';
import * as acls from './acls.ts';
import { activate } from './activation.ts';
import * as brokers from './broker-registrations.ts';
import { BrokerSessions } from './broker-sessions.ts';
import * as quotas from './client-quotas.ts';
import type { ConfigSchema } from './config-schema.ts';
import * as configs from './configs.ts';
import { type ControllerSettings, type ControllerState, defaultControllerSettings } from './controller-state.ts';
import type { Decision, DecisionContext } from './decision.ts';
import * as tokens from './delegation-tokens.ts';
import { assignReplicasToDirectories } from './directories.ts';
import { balanceLeaders, electLeaders, electLeftOverLeaders, electUncleanLeaders } from './elections.ts';
import { updateFeatures } from './feature-updates.ts';
import { alterPartition } from './in-sync-replicas.ts';
import { PeriodicTasks } from './periodic-tasks.ts';
import { allocateProducerIds } from './producer-ids.ts';
import * as reassignments from './reassignments.ts';
import * as scram from './scram-credentials.ts';
import * as topics from './topics.ts';

export type ControllerOptions = {
  readonly schema: ConfigSchema;
  readonly clusterId: string;
  readonly nodeId: number;
} & Partial<ControllerSettings>;

export interface Tick {
  readonly records: MetadataRecord[];
  /** Call again then, or earlier. */
  readonly wakeAtMs: number;
}

/** Longer than it takes until the next part is asked for. */
const betweenPartsMs = 1_000;

/** In the order in which they are done when several are due. */
const electionTasks = ['elections left over', 'balance leaders', 'unclean elections'] as const;
const elections = {
  'elections left over': electLeftOverLeaders,
  'balance leaders': balanceLeaders,
  'unclean elections': electUncleanLeaders,
};

export class Controller {
  #state: ControllerState;
  readonly #tasks = new PeriodicTasks();

  constructor({ schema, ...settings }: ControllerOptions) {
    const all = { ...defaultControllerSettings, ...settings };
    this.#state = { image: new MetadataImage(), sessions: new BrokerSessions(all.brokerSessionTimeoutMs), schema, settings: all };
    if (all.maxIdleIntervalMs > 0) this.#tasks.add('idle record', all.maxIdleIntervalMs);
    if (all.leaderBalance) this.#tasks.add('balance leaders', all.leaderBalanceIntervalMs);
    this.#tasks.add('unclean elections', all.uncleanElectionIntervalMs);
    // Due when something may have been left over.
    this.#tasks.add('elections left over', Number.POSITIVE_INFINITY);
    this.#tasks.add('expire tokens', all.tokenExpiryCheckIntervalMs);
  }

  /** All that was replayed, the not yet committed included. */
  get image(): MetadataImage {
    return this.#state.image;
  }

  /** The only way state changes, save for who was heard of when. `offset` as in `MetadataImage.replay`. */
  replay(record: MetadataRecord, offset: number): void {
    const { image, sessions } = this.#state;
    image.replay(record, offset);
    if (record.type === 'RegisterBrokerRecord') sessions.registered(record.value.brokerId, offset);
    if (record.type === 'UnregisterBrokerRecord') sessions.unregistered(record.value.brokerId);
    // Whoever is fenced was silent, or goes.
    if (record.type === 'BrokerRegistrationChangeRecord' && record.value.fenced > 0) sessions.end(record.value.brokerId);
  }

  /**
   * Starts again from an image, which is the controller's own from now on: what is committed, where what was replayed since could not be, or a
   * snapshot. Where each broker registered is known from then on, but for those that have done so since. `nowMs` of an active controller: a
   * broker that is not fenced any more, since the records were lost, has a whole session's time to be heard of.
   */
  restore(image: MetadataImage, nowMs?: number): void {
    const before = this.#state.image;
    this.#state = { ...this.#state, image };
    const { sessions } = this.#state;
    for (const id of before.brokers.keys()) if (!image.brokers.has(id)) sessions.unregistered(id);
    for (const { id, epoch, fenced } of image.brokers.values()) {
      const known = before.brokers.get(id);
      if (known?.epoch !== epoch) sessions.registered(id, Math.max(epoch, 0));
      if (nowMs !== undefined && !fenced && known?.fenced !== false && !sessions.has(id)) sessions.touch(id, epoch, nowMs);
    }
    sessions.logEndsAt(image.highestOffset + 1);
    if (nowMs !== undefined) this.#tasks.hasten('elections left over', nowMs);
  }

  /** The first thing an active controller does. `bootstrapRecords` are for an empty log. */
  activate(
    bootstrapRecords: readonly MetadataRecord[],
    context: DecisionContext,
    { ownBrokerIsDead = true }: { readonly ownBrokerIsDead?: boolean } = {},
  ): Decision<null> {
    this.#tasks.hasten('elections left over', context.nowMs);
    return activate(this.#state, bootstrapRecords, context, { ownBrokerIsDead });
  }

  /** Another decides from now on: who was heard of when, and which work is due, is its affair. */
  resign(): void {
    this.#state.sessions.clear();
    this.#tasks.clear();
  }

  /** This process was busy or asleep for so long and heard no heartbeat, its own broker's least of all: nobody is fenced for that. */
  overslept(ms: number, nowMs: number): void {
    this.#state.sessions.excuse(ms, nowMs);
  }

  /** Does what is due: the idle record, fencing the silent, elections that were left over, balancing leaders, unclean elections, expiring tokens. */
  tick({ nowMs }: DecisionContext): Tick {
    const { settings } = this.#state;
    const silent = brokers.fenceSilentBroker(this.#state, nowMs);
    // Each decision must see the outcome of the one before, so a tick takes one and asks to be called again.
    if (silent.length > 0) return { records: silent, wakeAtMs: nowMs };
    const due = this.#tasks.take(nowMs);
    const idle: MetadataRecord[] = due.includes('idle record') ? [noOpRecord] : [];
    const expired = due.includes('expire tokens') ? tokens.expiredTokenRecords(this.#state, nowMs) : [];
    const elected: MetadataRecord[] = [];
    const [election, ...later] = electionTasks.filter((name) => due.includes(name));
    if (election) {
      const limit = election === 'elections left over' ? settings.maxRecordsPerPart : settings.maxElectionsPerRun;
      const { records, isComplete } = elections[election](this.#state, limit);
      elected.push(...records);
      if (!isComplete) this.#tasks.hasten(election, nowMs + 1);
      for (const name of later) this.#tasks.hasten(name, nowMs + 1);
    }
    return { records: [...idle, ...expired, ...elected], wakeAtMs: this.nextWakeMs() };
  }

  /** When `tick` is to be called at the latest: earlier than the last tick said, when brokers have been heard of since. */
  nextWakeMs(): number {
    return Math.min(this.#tasks.nextDueMs(), this.#state.sessions.nextExpiryMs());
  }

  createTopics(request: wire.CreateTopicsRequest, context: DecisionContext): Decision<wire.CreateTopicsResponse> {
    return topics.createTopics(this.#state, request, context);
  }

  deleteTopics(request: wire.DeleteTopicsRequest, _context?: DecisionContext): Decision<wire.DeleteTopicsResponse> {
    return topics.deleteTopics(this.#state, request);
  }

  createPartitions(request: wire.CreatePartitionsRequest, context: DecisionContext): Decision<wire.CreatePartitionsResponse> {
    return topics.createPartitions(this.#state, request, context);
  }

  incrementalAlterConfigs(
    request: wire.IncrementalAlterConfigsRequest,
    _context?: DecisionContext,
  ): Decision<wire.IncrementalAlterConfigsResponse> {
    return configs.incrementalAlterConfigs(this.#state, request);
  }

  alterConfigs(request: wire.AlterConfigsRequest, _context?: DecisionContext): Decision<wire.AlterConfigsResponse> {
    return configs.alterConfigs(this.#state, request);
  }

  electLeaders(request: wire.ElectLeadersRequest, _context?: DecisionContext): Decision<wire.ElectLeadersResponse> {
    return electLeaders(this.#state, request);
  }

  /** @throws STALE_BROKER_EPOCH */
  alterPartition(request: wire.AlterPartitionRequest, _context?: DecisionContext): Decision<wire.AlterPartitionResponse> {
    return alterPartition(this.#state, request);
  }

  /** @throws INCONSISTENT_CLUSTER_ID, DUPLICATE_BROKER_REGISTRATION, INVALID_REGISTRATION, UNSUPPORTED_VERSION */
  registerBroker(request: wire.BrokerRegistrationRequest, context: DecisionContext): Decision<wire.BrokerRegistrationResponse> {
    return this.#inParts(brokers.registerBroker(this.#state, request, context), context);
  }

  /** @throws STALE_BROKER_EPOCH */
  brokerHeartbeat(request: wire.BrokerHeartbeatRequest, context: DecisionContext): Decision<wire.BrokerHeartbeatResponse> {
    const decision = brokers.brokerHeartbeat(this.#state, request, context);
    if (decision.leavesElections) this.#tasks.hasten('elections left over', context.nowMs);
    return this.#inParts(decision, context);
  }

  /** @throws BROKER_ID_NOT_REGISTERED */
  unregisterBroker(request: wire.UnregisterBrokerRequest, context: DecisionContext): Decision<wire.UnregisterBrokerResponse> {
    return this.#inParts(brokers.unregisterBroker(this.#state, request), context);
  }

  /** Who goes in several parts looks alive until the last, and must not be elected for what it has left already: neither would come to an end. */
  #inParts<Response>(decision: Decision<Response>, { nowMs }: DecisionContext): Decision<Response> {
    if (decision.isPartial) this.#tasks.putOff('elections left over', nowMs + betweenPartsMs);
    return decision;
  }

  /** @throws UNSUPPORTED_VERSION */
  registerController(
    request: wire.ControllerRegistrationRequest,
    _context?: DecisionContext,
  ): Decision<wire.ControllerRegistrationResponse> {
    return brokers.registerController(this.#state, request);
  }

  /** @throws STALE_BROKER_EPOCH */
  allocateProducerIds(
    request: wire.AllocateProducerIdsRequest,
    _context?: DecisionContext,
  ): Decision<wire.AllocateProducerIdsResponse> {
    return allocateProducerIds(this.#state, request);
  }

  /** @throws STALE_BROKER_EPOCH, UNSUPPORTED_VERSION */
  assignReplicasToDirs(
    request: wire.AssignReplicasToDirsRequest,
    _context?: DecisionContext,
  ): Decision<wire.AssignReplicasToDirsResponse> {
    return assignReplicasToDirectories(this.#state, request);
  }

  alterPartitionReassignments(
    request: wire.AlterPartitionReassignmentsRequest,
    _context?: DecisionContext,
  ): Decision<wire.AlterPartitionReassignmentsResponse> {
    return reassignments.alterPartitionReassignments(this.#state, request);
  }

  listPartitionReassignments(
    request: wire.ListPartitionReassignmentsRequest,
    _context?: DecisionContext,
  ): Decision<wire.ListPartitionReassignmentsResponse> {
    return { records: [], response: reassignments.listPartitionReassignments(this.image, request) };
  }

  updateFeatures(
    request: wire.UpdateFeaturesRequest,
    context: Pick<DecisionContext, 'apiVersion'> = {},
  ): Decision<wire.UpdateFeaturesResponse> {
    return updateFeatures(this.#state, request, context);
  }

  alterClientQuotas(
    request: wire.AlterClientQuotasRequest,
    _context?: DecisionContext,
  ): Decision<wire.AlterClientQuotasResponse> {
    return quotas.alterClientQuotas(this.#state, request);
  }

  /** @throws INVALID_REQUEST, UNSUPPORTED_VERSION */
  describeClientQuotas(
    request: wire.DescribeClientQuotasRequest,
    _context?: DecisionContext,
  ): Decision<wire.DescribeClientQuotasResponse> {
    return { records: [], response: quotas.describeClientQuotas(this.image, request) };
  }

  alterUserScramCredentials(
    request: wire.AlterUserScramCredentialsRequest,
    _context?: DecisionContext,
  ): Decision<wire.AlterUserScramCredentialsResponse> {
    return scram.alterUserScramCredentials(this.#state, request);
  }

  describeUserScramCredentials(
    request: wire.DescribeUserScramCredentialsRequest,
    _context?: DecisionContext,
  ): Decision<wire.DescribeUserScramCredentialsResponse> {
    return { records: [], response: scram.describeUserScramCredentials(this.image, request) };
  }

  createAcls(request: wire.CreateAclsRequest, context: DecisionContext): Decision<wire.CreateAclsResponse> {
    return acls.createAcls(this.#state, request, context);
  }

  deleteAcls(request: wire.DeleteAclsRequest, _context?: DecisionContext): Decision<wire.DeleteAclsResponse> {
    return acls.deleteAcls(this.#state, request);
  }

  /** @throws INVALID_REQUEST */
  describeAcls(request: wire.DescribeAclsRequest, _context?: DecisionContext): Decision<wire.DescribeAclsResponse> {
    return { records: [], response: acls.describeAcls(this.image, request) };
  }

  /** @throws DELEGATION_TOKEN_AUTH_DISABLED, INVALID_PRINCIPAL_TYPE, UNSUPPORTED_VERSION */
  createDelegationToken(
    request: wire.CreateDelegationTokenRequest,
    context: DecisionContext,
  ): Decision<wire.CreateDelegationTokenResponse> {
    return tokens.createDelegationToken(this.#state, request, context);
  }

  /** @throws DELEGATION_TOKEN_AUTH_DISABLED, _NOT_FOUND, _OWNER_MISMATCH, _EXPIRED */
  renewDelegationToken(
    request: wire.RenewDelegationTokenRequest,
    context: DecisionContext,
  ): Decision<wire.RenewDelegationTokenResponse> {
    return tokens.renewDelegationToken(this.#state, request, context);
  }

  /** @throws DELEGATION_TOKEN_AUTH_DISABLED, _NOT_FOUND, _OWNER_MISMATCH, _EXPIRED */
  expireDelegationToken(
    request: wire.ExpireDelegationTokenRequest,
    context: DecisionContext,
  ): Decision<wire.ExpireDelegationTokenResponse> {
    return tokens.expireDelegationToken(this.#state, request, context);
  }
}
