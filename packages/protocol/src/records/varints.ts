/**
 * The zigzag varints of record bodies, written in place: `(n << 1) ^ (n >> 31)`, then groups of 7 bits, lowest first.
 * A varlong carries timestamps and their differences, so it is a `number` (exact to 2^53).
 */
const two28 = 2 ** 28;
const two56 = 2 ** 56;

export function sizeOfVarint(value: number): number {
  return sizeOfUnsigned(((value << 1) ^ (value >> 31)) >>> 0);
}

export function sizeOfVarlong(value: number): number {
  if (value === (value | 0)) return sizeOfVarint(value);
  return sizeOfUnsigned(zigzag(value));
}

function sizeOfUnsigned(value: number): number {
  let size = 1;
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) size++;
  return size;
}

/** Returns the offset after the varint. The caller has made room. */
export function writeVarint(bytes: Uint8Array, at: number, value: number): number {
  let rest = ((value << 1) ^ (value >> 31)) >>> 0;
  while (rest > 127) {
    bytes[at++] = (rest & 127) | 128;
    rest >>>= 7;
  }
  bytes[at++] = rest;
  return at;
}

export function writeVarlong(bytes: Uint8Array, at: number, value: number): number {
  if (value === (value | 0)) return writeVarint(bytes, at, value);
  let rest = zigzag(value);
  while (rest > 127) {
    bytes[at++] = (rest % 128) | 128;
    rest = Math.floor(rest / 128);
  }
  bytes[at++] = rest;
  return at;
}

/** Exact for safe integers up to 2^52 in size: far beyond any difference of timestamps that a date can hold. */
function zigzag(value: number): number {
  const folded = value >= 0 ? value * 2 : -value * 2 - 1;
  if (!Number.isSafeInteger(folded)) throw new RangeError(`${value} is too large for a varlong of this writer`);
  return folded;
}

/** Undoes the zigzag of three groups of bits: 28 low ones, 28 in the middle, 8 high ones. */
export function unzigzagWide(low: number, middle: number, high: number): number {
  const half = (low >>> 1) + middle * (two28 / 2) + high * (two56 / 2);
  return (low & 1) === 0 ? half : -half - 1;
}
