/**
 * Names inside a partition's directory: `<base offset, 20 digits><suffix>`, with `.deleted`, `.cleaned` or `.swap` appended while
 * the file is on its way out, being made by the cleaner, or being swapped in.
 */
import { type Files, IoError } from '@ottla/runtime';

export type SegmentSuffix = '.log' | '.index' | '.timeindex' | '.txnindex' | '.snapshot';

export const segmentSuffixes: readonly SegmentSuffix[] = ['.log', '.index', '.timeindex', '.txnindex', '.snapshot'];

export const deletedSuffix = '.deleted';
export const cleanedSuffix = '.cleaned';
export const swapSuffix = '.swap';

/** From a segment's base offset: its indexes keep offsets in 31 bits. */
export const maxRelativeOffset = 0x7fff_ffff;

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

/** Of a segment that could not be made, as far as the disk lets it. */
export function removeSegmentFiles(files: Files, directory: string, baseOffset: number): void {
  for (const suffix of ['.log', '.index', '.timeindex'] as const) {
    try {
      files.remove(`${directory}/${segmentFileName(baseOffset, suffix)}`);
    } catch (error) {
      if (!(error instanceof IoError)) throw error;
    }
  }
}
