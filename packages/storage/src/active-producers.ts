import { lastOffsetOf, lastSequenceOf } from './producer-entry.ts';
import type { ProducerStates } from './producer-states.ts';

/** As DescribeProducers shows it. */
export type ActiveProducer = {
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly lastSequence: number;
  readonly lastTimestamp: number;
  readonly coordinatorEpoch: number;
  /** -1 without an open transaction. */
  readonly currentTransactionFirstOffset: number;
};

export function activeProducersOf(producers: ProducerStates): ActiveProducer[] {
  return Array.from(producers.entries.values(), (entry) => ({
    producerId: entry.producerId,
    producerEpoch: entry.producerEpoch,
    lastSequence: lastSequenceOf(entry),
    lastTimestamp: entry.lastTimestamp,
    coordinatorEpoch: entry.coordinatorEpoch,
    currentTransactionFirstOffset: entry.transactionFirstOffset,
  }));
}

/** `lastDataOffset` -1: only markers are known of it. */
export type LastRecordOfProducer = { readonly lastDataOffset: number; readonly producerEpoch: number };

/** By producer id. */
export function lastRecordsOf(producers: ProducerStates): Map<number, LastRecordOfProducer> {
  const records = new Map<number, LastRecordOfProducer>();
  for (const [producerId, entry] of producers.entries)
    records.set(producerId, { lastDataOffset: lastOffsetOf(entry), producerEpoch: entry.producerEpoch });
  return records;
}
