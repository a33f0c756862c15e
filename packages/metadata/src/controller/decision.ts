/** What the controller's methods take beside their request, and what they give. */

import { KafkaError, type MetadataRecord, type Uuid, uuidFromBytes } from '@ottla/protocol';
import { isReservedDirectory } from '../image/directory-ids.ts';

/** The records to commit as one atomic batch, unless they are divisible, and the answer once they are. Nothing has changed yet. */
export interface Decision<Response> {
  readonly records: MetadataRecord[];
  readonly response: Response;
  /**
   * Each record is true without those behind it, and whoever finds only the first of them committed is led to the others by what caused them:
   * they may go into several batches. So for what follows one broker, which may be records for each of very many partitions.
   */
  readonly isDivisible?: boolean;
  /** Not all of it: when these records were written the same is to be asked again, and the answer is the last one's. */
  readonly isPartial?: boolean;
  /** The answer to a part is true as well, and whoever gets it asks again: nobody needs to wait for all. */
  readonly isAnswerOfPart?: boolean;
}

export interface RandomSource {
  /** A whole number in [0, bound). */
  below(bound: number): number;
  bytes(length: number): Uint8Array;
}

export interface DecisionContext {
  readonly nowMs: number;
  readonly random: RandomSource;
  /** The offset that the first record of this decision will have in the metadata log: becomes the epoch of a broker that registers. */
  readonly nextOffset: number;
  /** Of the request, where the answer depends on it; the latest when absent. */
  readonly apiVersion?: number | undefined;
  /** Who asks, as `User:name`, where it matters; anonymous when absent. */
  readonly principal?: string | undefined;
}

/** The outcome of one of several things asked for in one request. */
export interface ItemError {
  readonly errorCode: number;
  readonly errorMessage: string | null;
}

export const success: ItemError = { errorCode: 0, errorMessage: null };

/** Answers a protocol error for this item alone; anything else is a bug, and goes on up. */
export function itemError(error: unknown): ItemError {
  if (error instanceof KafkaError) return { errorCode: error.code, errorMessage: error.message };
  throw error;
}

/** More records than this in one answer would hold up the log: @throws POLICY_VIOLATION. */
export function assertWithinLimit(records: readonly unknown[], limit: number): void {
  if (records.length > limit) throw new KafkaError('POLICY_VIOLATION', 'Unable to perform excessively large batch operation.');
}

/** A random (version 4) uuid that is not reserved, nor looks like an option on a command line. */
export function randomUuid(random: RandomSource): Uuid {
  for (;;) {
    const bytes = Uint8Array.from(random.bytes(16));
    bytes[6] = (bytes[6]! & 0x0f) | 0x40;
    bytes[8] = (bytes[8]! & 0x3f) | 0x80;
    const id = uuidFromBytes(bytes);
    if (!id.startsWith('-') && !isReservedDirectory(id)) return id;
  }
}
