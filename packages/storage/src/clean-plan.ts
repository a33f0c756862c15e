import type { LogConfig } from './log-config.ts';

/** What planning needs to know of a segment. */
export type PlannedSegment = {
  readonly baseOffset: number;
  readonly sizeBytes: number;
  readonly largestTimestamp: number;
  /** -1: none. */
  readonly firstTimestamp: number;
};

/** What planning needs to know of a log. The last segment is the active one. */
export type PlannedLog = {
  readonly config: LogConfig;
  readonly cleanerSegments: readonly PlannedSegment[];
  readonly logStartOffset: number;
  readonly logEndOffset: number;
  readonly lastStableOffset: number;
  /** Undefined: never cleaned. */
  readonly firstDirtyOffset: number | undefined;
};

export type Dirt = {
  /** Everything below was cleaned before. */
  readonly firstDirtyOffset: number;
  /** Exclusive, and a segment's base: nothing from here on may be cleaned yet. */
  readonly upperBoundOffset: number;
  readonly dirtyBytes: number;
  readonly dirtyRatio: number;
  /** max.compaction.lag.ms has passed. */
  readonly isOverdue: boolean;
};

/** The log to clean now: the dirtiest of those that are dirty enough or have waited long enough. */
export function dirtiest<L extends PlannedLog>(logs: Iterable<L>, nowMs: number): { log: L; dirt: Dirt } | undefined {
  let found: { log: L; dirt: Dirt } | undefined;
  for (const log of logs) {
    if (!log.config.cleanupPolicy.includes('compact')) continue;
    const dirt = dirtOf(log, nowMs);
    const isDue = dirt.dirtyRatio > log.config.minCleanableDirtyRatio || (dirt.isOverdue && dirt.dirtyBytes > 0);
    if (isDue && dirt.dirtyRatio > (found?.dirt.dirtyRatio ?? -1)) found = { log, dirt };
  }
  return found;
}

export function dirtOf(log: PlannedLog, nowMs: number): Dirt {
  const { cleanerSegments: segments, config } = log;
  const firstDirtyOffset = firstDirtyOffsetOf(log);
  const dirtyFrom = Math.max(0, indexHolding(segments, firstDirtyOffset));
  const inactive = segments.slice(0, -1);
  const dirty = inactive.slice(dirtyFrom);
  const notBefore = Math.max(firstDirtyOffset, firstUncleanableOffset(log, dirty, nowMs));
  // Whole segments only.
  const upperBoundOffset = segments[Math.max(0, indexHolding(segments, notBefore))]!.baseOffset;

  const cleanBytes = sizeOf(segments.filter(({ baseOffset }) => baseOffset < firstDirtyOffset));
  const dirtyBytes = sizeOf(dirty.filter(({ baseOffset }) => baseOffset < upperBoundOffset));
  const dirtyRatio = dirtyBytes === 0 ? 0 : dirtyBytes / (cleanBytes + dirtyBytes);
  return { firstDirtyOffset, upperBoundOffset, dirtyBytes, dirtyRatio, isOverdue: isOverdue(dirty, config, nowMs) };
}

/** A checkpoint that the log no longer reaches, on either side, is worth nothing. */
function firstDirtyOffsetOf({ firstDirtyOffset, logStartOffset, logEndOffset }: PlannedLog): number {
  if (firstDirtyOffset === undefined) return logStartOffset;
  return firstDirtyOffset < logStartOffset || firstDirtyOffset > logEndOffset ? logStartOffset : firstDirtyOffset;
}

function firstUncleanableOffset(log: PlannedLog, dirty: readonly PlannedSegment[], nowMs: number): number {
  const { minCompactionLagMs } = log.config;
  const tooYoung =
    minCompactionLagMs > 0 ? dirty.find(({ largestTimestamp }) => largestTimestamp > nowMs - minCompactionLagMs) : undefined;
  const activeBaseOffset = log.cleanerSegments.at(-1)!.baseOffset;
  return Math.min(log.lastStableOffset, activeBaseOffset, tooYoung?.baseOffset ?? activeBaseOffset);
}

function isOverdue(dirty: readonly PlannedSegment[], { maxCompactionLagMs }: LogConfig, nowMs: number): boolean {
  const dueMs = nowMs - maxCompactionLagMs;
  return dueMs > 0 && dirty.some(({ firstTimestamp }) => firstTimestamp > 0 && firstTimestamp < dueMs);
}

/** -1 when all begin behind it. */
function indexHolding(segments: readonly PlannedSegment[], offset: number): number {
  return segments.findLastIndex(({ baseOffset }) => baseOffset <= offset);
}

function sizeOf(segments: readonly PlannedSegment[]): number {
  return segments.reduce((total, { sizeBytes }) => total + sizeBytes, 0);
}

export type GroupedSegment = { readonly baseOffset: number; readonly sizeBytes: number; readonly indexBytes: number };

export type GroupLimits = {
  readonly segmentBytes: number;
  readonly segmentIndexBytes: number;
  /** Where the last segment's offsets end. */
  readonly endOffset: number;
};

const maxRelativeOffset = 0x7fff_ffff;

/** Neighbours that fit into one segment, even if nothing of them goes. */
export function groupSegments<S extends GroupedSegment>(segments: readonly S[], limits: GroupLimits): S[][] {
  const groups: S[][] = [];
  let group: S[] = [];
  let sizeBytes = 0;
  let indexBytes = 0;
  segments.forEach((segment, index) => {
    const lastOffset = (segments[index + 1]?.baseOffset ?? limits.endOffset) - 1;
    const fits =
      group.length > 0 &&
      sizeBytes + segment.sizeBytes <= limits.segmentBytes &&
      indexBytes + segment.indexBytes <= limits.segmentIndexBytes &&
      (segment.sizeBytes === 0 || lastOffset - group[0]!.baseOffset <= maxRelativeOffset);
    if (!fits) {
      groups.push((group = []));
      sizeBytes = indexBytes = 0;
    }
    group.push(segment);
    sizeBytes += segment.sizeBytes;
    indexBytes += segment.indexBytes;
  });
  return groups;
}
