/** Ways to spoil a frame. Each takes the frame without its size, and gives what goes on the wire, size and all. */
import type { SeededRandom } from '@ottla/runtime';

const HEADER_BYTES = 8;

type Mutation = (frame: Buffer, random: SeededRandom) => Buffer;

/** These keep the size honest: whatever follows on the connection is still read as frames. */
export const bodyMutations: Readonly<Record<string, Mutation>> = {
  'a bit flipped': (frame, random) => changed(frame, random, (copy, at) => (copy[at]! ^= 1 << random.below(8))),
  'bits flipped': (frame, random) => {
    let result = frame;
    for (let times = 0; times < 8; times++) result = changed(result, random, (copy, at) => (copy[at]! ^= 1 << random.below(8)));
    return result;
  },
  'a byte set': (frame, random) => changed(frame, random, (copy, at) => (copy[at] = [0, 1, 0x7f, 0x80, 0xff][random.below(5)]!)),
  'a length lies': (frame, random) =>
    changed(frame, random, (copy, at) => {
      const lie = [0x7fffffff, -1, -2, 0, 0x00ffffff, -0x80000000, 1_000_000, 0x10000][random.below(8)]!;
      if (at + 4 <= copy.length) copy.writeInt32BE(lie, at);
    }),
  'a short length lies': (frame, random) =>
    changed(frame, random, (copy, at) => {
      if (at + 2 <= copy.length) copy.writeInt16BE([0x7fff, -1, -2, 0, -0x8000][random.below(5)]!, at);
    }),
  'a varint lies': (frame, random) =>
    changed(frame, random, (copy, at) => copy.set(Buffer.from('ffffffff0f', 'hex').subarray(0, copy.length - at), at)),
  'cut short': (frame, random) => frame.subarray(0, random.below(frame.length + 1)),
  'a piece twice': (frame, random) => {
    const [from, to] = range(frame, random);
    return Buffer.concat([frame.subarray(0, to), frame.subarray(from)]);
  },
  'a piece out': (frame, random) => {
    const [from, to] = range(frame, random);
    return Buffer.concat([frame.subarray(0, from), frame.subarray(to)]);
  },
  'noise in': (frame, random) => {
    const at = HEADER_BYTES + random.below(Math.max(1, frame.length - HEADER_BYTES));
    return Buffer.concat([frame.subarray(0, at), random.bytes(random.below(40)), frame.subarray(at)]);
  },
  'noise behind': (frame, random) => Buffer.concat([frame, random.bytes(random.below(200))]),
  'noise for a body': (frame, random) => Buffer.concat([frame.subarray(0, HEADER_BYTES), random.bytes(random.below(300))]),
  'zeros for a body': (frame, random) => Buffer.concat([frame.subarray(0, HEADER_BYTES), Buffer.alloc(random.below(300))]),
  'another version': (frame, random) => {
    const copy = Buffer.from(frame);
    copy.writeInt16BE(random.below(20) - 1, 2);
    return copy;
  },
  'another key': (frame, random) => {
    const copy = Buffer.from(frame);
    copy.writeInt16BE(random.below(100) - 2, 0);
    return copy;
  },
};

/** These lie about the size, or leave the frame unfinished: the connection is of no use afterwards. */
export const framingMutations: Readonly<Record<string, Mutation>> = {
  'the size too large': (frame, random) => Buffer.concat([sized(frame.length + 1 + random.below(1000)), frame]),
  'the size too small': (frame, random) => Buffer.concat([sized(random.below(frame.length)), frame]),
  'a size below zero': (frame, random) => Buffer.concat([sized(-1 - random.below(0x7fffffff)), frame]),
  'a huge size': (frame, random) => Buffer.concat([sized(0x7fffffff - random.below(1000)), frame]),
  'noise alone': (_frame, random) => Buffer.from(random.bytes(4 + random.below(300))),
  'left in the middle': (frame, random) => withSize(frame).subarray(0, 1 + random.below(frame.length + 3)),
};

export function withSize(frame: Uint8Array): Buffer {
  return Buffer.concat([sized(frame.length), frame]);
}

function sized(length: number): Buffer {
  const size = Buffer.alloc(4);
  size.writeInt32BE(length | 0);
  return size;
}

/** Behind key, version and correlation id, so that the right codec is hit. */
function changed(frame: Buffer, random: SeededRandom, change: (copy: Buffer, at: number) => void): Buffer {
  const copy = Buffer.from(frame);
  if (copy.length > HEADER_BYTES) change(copy, HEADER_BYTES + random.below(copy.length - HEADER_BYTES));
  return copy;
}

function range(frame: Buffer, random: SeededRandom): [number, number] {
  const ends = [0, 1].map(() => HEADER_BYTES + random.below(Math.max(1, frame.length - HEADER_BYTES)));
  return [Math.min(...ends), Math.max(...ends)];
}
