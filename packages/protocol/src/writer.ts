/**
 * Writes the primitives of the protocol (drawn in reader.ts) into one growing buffer. Bytes of 8 KiB and more are not
 * copied: `chunks()` refers to them between pieces of the buffer, ready for a gathering write.
 */
import assert from 'node:assert';
import { KafkaError } from './errors.ts';
import { type Uuid, writeUuid } from './uuid.ts';

const TWO_TO_32 = 4294967296;
const TWO_TO_63 = 2 ** 63;

/** From this size on, bytes are referred to instead of copied. */
const REFERENCED_BYTES = 8 * 1024;

/** The longest string of the protocol, also in its compact form. */
const MAX_STRING_BYTES = 32767;

/** Up to this length a string is encoded here, if it is ASCII: a call into the engine's encoder costs more. */
const SHORT_STRING = 24;

export class Writer {
  #buffer: Buffer;
  #view: DataView;
  #offset = 0;
  /** Where in the buffer the piece begins that is not in `#sealed` yet. */
  #pieceStart = 0;
  #sealed: Uint8Array[] = [];
  #sealedLength = 0;
  /** Inside a tagged field everything is copied, because its data may have to move when its size is known. */
  #openTags = 0;

  constructor(initialCapacity = 256) {
    this.#buffer = Buffer.allocUnsafe(Math.max(initialCapacity, 16)); // small ones come from the engine's pool, ten times faster
    this.#view = viewOf(this.#buffer);
  }

  get length(): number {
    return this.#sealedLength + this.#offset - this.#pieceStart;
  }

  /** Everything written, in one piece: a view on the writer's own buffer (valid until `reset`) where that is possible. */
  bytes(): Uint8Array {
    if (this.#sealed.length === 0) return this.#piece();
    const whole = new Uint8Array(this.length);
    let at = 0;
    for (const chunk of this.chunks()) {
      whole.set(chunk, at);
      at += chunk.length;
    }
    return whole;
  }

  /** Everything written, in order, with large bytes where their owner has them. Valid until `reset`. */
  chunks(): Uint8Array[] {
    if (this.#offset === this.#pieceStart) return [...this.#sealed];
    return [...this.#sealed, this.#piece()];
  }

  /** Starts over in the same buffer, which must not be in use any more. */
  reset(): void {
    this.#offset = 0;
    this.#pieceStart = 0;
    if (this.#sealed.length > 0) this.#sealed = [];
    this.#sealedLength = 0;
    this.#openTags = 0;
  }

  bool(value: boolean): void {
    const at = this.#advance(1);
    this.#buffer[at] = value ? 1 : 0;
  }

  int8(value: number): void {
    const at = this.#advance(1);
    this.#view.setInt8(at, value);
  }

  uint8(value: number): void {
    const at = this.#advance(1);
    this.#view.setUint8(at, value);
  }

  int16(value: number): void {
    const at = this.#advance(2);
    this.#view.setInt16(at, value);
  }

  uint16(value: number): void {
    const at = this.#advance(2);
    this.#view.setUint16(at, value);
  }

  int32(value: number): void {
    const at = this.#advance(4);
    this.#view.setInt32(at, value);
  }

  uint32(value: number): void {
    const at = this.#advance(4);
    this.#view.setUint32(at, value);
  }

  /**
   * An integer up to ±2^53. From 2^63 on it is written as Long.MAX_VALUE, down from -2^63 as Long.MIN_VALUE, so what a
   * Reader made of those comes back whole. Between, a number has lost bits: throws INVALID_REQUEST rather than guess.
   */
  int64(value: number): void {
    const at = this.#advance(8);
    if (Number.isSafeInteger(value)) {
      this.#view.setInt32(at, Math.floor(value / TWO_TO_32));
      this.#view.setInt32(at + 4, value);
    } else {
      this.#view.setBigInt64(at, longAtTheEdge(value));
    }
  }

  bits64(value: bigint): void {
    const at = this.#advance(8);
    this.#view.setBigInt64(at, value);
  }

  float64(value: number): void {
    const at = this.#advance(8);
    this.#view.setFloat64(at, value);
  }

  uuid(value: Uuid): void {
    const at = this.#advance(16);
    writeUuid(this.#buffer, at, value);
  }

  uvarint(value: number): void {
    if (value >= 0 && value < 0x80) {
      const at = this.#advance(1);
      this.#buffer[at] = value;
      return;
    }
    this.#reserve(5);
    let rest = value >>> 0;
    while (rest >= 0x80) {
      this.#buffer[this.#offset++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.#buffer[this.#offset++] = rest;
  }

  varint(value: number): void {
    this.uvarint((value << 1) ^ (value >> 31));
  }

  /** A zigzag varint of 64 bits; the same edges as `int64`. */
  varlong(value: number): void {
    this.#reserve(10);
    let low = value | 0;
    let high = Math.floor(value / TWO_TO_32);
    if (!Number.isSafeInteger(value)) {
      const edge = longAtTheEdge(value);
      low = Number(edge & 0xffffffffn) | 0;
      high = Number(edge >> 32n);
    }
    const sign = high >> 31;
    let zigzagLow = ((low << 1) ^ sign) >>> 0;
    let zigzagHigh = (((high << 1) | (low >>> 31)) ^ sign) >>> 0;
    while (zigzagHigh !== 0 || zigzagLow >= 0x80) {
      this.#buffer[this.#offset++] = (zigzagLow & 0x7f) | 0x80;
      zigzagLow = ((zigzagLow >>> 7) | (zigzagHigh << 25)) >>> 0;
      zigzagHigh >>>= 7;
    }
    this.#buffer[this.#offset++] = zigzagLow;
  }

  string(value: string): void {
    if (value.length <= SHORT_STRING && this.#shortString(value, 2)) return;
    const length = utf8Length(value);
    this.int16(length);
    this.#utf8(value, length);
  }

  nullableString(value: string | null): void {
    if (value === null) this.int16(-1);
    else this.string(value);
  }

  compactString(value: string): void {
    if (value.length <= SHORT_STRING && this.#shortString(value, 1)) return;
    const length = utf8Length(value);
    this.uvarint(length + 1);
    this.#utf8(value, length);
  }

  compactNullableString(value: string | null): void {
    if (value === null) this.uvarint(0);
    else this.compactString(value);
  }

  sizedBytes(value: Uint8Array): void {
    this.int32(value.length);
    this.raw(value);
  }

  nullableBytes(value: Uint8Array | null): void {
    if (value === null) this.int32(-1);
    else this.sizedBytes(value);
  }

  compactBytes(value: Uint8Array): void {
    this.uvarint(value.length + 1);
    this.raw(value);
  }

  compactNullableBytes(value: Uint8Array | null): void {
    if (value === null) this.uvarint(0);
    else this.compactBytes(value);
  }

  /** Bytes without a prefix. */
  raw(value: Uint8Array): void {
    if (value.length >= REFERENCED_BYTES && this.#openTags === 0) {
      this.#refer(value);
      return;
    }
    const at = this.#advance(value.length);
    this.#buffer.set(value, at);
  }

  arrayLength(length: number): void {
    this.int32(length);
  }

  nullableArrayLength(length: number): void {
    this.int32(length);
  }

  /** Also the nullable form: -1 is null. */
  compactArrayLength(length: number): void {
    this.uvarint(length + 1);
  }

  compactNullableArrayLength(length: number): void {
    this.uvarint(length + 1);
  }

  /** Opens a tagged field; what is written until `endTag` is its data. Answers what `endTag` wants to know. */
  beginTag(tag: number): number {
    this.uvarint(tag);
    this.#openTags++;
    return this.#advance(1);
  }

  /** Puts the size before the data. One byte was kept for it; the rare larger one moves the data. */
  endTag(start: number): void {
    const size = this.#offset - start - 1;
    if (size < 0x80) {
      this.#buffer[start] = size;
    } else {
      const extra = size < 0x4000 ? 1 : size < 0x200000 ? 2 : size < 0x10000000 ? 3 : 4;
      this.#reserve(extra);
      this.#buffer.copyWithin(start + 1 + extra, start + 1, this.#offset);
      const end = this.#offset + extra;
      this.#offset = start;
      this.uvarint(size);
      this.#offset = end;
    }
    this.#openTags--;
  }

  /** The rest of a string's bytes, whose length is known. */
  #utf8(value: string, length: number): void {
    const at = this.#advance(length);
    this.#buffer.write(value, at, length, 'utf8');
  }

  /** Writes prefix and text if the text is ASCII. */
  #shortString(value: string, prefixSize: number): boolean {
    const length = value.length;
    this.#reserve(prefixSize + length);
    const buffer = this.#buffer;
    let at = this.#offset + prefixSize;
    for (let index = 0; index < length; index++) {
      const code = value.charCodeAt(index);
      if (code >= 0x80) return false;
      buffer[at++] = code;
    }
    if (prefixSize === 1) {
      buffer[this.#offset] = length + 1;
    } else {
      buffer[this.#offset] = 0;
      buffer[this.#offset + 1] = length;
    }
    this.#offset = at;
    return true;
  }

  #refer(value: Uint8Array): void {
    if (this.#offset > this.#pieceStart) {
      this.#sealed.push(this.#piece());
      this.#sealedLength += this.#offset - this.#pieceStart;
      this.#pieceStart = this.#offset;
    }
    this.#sealed.push(value);
    this.#sealedLength += value.length;
  }

  /** What is in the buffer and not sealed yet. */
  #piece(): Uint8Array {
    return new Uint8Array(this.#buffer.buffer, this.#buffer.byteOffset + this.#pieceStart, this.#offset - this.#pieceStart);
  }

  /** Claims `length` bytes; answers where they begin. Call it before touching `#buffer` or `#view`: it may replace both. */
  #advance(length: number): number {
    const at = this.#offset;
    const next = at + length;
    if (next > this.#buffer.length) this.#grow(next);
    this.#offset = next;
    return at;
  }

  /** Makes room without claiming it. */
  #reserve(length: number): void {
    const next = this.#offset + length;
    if (next > this.#buffer.length) this.#grow(next);
  }

  #grow(needed: number): void {
    const larger = Buffer.allocUnsafe(Math.max(needed, this.#buffer.length * 2));
    larger.set(this.#buffer.subarray(0, this.#offset));
    this.#buffer = larger;
    this.#view = viewOf(larger);
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function utf8Length(value: string): number {
  const length = Buffer.byteLength(value, 'utf8');
  if (length > MAX_STRING_BYTES)
    throw new KafkaError('INVALID_REQUEST', `a string of ${length} bytes: ${MAX_STRING_BYTES} is the most`);
  return length;
}

function longAtTheEdge(value: number): bigint {
  if (value >= TWO_TO_63) return 0x7fffffffffffffffn;
  if (value <= -TWO_TO_63) return -0x8000000000000000n;
  assert(Number.isInteger(value), `not an integer: ${value}`);
  throw new KafkaError('INVALID_REQUEST', `${value} is beyond 2^53, where a number is not exact any more`);
}
