/** Record batches as producers send them, and as no producer should. */

import type { RecordToWrite } from '@ottla/protocol';
import { type BatchOptions, buildBatch, buildLegacyMessageSet, crc32c } from '@ottla/protocol';

/** Long ago, and the same in every run. */
export const someTime = 1_600_000_000_000;

export function records(...values: readonly string[]): RecordToWrite[] {
  return values.map((value, index) => ({
    key: Buffer.from(`k${index}`),
    value: Buffer.from(value),
    timestamp: someTime + index,
  }));
}

export function batch(values: readonly string[], options: BatchOptions = {}): Buffer {
  return Buffer.from(buildBatch({ records: records(...values), ...options }));
}

/** A copy with some bytes changed, and a crc that fits them. */
export function altered(bytes: Buffer, alter: (bytes: Buffer) => void): Buffer {
  const copy = Buffer.from(bytes);
  alter(copy);
  copy.writeUInt32BE(crc32c(copy.subarray(21)) >>> 0, 17);
  return copy;
}

/** A copy with some bytes changed, crc and all left as they are. */
export function broken(bytes: Buffer, alter: (bytes: Buffer) => void): Buffer {
  const copy = Buffer.from(bytes);
  alter(copy);
  return copy;
}

export { buildBatch, buildLegacyMessageSet };
