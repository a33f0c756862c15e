import {
  type AskedSharePartition,
  coordinatorErrorOf,
  decodeShareStateRecord,
  encodeShareStateRecord,
  plainFailure,
  readFailure,
  type SharePartitionFailure,
  type SharePartitionKey,
  ShareStateCoordinator,
  type ShareStateOutcome,
  summaryFailure,
  textOfKey,
} from '@ottla/coordinator';
import {
  type DeleteShareGroupStateRequest,
  type DeleteShareGroupStateResponse,
  errors,
  type InitializeShareGroupStateRequest,
  type InitializeShareGroupStateResponse,
  KafkaError,
  partitionForGroup,
  type ReadShareGroupStateRequest,
  type ReadShareGroupStateResponse,
  type ReadShareGroupStateSummaryRequest,
  type ReadShareGroupStateSummaryResponse,
  type Uuid,
  type WriteShareGroupStateRequest,
  type WriteShareGroupStateResponse,
} from '@ottla/protocol';
import type { Runtime, Timer } from '@ottla/runtime';
import type { CoordinatorLog } from './coordinator-log.ts';
import type { Moment } from './coordinator-machine.ts';
import { CoordinatorRuntime } from './coordinator-runtime.ts';
import type { ShareCoordinatorConfig } from './share-coordinator-config.ts';
import { askEachSharePartition, type ShareStateRequest, type ShareStateResponse } from './share-partition-requests.ts';

export type ShareCoordinatorServiceOptions = {
  readonly runtime: Pick<Runtime, 'clock' | 'timers' | 'logger'>;
  readonly config: ShareCoordinatorConfig;
  /** Of `__share_group_state`; undefined until it exists. */
  readonly partitionCount: () => number | undefined;
  /** The log of a partition of `__share_group_state` that this broker leads. */
  readonly log: (partition: number) => CoordinatorLog;
  /** Lets go of what such a log has before the offset. */
  readonly deleteRecordsBefore: (partition: number, offset: number) => void;
  /** Whether a topic that may be shared has this partition. */
  readonly hasPartition: (topicId: Uuid, partition: number) => boolean;
};

const TOPIC = '__share_group_state';

/**
 * The share coordinator APIs of a broker: the state of share partitions, for the leaders that share them and for the group coordinator.
 * A method takes a decoded request and answers for each of its share partitions; it never rejects.
 */
export class ShareCoordinatorService {
  readonly #options: ShareCoordinatorServiceOptions;
  readonly #runtime: CoordinatorRuntime<ShareStateCoordinator>;
  /** How far each partition was pruned, so that nothing is done for nothing. */
  readonly #prunedBefore = new Map<number, number>();
  #pruneTimer: Timer | undefined;
  #isActive = true;

  constructor(options: ShareCoordinatorServiceOptions) {
    this.#options = options;
    this.#runtime = new CoordinatorRuntime<ShareStateCoordinator>({
      topic: TOPIC,
      createMachine: () => new ShareStateCoordinator(options.config.state),
      codec: { encode: encodeShareStateRecord, decode: decodeShareStateRecord },
      log: options.log,
      config: options.config.partition,
      runtime: options.runtime,
    });
    this.#schedulePruning();
  }

  // ── life ──

  /** This broker leads the partition. Resolves when its state is loaded; it is refused until then. */
  onPartitionElected(partition: number, leaderEpoch: number, leadsOn = false): Promise<void> {
    return this.#runtime.elect(partition, leaderEpoch, leadsOn);
  }

  onPartitionResigned(partition: number, leaderEpoch?: number): void {
    this.#prunedBefore.delete(partition);
    this.#runtime.resign(partition, leaderEpoch);
  }

  /** Forgets the state of the topics. Resolves when that is durable, or has failed. */
  async onTopicsDeleted(topics: readonly { readonly topicId: Uuid }[]): Promise<void> {
    const topicIds = new Set(topics.map(({ topicId }) => topicId));
    const operations = this.#runtime.writeAll((states) => states.onTopicsDeleted(topicIds));
    for (const result of await Promise.allSettled(operations)) {
      if (result.status === 'fulfilled') continue;
      this.#options.runtime.logger.warn('the share state of deleted topics could not be removed', { error: result.reason });
    }
  }

  /** Everyone who waits is answered NOT_COORDINATOR, and nobody is taken in any more. */
  shutdown(): void {
    this.#isActive = false;
    this.#pruneTimer?.cancel();
    this.#runtime.shutdown();
  }

  // ── share partitions ──

  initialize(request: InitializeShareGroupStateRequest): Promise<InitializeShareGroupStateResponse> {
    return this.#each(request, (states, asked, change, moment) => states.initialize(asked, change, moment), plainFailure);
  }

  read(request: ReadShareGroupStateRequest): Promise<ReadShareGroupStateResponse> {
    return this.#each(request, (states, asked, { leaderEpoch }, moment) => states.read(asked, leaderEpoch, moment), readFailure);
  }

  write(request: WriteShareGroupStateRequest): Promise<WriteShareGroupStateResponse> {
    return this.#each(request, (states, asked, change, moment) => states.write(asked, change, moment), plainFailure);
  }

  delete(request: DeleteShareGroupStateRequest): Promise<DeleteShareGroupStateResponse> {
    return this.#each(request, (states, asked) => states.delete(asked), plainFailure);
  }

  readSummary(request: ReadShareGroupStateSummaryRequest): Promise<ReadShareGroupStateSummaryResponse> {
    return this.#each(request, (states, asked) => states.summary(asked), summaryFailure);
  }

  /** Lets the log go up to what a restart still needs. */
  async prune(): Promise<void> {
    for (const [partition, { state }] of [...this.#runtime.partitions]) {
      if (state !== 'active') continue;
      try {
        const redundantBefore = await this.#runtime.write(partition, (states) => states.redundantBefore());
        if (redundantBefore === 0 || this.#prunedBefore.get(partition) === redundantBefore) continue;
        this.#options.deleteRecordsBefore(partition, redundantBefore);
        this.#prunedBefore.set(partition, redundantBefore);
      } catch (error) {
        if (this.#runtime.partitions.get(partition)?.state !== 'active') continue;
        this.#options.runtime.logger.error('share state could not be pruned', { partition, error });
      }
    }
  }

  #schedulePruning(): void {
    this.#pruneTimer = this.#options.runtime.timers.after(this.#options.config.pruneIntervalMs, () => {
      this.prune().finally(() => {
        if (this.#isActive) this.#schedulePruning();
      });
    });
  }

  #each<Partition extends { readonly partition: number }, Result>(
    request: ShareStateRequest<Partition>,
    operate: (
      states: ShareStateCoordinator,
      asked: AskedSharePartition,
      partition: Partition,
      moment: Moment,
    ) => ShareStateOutcome<Result>,
    refused: (failure: SharePartitionFailure) => Result,
  ): Promise<ShareStateResponse<Result>> {
    return askEachSharePartition(request, this.#options.runtime, async (key, partition) => {
      try {
        if (!this.#isActive) throw new KafkaError('COORDINATOR_NOT_AVAILABLE', 'this broker is shutting down');
        const exists = this.#options.hasPartition(key.topicId, key.partition);
        return await this.#runtime.write(this.#partitionOf(key), (states, moment) =>
          operate(states, { ...key, exists }, partition, moment),
        );
      } catch (error) {
        return refused(this.#failureOf(key, error));
      }
    });
  }

  /** In the coordinator's terms: who asks knows nothing of the partition in which the state is kept. */
  #failureOf({ partition }: SharePartitionKey, error: unknown): SharePartitionFailure {
    if (error instanceof KafkaError) {
      return { partition, errorCode: errors[coordinatorErrorOf(error.name)].code, errorMessage: error.message };
    }
    this.#options.runtime.logger.error('a share state request failed', { error });
    return { partition, errorCode: errors.UNKNOWN_SERVER_ERROR.code, errorMessage: null };
  }

  /** Throws NOT_COORDINATOR. */
  #partitionOf(key: SharePartitionKey): number {
    const count = this.#options.partitionCount();
    if (count === undefined)
      throw new KafkaError('NOT_COORDINATOR', `${TOPIC} does not exist yet: look the coordinator up to have it created`);
    return partitionForGroup(textOfKey(key), count);
  }
}
