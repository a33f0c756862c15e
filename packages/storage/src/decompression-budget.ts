import { defaultMaxDecompressedBytes } from '@ottla/protocol';

const MiB = 1024 * 1024;
const alwaysAllowedBytes = 16 * MiB;
const maxRatio = 64;

/**
 * What one produced batch may decompress to. Kafka has no limit, but opens batches on threads of their own; here everybody
 * waits. Text compresses 5 to 20 times, and 16 MiB is what a producer of Kafka's defaults (batch.size 16 KiB) reaches at
 * 1000 times; the upper end is what readers open.
 */
export function maxDecompressedBytes(batchBytes: number): number {
  return Math.min(Math.max(alwaysAllowedBytes, maxRatio * batchBytes), defaultMaxDecompressedBytes);
}

/** What all batches of one request may still decompress to; appends count it down. */
export type DecompressionBudget = { bytesLeft: number };

/** A request may hold thousands of batches: together they get as much as four small bombs, or the ratio that one batch has. */
export function decompressionBudget(requestBytes: number): DecompressionBudget {
  return { bytesLeft: Math.max(4 * alwaysAllowedBytes, maxRatio * requestBytes) };
}
