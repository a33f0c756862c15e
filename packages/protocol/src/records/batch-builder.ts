import { batchHeaderBytes, batchPrefixBytes } from './batch-view.ts';
import { type CompressionCodec, compress, idOfCodec } from './compression.ts';
import { crc32c } from './crc32.ts';
import { writeInt64 } from './int64.ts';
import type { RecordHeader, RecordToWrite } from './record.ts';
import type { RecordCursor } from './record-cursor.ts';
import { sizeOfVarint, sizeOfVarlong, writeVarint, writeVarlong } from './varints.ts';

export type BatchOptions = {
  /** Default none. */
  codec?: CompressionCodec;
  /** The codec's level; see `compress`. */
  level?: number;
  /** Default 0, what a producer must send. */
  baseOffset?: number;
  /** Default -1. */
  leaderEpoch?: number;
  /** Producer fields default to -1: no idempotence. */
  producerId?: number;
  producerEpoch?: number;
  baseSequence?: number;
  isTransactional?: boolean;
  isControl?: boolean;
  /** Every record reads as this time; `maxTimestamp` becomes it. */
  logAppendTimeMs?: number;
  /** Goes where the base timestamp is; record times are then relative to it. */
  deleteHorizonMs?: number;
  /** Keeps a range of offsets wider than the records left in it, and must be given for a batch without records. */
  lastOffset?: number;
  /** For a batch without records; otherwise it is the greatest of theirs. */
  maxTimestamp?: number;
};

const initialBytes = 512;
/** The greatest size of a record without key, value and headers: what `hasRoomFor` charges each. */
const maxRecordOverheadBytes = 21;

/**
 * Fills one batch of magic 2, record by record, into one growing buffer. `appended bytes` are exact without a codec, and
 * with one guessed by the ratio that the caller has seen before.
 */
export class BatchBuilder {
  readonly #options: BatchOptions;
  readonly #baseOffset: number;
  readonly #compressionRatio: number;
  #bytes: Buffer<ArrayBuffer>;
  #view: DataView;
  #length = batchHeaderBytes;
  #count = 0;
  #baseTimestamp = -1;
  #maxTimestamp = -1;
  #offsetOfMaxTimestamp = -1;
  #lastOffset: number;

  /** `compressionRatio`: compressed size over plain size that this topic's batches came to. Default 1. */
  constructor(options: BatchOptions = {}, { capacityBytes = initialBytes, compressionRatio = 1 } = {}) {
    this.#options = options;
    this.#baseOffset = options.baseOffset ?? 0;
    this.#compressionRatio = options.codec === undefined || options.codec === 'none' ? 1 : compressionRatio;
    this.#lastOffset = this.#baseOffset - 1;
    this.#bytes = Buffer.allocUnsafeSlow(Math.max(capacityBytes, batchHeaderBytes));
    this.#view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset, this.#bytes.byteLength);
  }

  get count(): number {
    return this.#count;
  }

  get isEmpty(): boolean {
    return this.#count === 0;
  }

  get lastOffset(): number {
    return this.#lastOffset;
  }

  /** -1 as long as no record has a time. */
  get maxTimestamp(): number {
    return this.#options.logAppendTimeMs ?? this.#maxTimestamp;
  }

  /** The first record that has the greatest timestamp. */
  get offsetOfMaxTimestamp(): number {
    return this.#options.logAppendTimeMs === undefined ? this.#offsetOfMaxTimestamp : this.#baseOffset;
  }

  /** Bytes of the batch before compression. */
  get uncompressedBytes(): number {
    return this.#length;
  }

  /** Bytes the batch will probably take. */
  get estimatedBytes(): number {
    return (
      batchHeaderBytes +
      Math.ceil((this.#length - batchHeaderBytes) * this.#compressionRatio * 1.05 ** (this.#compressionRatio < 1 ? 1 : 0))
    );
  }

  /** Whether one more record keeps the batch within `limitBytes`. An empty batch takes any record. */
  hasRoomFor(key: Uint8Array | null, value: Uint8Array | null, headers: readonly RecordHeader[], limitBytes: number): boolean {
    if (this.#count === 0) return true;
    return this.estimatedBytes + recordBytesAtMost(key, value, headers) <= limitBytes;
  }

  /** Returns the record's offset: one after the last. */
  append(
    timestamp: number,
    key: Uint8Array | null,
    value: Uint8Array | null,
    headers: readonly RecordHeader[] = noHeaders,
  ): number {
    const offset = this.#lastOffset + 1;
    this.appendAt(offset, timestamp, key, value, headers);
    return offset;
  }

  /** Offsets must ascend; gaps are what compaction leaves. */
  appendAt(
    offset: number,
    timestamp: number,
    key: Uint8Array | null,
    value: Uint8Array | null,
    headers: readonly RecordHeader[] = noHeaders,
  ): void {
    this.#begin(offset, timestamp);
    this.#writeRecord(offset - this.#baseOffset, timestamp - this.#baseTimestamp, key, value, headers);
    this.#lastOffset = offset;
    this.#count++;
  }

  /** The record that a cursor is at, under the offset after the last: its key, value and headers are copied unread. */
  appendCopy({ timestamp, section, contentStart, recordEnd }: RecordCursor): void {
    const offset = this.#lastOffset + 1;
    this.#begin(offset, timestamp);
    const offsetDelta = offset - this.#baseOffset;
    const timestampDelta = timestamp - this.#baseTimestamp;
    const size = 1 + sizeOfVarlong(timestampDelta) + sizeOfVarint(offsetDelta) + recordEnd - contentStart;
    this.#reserve(size + 5);
    let at = this.#writeRecordStart(size, timestampDelta, offsetDelta);
    if (recordEnd - contentStart > 32) {
      this.#bytes.set(section.subarray(contentStart, recordEnd), at);
      at += recordEnd - contentStart;
    } else for (let from = contentStart; from < recordEnd; from++) this.#bytes[at++] = section[from]!;
    this.#length = at;
    this.#lastOffset = offset;
    this.#count++;
  }

  #begin(offset: number, timestamp: number): void {
    if (offset <= this.#lastOffset) throw new RangeError(`offset ${offset} does not come after ${this.#lastOffset}`);
    if (timestamp < 0 && timestamp !== -1) throw new RangeError(`Invalid negative timestamp ${timestamp}`);
    if (this.#count === 0) this.#baseTimestamp = this.#options.deleteHorizonMs ?? timestamp;
    if (this.#count > 0 && timestamp <= this.#maxTimestamp) return;
    this.#maxTimestamp = timestamp;
    this.#offsetOfMaxTimestamp = offset;
  }

  #writeRecord(
    offsetDelta: number,
    timestampDelta: number,
    key: Uint8Array | null,
    value: Uint8Array | null,
    headers: readonly RecordHeader[],
  ): void {
    let size =
      1 +
      sizeOfVarlong(timestampDelta) +
      sizeOfVarint(offsetDelta) +
      sizeOfBytes(key) +
      sizeOfBytes(value) +
      sizeOfVarint(headers.length);
    for (let index = 0; index < headers.length; index++) size += sizeOfHeader(headers[index]!);
    this.#reserve(size + 5);

    const bytes = this.#bytes;
    let at = this.#writeRecordStart(size, timestampDelta, offsetDelta);
    at = writeBytes(bytes, at, key);
    at = writeBytes(bytes, at, value);
    at = writeVarint(bytes, at, headers.length);
    for (let index = 0; index < headers.length; index++) {
      const header = headers[index]!;
      const keyBytes = Buffer.byteLength(header.key);
      at = writeVarint(bytes, at, keyBytes);
      bytes.write(header.key, at, keyBytes, 'utf8');
      at = writeBytes(bytes, at + keyBytes, header.value);
    }
    this.#length = at;
  }

  /** Returns where the key's length goes. */
  #writeRecordStart(size: number, timestampDelta: number, offsetDelta: number): number {
    const bytes = this.#bytes;
    let at = writeVarint(bytes, this.#length, size);
    bytes[at++] = 0; // attributes
    at = writeVarlong(bytes, at, timestampDelta);
    return writeVarint(bytes, at, offsetDelta);
  }

  #reserve(count: number): void {
    if (this.#length + count <= this.#bytes.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(this.#length + count, this.#bytes.length * 2));
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
    this.#view = new DataView(grown.buffer, grown.byteOffset, grown.byteLength);
  }

  /** The finished batch. The builder must not be used afterwards: without a codec it is the builder's own buffer. */
  build(): Uint8Array {
    const { codec = 'none', level } = this.#options;
    if (codec !== 'none' && this.#count > 0) {
      const compressed = compress(codec, this.#bytes.subarray(batchHeaderBytes, this.#length), { level });
      this.#length = batchHeaderBytes;
      this.#reserve(compressed.length);
      this.#bytes.set(compressed, batchHeaderBytes);
      this.#length += compressed.length;
    }
    this.#writeHeader();
    return new Uint8Array(this.#bytes.buffer, 0, this.#length);
  }

  #writeHeader(): void {
    const options = this.#options;
    const view = this.#view;
    const isEmpty = this.#count === 0;
    const lastOffset = options.lastOffset ?? this.#lastOffset;
    if (lastOffset < this.#lastOffset || lastOffset < this.#baseOffset)
      throw new RangeError(`lastOffset ${lastOffset} leaves records behind`);
    writeInt64(view, 0, this.#baseOffset);
    view.setInt32(8, this.#length - batchPrefixBytes);
    view.setInt32(12, options.leaderEpoch ?? -1);
    view.setInt8(16, 2);
    view.setInt16(21, this.#attributes(isEmpty));
    view.setInt32(23, lastOffset - this.#baseOffset);
    writeInt64(view, 27, isEmpty ? (options.deleteHorizonMs ?? -1) : this.#baseTimestamp);
    writeInt64(view, 35, options.logAppendTimeMs ?? (isEmpty ? (options.maxTimestamp ?? -1) : this.#maxTimestamp));
    writeInt64(view, 43, options.producerId ?? -1);
    view.setInt16(51, options.producerEpoch ?? -1);
    view.setInt32(53, options.baseSequence ?? -1);
    view.setInt32(57, this.#count);
    view.setUint32(17, crc32c(this.#bytes.subarray(21, this.#length)));
  }

  #attributes(isEmpty: boolean): number {
    const options = this.#options;
    return (
      (isEmpty ? 0 : idOfCodec(options.codec ?? 'none')) |
      (options.logAppendTimeMs === undefined ? 0 : 0b1000) |
      (options.isTransactional ? 0b1_0000 : 0) |
      (options.isControl ? 0b10_0000 : 0) |
      (options.deleteHorizonMs === undefined ? 0 : 0b100_0000)
    );
  }
}

/** A whole batch of magic 2 at once. Without records it needs a `lastOffset`. */
export function buildBatch({ records, ...options }: BatchOptions & { records: readonly RecordToWrite[] }): Uint8Array {
  const builder = new BatchBuilder(options);
  for (const { offset, timestamp = -1, key = null, value = null, headers = noHeaders } of records) {
    builder.appendAt(offset ?? builder.lastOffset + 1, timestamp, key, value, headers);
  }
  return builder.build();
}

/** What a record can take at most inside a batch, whatever its offset and time. */
export function recordBytesAtMost(key: Uint8Array | null, value: Uint8Array | null, headers: readonly RecordHeader[]): number {
  let size = maxRecordOverheadBytes + (key?.length ?? 0) + (value?.length ?? 0);
  for (let index = 0; index < headers.length; index++) size += sizeOfHeader(headers[index]!);
  return size;
}

const noHeaders: readonly RecordHeader[] = [];

function sizeOfHeader({ key, value }: RecordHeader): number {
  const keyBytes = Buffer.byteLength(key);
  return sizeOfVarint(keyBytes) + keyBytes + sizeOfBytes(value);
}

function sizeOfBytes(content: Uint8Array | null): number {
  return content === null ? 1 : sizeOfVarint(content.length) + content.length;
}

function writeBytes(bytes: Uint8Array, at: number, content: Uint8Array | null): number {
  if (content === null) return writeVarint(bytes, at, -1);
  const start = writeVarint(bytes, at, content.length);
  if (content.length > 32) bytes.set(content, start);
  else for (let index = 0; index < content.length; index++) bytes[start + index] = content[index]!;
  return start + content.length;
}
