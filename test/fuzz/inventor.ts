/**
 * Invents valid messages of any API and version: a Reader that makes up what it is asked to read. The generated codec asks for
 * each field in turn, so what it builds has the right shape, and writing it back gives the bytes of a valid request.
 */
import { type Api, crc32c, Reader, type Uuid, Writer, writeRequestHeader, ZERO_UUID } from '@ottla/protocol';
import type { SeededRandom } from '@ottla/runtime';

/** What requests may speak of, so that some of them hit something. */
export type World = {
  readonly names: readonly string[];
  /** The last ones that were handed out; grows and shrinks while requests are made. */
  readonly memberIds: string[];
  readonly ids: readonly Uuid[];
  readonly payloads: readonly Uint8Array[];
};

const BATCH_HEADER_BYTES = 61;
const BATCH_CRC_AT = 17;
const BATCH_CRC_COVERS_FROM = 21;

const numbers = [0, 0, 0, 1, 1, 1, 2, 3, 5, -1, -1, -2, 127, -128];
const extremes = [0x7fff, -0x8000, 0x7fffffff, -0x80000000, 0x7fffffff - 1, 65_536];

export class Inventor extends Reader {
  readonly #random: SeededRandom;
  readonly #world: World;
  /** Grows with each array inside an array, so that messages stay small. */
  #elements = 0;

  constructor(random: SeededRandom, world: World) {
    super(new Uint8Array(0));
    this.#random = random;
    this.#world = world;
  }

  #of<T>(values: readonly T[]): T {
    return values[this.#random.below(values.length)]!;
  }

  #number(min: number, max: number): number {
    const value = this.#random.below(12) === 0 ? this.#of(extremes) : this.#of(numbers);
    return Math.min(max, Math.max(min, value));
  }

  override bool(): boolean {
    return this.#random.below(2) === 0;
  }
  override int8(): number {
    return this.#number(-128, 127);
  }
  override uint8(): number {
    return this.#number(0, 255);
  }
  override int16(): number {
    return this.#number(-0x8000, 0x7fff);
  }
  override uint16(): number {
    return this.#number(0, 0xffff);
  }
  override int32(): number {
    return this.#number(-0x80000000, 0x7fffffff);
  }
  override uint32(): number {
    return this.#number(0, 0xffffffff);
  }
  override int64(): number {
    return this.#random.below(20) === 0 ? this.#of([2 ** 63, -(2 ** 63), 2 ** 53 - 1]) : this.#number(-(2 ** 53), 2 ** 53);
  }
  override float64(): number {
    return this.#of([0, 1, -1, 0.5, 1e300, Number.NaN, Number.POSITIVE_INFINITY]);
  }
  override uuid(): Uuid {
    return this.#random.below(4) === 0 ? ZERO_UUID : this.#of(this.#world.ids);
  }
  override string(): string {
    const { memberIds, names } = this.#world;
    return memberIds.length > 0 && this.#random.below(6) === 0 ? this.#of(memberIds) : this.#of(names);
  }
  override nullableString(): string | null {
    return this.#random.below(3) === 0 ? null : this.string();
  }
  override compactString(): string {
    return this.string();
  }
  override compactNullableString(): string | null {
    return this.nullableString();
  }
  override bytes(): Uint8Array {
    const payload = this.#of(this.#world.payloads);
    return payload.length > BATCH_HEADER_BYTES && this.#random.below(3) === 0 ? this.#spoiledBatch(payload) : payload;
  }

  /** Other bytes, and a crc that vouches for them, so that somebody looks inside. */
  #spoiledBatch(batch: Uint8Array): Uint8Array {
    const copy = Buffer.from(batch);
    for (let times = this.#random.below(4); times >= 0; times--)
      copy[BATCH_CRC_COVERS_FROM + this.#random.below(copy.length - BATCH_CRC_COVERS_FROM)] = this.#random.below(256);
    copy.writeUInt32BE(crc32c(copy.subarray(BATCH_CRC_COVERS_FROM)) >>> 0, BATCH_CRC_AT);
    return copy;
  }
  override nullableBytes(): Uint8Array | null {
    return this.#random.below(6) === 0 ? null : this.bytes();
  }
  override compactBytes(): Uint8Array {
    return this.bytes();
  }
  override compactNullableBytes(): Uint8Array | null {
    return this.nullableBytes();
  }
  override arrayLength(): number {
    this.#elements += 1;
    return this.#elements > 12 ? 0 : this.#of([0, 1, 1, 1, 2, 3]);
  }
  override nullableArrayLength(): number {
    return this.#random.below(6) === 0 ? -1 : this.arrayLength();
  }
  override compactArrayLength(): number {
    return this.arrayLength();
  }
  override compactNullableArrayLength(): number {
    return this.nullableArrayLength();
  }
  override tagCount(): number {
    return 0;
  }
}

/** A request with its header, without its size; undefined when what was invented cannot be said in this version. */
export function inventedFrame(api: Api, version: number, random: SeededRandom, world: World): Uint8Array | undefined {
  const writer = new Writer();
  writeRequestHeader(writer, api, version, random.below(1000), 'fuzz');
  try {
    api.request.write(writer, api.request.read(new Inventor(random, world), version), version);
  } catch {
    return undefined;
  }
  return Uint8Array.from(writer.bytes());
}
