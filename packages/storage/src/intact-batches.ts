/** Reading a segment's file again: how far its batches are whole and intact, and where they end. */
import { type BatchView, KafkaError } from '@ottla/protocol';
import type { Files } from '@ottla/runtime';
import { BatchHeaders, wholeBatches } from './batch-headers.ts';
import { LogFile } from './log-file.ts';
import { maxRelativeOffset } from './segment-files.ts';

export type IntactBatches = {
  readonly validBytes: number;
  /** Why the next batch is none. Undefined: it is not whole, or there is none. */
  readonly problem: KafkaError | undefined;
};

/** `onBatch` sees each intact batch, and may throw CORRUPT_MESSAGE or INVALID_RECORD to declare it bad. */
export function readIntactBatches(
  log: LogFile,
  baseOffset: number,
  onBatch: (batch: BatchView, position: number) => void,
): IntactBatches {
  let validBytes = 0;
  let lastOffset = baseOffset - 1;
  try {
    for (const { batch, position } of wholeBatches(log, 0)) {
      batch.ensureCrc();
      // The crc does not cover the offset, so a flipped bit there shows only by its neighbours.
      if (batch.lastOffset <= lastOffset || batch.lastOffset - baseOffset > maxRelativeOffset) {
        throw new KafkaError(
          'INVALID_RECORD',
          `a batch ends at offset ${batch.lastOffset}, behind one that ends at ${lastOffset}`,
        );
      }
      lastOffset = batch.lastOffset;
      onBatch(batch, position);
      validBytes = position + batch.length;
    }
  } catch (error) {
    if (!isBadBatch(error)) throw error;
    return { validBytes, problem: error };
  }
  return { validBytes, problem: undefined };
}

/** Other errors (the disk's, or a state that contradicts itself) must not cost data. */
function isBadBatch(error: unknown): error is KafkaError {
  return error instanceof KafkaError && (error.name === 'CORRUPT_MESSAGE' || error.name === 'INVALID_RECORD');
}

/** One after the last offset of a walk; undefined when it meets no batch. */
export function endOffsetIn(headers: BatchHeaders): number | undefined {
  let endOffset: number | undefined;
  while (headers.next()) endOffset = headers.batch.nextOffset;
  return endOffset;
}

/** Of a `.log` whose segment is not opened otherwise. Undefined when there is no batch in it. */
export function readEndOffset(files: Files, path: string): number | undefined {
  const log = LogFile.open(files, path);
  try {
    return endOffsetIn(new BatchHeaders(log, 0));
  } finally {
    log.close();
  }
}
