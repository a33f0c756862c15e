/**
 * Reads the primitives of the protocol, big-endian, from a range of bytes.
 *
 *   string          int16 length, UTF-8                     compact: uvarint length + 1
 *   bytes, records  int32 length, data                      compact: uvarint length + 1
 *   array           int32 count, elements                   compact: uvarint count + 1
 *   null            length -1                               compact: 0
 *   tagged fields   uvarint count, then per field: uvarint tag, uvarint size, data
 *
 * Whatever the bytes say, a read ends in a value or in a ProtocolError, and costs no more memory than the bytes justify:
 * a length is checked against what is left before anything is made of it.
 */
import { ProtocolError } from './errors.ts';
import { type Uuid, uuidFromWords } from './uuid.ts';

/** No array of the protocol may be longer, however many bytes follow. */
export const MAX_ARRAY_LENGTH = 1_000_000;

/** No struct may carry more tagged fields. */
export const MAX_TAGGED_FIELDS = 10_000;

/** All arrays and tagged sections of one reader together: small structs take far more memory than bytes. */
export const MAX_ELEMENTS = 4_000_000;

const MAX_STRING_BYTES = 32_767;

const TWO_TO_32 = 4294967296;

/** Up to this length a string is decoded here, if it is ASCII: a call into the engine's decoder costs more. */
const SHORT_STRING = 12;

export class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #end: number;
  #offset: number;
  /** How many elements of arrays and tagged fields were announced so far. */
  #elements = 0;
  /** The same bytes as a Buffer, for its decoder of long strings; made when the first one comes. */
  #decoder: Buffer | undefined;

  /** Reads `bytes` in [offset, end). */
  constructor(bytes: Uint8Array, offset = 0, end = bytes.length) {
    if (offset < 0 || end > bytes.length || offset > end)
      throw new RangeError(`no range of ${bytes.length} bytes: [${offset}, ${end})`);
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#offset = offset;
    this.#end = end;
  }

  /** Where the next read begins, counted from the start of the bytes given to the constructor. */
  get offset(): number {
    return this.#offset;
  }

  get remaining(): number {
    return this.#end - this.#offset;
  }

  skip(length: number): void {
    this.#take(length);
  }

  bool(): boolean {
    return this.#view.getInt8(this.#take(1)) !== 0;
  }

  int8(): number {
    return this.#view.getInt8(this.#take(1));
  }

  uint8(): number {
    return this.#view.getUint8(this.#take(1));
  }

  int16(): number {
    return this.#view.getInt16(this.#take(2));
  }

  uint16(): number {
    return this.#view.getUint16(this.#take(2));
  }

  int32(): number {
    return this.#view.getInt32(this.#take(4));
  }

  uint32(): number {
    return this.#view.getUint32(this.#take(4));
  }

  /** Exact up to ±2^53; beyond, the nearest double. Long.MAX_VALUE reads as 2^63, which a Writer turns back. */
  int64(): number {
    const at = this.#take(8);
    return this.#view.getInt32(at) * TWO_TO_32 + this.#view.getUint32(at + 4);
  }

  /** 64 bits that are not a quantity, such as a hash. */
  bits64(): bigint {
    return this.#view.getBigInt64(this.#take(8));
  }

  float64(): number {
    return this.#view.getFloat64(this.#take(8));
  }

  uuid(): Uuid {
    const at = this.#take(16);
    const view = this.#view;
    return uuidFromWords(view.getInt32(at), view.getInt32(at + 4), view.getInt32(at + 8), view.getInt32(at + 12));
  }

  /** An unsigned varint of 32 bits. */
  uvarint(): number {
    const first = this.uint8();
    if (first < 0x80) return first;
    let value = first & 0x7f;
    for (let shift = 7; shift < 28; shift += 7) {
      const next = this.uint8();
      value |= (next & 0x7f) << shift;
      if (next < 0x80) return value;
    }
    const last = this.uint8();
    if (last >= 0x80) throw new ProtocolError('a varint is longer than five bytes');
    return (value | (last << 28)) >>> 0;
  }

  /** A zigzag varint of 32 bits, as record batches have them. */
  varint(): number {
    const value = this.uvarint();
    return (value >>> 1) ^ -(value & 1);
  }

  /** A zigzag varint of 64 bits, as record batches have them; exact up to ±2^53. */
  varlong(): number {
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const next = this.uint8();
      const bits = next & 0x7f;
      if (shift < 28) {
        low |= bits << shift;
      } else if (shift === 28) {
        low |= bits << 28;
        high = bits >>> 4;
      } else {
        high |= bits << (shift - 32);
      }
      if (next < 0x80) {
        const sign = -(low & 1);
        const zigzagLow = ((low >>> 1) | (high << 31)) ^ sign;
        const zigzagHigh = (high >>> 1) ^ sign;
        return zigzagHigh * TWO_TO_32 + (zigzagLow >>> 0);
      }
    }
    throw new ProtocolError('a varint is longer than ten bytes');
  }

  string(): string {
    return this.#text(this.int16());
  }

  nullableString(): string | null {
    const length = this.int16();
    return length < 0 ? null : this.#text(length);
  }

  compactString(): string {
    return this.#compactText(this.uvarint() - 1);
  }

  compactNullableString(): string | null {
    const length = this.uvarint() - 1;
    return length < 0 ? null : this.#compactText(length);
  }

  /** A view on the input, not a copy; so are the three below. */
  bytes(): Uint8Array {
    return this.#data(this.int32());
  }

  nullableBytes(): Uint8Array | null {
    const length = this.int32();
    return length < 0 ? null : this.#data(length);
  }

  compactBytes(): Uint8Array {
    return this.#data(this.uvarint() - 1);
  }

  compactNullableBytes(): Uint8Array | null {
    const length = this.uvarint() - 1;
    return length < 0 ? null : this.#data(length);
  }

  /** `length` bytes without a prefix. */
  raw(length: number): Uint8Array {
    return this.#data(length);
  }

  /** The count of an array whose elements take at least `elementSize` bytes each. */
  arrayLength(elementSize = 1): number {
    return this.#count(this.int32(), elementSize);
  }

  /** -1 for null. */
  nullableArrayLength(elementSize = 1): number {
    const length = this.int32();
    return length < 0 ? -1 : this.#count(length, elementSize);
  }

  compactArrayLength(elementSize = 1): number {
    return this.#count(this.uvarint() - 1, elementSize);
  }

  /** -1 for null. */
  compactNullableArrayLength(elementSize = 1): number {
    const length = this.uvarint() - 1;
    return length < 0 ? -1 : this.#count(length, elementSize);
  }

  /** The count that opens a section of tagged fields. */
  tagCount(): number {
    const count = this.uvarint();
    if (count > MAX_TAGGED_FIELDS || count * 2 > this.remaining)
      throw new ProtocolError(`${count} tagged fields in ${this.remaining} bytes`);
    this.#admit(count);
    return count;
  }

  /** The size of a tagged field's data; answers the offset at which it ends. */
  tagEnd(): number {
    const size = this.uvarint();
    if (size > this.remaining) throw this.#truncated(size);
    return this.#offset + size;
  }

  /** Throws unless a tagged field was read to exactly the end it announced. */
  expectTagEnd(end: number, tag: number): void {
    if (this.#offset !== end) throw new ProtocolError(`tagged field ${tag} ends at ${this.#offset}, but announced ${end}`);
  }

  #take(length: number): number {
    const at = this.#offset;
    const next = at + length;
    if (next > this.#end || length < 0) throw this.#truncated(length);
    this.#offset = next;
    return at;
  }

  #data(length: number): Uint8Array {
    if (length < 0) throw new ProtocolError('null bytes where the schema has none');
    const at = this.#take(length);
    return this.#bytes.subarray(at, at + length);
  }

  #count(length: number, elementSize: number): number {
    if (length < 0) throw new ProtocolError('a null array where the schema has none');
    if (length > MAX_ARRAY_LENGTH || length * elementSize > this.remaining) {
      throw new ProtocolError(`an array of ${length} elements in ${this.remaining} bytes`);
    }
    this.#admit(length);
    return length;
  }

  #admit(elements: number): void {
    this.#elements += elements;
    if (this.#elements > MAX_ELEMENTS) throw new ProtocolError(`more than ${MAX_ELEMENTS} elements in one message`);
  }

  /** A compact string is no longer than what the other form can say. */
  #compactText(length: number): string {
    if (length > MAX_STRING_BYTES) throw new ProtocolError(`a string of ${length} bytes: ${MAX_STRING_BYTES} is the most`);
    return this.#text(length);
  }

  /** What is not UTF-8 becomes U+FFFD, as in Kafka. */
  #text(length: number): string {
    if (length < 0) throw new ProtocolError('a null string where the schema has none');
    const at = this.#take(length);
    if (length <= SHORT_STRING) {
      const bytes = this.#bytes;
      let text = '';
      let index = at;
      for (const end = at + length; index < end; index++) {
        const byte = bytes[index]!;
        if (byte >= 0x80) break;
        text += String.fromCharCode(byte);
      }
      if (index === at + length) return text;
    }
    this.#decoder ??= Buffer.from(this.#bytes.buffer, this.#bytes.byteOffset, this.#bytes.byteLength);
    const text = this.#decoder.toString('utf8', at, at + length);
    // A byte that is not UTF-8 becomes three: whatever was read must not be too long to be written.
    if (length > MAX_STRING_BYTES / 3 && Buffer.byteLength(text) > MAX_STRING_BYTES)
      throw new ProtocolError(`a string of ${length} bytes that are not UTF-8`);
    return text;
  }

  #truncated(length: number): ProtocolError {
    return new ProtocolError(`${length} bytes announced or expected at offset ${this.#offset}, but ${this.remaining} are left`);
  }
}
