import { BatchView, readControlRecord } from '@ottla/protocol';
import type { Files } from '@ottla/runtime';
import { CorruptFileError } from '@ottla/storage';

const HEADER_BYTES = 61;
const LENGTH = 8;
const BEFORE_LENGTH_COUNTS = 12;
const MAGIC = 16;

/**
 * Throws CorruptFileError, with the place, unless a metadata log is whole from end to end, as a clean stop leaves it. After a crash its tail may
 * be torn, and is cut. After a clean stop everything in it was committed: to cut it there would make the cluster forget its topics, and set
 * their data aside.
 */
export function requireWholeMetadataLog(files: Files, directory: string): void {
  for (const name of files.list(directory).filter((each) => each.endsWith('.log'))) {
    const path = `${directory}/${name}`;
    const bytes = files.readFile(path);
    const wholeBytes = lengthOfValidBatches(bytes);
    if (wholeBytes === bytes.length) continue;
    throw new CorruptFileError(
      path,
      `damaged at byte ${wholeBytes} of ${bytes.length} although the last stop was clean: ${remedyAfterCleanStop}`,
    );
  }
}

/**
 * A log whose files are gone or empty is whole as well, and its voter would help to elect a leader that lacks what it had acknowledged itself.
 * Throws CorruptFileError unless the log still reaches behind an offset that it reached at the last clean stop.
 */
export function requireReached(directory: string, logEndOffset: number, reachedOffset: number): void {
  if (logEndOffset > reachedOffset) return;
  throw new CorruptFileError(
    directory,
    `the metadata log ends at offset ${logEndOffset} although it had reached ${reachedOffset} when the node last stopped, cleanly: ${remedyAfterCleanStop}`,
  );
}

const remedyAfterCleanStop =
  'bring back a whole __cluster_metadata-0. A quorum that has it whole without this node gives it to a node that is formatted anew; only of a lone ' +
  'controller, remove .kafka_cleanshutdown to start with what there is';

/**
 * For a log that was not stopped in order, before what is torn at its end is cut. A crash tears only what was being written when it came: where
 * sound batches lie behind the damage that cannot have been written along, it is in what had been durable for long, and cutting there would
 * lose what the cluster has acknowledged. An only voter writes what it appends at once, so such batches are of a later epoch, or were appended
 * long after. Any other node may have been fetching old batches when it crashed: never more than `fetchedBytes` before a sync. Throws
 * CorruptFileError, with the place.
 */
export function requireOnlyTornTail(files: Files, directory: string, fetchedBytes: number): void {
  let before = nothingYet;
  let damage: { readonly path: string; readonly position: number; readonly at: number } | undefined;
  let at = 0;
  for (const name of files.list(directory).filter((each) => each.endsWith('.log'))) {
    const path = `${directory}/${name}`;
    const bytes = files.readFile(path);
    for (let position = 0; position < bytes.length; ) {
      const end = endOfValidBatch(bytes, position);
      if (end === undefined) {
        damage ??= { path, position, at: at + position };
        position++;
        continue;
      }
      const batch = new BatchView(bytes, position);
      position = end;
      if (!damage) before = after(batch, before);
      else if (isMuchLater(batch, before) && (before.isAlone || at + end - damage.at > fetchedBytes)) {
        const remedy = 'bring back a whole __cluster_metadata-0, or give the node an empty one and let it join the quorum anew';
        throw new CorruptFileError(
          damage.path,
          `damaged at byte ${damage.position}, before records that have been durable for long (offset ${batch.baseOffset}): ${remedy}`,
        );
      }
    }
    at += bytes.length;
  }
}

/** What is known of the log at a place in it. */
type Place = { readonly lastOffset: number; readonly epoch: number; readonly timestampMs: number; readonly isAlone: boolean };

const nothingYet: Place = { lastOffset: -1, epoch: -1, timestampMs: 0, isAlone: false };
/** Longer than any sync should take: what is behind it was appended after the sync of what is before it. */
const longMs = 60_000;

function isMuchLater({ baseOffset, leaderEpoch, maxTimestamp }: BatchView, before: Place): boolean {
  if (baseOffset <= before.lastOffset) return false;
  return leaderEpoch > before.epoch || maxTimestamp - before.timestampMs > longMs;
}

function after(batch: BatchView, { isAlone }: Place): Place {
  const { lastOffset, leaderEpoch: epoch, maxTimestamp: timestampMs } = batch;
  if (!batch.isControl) return { lastOffset, epoch, timestampMs, isAlone };
  let voters: number | undefined;
  for (const record of batch.records()) {
    const control = readControlRecord(record);
    if (control.type === 'leaderChange') voters = control.value.voters.length;
    if (control.type === 'kraftVoters') voters = control.value.voters.length;
  }
  return { lastOffset, epoch, timestampMs, isAlone: voters === undefined ? isAlone : voters === 1 };
}

/** Where the batch that begins here ends; undefined when there is none, or it is not whole. */
function endOfValidBatch(bytes: Uint8Array, position: number): number | undefined {
  if (position + HEADER_BYTES > bytes.length || bytes[position + MAGIC] !== 2) return undefined;
  const length = new DataView(bytes.buffer, bytes.byteOffset + position + LENGTH, 4).getInt32(0) + BEFORE_LENGTH_COUNTS;
  if (length < HEADER_BYTES || position + length > bytes.length) return undefined;
  return new BatchView(bytes, position).isCrcValid() ? position + length : undefined;
}

function lengthOfValidBatches(bytes: Uint8Array): number {
  let position = 0;
  for (let end = endOfValidBatch(bytes, 0); end !== undefined; end = endOfValidBatch(bytes, position)) position = end;
  return position;
}
