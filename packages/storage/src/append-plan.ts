import { KafkaError } from '@ottla/protocol';
import type { AppendOrigin } from './append-origin.ts';
import type { DecompressionBudget } from './decompression-budget.ts';
import type { LogConfig } from './log-config.ts';
import { type AnalyzedRecords, analyzeRecords, checkProduceRecords, type StampedBatch, stampForAppend } from './log-validator.ts';
import { type ProducerChanges, prepareProducers } from './producer-changes.ts';
import type { ProducerStates } from './producer-states.ts';
import { UnexpectedOffsetError } from './unexpected-offset-error.ts';

export type AppendOptions = {
  readonly leaderEpoch: number;
  readonly origin: AppendOrigin;
  /** Of the Produce request: which batches it may hold depends on it. */
  readonly apiVersion?: number;
  /** The bytes are the log's to write offsets, epoch and times into. Otherwise it copies them first. Default true. */
  readonly mayModify?: boolean;
  /** transaction.version 2 is in force for this marker (KIP-890). */
  readonly transactionVersion2?: boolean;
  /** The producer uses transactions v2, so one that is not known must begin at sequence 0. */
  readonly expectSequenceZero?: boolean;
  /** Of the whole request; beyond it MESSAGE_TOO_LARGE. Absent: each batch has only its own limit. */
  readonly decompression?: DecompressionBudget | undefined;
};

/** What an append will do, decided before anything is done. */
export type AppendPlan = {
  readonly firstOffset: number;
  readonly stamped: StampedBatch;
  readonly batches: number;
  readonly producers: ProducerChanges;
};

export type AppendPlanContext = {
  readonly config: LogConfig;
  readonly partitionName: string;
  readonly logEndOffset: number;
  readonly producers: ProducerStates;
  readonly nowMs: number;
};

/** Undefined when there is no whole batch. Throws what `Log.append` throws. */
export function planAppend(records: Uint8Array, options: AppendOptions, context: AppendPlanContext): AppendPlan | undefined {
  const { origin, leaderEpoch, apiVersion, transactionVersion2, expectSequenceZero, decompression } = options;
  const { config, partitionName, logEndOffset, nowMs } = context;
  if (apiVersion !== undefined && origin === 'client') checkProduceRecords(records, apiVersion);
  const rules = { origin, leaderEpoch, config, partitionName, nextOffset: logEndOffset, nowMs, decompression };
  const analyzed = analyzeRecords(options.mayModify === false ? records.slice() : records, rules);
  if (analyzed.batches === 0) return undefined;

  const assignsOffsets = origin === 'client' || origin === 'coordinator';
  const stamped = assignsOffsets ? stampForAppend(analyzed, rules) : asGiven(analyzed, context);
  if (stamped.bytes.length > config.segmentBytes) {
    throw new KafkaError(
      'RECORD_LIST_TOO_LARGE',
      `Message batch size is ${stamped.bytes.length} bytes in append to partition ${partitionName}, which exceeds the maximum configured segment size of ${config.segmentBytes}.`,
    );
  }
  return {
    firstOffset: assignsOffsets ? logEndOffset : analyzed.firstOffset,
    stamped,
    batches: analyzed.batches,
    producers: prepareProducers(context.producers, stamped.bytes, {
      origin,
      partitionName,
      transactionVersion2,
      expectSequenceZero,
    }),
  };
}

/** Offsets are the leader's. */
function asGiven(analyzed: AnalyzedRecords, { partitionName, logEndOffset }: AppendPlanContext): StampedBatch {
  const { bytes, firstOffset, lastOffset, isAscending, maxTimestamp } = analyzed;
  if (!isAscending) throw new KafkaError('CORRUPT_MESSAGE', `Out of order offsets found in append to ${partitionName}`);
  if (firstOffset < logEndOffset) {
    throw new UnexpectedOffsetError(
      `Unexpected offset in append to ${partitionName}: first offset ${firstOffset} is less than the next offset ${logEndOffset}`,
      { firstOffset, lastOffset },
    );
  }
  return { bytes, lastOffset, maxTimestamp, logAppendTimeMs: -1 };
}
