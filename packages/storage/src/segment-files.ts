/**
 * Names inside a partition's directory: `<base offset, 20 digits><suffix>`, with `.deleted`, `.cleaned` or `.swap` appended while
 * the file is on its way out, being made by the cleaner, or being swapped in.
 */

export type SegmentSuffix = '.log' | '.index' | '.timeindex' | '.txnindex' | '.snapshot';

export const segmentSuffixes: readonly SegmentSuffix[] = ['.log', '.index', '.timeindex', '.txnindex', '.snapshot'];

export const deletedSuffix = '.deleted';
export const cleanedSuffix = '.cleaned';
export const swapSuffix = '.swap';

export function segmentFileName(offset: number, suffix: SegmentSuffix): string {
  return offset.toString().padStart(20, '0') + suffix;
}

/** Undefined for a name that is not exactly an offset and a suffix. */
export function parseSegmentFileName(name: string): { offset: number; suffix: SegmentSuffix } | undefined {
  const match = /^(\d{20})(\.[a-z]+)$/.exec(name);
  const suffix = segmentSuffixes.find((candidate) => candidate === match?.[2]);
  const offset = Number(match?.[1]);
  return suffix && Number.isSafeInteger(offset) ? { offset, suffix } : undefined;
}
