export type WalkRules = {
  readonly count: number;
  /** Timestamp deltas below or above are out of the ordinary; inclusive. Integers of 32 bits are enough: four bytes hold 37 hours. */
  readonly smallestDelta: number;
  readonly largestDelta: number;
  /** A record without a key is out of the ordinary. */
  readonly requireKeys: boolean;
};

/** Where the last number of `wideVarint` ended. */
let wideEnd = 0;

/**
 * The shortest way through the records of a batch of magic 2 that is not compressed: they lie in `bytes` from `start` to its end.
 * Returns the largest timestamp delta, or undefined for anything out of the ordinary (a structure that does not come out even, a time or a
 * key that breaks the rules, times days apart), about which `inspectRecords` then knows more. Every byte of structure is looked at.
 */
export function walkRecords(bytes: Uint8Array, start: number, rules: WalkRules): number | undefined {
  const { count, smallestDelta, largestDelta, requireKeys } = rules;
  const total = bytes.length;
  let greatest = -0x8000_0000;
  let at = start;
  // What lies behind the bytes reads as undefined, which no comparison below takes for a small number.
  for (let index = 0; index < count; index++) {
    let number = bytes[at]!;
    if (number < 128) at++;
    else if ((number = wideVarint(bytes, at)) >= 0) at = wideEnd;
    else return undefined;
    const end = at + (number >>> 1);
    if ((number & 1) !== 0 || !(end <= total)) return undefined;

    number = bytes[++at]!; // behind the attributes
    if (number < 128) at++;
    else if ((number = wideVarint(bytes, at)) >= 0) at = wideEnd;
    else return undefined;
    const delta = (number >>> 1) ^ -(number & 1);
    if (delta > greatest) greatest = delta;
    if (delta < smallestDelta || delta > largestDelta) return undefined;

    number = bytes[at]!; // the offset delta, which anybody may have set
    if (number < 128) at++;
    else if (wideVarint(bytes, at) >= 0) at = wideEnd;
    else return undefined;

    number = bytes[at]!;
    if (number < 128) at++;
    else if ((number = wideVarint(bytes, at)) >= 0) at = wideEnd;
    else return undefined;
    if ((number & 1) === 0) at += number >>> 1;
    else if (requireKeys || number !== 1) return undefined;

    number = bytes[at]!;
    if (number < 128) at++;
    else if ((number = wideVarint(bytes, at)) >= 0) at = wideEnd;
    else return undefined;
    if ((number & 1) === 0) at += number >>> 1;
    else if (number !== 1) return undefined;

    number = bytes[at]!;
    if (number === 0) at++;
    else if ((at = endOfHeaders(bytes, at)) < 0) return undefined;
    if (at !== end) return undefined;
  }
  return at === total && count > 0 ? greatest : undefined;
}

/** The same for the count of headers at `at` and the headers behind it; -1 when they are out of the ordinary. */
function endOfHeaders(bytes: Uint8Array, at: number): number {
  const count = wideVarint(bytes, at);
  if (count < 0 || (count & 1) !== 0) return -1;
  let end = wideEnd;
  for (let left = count >>> 1; left > 0; left--) {
    const key = wideVarint(bytes, end);
    if (key < 0 || (key & 1) !== 0) return -1;
    const value = wideVarint(bytes, wideEnd + (key >>> 1));
    if (value < 0 || ((value & 1) !== 0 && value !== 1)) return -1;
    end = (value & 1) === 0 ? wideEnd + (value >>> 1) : wideEnd;
  }
  return end;
}

/** A varint before its zigzag is undone, of up to four bytes; -1 for a longer one, or the end of the bytes. Sets `wideEnd`. */
function wideVarint(bytes: Uint8Array, start: number): number {
  let value = 0;
  for (let at = start, shift = 0; shift < 28 && at < bytes.length; at++, shift += 7) {
    const byte = bytes[at]!;
    value |= (byte & 127) << shift;
    if (byte < 128) {
      wideEnd = at + 1;
      return value;
    }
  }
  return -1;
}
