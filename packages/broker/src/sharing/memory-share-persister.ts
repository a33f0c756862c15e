import type {
  DeleteShareGroupStateRequest,
  DeleteShareGroupStateResponse,
  ErrorName,
  InitializeShareGroupStateRequest,
  InitializeShareGroupStateResponse,
  ReadShareGroupStateRequest,
  ReadShareGroupStateResponse,
  ReadShareGroupStateSummaryRequest,
  ReadShareGroupStateSummaryResponse,
  Writable,
  WriteShareGroupStateRequest,
  WriteShareGroupStateResponse,
} from '@ottla/protocol';
import { errorCodeOf, KafkaError } from '@ottla/protocol';
import type { SharePersister } from './share-persister.ts';
import type { StateBatch } from './state-change.ts';

type Kept = {
  stateEpoch: number;
  leaderEpoch: number;
  startOffset: number;
  deliveryCompleteCount: number;
  batches: StateBatch[];
};

/** Test support: a share coordinator's rules without its log. What it keeps outlives whoever asks it. */
export class MemorySharePersister implements SharePersister {
  readonly #kept = new Map<string, Kept>();
  /** The next writes fail with these. */
  readonly writeErrors: ErrorName[] = [];

  /** What is kept of a partition. */
  kept(groupId: string, topicId: string, partition: number): Readonly<Kept> | undefined {
    return this.#kept.get(`${groupId}:${topicId}:${partition}`);
  }

  async initialize(request: Writable<InitializeShareGroupStateRequest>): Promise<InitializeShareGroupStateResponse> {
    return {
      results: eachPartition(request, (key, { stateEpoch = 0, startOffset = -1 }) => {
        const known = this.#kept.get(key);
        if (known && known.stateEpoch > stateEpoch) throw new KafkaError('FENCED_STATE_EPOCH');
        this.#kept.set(key, {
          stateEpoch,
          leaderEpoch: known?.leaderEpoch ?? 0,
          startOffset,
          deliveryCompleteCount: 0,
          batches: [],
        });
        return {};
      }),
    };
  }

  async read(request: Writable<ReadShareGroupStateRequest>): Promise<ReadShareGroupStateResponse> {
    return {
      results: eachPartition(request, (key, { leaderEpoch = 0 }) => {
        const known = this.#known(key, leaderEpoch);
        known.leaderEpoch = leaderEpoch;
        const { stateEpoch, startOffset, batches } = known;
        return { stateEpoch, startOffset, stateBatches: batches.map((batch) => ({ ...batch })) };
      }),
    } as ReadShareGroupStateResponse;
  }

  async write(request: Writable<WriteShareGroupStateRequest>): Promise<WriteShareGroupStateResponse> {
    return {
      results: eachPartition(request, (key, partition) => {
        const error = this.writeErrors.shift();
        if (error) throw new KafkaError(error);
        const { stateEpoch = 0, leaderEpoch = 0, startOffset = -1, deliveryCompleteCount = -1, stateBatches = [] } = partition;
        const known = this.#known(key, leaderEpoch);
        if (known.stateEpoch > stateEpoch) throw new KafkaError('FENCED_STATE_EPOCH');
        known.leaderEpoch = leaderEpoch;
        if (startOffset >= 0) known.startOffset = startOffset;
        known.deliveryCompleteCount = deliveryCompleteCount;
        for (const batch of stateBatches as StateBatch[]) known.batches = withBatch(known.batches, batch);
        known.batches = withoutBefore(known.batches, known.startOffset);
        return {};
      }),
    };
  }

  async delete(request: Writable<DeleteShareGroupStateRequest>): Promise<DeleteShareGroupStateResponse> {
    return {
      results: eachPartition(request, (key) => {
        this.#kept.delete(key);
        return {};
      }),
    };
  }

  async readSummary(request: Writable<ReadShareGroupStateSummaryRequest>): Promise<ReadShareGroupStateSummaryResponse> {
    return {
      results: eachPartition(request, (key) => {
        const { stateEpoch, leaderEpoch, startOffset, deliveryCompleteCount } = this.#known(key, Number.POSITIVE_INFINITY);
        return { stateEpoch, leaderEpoch, startOffset, deliveryCompleteCount };
      }),
    } as ReadShareGroupStateSummaryResponse;
  }

  #known(key: string, leaderEpoch: number): Kept {
    let known = this.#kept.get(key);
    if (!known) {
      known = { stateEpoch: 0, leaderEpoch: 0, startOffset: -1, deliveryCompleteCount: 0, batches: [] };
      this.#kept.set(key, known);
    }
    if (known.leaderEpoch > leaderEpoch) throw new KafkaError('FENCED_LEADER_EPOCH');
    return known;
  }
}

type AskedPartition = {
  partition?: number;
  stateEpoch?: number;
  leaderEpoch?: number;
  startOffset?: number;
  deliveryCompleteCount?: number;
  stateBatches?: readonly object[];
};
type Asked = {
  groupId?: string;
  topics?: readonly { topicId?: string; partitions?: readonly AskedPartition[] }[];
};

function eachPartition<Answer extends object>(request: Asked, answer: (key: string, asked: AskedPartition) => Answer) {
  return (request.topics ?? []).map(({ topicId = '', partitions = [] }) => ({
    topicId,
    partitions: partitions.map((asked) => {
      const { partition = 0 } = asked;
      try {
        return { partition, errorCode: 0, errorMessage: null, ...answer(`${request.groupId}:${topicId}:${partition}`, asked) };
      } catch (error) {
        return { partition, errorCode: errorCodeOf(error), errorMessage: null } as never;
      }
    }),
  }));
}

/** The batch takes the place of whatever was said of its offsets. */
function withBatch(batches: readonly StateBatch[], batch: StateBatch): StateBatch[] {
  const others = batches.flatMap((other) => [
    { ...other, lastOffset: Math.min(other.lastOffset, batch.firstOffset - 1) },
    { ...other, firstOffset: Math.max(other.firstOffset, batch.lastOffset + 1) },
  ]);
  const kept = others.filter(({ firstOffset, lastOffset }) => firstOffset <= lastOffset);
  const { firstOffset, lastOffset, deliveryState, deliveryCount } = batch;
  kept.push({ firstOffset, lastOffset, deliveryState, deliveryCount });
  return kept.sort((left, right) => left.firstOffset - right.firstOffset);
}

function withoutBefore(batches: readonly StateBatch[], startOffset: number): StateBatch[] {
  return batches
    .filter(({ lastOffset }) => lastOffset >= startOffset)
    .map((batch) => ({ ...batch, firstOffset: Math.max(batch.firstOffset, startOffset) }));
}
