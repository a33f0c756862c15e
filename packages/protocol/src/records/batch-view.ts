/**
 * A record batch in place, whatever its magic. Magic 2:
 *
 *   0   int64   baseOffset
 *   8   int32   bytes after this field
 *   12  int32   partitionLeaderEpoch
 *   16  int8    magic
 *   17  uint32  crc-32c of everything from 21 on
 *   21  int16   attributes: 0-2 codec, 3 log-append time, 4 transactional, 5 control, 6 delete horizon
 *   23  int32   lastOffsetDelta
 *   27  int64   baseTimestamp, or the delete horizon
 *   35  int64   maxTimestamp
 *   43  int64   producerId
 *   51  int16   producerEpoch
 *   53  int32   baseSequence
 *   57  int32   count of records
 *   61          the records, as one compressed block when there is a codec
 *
 * Magic 0 and 1 are drawn in legacy-message.ts. What those formats lack reads as its "none": -1, or false.
 */
import { KafkaError } from '../errors.ts';
import { type CompressionCodec, codecOfId, decompress } from './compression.ts';
import { crc32, crc32c } from './crc32.ts';
import { readInt64, writeInt64 } from './int64.ts';
import { legacyBaseOffset, legacyRecords } from './legacy-message.ts';
import type { DecodedRecord } from './record.ts';
import { RecordCursor } from './record-cursor.ts';

/** Bytes of a batch of magic 2 before its records. */
export const batchHeaderBytes = 61;

/** Bytes before what the length field counts. */
export const batchPrefixBytes = 12;

export type TimestampType = 'CreateTime' | 'LogAppendTime' | 'NoTimestampType';

export type ReadRecordsOptions = {
  /** Cap on what the records may decompress to. Default `defaultMaxDecompressedBytes`. */
  maxBytes?: number;
};

const crcStart = 21;
const maxSequence = 0x7fff_ffff;

/**
 * A view costs no more than its reads, and `moveTo` makes one view do for a whole buffer. It trusts the buffer to hold
 * the whole batch: `batchesOf` and `batchLengthAt` see to that. The crc covers only what follows it, so a leader stamps
 * `baseOffset` and `leaderEpoch` for free.
 */
export class BatchView {
  readonly buffer: Uint8Array;
  readonly #view: DataView;
  #start: number;

  constructor(buffer: Uint8Array, start = 0, view = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength)) {
    this.buffer = buffer;
    this.#view = view;
    this.#start = start;
  }

  /** Looks at the batch that begins at `start` of the same buffer. */
  moveTo(start: number): this {
    this.#start = start;
    return this;
  }

  /** Where the batch begins in the buffer, and where the next one would. */
  get start(): number {
    return this.#start;
  }

  get end(): number {
    return this.#start + this.length;
  }

  /** The whole batch, as a view. */
  get bytes(): Uint8Array {
    return this.buffer.subarray(this.#start, this.end);
  }

  /** Bytes of the whole batch. */
  get length(): number {
    return batchPrefixBytes + this.#view.getInt32(this.#start + 8);
  }

  get magic(): number {
    return this.#view.getInt8(this.#start + 16);
  }

  /** For a compressed batch of magic 1 this has to decompress. */
  get baseOffset(): number {
    return this.magic < 2 ? legacyBaseOffset(this) : this.writtenOffset;
  }

  /** The offset field as it stands: the base offset in magic 2, the last offset before. */
  get writtenOffset(): number {
    return readInt64(this.#view, this.#start);
  }

  set baseOffset(offset: number) {
    if (this.magic < 2 && this.codecId !== 0) throw new TypeError('a compressed message set only knows its last offset');
    writeInt64(this.#view, this.#start, offset);
  }

  /** Inclusive. It stays when compaction removes records, so offsets may have gaps. */
  get lastOffset(): number {
    return this.magic < 2 ? this.writtenOffset : this.writtenOffset + this.lastOffsetDelta;
  }

  get nextOffset(): number {
    return this.lastOffset + 1;
  }

  get lastOffsetDelta(): number {
    return this.magic < 2 ? this.lastOffset - this.baseOffset : this.#view.getInt32(this.#start + 23);
  }

  /** -1 from producers, and in the formats that have none. */
  get leaderEpoch(): number {
    return this.magic < 2 ? -1 : this.#view.getInt32(this.#start + 12);
  }

  set leaderEpoch(epoch: number) {
    this.#requireMagic2();
    this.#view.setInt32(this.#start + 12, epoch);
  }

  get crc(): number {
    return this.#view.getUint32(this.#start + (this.magic < 2 ? 12 : 17));
  }

  computeCrc(): number {
    return this.magic < 2
      ? crc32(this.buffer.subarray(this.#start + 16, this.end))
      : crc32c(this.buffer.subarray(this.#start + crcStart, this.end));
  }

  isCrcValid(): boolean {
    return this.crc === this.computeCrc();
  }

  /** Throws CORRUPT_MESSAGE when the crc does not match. */
  ensureCrc(): void {
    const computed = this.computeCrc();
    if (this.crc === computed) return;
    throw new KafkaError('CORRUPT_MESSAGE', `Record is corrupt (stored crc = ${this.crc}, computed crc = ${computed})`);
  }

  get attributes(): number {
    return this.magic < 2 ? this.#view.getUint8(this.#start + 17) : this.#view.getInt16(this.#start + 21);
  }

  get codecId(): number {
    return this.attributes & 0b111;
  }

  /** Throws UNKNOWN_SERVER_ERROR for an id that no codec has. */
  get codec(): CompressionCodec {
    return codecOfId(this.codecId);
  }

  get timestampType(): TimestampType {
    if (this.magic === 0) return 'NoTimestampType';
    return this.isLogAppendTime ? 'LogAppendTime' : 'CreateTime';
  }

  /** Every record reads as the batch's `maxTimestamp`. */
  get isLogAppendTime(): boolean {
    return this.magic > 0 && (this.attributes & 0b1000) !== 0;
  }

  get isTransactional(): boolean {
    return this.magic >= 2 && (this.attributes & 0b1_0000) !== 0;
  }

  get isControl(): boolean {
    return this.magic >= 2 && (this.attributes & 0b10_0000) !== 0;
  }

  /** When tombstones and markers of this batch may go; -1 when not yet decided. */
  get deleteHorizonMs(): number {
    return this.magic >= 2 && (this.attributes & 0b100_0000) !== 0 ? this.baseTimestamp : -1;
  }

  /** What the timestamp deltas of the records count from; the delete horizon once there is one. -1 before magic 2. */
  get baseTimestamp(): number {
    return this.magic < 2 ? -1 : readInt64(this.#view, this.#start + 27);
  }

  get maxTimestamp(): number {
    if (this.magic === 0) return -1;
    return readInt64(this.#view, this.#start + (this.magic === 1 ? 18 : 35));
  }

  get producerId(): number {
    return this.magic < 2 ? -1 : readInt64(this.#view, this.#start + 43);
  }

  get producerEpoch(): number {
    return this.magic < 2 ? -1 : this.#view.getInt16(this.#start + 51);
  }

  get baseSequence(): number {
    return this.magic < 2 ? -1 : this.#view.getInt32(this.#start + 53);
  }

  /** Wraps to 0 after 2147483647; -1 when the batch has no sequence. */
  get lastSequence(): number {
    return sequenceAfter(this.baseSequence, this.magic < 2 ? 0 : this.lastOffsetDelta);
  }

  /** As the header has it: unchecked. -1 for a compressed batch of magic 0 or 1, which does not say. */
  get recordsCount(): number {
    if (this.magic >= 2) return this.#view.getInt32(this.#start + 57);
    return this.codecId === 0 ? 1 : -1;
  }

  /** The records of a batch of magic 2 as they stand in it, so compressed when there is a codec. */
  get recordsSection(): Uint8Array {
    this.#requireMagic2();
    return this.buffer.subarray(this.#start + batchHeaderBytes, this.end);
  }

  /** The records of a batch of magic 2, decompressed. Throws what `decompress` throws. */
  decompressedRecords(maxBytes?: number): Uint8Array {
    return decompress(this.codec, this.recordsSection, { maxBytes });
  }

  /** Makes this the batch's last offset, keeping the deltas: how a leader numbers a batch from behind. */
  setLastOffset(offset: number): void {
    writeInt64(this.#view, this.#start, this.magic < 2 ? offset : offset - this.lastOffsetDelta);
  }

  /** Every record now reads as `appendTimeMs`. Recomputes the crc. Magic 2 only. */
  setLogAppendTime(appendTimeMs: number): void {
    this.setMaxTimestamp('LogAppendTime', appendTimeMs);
  }

  /** Recomputes the crc if something changed. Magic 2 only. */
  setMaxTimestamp(type: 'CreateTime' | 'LogAppendTime', maxTimestamp: number): void {
    this.#requireMagic2();
    if (this.timestampType === type && this.maxTimestamp === maxTimestamp) return;
    const attributes = type === 'LogAppendTime' ? this.attributes | 0b1000 : this.attributes & ~0b1000;
    this.#view.setInt16(this.#start + 21, attributes);
    writeInt64(this.#view, this.#start + 35, maxTimestamp);
    this.refreshCrc();
  }

  /** For whoever changed the batch's bytes. Magic 2 only. */
  refreshCrc(): void {
    this.#requireMagic2();
    this.#view.setUint32(this.#start + 17, this.computeCrc());
  }

  /**
   * Decodes every record: an object each, so for those who want the contents. Keys and values are views on the batch, or
   * on what it decompressed to. Structure is checked to the last byte: throws INVALID_RECORD, and what `decompress` throws.
   */
  *records(options: ReadRecordsOptions = {}): Generator<DecodedRecord, void, undefined> {
    if (this.magic < 2) {
      yield* legacyRecords(this, options.maxBytes);
      return;
    }
    const cursor = this.cursor(options);
    while (cursor.next()) yield cursor.record();
  }

  /** Walks the records without an object each. Magic 2 only. Takes `section` for the decompressed records where it is given. */
  cursor({ maxBytes, section }: ReadRecordsOptions & { section?: Uint8Array } = {}): RecordCursor {
    return new RecordCursor(section ?? this.decompressedRecords(maxBytes), {
      count: this.recordsCount,
      baseOffset: this.baseOffset,
      baseTimestamp: this.baseTimestamp,
      logAppendTimeMs: this.isLogAppendTime ? this.maxTimestamp : undefined,
      baseSequence: this.baseSequence,
    });
  }

  #requireMagic2(): void {
    if (this.magic < 2) throw new TypeError(`a batch of magic ${this.magic} has no such field`);
  }
}

/** The sequence `delta` records after `sequence`, which wraps from 2147483647 to 0; -1 stays. */
export function sequenceAfter(sequence: number, delta: number): number {
  if (sequence < 0) return -1;
  const next = sequence + delta;
  return next > maxSequence ? next - maxSequence - 1 : next;
}
