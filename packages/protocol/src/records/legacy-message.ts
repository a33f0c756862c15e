/**
 * The message sets of magic 0 and 1, as old segments still hold them.
 *
 *   0   int64   offset
 *   8   int32   bytes after this field
 *   12  uint32  crc-32 (zlib's) of everything from 16 on
 *   16  int8    magic
 *   17  int8    attributes: 0-2 codec (no zstd), 3 log-append time (magic 1)
 *   18  int64   timestamp (magic 1 only)
 *   ..  int32   key length, -1 null;  key
 *   ..  int32   value length, -1 null;  value
 *
 * With a codec the value is a compressed message set, and the message around it its wrapper. Magic 0 has absolute offsets
 * inside. Magic 1 has relative ones, and the wrapper carries the offset of its last message and the greatest timestamp.
 */
import { KafkaError } from '../errors.ts';
import type { BatchView } from './batch-view.ts';
import { type CompressionCodec, compress, decompress, idOfCodec } from './compression.ts';
import { crc32 } from './crc32.ts';
import { readInt64, writeInt64 } from './int64.ts';
import { joinBytes } from './join-bytes.ts';
import type { DecodedRecord, RecordToWrite } from './record.ts';

/** Bytes of a message without key and value. */
export const legacyOverheadBytes = { 0: 26, 1: 34 } as const;

const offsetAndSizeBytes = 12;
const logAppendTimeFlag = 0b1000;
const codecMask = 0b111;

type Message = {
  offset: number;
  magic: number;
  attributes: number;
  timestamp: number;
  key: Uint8Array | null;
  value: Uint8Array | null;
  end: number;
};

/** The records of one message of magic 0 or 1: itself, or what it wraps. Throws INVALID_RECORD, and what `decompress` throws. */
export function* legacyRecords(batch: BatchView, maxBytes?: number): Generator<DecodedRecord, void, undefined> {
  const { buffer, start, end } = batch;
  const view = new DataView(buffer.buffer, buffer.byteOffset, end);
  const outer = readMessage(buffer, view, start, end);
  if (batch.codecId === 0) {
    yield toRecord(outer, outer.offset, outer.timestamp);
    return;
  }
  const inner = wrappedMessages(outer, batch.codec, maxBytes);
  const shift = outer.magic === 0 ? 0 : outer.offset - inner.at(-1)!.offset;
  const isLogAppendTime = outer.magic === 1 && (outer.attributes & logAppendTimeFlag) !== 0;
  for (const message of inner) {
    yield toRecord(message, message.offset + shift, isLogAppendTime ? outer.timestamp : message.timestamp);
  }
}

export function legacyBaseOffset(batch: BatchView): number {
  if (batch.codecId === 0) return batch.writtenOffset;
  for (const record of legacyRecords(batch)) return record.offset;
  return batch.writtenOffset;
}

function wrappedMessages(outer: Message, codec: CompressionCodec, maxBytes?: number): Message[] {
  if (codec === 'zstd') throw invalid(`zstd is unknown to magic ${outer.magic}`);
  if (outer.value === null) throw invalid(`Found invalid compressed record set with null value (magic = ${outer.magic})`);
  const section = decompress(codec, outer.value, { maxBytes, checksumCoversMagic: outer.magic === 0 });
  const view = new DataView(section.buffer, section.byteOffset, section.byteLength);
  const messages: Message[] = [];
  for (let at = 0; at < section.length; ) {
    const message = readMessage(section, view, at, section.length);
    if ((message.attributes & codecMask) !== 0) throw invalid('Inner record cannot be compressed');
    if (message.magic !== outer.magic) {
      throw invalid(`Compressed message has magic value ${outer.magic} but inner message has magic value ${message.magic}`);
    }
    messages.push(message);
    at = message.end;
  }
  if (messages.length === 0) throw invalid('Found invalid compressed record set with no inner records');
  return messages;
}

function readMessage(bytes: Uint8Array, view: DataView, start: number, limit: number): Message {
  if (start + offsetAndSizeBytes > limit) throw invalid('a message set ends inside a message');
  const size = view.getInt32(start + 8);
  const end = start + offsetAndSizeBytes + size;
  if (size < legacyOverheadBytes[0] - offsetAndSizeBytes || end > limit) {
    throw invalid(`a message of ${size} bytes does not fit its message set`);
  }
  const magic = view.getInt8(start + 16);
  if (magic !== 0 && magic !== 1) throw invalid(`a message of magic ${magic} inside a message set`);
  if (size < legacyOverheadBytes[magic] - offsetAndSizeBytes)
    throw invalid(`a message of ${size} bytes is too small for magic ${magic}`);
  const key = readBytes(bytes, view, start + (magic === 0 ? 18 : 26), end);
  const value = readBytes(bytes, view, key.end, end);
  if (value.end !== end) throw invalid('a message is longer than its key and value');
  return {
    offset: readInt64(view, start),
    magic,
    attributes: view.getUint8(start + 17),
    timestamp: magic === 0 ? -1 : readInt64(view, start + 18),
    key: key.bytes,
    value: value.bytes,
    end,
  };
}

function readBytes(bytes: Uint8Array, view: DataView, at: number, end: number): { bytes: Uint8Array | null; end: number } {
  if (at + 4 > end) throw invalid('a message ends inside a length');
  const length = view.getInt32(at);
  const start = at + 4;
  if (length < 0) return { bytes: null, end: start };
  if (start + length > end) throw invalid('a length goes past the end of its message');
  return { bytes: bytes.subarray(start, start + length), end: start + length };
}

function toRecord({ key, value }: Message, offset: number, timestamp: number): DecodedRecord {
  return { offset, timestamp, sequence: -1, key, value, headers: [] };
}

export type LegacyMessageSet = {
  magic: 0 | 1;
  records: readonly RecordToWrite[];
  /** Default none. zstd came after these formats. */
  codec?: Exclude<CompressionCodec, 'zstd'>;
  /** Offset of the first record that has none of its own. Default 0. */
  baseOffset?: number;
  /** Magic 1: every message gets this time, and says that it is the broker's. */
  logAppendTimeMs?: number;
};

/** One message per record, or with a codec one wrapper around them all. */
export function buildLegacyMessageSet(set: LegacyMessageSet): Uint8Array {
  const { magic, records, codec = 'none', logAppendTimeMs } = set;
  const typeFlag = magic === 1 && logAppendTimeMs !== undefined ? logAppendTimeFlag : 0;
  const offsets = offsetsOf(records, set.baseOffset ?? 0);
  const timestampOf = (record: RecordToWrite): number => logAppendTimeMs ?? record.timestamp ?? -1;
  const isRelative = magic === 1 && codec !== 'none';
  const messages = joinBytes(
    records.map((record, index) => {
      if (record.headers !== undefined && record.headers.length > 0) throw new TypeError(`magic ${magic} has no headers`);
      const offset = isRelative ? offsets[index]! - offsets[0]! : offsets[index]!;
      const { key = null, value = null } = record;
      return writeMessage({ magic, offset, attributes: typeFlag, timestamp: timestampOf(record), key, value });
    }),
  );
  if (codec === 'none' || records.length === 0) return messages;
  return writeMessage({
    magic,
    offset: offsets.at(-1)!,
    attributes: typeFlag | idOfCodec(codec),
    timestamp: records.reduce((greatest, record) => Math.max(greatest, timestampOf(record)), -1),
    key: null,
    value: compress(codec, messages, { checksumCoversMagic: magic === 0 }),
  });
}

function offsetsOf(records: readonly RecordToWrite[], baseOffset: number): number[] {
  let next = baseOffset;
  return records.map((record) => {
    const offset = record.offset ?? next;
    next = offset + 1;
    return offset;
  });
}

function writeMessage(message: Omit<Message, 'end'>): Uint8Array {
  const { magic, key, value } = message;
  const bytes = new Uint8Array(legacyOverheadBytes[magic as 0 | 1] + (key?.length ?? 0) + (value?.length ?? 0));
  const view = new DataView(bytes.buffer);
  writeInt64(view, 0, message.offset);
  view.setInt32(8, bytes.length - offsetAndSizeBytes);
  view.setInt8(16, magic);
  view.setUint8(17, message.attributes);
  if (magic === 1) writeInt64(view, 18, message.timestamp);
  writeBytes(bytes, view, writeBytes(bytes, view, magic === 0 ? 18 : 26, key), value);
  view.setUint32(12, crc32(bytes.subarray(16)));
  return bytes;
}

function writeBytes(bytes: Uint8Array, view: DataView, at: number, content: Uint8Array | null): number {
  view.setInt32(at, content === null ? -1 : content.length);
  if (content === null) return at + 4;
  bytes.set(content, at + 4);
  return at + 4 + content.length;
}

function invalid(problem: string): KafkaError {
  return new KafkaError('INVALID_RECORD', problem);
}
