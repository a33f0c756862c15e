import { buildControlBatch, KafkaError } from '@ottla/protocol';
import type { Clock } from '@ottla/runtime';
import { isInternalTopic, OFFSETS_TOPIC } from '../internal-topics.ts';
import type { Partitions } from '../replication/partitions.ts';
import type { TransactionMarker } from './transaction-marker.ts';

/** Takes a marker to the leader of a partition. Rejects with what the leader says, and NOT_LEADER_OR_FOLLOWER when none is known. */
export interface MarkerDestination {
  write(topic: string, partition: number, marker: TransactionMarker): Promise<void>;
}

export type MarkerWriterOptions = {
  readonly partitions: Partitions;
  readonly clock: Clock;
  readonly minInsyncReplicas: (topic: string) => number;
  /** The partitions of `__consumer_offsets` have a coordinator, which must see the marker where it stands in the log. */
  readonly endInGroups: (partition: number, marker: TransactionMarker) => Promise<void>;
};

const ACKS_ALL = -1;

/** Writes markers into the partitions that this broker leads. */
export class MarkerWriter implements MarkerDestination {
  readonly #options: MarkerWriterOptions;

  constructor(options: MarkerWriterOptions) {
    this.#options = options;
  }

  /**
   * Resolves when the marker is committed. Rejects with INVALID_PRODUCER_EPOCH, TRANSACTION_COORDINATOR_FENCED, UNKNOWN_TOPIC_OR_PARTITION,
   * NOT_LEADER_OR_FOLLOWER, NOT_ENOUGH_REPLICAS, KAFKA_STORAGE_ERROR, INVALID_TOPIC_EXCEPTION.
   */
  async write(topic: string, index: number, marker: TransactionMarker): Promise<void> {
    const { partitions, clock, minInsyncReplicas } = this.#options;
    const partition = partitions.get(topic, index);
    if (partition === undefined) {
      partitions.requireOnline(topic, index);
      throw new KafkaError('UNKNOWN_TOPIC_OR_PARTITION', `there is no partition ${topic}-${index} on this broker`);
    }
    if (topic === OFFSETS_TOPIC) return this.#endInGroups(index, marker);
    // Their coordinators write alone, and never in a transaction: a marker would come between their records, and have them load again.
    if (isInternalTopic(topic)) throw new KafkaError('INVALID_TOPIC_EXCEPTION', `nothing in ${topic} is written in transactions`);
    const { producerId, producerEpoch, isCommit, coordinatorEpoch, transactionVersion } = marker;
    if (producerId < 0)
      throw new KafkaError('INVALID_REQUEST', `no producer has the id ${producerId}: its transaction cannot be ended`);
    const batch = buildControlBatch({
      records: [{ type: isCommit ? 'commit' : 'abort', coordinatorEpoch }],
      timestamp: clock.nowMs(),
      producerId,
      producerEpoch,
    });
    const rules = { origin: 'coordinator', transactionVersion2: transactionVersion >= 2 } as const;
    const { lastOffset } = partition.appendAsLeader(batch, rules, ACKS_ALL, minInsyncReplicas(topic));
    await partition.whenCommitted(lastOffset + 1);
  }

  async #endInGroups(index: number, marker: TransactionMarker): Promise<void> {
    try {
      await this.#options.endInGroups(index, marker);
    } catch (error) {
      // Whoever sends markers knows the errors of partitions only.
      if (error instanceof KafkaError && coordinatorErrors.has(error.name))
        throw new KafkaError('NOT_LEADER_OR_FOLLOWER', error.message, { cause: error });
      throw error;
    }
  }
}

const coordinatorErrors: ReadonlySet<string> = new Set([
  'COORDINATOR_NOT_AVAILABLE',
  'COORDINATOR_LOAD_IN_PROGRESS',
  'NOT_COORDINATOR',
]);
