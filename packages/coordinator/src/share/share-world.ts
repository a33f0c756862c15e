/** For tests: share groups beside a share coordinator that answers when it is told to, in time that passes when it is told to. */
import { type GroupConfig, groupConfigs } from '@ottla/metadata';
import { type ErrorName, errorName, type InitializeShareGroupStateRequest, KafkaError, type Uuid } from '@ottla/protocol';
import { GroupCoordinator } from '../group-coordinator.ts';
import { defaultGroupCoordinatorConfig } from '../group-coordinator-config.ts';
import { decodeGroupRecord, encodeGroupRecord, type GroupRecord } from '../group-record.ts';
import { MemoryGroupTopics } from '../group-topics.ts';
import type { Outcome } from '../outcome.ts';
import { ShareGroup } from './share-group.ts';
import type { PartitionNumbers } from './share-offsets.ts';

type Encoded = { readonly key: Uint8Array; readonly value: Uint8Array | null };
type Beat = { readonly memberEpoch?: number; readonly topics?: string[] | null; readonly rackId?: string | null };
export type Beaten = {
  readonly error: ErrorName;
  readonly memberEpoch: number;
  /** As `topic-partition`; undefined where the answer says that nothing has changed. */
  readonly assigned: readonly string[] | undefined;
};

export const GROUP = 'g';

export class ShareWorld {
  coordinator: GroupCoordinator;
  readonly topics = new MemoryGroupTopics();
  readonly log: Encoded[] = [];
  readonly config: Partial<GroupConfig>;
  /** What the share coordinator was asked and has not answered. */
  readonly asked: InitializeShareGroupStateRequest[] = [];
  /** The next append fails with this. */
  appendError: KafkaError | null = null;
  /** How many topics were ever created: each has another id. */
  #created = 0;
  nowMs = 0;
  /** What the wall clock of the coordinator shows in the beginning. */
  wallMs = 1_000_000;

  constructor(config: Partial<GroupConfig> = {}) {
    this.config = config;
    this.coordinator = this.#made();
    this.submit(this.coordinator.activate(this.moment));
  }

  get moment(): { wallMs: number; monotonicMs: number } {
    return { wallMs: this.wallMs + this.nowMs, monotonicMs: this.nowMs };
  }

  createTopic(name: string, partitions = 1): Uuid {
    const id = `${String(++this.#created).padStart(21, 'A')}A`;
    this.topics.set(name, id, partitions);
    this.#topicChanged(name);
    return id;
  }

  /** More partitions. */
  growTopic(name: string, partitions: number): void {
    const topic = this.topics.byName(name);
    if (topic === undefined || topic.partitionCount >= partitions) return;
    this.topics.set(name, topic.id, partitions);
    this.#topicChanged(name);
  }

  deleteTopic(name: string): void {
    const topic = this.topics.byName(name);
    if (topic === undefined) return;
    this.topics.delete(name);
    this.#topicChanged(name);
    this.submit(this.coordinator.share.offsets.onTopicsDeleted(new Set([topic.id]), this.moment));
  }

  beat(memberId: string, { memberEpoch = 0, topics = null, rackId = null }: Beat = {}): Beaten {
    const request = { groupId: GROUP, memberId, memberEpoch, rackId, subscribedTopicNames: topics };
    const sender = { clientId: 'c', clientHost: '/127.0.0.1' };
    try {
      const { response, initialize } = this.submit(this.coordinator.share.heartbeat(request, sender, this.moment));
      if (initialize !== null) this.asked.push(initialize);
      const assigned = response.assignment?.topicPartitions?.flatMap(({ topicId, partitions }) =>
        partitions!.map((partition) => `${this.topics.byId(topicId!)?.name}-${partition}`),
      );
      return { error: 'NONE', memberEpoch: response.memberEpoch!, assigned: assigned?.sort() };
    } catch (error) {
      if (!(error instanceof KafkaError)) throw error;
      return { error: error.name, memberEpoch: -1, assigned: undefined };
    }
  }

  /** The share coordinator answers what it was asked, the oldest first. */
  answerInitialize(isDone = true): void {
    const request = this.asked.shift();
    if (request === undefined) return;
    const numbers: PartitionNumbers = new Map(
      request.topics.map(({ topicId, partitions }) => [topicId, partitions.map(({ partition }) => partition)]),
    );
    const { offsets } = this.coordinator.share;
    this.submit(
      isDone
        ? offsets.initialized(request.groupId, numbers, this.moment)
        : offsets.notInitialized(request.groupId, numbers, this.moment),
    );
  }

  alter(topicName: string, partitionIndex: number, startOffset: number): string {
    return this.#errorOf(() => {
      const topics = [{ topicName, partitions: [{ partitionIndex, startOffset }] }];
      const { responses, initialize } = this.submit(
        this.coordinator.share.offsets.alter({ groupId: GROUP, topics }, this.moment),
      );
      if (initialize !== null) this.asked.push(initialize);
      return responses[0]!.partitions![0]!.errorCode!;
    });
  }

  /** As far as the share coordinator's answer, which is that it is done, unless it is lost. */
  deleteOffsets(topicName: string, isAnswered = true): string {
    return this.#errorOf(() => {
      const { offsets } = this.coordinator.share;
      const { responses, deleteState } = this.submit(
        offsets.beginDelete({ groupId: GROUP, topics: [{ topicName }] }, this.moment),
      );
      if (deleteState !== null && isAnswered) {
        const topicIds = deleteState.topics.map(({ topicId }) => topicId);
        this.submit(offsets.deleted(GROUP, topicIds, this.moment));
      }
      return responses[0]?.errorCode ?? 0;
    });
  }

  deleteGroup(): string {
    const doomed = this.submit(this.coordinator.share.offsets.beginGroupDeletion([GROUP], this.moment))[0];
    if (doomed !== undefined && 'errorCode' in doomed) return errorName(doomed.errorCode);
    return errorName(this.submit(this.coordinator.deleteGroups([GROUP], this.moment))[0]!.errorCode!);
  }

  /** Moves time, stopping at each deadline. */
  pass(ms: number): void {
    const untilMs = this.nowMs + ms;
    for (let next = this.coordinator.nextWakeMs(); next !== undefined && next <= untilMs; next = this.coordinator.nextWakeMs()) {
      this.nowMs = Math.max(this.nowMs, next);
      for (let outcome = this.coordinator.wake(this.moment); outcome; outcome = this.coordinator.wake(this.moment))
        this.submit(outcome);
    }
    this.nowMs = untilMs;
  }

  /** Throws what the append failed with. */
  submit<Response>({ records, response }: Outcome<Response>): Response {
    const baseOffset = this.log.length;
    for (const [index, record] of records.entries()) {
      this.coordinator.replay(record, { offset: baseOffset + index, producerId: -1 });
    }
    const error = this.appendError;
    if (error !== null && records.length > 0) {
      this.appendError = null;
      this.coordinator.rollbackTo(baseOffset);
      throw error;
    }
    this.log.push(...records.map((record) => encodeGroupRecord(record)));
    this.coordinator.commitTo(this.log.length);
    this.coordinator.assertInvariants();
    return response;
  }

  get group(): ShareGroup | undefined {
    const group = this.coordinator.groups.get(GROUP);
    return group instanceof ShareGroup ? group : undefined;
  }

  /** The types of the records since an offset. */
  types(offset = 0): string[] {
    return this.log.slice(offset).map(({ key, value }) => {
      const { type } = decodeGroupRecord(key, value) as GroupRecord;
      return value === null ? `-${type}` : type;
    });
  }

  /** Not yet active. */
  reloaded(): GroupCoordinator {
    const coordinator = this.#made();
    coordinator.commitTo(this.log.length);
    for (const [offset, { key, value }] of this.log.entries()) {
      coordinator.replay(decodeGroupRecord(key, value)!, { offset, producerId: -1 });
    }
    return coordinator;
  }

  /** Another broker coordinates the group; what this one was about to do is lost. */
  takeOver(): void {
    this.coordinator = this.reloaded();
    this.asked.length = 0;
    this.submit(this.coordinator.activate(this.moment));
  }

  #topicChanged(name: string): void {
    this.coordinator.onTopicsChanged(new Set([name]), { hasNew: true });
  }

  #errorOf(work: () => number): string {
    try {
      return errorName(work());
    } catch (error) {
      if (!(error instanceof KafkaError)) throw error;
      return error.name;
    }
  }

  #made(): GroupCoordinator {
    const configOf = (): GroupConfig => ({ ...defaults, ...this.config });
    return new GroupCoordinator({ config: defaultGroupCoordinatorConfig, topics: this.topics, configOf });
  }
}

const defaults = Object.fromEntries(
  Object.entries(groupConfigs).map(([name, definition]) => [name, (definition as { default?: unknown }).default]),
) as unknown as GroupConfig;

/** All that a restart has to know of the groups. */
export function stateOf(coordinator: GroupCoordinator): object {
  return new Map(
    [...coordinator.groups].map(([groupId, group]): [string, unknown] => {
      if (!(group instanceof ShareGroup)) return [groupId, group.type];
      return [
        groupId,
        {
          members: new Map(group.members.entries()),
          targets: new Map(group.targets.entries()),
          epoch: group.epoch.get(),
          assignment: group.assignment.get(),
          sharePartitions: group.sharePartitions.get(),
        },
      ];
    }),
  );
}
