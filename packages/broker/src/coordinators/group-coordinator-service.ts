import { decodeGroupRecord, encodeGroupRecord, GroupCoordinator, type GroupTopics } from '@ottla/coordinator';
import type { GroupConfig } from '@ottla/metadata';
import {
  type DeleteGroupsRequest,
  type DeleteGroupsResponse,
  errors,
  type ListGroupsRequest,
  type ListGroupsResponse,
  type Uuid,
  type Writable,
} from '@ottla/protocol';
import type { Logger, Runtime } from '@ottla/runtime';
import { OFFSETS_TOPIC } from '../internal-topics.ts';
import type { CreateTopic } from '../topic-creation.ts';
import type { TransactionMarker } from '../transactions/transaction-marker.ts';
import { ClassicGroupService } from './classic-group-service.ts';
import { ConsumerGroupService } from './consumer-group-service.ts';
import type { CoordinatorLog } from './coordinator-log.ts';
import { CoordinatorRuntime } from './coordinator-runtime.ts';
import { GroupOffsetService, type VerifyTransaction } from './group-offset-service.ts';
import { GroupPartitions, type GroupRequestContext } from './group-partitions.ts';
import type { GroupProtocolName } from './group-protocols.ts';
import type { GroupServiceConfig } from './group-service-config.ts';
import { ShareGroupService, type ShareGroupSurroundings } from './share-group-service.ts';
import { StreamsGroupService } from './streams-group-service.ts';
import { StreamsInternalTopics } from './streams-internal-topics.ts';

export type GroupCoordinatorServiceOptions = {
  readonly runtime: Pick<Runtime, 'clock' | 'timers' | 'random' | 'logger'>;
  readonly config: GroupServiceConfig;
  /** Of `__consumer_offsets`; undefined until it exists. */
  readonly partitionCount: () => number | undefined;
  /** The log of a partition of `__consumer_offsets` that this broker leads. */
  readonly log: (partition: number) => CoordinatorLog;
  readonly topics: GroupTopics;
  /** The configs in force for a group. */
  readonly configOf: (groupId: string) => GroupConfig;
  /** Whether a protocol is on: by group.coordinator.rebalance.protocols, and by the cluster's features. */
  readonly isEnabled: (protocol: GroupProtocolName) => boolean;
  readonly createTopic: CreateTopic;
  readonly share: Omit<ShareGroupSurroundings, 'logger'>;
  readonly verifyTransaction: VerifyTransaction;
};

type DeletedGroups = NonNullable<Writable<DeleteGroupsResponse>['results']>[number][];

/** Of one request and partition: in between, the broker does its other work. */
const DELETED_AT_ONCE = 500;

/**
 * The group APIs of a broker: a part for each group protocol, one for offsets, and here what concerns groups of every protocol. A method
 * takes a decoded request and answers it whole, errors included, in the shape that the request's version wants: it rejects for nothing
 * that a protocol has a code for.
 */
export class GroupCoordinatorService {
  readonly classic: ClassicGroupService;
  readonly consumer: ConsumerGroupService;
  readonly streams: StreamsGroupService;
  readonly share: ShareGroupService;
  readonly offsets: GroupOffsetService;
  readonly #runtime: CoordinatorRuntime<GroupCoordinator>;
  readonly #partitions: GroupPartitions;
  readonly #logger: Logger;
  #config: GroupServiceConfig;

  constructor(options: GroupCoordinatorServiceOptions) {
    const { config, log, partitionCount, runtime, topics, configOf, isEnabled, createTopic, share, verifyTransaction } = options;
    this.#config = config;
    this.#logger = runtime.logger;
    this.#runtime = new CoordinatorRuntime<GroupCoordinator>({
      topic: OFFSETS_TOPIC,
      createMachine: () => new GroupCoordinator({ config: this.#config.group, topics, configOf }),
      codec: { encode: encodeGroupRecord, decode: decodeGroupRecord },
      log,
      config: config.partition,
      runtime,
    });
    this.#partitions = new GroupPartitions({
      coordinators: this.#runtime,
      partitionCount,
      config: () => this.#config,
      topics,
      runtime,
    });
    this.consumer = new ConsumerGroupService(this.#partitions, runtime);
    this.classic = new ClassicGroupService(this.#partitions, this.consumer);
    this.streams = new StreamsGroupService(this.#partitions, {
      isEnabled: () => isEnabled('streams'),
      internalTopics: new StreamsInternalTopics({ create: createTopic, clock: runtime.clock, logger: runtime.logger }),
    });
    this.share = new ShareGroupService(this.#partitions, { ...share, logger: runtime.logger });
    this.offsets = new GroupOffsetService(this.#partitions, verifyTransaction);
  }

  // ── life ──

  /** This broker leads the partition. Resolves when its groups are loaded; they are refused until then. */
  onPartitionElected(partition: number, leaderEpoch: number, leadsOn = false): Promise<void> {
    return this.#runtime.elect(partition, leaderEpoch, leadsOn);
  }

  onPartitionResigned(partition: number, leaderEpoch?: number): void {
    this.#runtime.resign(partition, leaderEpoch);
  }

  /** Forgets what groups have of the topics. Resolves when that is durable, or has failed: offsets are gone by retention then. */
  async onTopicsDeleted(topics: readonly { readonly name: string; readonly topicId: Uuid }[]): Promise<void> {
    const topicIds = new Set(topics.map(({ topicId }) => topicId));
    const operations = [
      ...this.#runtime.writeAll((groups, moment) => groups.offsets.deleteTopics(topics, moment)),
      ...this.#runtime.writeAll((groups, moment) => groups.share.offsets.onTopicsDeleted(topicIds, moment)),
    ];
    for (const result of await Promise.allSettled(operations)) {
      if (result.status === 'fulfilled') continue;
      this.#logger.warn('offsets of deleted topics could not be removed', { error: result.reason });
    }
  }

  /** The marker that ends a producer's transaction: what it has committed in this partition counts, or never will. */
  endTransaction(partition: number, marker: TransactionMarker): Promise<void> {
    return this.#runtime.endTransaction(partition, marker);
  }

  /** Topics were created (`hasNew`), changed or deleted; `topics` says so already. */
  onTopicsChanged(names: ReadonlySet<string>, { hasNew }: { readonly hasNew: boolean }): void {
    for (const partition of this.#runtime.partitions.values()) {
      if (partition.state === 'active') partition.read((groups) => groups.onTopicsChanged(names, { hasNew }));
    }
  }

  /** Timeouts and limits count from now on; how the partitions are written stays as it was at the start. */
  updateConfig(config: GroupServiceConfig): void {
    this.#config = config;
    this.#runtime.configureAll((groups) => groups.updateConfig(config.group));
  }

  /** Everyone who waits is answered NOT_COORDINATOR, and nobody is taken in any more. */
  shutdown(): void {
    this.#partitions.isShutDown = true;
    this.#runtime.shutdown();
  }

  // ── groups of every protocol ──

  /** The groups of the partitions led here: a client asks every broker. Unknown states and types match nothing. */
  listGroups(request: ListGroupsRequest, _context: GroupRequestContext): Promise<Writable<ListGroupsResponse>> {
    // One state has two words, which clients write as one and Kafka with an underscore between.
    const states = new Set(request.statesFilter.map((state) => state.toLowerCase().trim().replace('_', '')));
    const types = new Set(request.typesFilter.map((type) => type.toLowerCase().trim()));
    return this.#partitions.answer<Writable<ListGroupsResponse>>(
      () => ({ groups: this.#runtime.readAll((coordinator) => coordinator.list({ states, types })).flat() }),
      (error) => ({ errorCode: errors[error].code }),
    );
  }

  async deleteGroups(request: DeleteGroupsRequest, _context: GroupRequestContext): Promise<Writable<DeleteGroupsResponse>> {
    const byPartition = new Map<number, string[]>();
    for (const groupId of new Set(request.groupsNames)) {
      const partition = this.#partitions.count === undefined ? 0 : this.#partitions.of(groupId);
      const others = byPartition.get(partition);
      if (others === undefined) byPartition.set(partition, [groupId]);
      else others.push(groupId);
    }
    const results = [...byPartition].map(async ([partition, groupIds]) => {
      const deleted: DeletedGroups = [];
      for (let start = 0; start < groupIds.length; start += DELETED_AT_ONCE)
        deleted.push(...(await this.#deleteGroups(partition, groupIds.slice(start, start + DELETED_AT_ONCE))));
      return deleted;
    });
    return { results: (await Promise.all(results)).flat() };
  }

  #deleteGroups(partition: number, groupIds: readonly string[]): Promise<DeletedGroups> {
    return this.#partitions.answer<DeletedGroups>(
      async () => {
        const failures = await this.share.deleteStateOf(partition, groupIds);
        const others = groupIds.filter((groupId) => !failures.has(groupId));
        const deleted = await this.#runtime.write(partition, (coordinator, moment) => coordinator.deleteGroups(others, moment));
        return [...[...failures].map(([groupId, errorCode]) => ({ groupId, errorCode })), ...deleted];
      },
      (error) => groupIds.map((groupId) => ({ groupId, errorCode: errors[error].code })),
    );
  }
}
