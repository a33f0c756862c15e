/**
 * Protocol Buffers (proto3) from bytes to the objects that their JSON mapping writes: names in camelCase, integers of 64 bits and numbers
 * that JSON has no word for as texts, bytes in base64. Only what is on the wire is in the object.
 *
 *   message   field, field, …
 *   field     tag (varint: number << 3 | wire type), then by wire type
 *               0 varint   1 eight bytes   2 length (varint) and that many bytes   3 … 4 fields of a group   5 four bytes
 *
 * As Java's decoder does: a field that is unknown, or of another wire type, is skipped; a message that comes twice is merged; of a oneof
 * the last one stays. Throws RangeError for what is cut short, nests too deeply or is no message at all.
 */

export type ScalarKind =
  | 'string'
  | 'bytes'
  | 'hex'
  | 'bool'
  | 'double'
  | 'uint32'
  | 'sint32'
  | 'int64'
  | 'uint64'
  | 'fixed64'
  | 'sfixed64'
  | 'enum';

export type ProtobufField = {
  readonly name: string;
  /** A function where messages contain themselves, or come later in the file. */
  readonly type: ScalarKind | (() => ProtobufMessage);
  readonly repeated: boolean;
  /** Names of the fields that this one takes the place of. */
  readonly instead: readonly string[];
};

export type ProtobufMessage = ReadonlyMap<number, ProtobufField>;

export type ProtobufJson = {
  [name: string]: ProtobufJson | string | number | boolean | ProtobufJson[] | (string | number | boolean)[];
};

const VARINT = 0;
const EIGHT_BYTES = 1;
const LENGTH = 2;
const GROUP = 3;
const GROUP_END = 4;
const FOUR_BYTES = 5;

/** As Java's. */
const MAX_DEPTH = 100;

const wireTypes: Readonly<Record<ScalarKind, number>> = {
  string: LENGTH,
  bytes: LENGTH,
  hex: LENGTH,
  bool: VARINT,
  double: EIGHT_BYTES,
  uint32: VARINT,
  sint32: VARINT,
  int64: VARINT,
  uint64: VARINT,
  fixed64: EIGHT_BYTES,
  sfixed64: EIGHT_BYTES,
  enum: VARINT,
};

export function decodeProtobuf(message: ProtobufMessage, bytes: Uint8Array): ProtobufJson {
  const result: ProtobufJson = {};
  new Decoder(bytes).message(message, result, bytes.length, 1);
  return result;
}

class Decoder {
  readonly #bytes: Buffer;
  #at = 0;
  /** The end of the innermost message: nothing is read beyond it. */
  #end: number;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#end = bytes.length;
  }

  message(fields: ProtobufMessage, into: ProtobufJson, end: number, depth: number): void {
    if (depth > MAX_DEPTH) throw new RangeError(`messages nest deeper than ${MAX_DEPTH}`);
    const outerEnd = this.#end;
    this.#end = end;
    while (this.#at < end) {
      const { number, wireType } = this.#tag();
      const field = fields.get(number);
      if (!field || !this.#field(field, wireType, into, depth)) this.#skip(number, wireType, depth);
    }
    this.#end = outerEnd;
  }

  /** False, with nothing read, when the wire type is another one than the field's. */
  #field({ name, type, repeated, instead }: ProtobufField, wireType: number, into: ProtobufJson, depth: number): boolean {
    if (typeof type === 'function') {
      if (wireType !== LENGTH) return false;
      const end = this.#lengthEnd();
      const inner = repeated ? {} : ((into[name] as ProtobufJson | undefined) ?? {});
      for (const other of instead) delete into[other];
      if (repeated) listOf<ProtobufJson>(into, name).push(inner);
      else into[name] = inner;
      this.message(type(), inner, end, depth + 1);
      return true;
    }
    const own = wireTypes[type];
    if (repeated && own !== LENGTH && wireType === LENGTH) {
      const end = this.#lengthEnd();
      const outerEnd = this.#end;
      this.#end = end;
      const list = listOf<string | number | boolean>(into, name);
      while (this.#at < end) list.push(this.#scalar(type));
      this.#end = outerEnd;
      return true;
    }
    if (wireType !== own) return false;
    const value = this.#scalar(type);
    for (const other of instead) delete into[other];
    if (repeated) listOf<string | number | boolean>(into, name).push(value);
    else into[name] = value;
    return true;
  }

  #scalar(kind: ScalarKind): string | number | boolean {
    switch (kind) {
      case 'string':
        return strictText.decode(this.#take(this.#varintLength()));
      case 'bytes':
        return this.#take(this.#varintLength()).toString('base64');
      case 'hex':
        return this.#take(this.#varintLength()).toString('hex');
      case 'bool':
        return this.#varint() !== 0n;
      case 'double': {
        const value = this.#take(8).readDoubleLE(0);
        return Number.isFinite(value) ? value : String(value);
      }
      case 'uint32':
        return Number(BigInt.asUintN(32, this.#varint()));
      case 'enum':
        return Number(BigInt.asIntN(32, this.#varint()));
      case 'sint32': {
        const zigzag = Number(BigInt.asUintN(32, this.#varint()));
        return (zigzag >>> 1) ^ -(zigzag & 1);
      }
      case 'int64':
        return BigInt.asIntN(64, this.#varint()).toString();
      case 'uint64':
        return BigInt.asUintN(64, this.#varint()).toString();
      case 'fixed64':
        return this.#take(8).readBigUInt64LE(0).toString();
      case 'sfixed64':
        return this.#take(8).readBigInt64LE(0).toString();
    }
  }

  #tag(): { number: number; wireType: number } {
    const tag = Number(BigInt.asUintN(32, this.#varint()));
    const number = tag >>> 3;
    if (number === 0) throw new RangeError('a field has the number 0');
    return { number, wireType: tag & 7 };
  }

  #skip(number: number, wireType: number, depth: number): void {
    if (wireType === VARINT) this.#varint();
    else if (wireType === EIGHT_BYTES) this.#take(8);
    else if (wireType === LENGTH) this.#take(this.#varintLength());
    else if (wireType === FOUR_BYTES) this.#take(4);
    else if (wireType === GROUP) this.#skipGroup(number, depth + 1);
    else throw new RangeError(`wire type ${wireType} of field ${number}`);
  }

  #skipGroup(number: number, depth: number): void {
    if (depth > MAX_DEPTH) throw new RangeError(`groups nest deeper than ${MAX_DEPTH}`);
    for (;;) {
      const inner = this.#tag();
      if (inner.wireType !== GROUP_END) this.#skip(inner.number, inner.wireType, depth);
      else if (inner.number === number) return;
      else throw new RangeError(`the group ${number} ends as ${inner.number}`);
    }
  }

  #lengthEnd(): number {
    const length = this.#varintLength();
    if (length > this.#end - this.#at) throw cutShort();
    return this.#at + length;
  }

  #varintLength(): number {
    const length = Number(this.#varint());
    if (length > 0x7fffffff) throw new RangeError(`a length of ${length}`);
    return length;
  }

  #varint(): bigint {
    const first = this.#byte();
    if (first < 0x80) return BigInt(first);
    let value = BigInt(first & 0x7f);
    for (let shift = 7n; shift < 70n; shift += 7n) {
      const byte = this.#byte();
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asUintN(64, value);
    }
    throw new RangeError('a varint of more than ten bytes');
  }

  #byte(): number {
    if (this.#at >= this.#end) throw cutShort();
    return this.#bytes[this.#at++]!;
  }

  #take(length: number): Buffer {
    if (length > this.#end - this.#at) throw cutShort();
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }
}

const strictText = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function listOf<Element>(object: ProtobufJson, name: string): Element[] {
  return ((object[name] as Element[] | undefined) ?? ((object[name] as Element[]) = [])) as Element[];
}

const cutShort = (): RangeError => new RangeError('a message is cut short');
