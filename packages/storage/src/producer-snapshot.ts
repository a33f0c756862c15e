/**
 * `<offset>.snapshot`: the producers as they were before that offset.
 *
 *   0   int16   version 1
 *   2   uint32  crc-32c of everything from 6 on
 *   6   int32   count of entries, 46 bytes each:
 *
 *   0   int64   producer id
 *   8   int16   producer epoch
 *   10  int32   last sequence
 *   14  int64   last offset
 *   22  int32   last offset - first offset of the last batch
 *   26  int64   timestamp
 *   34  int32   coordinator epoch, -1 none
 *   38  int64   first offset of the open transaction, -1 none
 *
 * Only the last batch of a producer is kept, so after a restart only that one is recognised when it is repeated.
 */
import { crc32c, readInt64, writeInt64 } from '@ottla/protocol';
import { CorruptFileError } from './corrupt-file-error.ts';
import { emptyProducerEntry, type ProducerEntry } from './producer-entry.ts';

const snapshotVersion = 1;
const crcPosition = 2;
const crcStart = 6;
const headerBytes = 10;
const entryBytes = 46;

export function encodeProducerSnapshot(entries: Iterable<ProducerEntry>): Uint8Array {
  const all = [...entries];
  const bytes = new Uint8Array(headerBytes + all.length * entryBytes);
  const view = new DataView(bytes.buffer);
  view.setInt16(0, snapshotVersion);
  view.setInt32(crcStart, all.length);
  all.forEach((entry, index) => {
    const at = headerBytes + index * entryBytes;
    const last = entry.batches.at(-1);
    writeInt64(view, at, entry.producerId);
    view.setInt16(at + 8, entry.producerEpoch);
    view.setInt32(at + 10, last?.lastSequence ?? -1);
    writeInt64(view, at + 14, last?.lastOffset ?? -1);
    view.setInt32(at + 22, last?.offsetDelta ?? 0);
    writeInt64(view, at + 26, entry.lastTimestamp);
    view.setInt32(at + 34, entry.coordinatorEpoch);
    writeInt64(view, at + 38, entry.transactionFirstOffset);
  });
  view.setUint32(crcPosition, crc32c(bytes.subarray(crcStart)));
  return bytes;
}

/** Throws CorruptFileError. */
export function decodeProducerSnapshot(bytes: Uint8Array, path: string): ProducerEntry[] {
  if (bytes.length < headerBytes) throw new CorruptFileError(path, `${bytes.length} bytes are too few`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const version = view.getInt16(0);
  if (version !== snapshotVersion) throw new CorruptFileError(path, `version ${version} is not known`);
  if (view.getUint32(crcPosition) !== crc32c(bytes.subarray(crcStart)))
    throw new CorruptFileError(path, 'its crc does not match');
  const count = view.getInt32(crcStart);
  if (bytes.length !== headerBytes + count * entryBytes) {
    throw new CorruptFileError(path, `${count} entries do not fit its ${bytes.length} bytes`);
  }
  return Array.from({ length: count }, (_, index) => decodeEntry(view, headerBytes + index * entryBytes));
}

function decodeEntry(view: DataView, at: number): ProducerEntry {
  const entry = emptyProducerEntry(readInt64(view, at));
  entry.producerEpoch = view.getInt16(at + 8);
  entry.lastTimestamp = readInt64(view, at + 26);
  entry.coordinatorEpoch = view.getInt32(at + 34);
  entry.transactionFirstOffset = readInt64(view, at + 38);
  const lastOffset = readInt64(view, at + 14);
  if (lastOffset >= 0) {
    entry.batches.push({
      lastSequence: view.getInt32(at + 10),
      lastOffset,
      offsetDelta: view.getInt32(at + 22),
      timestamp: entry.lastTimestamp,
    });
  }
  return entry;
}
