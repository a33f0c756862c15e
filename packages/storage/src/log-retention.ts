import type { LogConfig } from './log-config.ts';
import type { Segment } from './segment.ts';

export type RetentionLimits = {
  readonly config: LogConfig;
  readonly logStartOffset: number;
  readonly logEndOffset: number;
  /** A segment that is not below it whole is kept. */
  readonly highWatermark: number;
  readonly nowMs: number;
};

export type RetentionReason = 'logStartOffset' | 'size' | 'time';

export type Expired = { readonly segments: readonly Segment[]; readonly reason: RetentionReason };

/** Why segments go, in the order the reasons are asked for; each looks at what the ones before it left. */
export function retentionReasons(config: LogConfig): RetentionReason[] {
  return config.cleanupPolicy.includes('delete') ? ['logStartOffset', 'size', 'time'] : ['logStartOffset'];
}

/** The segments at the beginning of the log that may go for this reason. May be all of them. */
export function expiredSegments(
  segments: readonly Segment[],
  reason: RetentionReason,
  limits: RetentionLimits,
): readonly Segment[] {
  const isExpired = expiryTest(segments, reason, limits);
  let count = 0;
  for (; count < segments.length; count++) {
    const segment = segments[count]!;
    const next = segments[count + 1];
    if (next === undefined && segment.sizeBytes === 0) break;
    if (limits.highWatermark < (next?.baseOffset ?? limits.logEndOffset)) break;
    if (!isExpired(segment, next)) break;
  }
  return segments.slice(0, count);
}

type ExpiryTest = (segment: Segment, next: Segment | undefined) => boolean;

function expiryTest(segments: readonly Segment[], reason: RetentionReason, limits: RetentionLimits): ExpiryTest {
  const { config, logStartOffset, nowMs } = limits;
  switch (reason) {
    case 'logStartOffset':
      return (_segment, next) => next !== undefined && next.baseOffset <= logStartOffset;
    case 'size': {
      if (config.retentionBytes < 0) return () => false;
      let surplus = segments.reduce((total, segment) => total + segment.sizeBytes, 0) - config.retentionBytes;
      return (segment) => {
        if (surplus < segment.sizeBytes) return false;
        surplus -= segment.sizeBytes;
        return true;
      };
    }
    case 'time':
      return (segment) => config.retentionMs >= 0 && nowMs - segment.largestTimestamp > config.retentionMs;
  }
}
