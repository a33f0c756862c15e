import { BatchView, KafkaError } from '@ottla/protocol';
import type { AppendOrigin } from './append-origin.ts';
import type { DecompressionBudget } from './decompression-budget.ts';
import type { LogConfig } from './log-config.ts';
import { type AnalyzedRecords, analyzeRecords, checkProduceRecords, type StampedBatch, stampForAppend } from './log-validator.ts';
import { plainBatch } from './plain-batch.ts';
import type { VerificationGuard } from './transaction-verifications.ts';
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
  /** See `Log.startVerification`. Absent: no transaction is verified. */
  readonly verificationGuard?: VerificationGuard | undefined;
  /** Of the whole request; beyond it MESSAGE_TOO_LARGE. Absent: each batch has only its own limit. */
  readonly decompression?: DecompressionBudget | undefined;
};

/** What an append will write. */
export type AppendPlan = StampedBatch & {
  /** A view on `bytes`, which may hold more batches: to be moved over them. */
  readonly view: BatchView;
  readonly firstOffset: number;
  readonly batches: number;
};

export type AppendPlanContext = {
  readonly config: LogConfig;
  readonly partitionName: string;
  /** Of the batch that comes next. */
  readonly nextOffset: number;
  readonly nowMs: number;
};

/** Undefined when there is no whole batch. Throws what `Log.append` throws. */
export function planAppend(records: Uint8Array, options: AppendOptions, context: AppendPlanContext): AppendPlan | undefined {
  const { origin, leaderEpoch, apiVersion, decompression } = options;
  const { config, partitionName, nextOffset, nowMs } = context;
  const given = options.mayModify === false ? records.slice() : records;
  const plain = origin === 'client' && records.length <= config.segmentBytes ? plainBatch(given, config, nowMs) : undefined;
  if (plain) {
    plain.baseOffset = nextOffset;
    plain.leaderEpoch = leaderEpoch;
    const { lastOffset, maxTimestamp } = plain;
    return { bytes: given, view: plain, firstOffset: nextOffset, lastOffset, maxTimestamp, logAppendTimeMs: -1, batches: 1 };
  }
  if (apiVersion !== undefined && origin === 'client') checkProduceRecords(records, apiVersion);
  const rules = { origin, leaderEpoch, config, partitionName, nextOffset, nowMs, decompression };
  const analyzed = analyzeRecords(given, rules);
  if (analyzed.batches === 0) return undefined;

  const assignsOffsets = origin === 'client' || origin === 'coordinator';
  const stamped = assignsOffsets ? stampForAppend(analyzed, rules) : asGiven(analyzed, context);
  if (stamped.bytes.length > config.segmentBytes) {
    throw new KafkaError(
      'RECORD_LIST_TOO_LARGE',
      `Message batch size is ${stamped.bytes.length} bytes in append to partition ${partitionName}, which exceeds the maximum configured segment size of ${config.segmentBytes}.`,
    );
  }
  const { bytes, lastOffset, maxTimestamp, logAppendTimeMs } = stamped;
  const firstOffset = assignsOffsets ? nextOffset : analyzed.firstOffset;
  return { bytes, view: new BatchView(bytes), firstOffset, lastOffset, maxTimestamp, logAppendTimeMs, batches: analyzed.batches };
}

/** Offsets are the leader's. */
function asGiven(analyzed: AnalyzedRecords, { partitionName, nextOffset }: AppendPlanContext): StampedBatch {
  const { bytes, firstOffset, lastOffset, isAscending, maxTimestamp } = analyzed;
  if (!isAscending) throw new KafkaError('CORRUPT_MESSAGE', `Out of order offsets found in append to ${partitionName}`);
  if (firstOffset < nextOffset) {
    throw new UnexpectedOffsetError(
      `Unexpected offset in append to ${partitionName}: first offset ${firstOffset} is less than the next offset ${nextOffset}`,
      { firstOffset, lastOffset },
    );
  }
  return { bytes, lastOffset, maxTimestamp, logAppendTimeMs: -1 };
}
