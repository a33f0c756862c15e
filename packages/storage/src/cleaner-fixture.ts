/** For tests of the cleaner: records with keys, rounds run at once, and what is left afterwards. */
import { type BatchOptions, batchesOf, buildBatch } from '@ottla/protocol';
import { dirtOf } from './clean-plan.ts';
import type { Log } from './log.ts';
import { LogCleaning } from './log-cleaning.ts';
import { append, startMs, type TestRuntime } from './log-fixture.ts';

export type Keyed = readonly [key: string | null, value: string | null];

const bytes = (text: string | null): Uint8Array | null => (text === null ? null : new TextEncoder().encode(text));
const text = (value: Uint8Array | null): string | null => (value === null ? null : new TextDecoder().decode(value));

export function keyedBatch(records: readonly Keyed[], options: BatchOptions & { timestamp?: number } = {}): Uint8Array {
  const { timestamp = startMs, ...batchOptions } = options;
  return buildBatch({
    ...batchOptions,
    records: records.map(([key, value]) => ({ timestamp, key: bytes(key), value: bytes(value) })),
  });
}

export function appendKeyed(log: Log, records: readonly Keyed[], options: BatchOptions & { timestamp?: number } = {}) {
  const { config } = log;
  // Without a key they come from a time when the topic was not compacted.
  if (records.some(([key]) => key === null)) log.updateConfig({ ...config, cleanupPolicy: ['delete'] });
  try {
    return append(log, keyedBatch(records, options));
  } finally {
    log.updateConfig(config);
  }
}

export type Survivor = readonly [offset: number, key: string | null, value: string | null];

/** Every record from the log's start to its end, markers left out. */
export function survivorsIn(log: Log): Survivor[] {
  return batchesIn(log)
    .filter((batch) => !batch.isControl)
    .flatMap((batch) => batch.records.map(({ offset, key, value }): Survivor => [offset, text(key), text(value)]))
    .filter(([offset]) => offset >= log.logStartOffset);
}

/** What a reader meets, batch by batch. */
export function batchesIn(log: Log) {
  const found = [];
  for (let offset = log.logStartOffset; offset < log.logEndOffset; ) {
    const { records } = log.read({ startOffset: offset, endOffset: log.logEndOffset, maxBytes: 1 << 20, minOneBatch: true });
    let next = offset;
    for (const batch of batchesOf(records)) {
      batch.ensureCrc();
      const { baseOffset, lastOffset, isControl, deleteHorizonMs, codec, producerId, lastSequence, leaderEpoch } = batch;
      found.push({
        ...{ baseOffset, lastOffset, isControl, deleteHorizonMs, codec, producerId, lastSequence, leaderEpoch },
        records: [...batch.records()],
      });
      next = batch.nextOffset;
    }
    if (next === offset) break;
    offset = next;
  }
  return found;
}

export type RoundOptions = { readonly dedupeBufferBytes?: number };

export function cleaningOf(log: Log, runtime: TestRuntime, { dedupeBufferBytes = 1 << 20 }: RoundOptions = {}): LogCleaning {
  return new LogCleaning(log, dirtOf(log, runtime.nowMs), {
    ...runtime,
    dedupeBufferBytes,
    loadFactor: 0.9,
    ioBufferBytes: 512 * 1024,
  });
}

/** A whole round at once, dirty enough or not. */
export function clean(log: Log, runtime: TestRuntime, options?: RoundOptions) {
  const steps = cleaningOf(log, runtime, options).run();
  for (;;) {
    const step = steps.next();
    if (step.done) {
      log.firstDirtyOffset = step.value.endOffset;
      return step.value;
    }
    step.value.flush?.flush();
  }
}
