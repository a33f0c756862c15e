import { IoError } from '@ottla/runtime';
import type { Log } from './log.ts';
import { UnexpectedOffsetError } from './unexpected-offset-error.ts';

/** Bytes of one step: reading, checking and appending them takes about a millisecond. */
const stepBytes = 1024 * 1024;

/**
 * Brings a copy nearer to the log it is made of, by at most one step. Returns the bytes copied; 0: it has all that the log has.
 * Throws IoError, and KAFKA_STORAGE_ERROR when one of them was closed.
 */
export function copyStep(current: Log, future: Log, maxBytes: number = stepBytes): number {
  followStart(current, future);
  if (future.logEndOffset > current.logEndOffset || future.latestEpoch > current.latestEpoch) dropWhatParted(current, future);
  if (future.logEndOffset >= current.logEndOffset) {
    settle(current, future);
    return 0;
  }
  const startOffset = future.logEndOffset;
  const limit = Math.min(maxBytes, future.config.segmentBytes);
  const { records, release } = current.read({ startOffset, endOffset: current.logEndOffset, maxBytes: limit, minOneBatch: true });
  if (records.length === 0) {
    throw new IoError(`${current.name} has nothing to read at ${startOffset}, before its end ${current.logEndOffset}`, {
      code: 'EIO',
      path: current.directory,
    });
  }
  try {
    append(future, records);
  } finally {
    release?.();
  }
  if (future.logEndOffset <= startOffset) throw new Error(`the copy of ${current.name} does not get beyond ${startOffset}`);
  settle(current, future);
  return records.length;
}

function append(future: Log, records: Uint8Array): void {
  // What the log has is not to be doubted, of whatever epoch it is.
  const options = { leaderEpoch: 0x7fff_ffff, origin: 'replication' } as const;
  try {
    future.append(records, options);
  } catch (error) {
    if (!(error instanceof UnexpectedOffsetError) || future.logEndOffset > future.logStartOffset) throw error;
    // The log starts inside a batch: the copy begins with the whole of it.
    future.truncateFullyAndStartAt(error.firstOffset);
    future.append(records, options);
  }
}

/** What a crash left in the copy but not in the log, or what the log has cut since. */
export function dropWhatParted(current: Log, future: Log): void {
  while (future.logEndOffset > 0) {
    const { leaderEpoch, endOffset } = current.endOffsetForEpoch(future.latestEpoch);
    const agreedOffset = endOffset < 0 ? current.logStartOffset : endOffset;
    const isSameEpoch = leaderEpoch === future.latestEpoch;
    if (agreedOffset < future.logEndOffset) future.truncateTo(agreedOffset);
    // An older epoch's end in the log may still lie behind where the copy parted from it.
    if (isSameEpoch || future.latestEpoch < 0 || agreedOffset <= current.logStartOffset) return;
  }
}

/** It has something that the log lost: a power cut took back the renames that had put the copy in the place of the log. */
export function isAhead(future: Log, current: Log): boolean {
  if (future.latestEpoch !== current.latestEpoch) return future.latestEpoch > current.latestEpoch;
  return future.logEndOffset > current.logEndOffset;
}

function followStart(current: Log, future: Log): void {
  if (future.logEndOffset < current.logStartOffset) future.truncateFullyAndStartAt(current.logStartOffset);
}

function settle(current: Log, future: Log): void {
  future.onHighWatermark(Math.min(Math.max(current.highWatermark, future.logStartOffset), future.logEndOffset));
  if (current.logStartOffset > future.logStartOffset && current.logStartOffset <= future.highWatermark)
    future.advanceLogStartOffset(current.logStartOffset);
}
