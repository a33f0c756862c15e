import {
  type AddRaftVoterRequest,
  type ApiVersionsResponse,
  type ErrorName,
  errors,
  type KafkaError,
  type RemoveRaftVoterRequest,
  type UpdateRaftVoterRequest,
  ZERO_UUID,
} from '@ottla/protocol';
import type { Leadership } from './leadership.ts';
import type { RaftCore } from './raft-core.ts';
import { isOfAnotherCluster, leaderIn, refusalByFollower } from './serving.ts';
import { inWords, type Refusal, type VoterChange } from './voter-change.ts';
import { isSameVoter, type Voter, type VoterEndpoint, type VoterKey, type VoterSet } from './voter-set.ts';

/** What a leader does about them: it has the voters recorded. */
type RecordVoters = (voters: VoterSet) => number;

/**
 * AddRaftVoter, RemoveRaftVoter, UpdateRaftVoter: the leader changes the voters, one at a time, so that every majority of the old set meets
 * every majority of the new one (KIP-853). A change waits for the one before to commit, and a new leader's for its own first batch.
 */
export class VoterChanges {
  readonly #core: RaftCore;
  readonly #record: RecordVoters;

  constructor(core: RaftCore, record: RecordVoters) {
    this.#core = core;
    this.#record = record;
  }

  add(requestId: number, request: AddRaftVoterRequest): void {
    const core = this.#core;
    const answer = (refusal: Refusal | null): void => this.#reply('add', requestId, refusal);
    const { voterId, voterDirectoryId, listeners } = request;
    const refusal =
      this.#refusalByFollower(request.clusterId) ??
      refusalOfKey({ id: voterId, directoryId: voterDirectoryId }) ??
      refusalOfListeners(core, listeners);
    if (refusal) {
      answer(refusal);
      return;
    }
    const leadership = core.in('leader')!;
    const endpoints = listeners.map(({ name, host, port }) => ({ name, host, port }));
    const key = { id: voterId, directoryId: voterDirectoryId };
    const notNow =
      this.#refusalForNow(leadership) ??
      this.#refusalOfStaticQuorum('adding') ??
      this.#refusalWhileUncommitted() ??
      this.#refusalOfKnown(key);
    if (notNow) {
      answer(notNow);
      return;
    }
    const voter: Voter = { ...key, endpoints, minKRaftVersion: 0, maxKRaftVersion: 0 };
    const change: VoterChange = {
      kind: 'add',
      requestId,
      deadlineMs: core.nowMs + Math.max(0, request.timeoutMs),
      voter,
      isAnsweredOnCommit: request.ackWhenCommitted,
      votersOffset: null,
    };
    leadership.voterChange = change;
    this.#askForVersions(leadership, change, voter, (range) => this.#addChecked(leadership, change, { ...voter, ...range }));
  }

  #addChecked(leadership: Leadership, change: VoterChange, voter: Voter): void {
    if (!leadership.isCaughtUp(voter, this.#core.nowMs)) {
      this.#end(leadership, {
        error: 'REQUEST_TIMED_OUT',
        message: `voter ${voter.id} was not added: it has not fetched all of the metadata log yet`,
      });
      return;
    }
    this.#commit(leadership, change, this.#core.voters.plus(voter));
  }

  remove(requestId: number, request: RemoveRaftVoterRequest): void {
    const core = this.#core;
    const key = { id: request.voterId, directoryId: request.voterDirectoryId };
    const leadership = core.in('leader');
    const refusal =
      this.#refusalByFollower(request.clusterId) ??
      refusalOfKey(key) ??
      this.#refusalForNow(leadership!) ??
      this.#refusalOfStaticQuorum('removing') ??
      this.#refusalWhileUncommitted() ??
      this.#refusalOfUnknown(key) ??
      this.#refusalOfLast();
    if (refusal) {
      this.#reply('remove', requestId, refusal);
      return;
    }
    const change: VoterChange = {
      kind: 'remove',
      requestId,
      deadlineMs: core.nowMs + core.timing.requestTimeoutMs,
      voter: null,
      isAnsweredOnCommit: true,
      votersOffset: null,
    };
    leadership!.voterChange = change;
    this.#commit(leadership!, change, core.voters.without(key.id));
  }

  update(requestId: number, request: UpdateRaftVoterRequest): void {
    const core = this.#core;
    const { voterId: id, voterDirectoryId: directoryId, listeners, kRaftVersionFeature } = request;
    const endpoints = listeners.map(({ name, host, port }) => ({ name, host, port }));
    const { minSupportedVersion: minKRaftVersion, maxSupportedVersion: maxKRaftVersion } = kRaftVersionFeature;
    const voter: Voter = { id, directoryId, endpoints, minKRaftVersion, maxKRaftVersion };
    const leadership = core.in('leader');
    const refusal =
      this.#refusalByFollower(request.clusterId, request.currentLeaderEpoch) ??
      refusalOfKey(voter) ??
      refusalOfListeners(core, listeners) ??
      this.#refusalForNow(leadership!) ??
      this.#refusalOfVersions(voter) ??
      this.#refusalWhileUncommitted() ??
      this.#refusalOfUnknown(voter);
    if (refusal) {
      this.#reply('update', requestId, refusal);
      return;
    }
    const deadlineMs = core.nowMs + core.timing.requestTimeoutMs;
    const change: VoterChange = { kind: 'update', requestId, deadlineMs, voter, isAnsweredOnCommit: false, votersOffset: null };
    leadership!.voterChange = change;
    this.#askForVersions(leadership!, change, voter, () => {
      if (core.log.quorum.kRaftVersion > 0) this.#commit(leadership!, change, core.voters.with(voter));
      else {
        leadership!.toldVoters = leadership!.toldVoters.with(voter);
        this.#end(leadership!, null);
      }
    });
  }

  /** Ends what has taken too long. Returns when that is to be looked at again. */
  poll(leadership: Leadership): number {
    const change = leadership.voterChange;
    if (!change) return Number.POSITIVE_INFINITY;
    if (this.#core.nowMs < change.deadlineMs) return change.deadlineMs;
    // The record stays in the log and may still commit: nobody else may begin before that.
    this.#end(leadership, { error: 'REQUEST_TIMED_OUT', message: 'the voters record was not committed in time' });
    return Number.POSITIVE_INFINITY;
  }

  committed(leadership: Leadership): void {
    const change = leadership.voterChange;
    if (change && change.votersOffset !== null && change.votersOffset < this.#core.log.highWatermark) this.#end(leadership, null);
  }

  /** Another leads: whether the record survives is for that one to find out. */
  abandon(leadership: Leadership): void {
    if (leadership.voterChange) this.#end(leadership, notLeading(this.#core));
  }

  #commit(leadership: Leadership, change: VoterChange, voters: VoterSet): void {
    change.votersOffset = this.#record(voters);
    if (!change.isAnsweredOnCommit) this.#end(leadership, null);
  }

  #end(leadership: Leadership, refusal: Refusal | null): void {
    const change = leadership.voterChange!;
    leadership.voterChange = null;
    this.#reply(change.kind, change.requestId, refusal);
  }

  /** A node that does not speak kraft.version as it is must not vote; one that does not answer could not. */
  #askForVersions(leadership: Leadership, change: VoterChange, voter: Voter, goOn: (range: KRaftVersions) => void): void {
    const core = this.#core;
    if (voter.id === core.self.id) {
      goOn(core.self);
      return;
    }
    const isStill = (): boolean => leadership.voterChange === change && core.state === leadership;
    const fail = (error: ErrorName, message: string): void => this.#end(leadership, { error, message });
    const destination = core.destinationOf(voter.id, voter.endpoints)!;
    if (!core.requests.isFree(destination, core.nowMs)) {
      fail('REQUEST_TIMED_OUT', `voter ${voter.id} is not ready to be asked for its versions: try again`);
      return;
    }
    core.send(
      destination,
      { api: 'apiVersions', request: { clientSoftwareName: 'ottla', clientSoftwareVersion: 'raft' } },
      {
        answered: (response) => {
          if (!isStill()) return true;
          const level = core.log.quorum.kRaftVersion;
          const range = kRaftVersionsIn(response);
          if (response.errorCode !== 0) fail('REQUEST_TIMED_OUT', `voter ${voter.id} does not say what it supports`);
          else if (range.minKRaftVersion > level || range.maxKRaftVersion < level)
            fail('INVALID_REQUEST', `voter ${voter.id} supports ${inRange(range)}, the cluster is at kraft.version ${level}`);
          else goOn(range);
          return true;
        },
        failed: (error: KafkaError) => {
          if (isStill()) fail('REQUEST_TIMED_OUT', `voter ${voter.id} could not be asked for its versions: ${error.message}`);
        },
      },
    );
  }

  #refusalByFollower(clusterId: string | null, leaderEpoch = this.#core.epoch): Refusal | null {
    const core = this.#core;
    if (isOfAnotherCluster(core, clusterId))
      return { error: 'INCONSISTENT_CLUSTER_ID', message: `the cluster is ${core.options.clusterId}, not ${clusterId}` };
    const error = refusalByFollower(core, leaderEpoch);
    return error ? { ...notLeading(core), error } : null;
  }

  /** The leader knows what is committed once its own first batch is. */
  #refusalForNow(leadership: Leadership): Refusal | null {
    if (leadership.voterChange) return later('another change of the voters is under way');
    return this.#core.hasCommittedIn(leadership) ? null : later('the leader has only just been elected');
  }

  #refusalOfStaticQuorum(doing: string): Refusal | null {
    if (this.#core.log.quorum.kRaftVersion > 0) return null;
    const message = `Cluster doesn't support ${doing} voter because the kraft.version feature is 0`;
    return { error: 'UNSUPPORTED_VERSION', message };
  }

  #refusalWhileUncommitted(): Refusal | null {
    const { quorum, highWatermark } = this.#core.log;
    return quorum.votersOffset < highWatermark ? null : later('the last change of the voters is not committed yet');
  }

  #refusalOfKnown({ id }: VoterKey): Refusal | null {
    const { voters } = this.#core;
    if (!voters.get(id)) return null;
    return { error: 'DUPLICATE_VOTER', message: `node ${id} is already one of the voters ${inWords(voters)}` };
  }

  #refusalOfUnknown(key: VoterKey): Refusal | null {
    const { voters } = this.#core;
    const known = voters.get(key.id);
    if (known && (known.directoryId === ZERO_UUID || isSameVoter(known, key))) return null;
    const message = `node ${key.id} with directory ${key.directoryId} is none of the voters ${inWords(voters)}`;
    return { error: 'VOTER_NOT_FOUND', message };
  }

  #refusalOfLast(): Refusal | null {
    const { voters } = this.#core;
    if (voters.size > 1) return null;
    return { error: 'VOTER_NOT_FOUND', message: `${inWords(voters)} is the only voter, and cannot be removed` };
  }

  #refusalOfVersions(voter: KRaftVersions): Refusal | null {
    const level = this.#core.log.quorum.kRaftVersion;
    if (voter.minKRaftVersion <= level && level <= voter.maxKRaftVersion) return null;
    return {
      error: 'INVALID_REQUEST',
      message: `the voter supports ${inRange(voter)}, the cluster is at kraft.version ${level}`,
    };
  }

  #reply(kind: VoterChange['kind'], requestId: number, refusal: Refusal | null): void {
    const core = this.#core;
    const errorCode = errors[refusal?.error ?? 'NONE'].code;
    if (kind === 'update') {
      const { leaderEndpoints } = core;
      const { host, port } = core.endpointOf(leaderEndpoints) ?? { host: '', port: 0 };
      core.reply({
        requestId,
        api: 'updateRaftVoter',
        response: { errorCode, currentLeader: { ...leaderIn(core), host, port } },
      });
      return;
    }
    const response = { errorCode, errorMessage: refusal?.message ?? null };
    core.reply({ requestId, api: kind === 'add' ? 'addRaftVoter' : 'removeRaftVoter', response });
  }
}

type KRaftVersions = Pick<Voter, 'minKRaftVersion' | 'maxKRaftVersion'>;

const inRange = ({ minKRaftVersion, maxKRaftVersion }: KRaftVersions): string =>
  `kraft.version ${minKRaftVersion} to ${maxKRaftVersion}`;

function kRaftVersionsIn({ supportedFeatures }: ApiVersionsResponse): KRaftVersions {
  const feature = supportedFeatures.find(({ name }) => name === 'kraft.version');
  return { minKRaftVersion: feature?.minVersion ?? 0, maxKRaftVersion: feature?.maxVersion ?? 0 };
}

const later = (message: string): Refusal => ({ error: 'REQUEST_TIMED_OUT', message: `${message}: try again` });

const notLeading = ({ leaderId, self }: RaftCore): Refusal => ({
  error: 'NOT_LEADER_OR_FOLLOWER',
  message: `node ${self.id} does not lead the quorum, ${leaderId === null ? 'nobody does at the moment' : `node ${leaderId} does`}`,
});

function refusalOfKey({ id, directoryId }: VoterKey): Refusal | null {
  if (id >= 0 && directoryId !== ZERO_UUID) return null;
  return { error: 'INVALID_REQUEST', message: 'a voter is named by its node id and its directory id' };
}

/** The nodes of the quorum reach each other by one listener. */
function refusalOfListeners({ listenerName }: RaftCore, listeners: readonly VoterEndpoint[]): Refusal | null {
  if (listeners.some(({ name }) => name === listenerName)) return null;
  return { error: 'INVALID_REQUEST', message: `the voter has no endpoint for the listener ${listenerName}` };
}
