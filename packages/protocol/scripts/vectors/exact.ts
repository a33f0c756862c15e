/**
 * A Reader and a Writer for which no int64 is too large: what a number cannot hold exactly is a bigint here. The codecs
 * pass it through untouched, so a vector with Long.MAX_VALUE - 1 comes out as it went in.
 */
import { Reader, Writer } from '../../src/index.ts';

export class ExactReader extends Reader {
  override int64(): number {
    return asInt64(super.bits64());
  }

  override varlong(): number {
    const value = this.uvarlong();
    return asInt64(BigInt.asIntN(64, (value >> 1n) ^ -(value & 1n)));
  }

  uvarlong(): bigint {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const next = this.uint8();
      value |= BigInt(next & 0x7f) << shift;
      if (next < 0x80) return BigInt.asUintN(64, value);
    }
    throw new Error('longer than ten bytes');
  }
}

export class ExactWriter extends Writer {
  override int64(value: number | bigint): void {
    if (typeof value === 'bigint') super.bits64(value);
    else super.int64(value);
  }

  override bits64(value: number | bigint): void {
    super.bits64(BigInt(value));
  }

  override varlong(value: number | bigint): void {
    const exact = BigInt(value);
    this.uvarlong(BigInt.asUintN(64, (exact << 1n) ^ (exact >> 63n)));
  }

  uvarlong(value: bigint): void {
    let rest = value;
    for (; rest >= 0x80n; rest >>= 7n) this.uint8(Number(rest & 0x7fn) | 0x80);
    this.uint8(Number(rest));
  }
}

/** Parses JSON whose integers may be beyond 2^53: those become bigints. */
export function parseExactly(line: string): unknown {
  const reviver = (_key: string, value: unknown, context?: { source?: string }): unknown =>
    typeof value === 'number' && /^-?\d+$/.test(context?.source ?? '') && !Number.isSafeInteger(value)
      ? BigInt(context!.source!)
      : value;
  return JSON.parse(line, reviver);
}

/** A number where that is exact, else the bigint behind the number's type. */
function asInt64(value: bigint): number {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : (value as unknown as number);
}
