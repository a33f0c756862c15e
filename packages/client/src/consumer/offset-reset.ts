import { KafkaError } from '@ottla/protocol';
import type { OffsetSpec } from '../admin/offsets.ts';

const duration = /^P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?$/;

/** What `autoOffsetReset` asks for; undefined for 'none'. Durations count back from now (KIP-1106). Throws INVALID_CONFIG. */
export function parseOffsetReset(policy: string): ((nowMs: number) => OffsetSpec) | undefined {
  if (policy === 'none') return undefined;
  if (policy === 'latest' || policy === 'earliest') return () => policy;
  const match = policy.startsWith('by_duration:') ? duration.exec(policy.slice('by_duration:'.length)) : null;
  if (!match || match.slice(1).every((part) => part === undefined)) {
    throw new KafkaError(
      'INVALID_CONFIG',
      `autoOffsetReset is latest, earliest, none or by_duration:PnDTnHnMnS, not "${policy}"`,
    );
  }
  const [days = 0, hours = 0, minutes = 0, seconds = 0] = match.slice(1).map((part) => Number(part ?? 0));
  const agoMs = Math.round((((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 1000);
  return (nowMs) => ({ timestamp: nowMs - agoMs });
}
