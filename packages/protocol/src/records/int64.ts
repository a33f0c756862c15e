/**
 * int64 as a `number`, in two 32-bit halves: exact to 2^53, a tenth of the cost of a BigInt.
 * Beyond that a read gives the nearest double, so that a hostile length or offset stays huge instead of wrapping.
 */
const two32 = 0x1_0000_0000;

export function readInt64(view: DataView, at: number): number {
  return view.getInt32(at) * two32 + view.getUint32(at + 4);
}

/** Writes a safe integer; doubles at or beyond ±2^63 stand for Java's Long.MAX_VALUE and Long.MIN_VALUE. Throws RangeError for the rest. */
export function writeInt64(view: DataView, at: number, value: number): void {
  if (Number.isSafeInteger(value)) {
    const high = Math.floor(value / two32);
    view.setInt32(at, high);
    view.setUint32(at + 4, value - high * two32);
  } else if (value >= 2 ** 63) {
    view.setUint32(at, 0x7fff_ffff);
    view.setUint32(at + 4, 0xffff_ffff);
  } else if (value <= -(2 ** 63)) {
    view.setUint32(at, 0x8000_0000);
    view.setUint32(at + 4, 0);
  } else throw new RangeError(`${value} is no int64 that a number holds exactly`);
}
