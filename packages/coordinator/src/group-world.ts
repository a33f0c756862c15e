/**
 * For tests: a GroupCoordinator in a world of its own, where time moves when told, appends succeed unless told otherwise, and all that
 * happens is written down as a transcript.
 */
import { type GroupConfig, groupConfigs } from '@ottla/metadata';
import {
  type ConsumerGroupHeartbeatRequest,
  errorName,
  errors,
  type HeartbeatRequest,
  type JoinGroupRequest,
  KafkaError,
  type LeaveGroupRequest,
  type OffsetCommitRequest,
  type SyncGroupRequest,
  uuidFromBytes,
  Writer,
  ZERO_UUID,
} from '@ottla/protocol';
import { ClassicGroup } from './classic/classic-group.ts';
import { ConsumerGroup } from './consumer/consumer-group.ts';
import { resolveRegexes } from './consumer/subscription-regexes.ts';
import { GroupCoordinator } from './group-coordinator.ts';
import { defaultGroupCoordinatorConfig, type GroupCoordinatorConfig } from './group-coordinator-config.ts';
import { decodeGroupRecord, encodeGroupRecord, type GroupRecord } from './group-record.ts';
import { MemoryGroupTopics } from './group-topics.ts';
import type { Answer, Continuation, Outcome, Token } from './outcome.ts';

type LogEntry = { key: Uint8Array; value: Uint8Array | null; producerId: number };

/** What waits for its records, and all before them, to be committed; told that it failed when that takes too long. */
type Uncommitted = {
  readonly endOffset: number;
  readonly deadlineMs: number;
  readonly records: readonly GroupRecord[];
  continuation: Continuation | undefined;
  token: Token | undefined;
};
type JoinFields = Partial<Omit<JoinGroupRequest, 'groupId' | 'memberId'>> & {
  apiVersion?: number;
  clientId?: string;
  topics?: string[];
};

type BeatFields = Partial<Omit<ConsumerGroupHeartbeatRequest, 'groupId' | 'memberId' | 'memberEpoch'>> & {
  topics?: string[];
  owned?: readonly string[];
};

/** What a heartbeat was answered; without `assigned`, the member keeps what it has. */
export type Beat = {
  readonly error: string;
  readonly memberId?: string;
  readonly epoch?: number;
  readonly assigned?: readonly string[] | undefined;
  /** The same as `topicId-0`. */
  readonly topicPartitions?: readonly string[] | undefined;
};

/** offsets.commit.timeout.ms */
const COMMIT_TIMEOUT_MS = 5_000;

const defaultGroupConfig = Object.fromEntries(
  Object.entries(groupConfigs).map(([name, definition]) => [name, definition.default]),
) as unknown as GroupConfig;

export class GroupWorld {
  coordinator: GroupCoordinator;
  readonly config: GroupCoordinatorConfig;
  readonly topics = new MemoryGroupTopics();
  /** Configs of groups, over the defaults. */
  readonly groupConfigs = new Map<string, Partial<GroupConfig>>();
  readonly log: LogEntry[] = [];
  readonly transcript: string[] = [];
  readonly answers = new Map<number, Answer['response']>();
  nowMs = 0;
  /** What the wall clock showed in the beginning. */
  wallMs = 1_000_000;
  /** Every append fails with this while it is set. */
  appendError: KafkaError | null = null;
  /** While it is set, what is appended is not committed before `commitAppended`, and given up for lost after COMMIT_TIMEOUT_MS. */
  commitsLate = false;
  #uncommitted: Uncommitted[] = [];
  #tokens = 0;
  #uuids = 0;
  #topicIds = 0;
  readonly #names = new Map<number, string>();

  constructor(config: Partial<GroupCoordinatorConfig> = {}) {
    this.config = { ...defaultGroupCoordinatorConfig, ...config };
    this.coordinator = this.#made();
    this.submit(this.coordinator.activate(this.moment));
  }

  get moment(): { wallMs: number; monotonicMs: number } {
    return { wallMs: this.wallMs + this.nowMs, monotonicMs: this.nowMs };
  }

  /** The token: its answer is in `answers` once there is one. */
  join(memberId: string, { apiVersion = 9, clientId = 'c', topics = ['t'], ...fields }: JoinFields = {}, groupId = 'g'): number {
    const request: JoinGroupRequest = {
      groupId,
      memberId,
      sessionTimeoutMs: 10_000,
      rebalanceTimeoutMs: 60_000,
      groupInstanceId: null,
      protocolType: 'consumer',
      protocols: [{ name: 'range', metadata: subscription(topics) }],
      reason: null,
      ...fields,
    };
    const token = this.#token(`join ${memberId || '-'}`);
    const uuid = `u${++this.#uuids}`;
    const newMemberId = `n${this.#uuids}`;
    this.#attempt(token, () =>
      this.coordinator.classic.join(
        { request, token, clientId, clientHost: '/127.0.0.1', apiVersion, uuid, newMemberId },
        this.moment,
      ),
    );
    return token;
  }

  sync(
    memberId: string,
    generationId: number,
    assignments: Record<string, string> = {},
    fields: Partial<SyncGroupRequest> = {},
    groupId = 'g',
  ): number {
    const request: SyncGroupRequest = {
      groupId,
      memberId,
      generationId,
      groupInstanceId: null,
      protocolType: null,
      protocolName: null,
      assignments: Object.entries(assignments).map(([memberId, text]) => ({ memberId, assignment: bytes(text) })),
      ...fields,
    };
    const token = this.#token(`sync ${memberId}`);
    this.#attempt(token, () => this.coordinator.classic.sync(request, token, this.moment));
    return token;
  }

  heartbeat(memberId: string, generationId: number, fields: Partial<HeartbeatRequest> = {}, groupId = 'g'): string {
    const request = { groupId, memberId, generationId, groupInstanceId: null, ...fields };
    return this.#direct(`heartbeat ${memberId}`, () => this.coordinator.classic.heartbeat(request, this.moment));
  }

  leave(members: (string | Partial<LeaveGroupRequest['members'][number]>)[], groupId = 'g'): string {
    const identities = members.map((member) => ({
      memberId: '',
      groupInstanceId: null,
      reason: null,
      ...(typeof member === 'string' ? { memberId: member } : member),
    }));
    let codes = '';
    const error = this.#attempt(undefined, () => {
      const outcome = this.coordinator.classic.leave(groupId, identities, this.moment);
      codes = (outcome.response.members ?? []).map(({ errorCode }) => errorName(errorCode ?? 0)).join(' ');
      return outcome;
    });
    this.note(
      `leave ${identities.map(({ memberId, groupInstanceId }) => memberId || groupInstanceId).join(' ')}: ${error ?? codes}`,
    );
    return error ?? codes;
  }

  commit(
    offsets: Record<string, number>,
    fields: Partial<OffsetCommitRequest> & { apiVersion?: number; metadata?: string } = {},
    groupId = 'g',
  ): string {
    const { apiVersion = 9, metadata = '', ...rest } = fields;
    const request: OffsetCommitRequest = {
      groupId,
      generationIdOrMemberEpoch: -1,
      memberId: '',
      groupInstanceId: null,
      retentionTimeMs: -1,
      topics: Object.entries(offsets).map(([at, committedOffset]) => {
        const [name, index] = at.split('-') as [string, string];
        const partition = {
          partitionIndex: Number(index),
          committedOffset,
          committedLeaderEpoch: -1,
          committedMetadata: metadata,
        };
        return { name, topicId: this.topics.byName(name)?.id ?? ZERO_UUID, partitions: [partition] };
      }),
      ...rest,
    };
    let codes = '';
    const error = this.#attempt(undefined, () => {
      const outcome = this.coordinator.offsets.commit(request, { apiVersion }, this.moment);
      codes = outcome.response
        .topics!.flatMap((topic) => topic.partitions!.map(({ errorCode }) => errorName(errorCode!)))
        .join(' ');
      return outcome;
    });
    return error ?? codes;
  }

  /** A heartbeat of the consumer protocol. Partitions are given, and noted, as `t-0`. */
  beat(memberId: string, memberEpoch: number, fields: BeatFields = {}, groupId = 'g'): Beat {
    const { topics, owned, ...rest } = fields;
    const isJoining = memberEpoch === 0;
    const request: ConsumerGroupHeartbeatRequest = {
      groupId,
      memberId,
      memberEpoch,
      instanceId: null,
      rackId: null,
      rebalanceTimeoutMs: isJoining ? 60_000 : -1,
      subscribedTopicNames: topics ?? (isJoining && rest.subscribedTopicRegex === undefined ? ['t'] : null),
      subscribedTopicRegex: null,
      serverAssignor: null,
      topicPartitions: owned === undefined ? (isJoining ? [] : null) : this.#ownedPartitions(owned),
      ...rest,
    };
    const sender = { clientId: 'c', clientHost: '/127.0.0.1', newMemberId: `new-${++this.#uuids}` };
    let beat: Beat = { error: 'NONE' };
    const error = this.#attempt(undefined, () => {
      const outcome = this.coordinator.consumer.heartbeat(request, sender, this.moment);
      const { memberId: id, memberEpoch: epoch, assignment } = outcome.response;
      const assigned = assignment?.topicPartitions ? this.#named(assignment.topicPartitions) : undefined;
      const topicPartitions = assignment?.topicPartitions?.flatMap(({ topicId, partitions }) =>
        (partitions ?? []).map((partition) => `${topicId}-${partition}`),
      );
      beat = { error: 'NONE', memberId: id ?? '', epoch: epoch ?? 0, assigned, topicPartitions };
      return outcome;
    });
    if (error !== undefined) beat = { error };
    const told = beat.assigned === undefined ? '' : ` [${beat.assigned.join(' ')}]`;
    this.note(`beat ${memberId || '-'} ${memberEpoch}: ${beat.error === 'NONE' ? `${beat.epoch}${told}` : beat.error}`);
    return beat;
  }

  /** Does what the coordinator left to be done about regular expressions. */
  resolveRegexes(): void {
    for (let wanted = this.coordinator.consumer.regexes.take(); wanted; wanted = this.coordinator.consumer.regexes.take()) {
      const steps = resolveRegexes(wanted.regexes, this.topics, this.moment.wallMs);
      for (let step = steps.next(); ; step = steps.next()) {
        if (!step.done) continue;
        this.submit(this.coordinator.consumer.regexes.resolved(wanted.groupId, step.value, this.moment));
        break;
      }
    }
  }

  /** Makes a topic, or gives it more partitions. */
  setTopic(name: string, partitionCount: number): void {
    const known = this.topics.byName(name);
    const id = known?.id ?? uuidFromBytes(new Uint8Array(16).fill(++this.#topicIds));
    this.topics.set(name, id, partitionCount);
    this.coordinator.onTopicsChanged(new Set([name]), { hasNew: known === undefined });
  }

  deleteTopic(name: string): void {
    this.topics.delete(name);
    this.coordinator.onTopicsChanged(new Set([name]), { hasNew: false });
  }

  consumerGroup(groupId = 'g'): ConsumerGroup {
    const group = this.coordinator.groups.get(groupId);
    if (!(group instanceof ConsumerGroup)) throw new Error(`no consumer group ${groupId}`);
    return group;
  }

  #ownedPartitions(owned: readonly string[]): { topicId: string; partitions: number[] }[] {
    const byTopic = new Map<string, number[]>();
    for (const at of owned) {
      const [name, partition] = at.split('-') as [string, string];
      const topicId = this.topics.byName(name)!.id;
      byTopic.set(topicId, [...(byTopic.get(topicId) ?? []), Number(partition)]);
    }
    return [...byTopic].map(([topicId, partitions]) => ({ topicId, partitions }));
  }

  #named(assigned: readonly { topicId?: string | undefined; partitions?: readonly number[] | undefined }[]): string[] {
    return assigned
      .flatMap(({ topicId, partitions }) =>
        (partitions ?? []).map((partition) => `${this.topics.byId(topicId!)?.name ?? '?'}-${partition}`),
      )
      .sort();
  }

  /** `topic-partition` to offset, of all that the group has. */
  fetched(groupId = 'g', mode: 'stable' | 'committed' = 'stable'): Record<string, number | string> {
    const answer = this.coordinator.offsets.fetch({ groupId, memberId: null, memberEpoch: -1, topics: null }, mode);
    const entries = (answer.topics ?? []).flatMap(({ name, partitions }) =>
      partitions!.map(({ partitionIndex, committedOffset, errorCode }): [string, number | string] => [
        `${name}-${partitionIndex}`,
        errorCode ? errorName(errorCode) : committedOffset!,
      ]),
    );
    return Object.fromEntries(entries.sort());
  }

  /** Moves time, stopping at each deadline. */
  pass(ms: number): void {
    const untilMs = this.nowMs + ms;
    for (let next = this.#nextMs(); next <= untilMs; next = this.#nextMs()) {
      this.nowMs = Math.max(this.nowMs, next);
      this.#giveUpLate();
      for (let outcome = this.coordinator.wake(this.moment); outcome; outcome = this.coordinator.wake(this.moment))
        this.submit(outcome);
    }
    this.nowMs = untilMs;
  }

  /** The token is that of the request that the outcome is of: a failure answers it, unless the continuation does. */
  submit(outcome: Outcome<unknown>, token?: Token): KafkaError | null {
    const { coordinator } = this;
    const { records, continuation } = outcome;
    const baseOffset = this.log.length;
    const encoded = records.map((record) => encodeGroupRecord(record));
    for (const [index, record] of records.entries()) {
      coordinator.replay(record, { offset: baseOffset + index, producerId: -1 });
    }
    for (const { token, response } of outcome.answers) this.#answer(token, response);
    if (this.appendError !== null && records.length > 0) {
      coordinator.rollbackTo(baseOffset);
      this.#failed({ continuation, token }, this.appendError);
      return this.appendError;
    }
    this.log.push(...encoded.map((record) => ({ ...record, producerId: -1 })));
    const deadlineMs = this.nowMs + COMMIT_TIMEOUT_MS;
    this.#uncommitted.push({ endOffset: this.log.length, deadlineMs, records, continuation, token });
    // What needs no record waits only for those before it.
    if (!this.commitsLate || this.#uncommitted[0]!.records.length === 0) this.commitAppended();
    return null;
  }

  /** The high watermark reaches the end of the log. */
  commitAppended(): void {
    this.coordinator.commitTo(this.log.length);
    const committed = this.#uncommitted;
    this.#uncommitted = [];
    for (const { records, continuation } of committed) {
      for (const record of records) this.#noteRecord(record);
      if (continuation) this.submit(this.coordinator.continueWith(continuation, null, this.moment));
    }
  }

  /** A record that something else wrote: a transaction, or Kafka. */
  write(record: GroupRecord, producerId = -1): void {
    this.coordinator.replay(record, { offset: this.log.length, producerId });
    this.log.push({ ...encodeGroupRecord(record), producerId });
    this.coordinator.commitTo(this.log.length);
  }

  /** What a broker finds that takes over the partition now. Not yet active. */
  reloaded(): GroupCoordinator {
    const coordinator = this.#made();
    coordinator.commitTo(this.log.length);
    this.log.forEach(({ key, value, producerId }, offset) => {
      const record = decodeGroupRecord(key, value);
      if (record !== null) coordinator.replay(record, { offset, producerId });
    });
    return coordinator;
  }

  /** Another broker leads the partition, and may not have what is not committed yet. */
  takeOver({ losesUncommitted = false } = {}): void {
    const given = this.#uncommitted;
    this.#uncommitted = [];
    for (const { token } of given) {
      if (token !== undefined) this.#answer(token, { errorCode: errors.NOT_COORDINATOR.code });
    }
    const first = given[0];
    if (losesUncommitted && first !== undefined) this.log.length = first.endOffset - first.records.length;
    this.coordinator = this.reloaded();
    this.submit(this.coordinator.activate(this.moment));
  }

  group(groupId = 'g'): ClassicGroup {
    const group = this.coordinator.groups.get(groupId);
    if (!(group instanceof ClassicGroup)) throw new Error(`no classic group ${groupId}`);
    return group;
  }

  /** The error of an answer, or NONE; undefined while it is waited for. */
  errorOf(token: number): string | undefined {
    const response = this.answers.get(token);
    return response && errorName(response.errorCode ?? 0);
  }

  /** The transcript since the last call. */
  story(): string[] {
    return this.transcript.splice(0);
  }

  note(line: string): void {
    this.transcript.push(line);
  }

  #made(): GroupCoordinator {
    const configOf = (groupId: string): GroupConfig => ({ ...defaultGroupConfig, ...this.groupConfigs.get(groupId) });
    return new GroupCoordinator({ config: this.config, topics: this.topics, configOf });
  }

  #token(name: string): number {
    this.#names.set(++this.#tokens, name);
    return this.#tokens;
  }

  #nextMs(): number {
    const deadlineMs = this.#uncommitted.find(({ continuation, token }) => continuation || token !== undefined)?.deadlineMs;
    return Math.min(this.coordinator.nextWakeMs() ?? Infinity, deadlineMs ?? Infinity);
  }

  /** Their records are in the log all the same, and may yet be committed. */
  #giveUpLate(): void {
    const late = this.#uncommitted.filter(({ deadlineMs }) => deadlineMs <= this.nowMs);
    for (const operation of late) {
      const { continuation, token } = operation;
      operation.continuation = undefined;
      operation.token = undefined;
      this.#failed({ continuation, token }, new KafkaError('REQUEST_TIMED_OUT'));
    }
  }

  #failed({ continuation, token }: Pick<Uncommitted, 'continuation' | 'token'>, error: KafkaError): void {
    if (continuation) this.submit(this.coordinator.continueWith(continuation, error, this.moment));
    // What the operation has not answered itself is answered by its failure.
    if (token !== undefined) this.#answer(token, { errorCode: error.code });
  }

  #attempt(token: number | undefined, operation: () => Outcome<unknown>): string | undefined {
    try {
      return this.submit(operation(), token)?.name;
    } catch (error) {
      if (!(error instanceof KafkaError)) throw error;
      if (token !== undefined) this.#answer(token, { errorCode: error.code });
      return error.name;
    }
  }

  #direct(what: string, operation: () => Outcome<{ readonly errorCode?: number | undefined }>): string {
    let code = 0;
    const error = this.#attempt(undefined, () => {
      const outcome = operation();
      code = outcome.response.errorCode ?? 0;
      return outcome;
    });
    const answer = error ?? errorName(code);
    this.note(`${what}: ${answer}`);
    return answer;
  }

  #answer(token: number, response: Answer['response']): void {
    if (this.answers.has(token)) return;
    this.answers.set(token, response);
    this.note(`${this.#names.get(token)}: ${describe(response)}`);
  }

  #noteRecord({ type, key, value }: GroupRecord): void {
    if (type.startsWith('ConsumerGroup')) this.note(`  ${value === null ? 'gone' : 'stored'} ${noteOf(type, key)}`);
    if (type !== 'GroupMetadata') return;
    if (value === null) this.note(`  stored ${key.group}: gone`);
    else this.note(`  stored ${key.group}: generation ${value.generation}, ${value.members.length} members`);
  }
}

/** All that a restart has to know, as plain data. */
export function durableState(coordinator: GroupCoordinator): unknown {
  const groups = [...coordinator.groups].map(([groupId, group]) => {
    const offsets = [...coordinator.storedOffsets.ofGroup(groupId)]
      .flatMap(([topic, partitions]) => [...partitions].map(([partition, committed]) => [`${topic}-${partition}`, committed]))
      .sort();
    if (group instanceof ConsumerGroup) return [groupId, durableConsumerGroup(group), offsets];
    if (!(group instanceof ClassicGroup)) return [groupId, group.type, group.committedState, offsets];
    const { generationId, protocolType, protocolName, leaderId, state, stateTimestampMs } = group;
    // A group whose rebalance is under way is, to a restart, at its last stored generation: only a settled one can be compared.
    if (state !== 'Stable' && state !== 'Empty') return [groupId, 'rebalancing', offsets];
    // The moment at which a group became stable is known when its record is already written.
    const sinceMs = state === 'Empty' ? stateTimestampMs : -1;
    const members = [...group.members.values()]
      .map(
        ({ memberId, groupInstanceId, clientId, clientHost, rebalanceTimeoutMs, sessionTimeoutMs, assignment, protocols }) => ({
          identity: [memberId, groupInstanceId, clientId, clientHost, rebalanceTimeoutMs, sessionTimeoutMs],
          assignment: Buffer.from(assignment).toString('hex'),
          metadata: Buffer.from(protocols.find(({ name }) => name === protocolName)?.metadata ?? []).toString('hex'),
        }),
      )
      .sort((left, right) => (left.identity[0]! < right.identity[0]! ? -1 : 1));
    return [groupId, { generationId, protocolType, protocolName, leaderId, state, sinceMs, members, offsets }];
  });
  return groups.sort(([left], [right]) => (String(left) < String(right) ? -1 : 1));
}

function durableConsumerGroup(group: ConsumerGroup): unknown {
  const plain = (value: unknown): unknown =>
    value instanceof Map
      ? [...value].map(([key, each]) => [key, plain(each)]).sort()
      : value instanceof Set
        ? [...value].sort()
        : value;
  const entries = (map: { entries(): Iterable<[string, unknown]> }): unknown =>
    [...map.entries()]
      .map(([key, value]) => [key, value])
      .sort(([left], [right]) => (String(left) < String(right) ? -1 : 1))
      .map(([key, value]) => [key, plain(value)]);
  const members = [...group.members.entries()]
    .sort(([left], [right]) => (left < right ? -1 : 1))
    .map(([, member]) => ({ ...member, assigned: plain(member.assigned), revoking: plain(member.revoking) }));
  const { epoch, assignment, targets, staticMembers, regexes, regexSubscribers, hasOldTopicsRecord } = group;
  return {
    epochs: [epoch.get(), assignment.get(), hasOldTopicsRecord],
    members,
    targets: entries(targets),
    staticMembers: entries(staticMembers),
    regexes: [...regexes.entries()].map(([regex, { topics, ...rest }]) => [regex, [...topics].sort(), rest]).sort(),
    regexSubscribers: entries(regexSubscribers),
  };
}

export function subscription(topics: readonly string[]): Uint8Array {
  const writer = new Writer();
  writer.int16(0);
  writer.int32(topics.length);
  for (const topic of topics) writer.string(topic);
  writer.int32(-1);
  return writer.bytes().slice();
}

export function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function noteOf(type: string, key: GroupRecord['key']): string {
  const what = type.slice('ConsumerGroup'.length);
  return 'memberId' in key ? `${what} ${key.memberId}` : what;
}

function describe(response: Answer['response']): string {
  const error = errorName(response.errorCode ?? 0);
  if ('assignment' in response && response.assignment) return `assigned [${new TextDecoder().decode(response.assignment)}]`;
  if ('generationId' in response && error === 'NONE') {
    const members = response.members?.length ? `, members ${response.members.map(({ memberId }) => memberId).join(' ')}` : '';
    const skip = response.skipAssignment ? ', skip assignment' : '';
    return `generation ${response.generationId}, leader ${response.leader}${members}${skip}`;
  }
  return 'memberId' in response && response.memberId ? `${error} ${response.memberId}` : error;
}
