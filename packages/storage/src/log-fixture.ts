/** For tests of this package: logs on files in memory, and batches to fill them with. */
import { type BatchOptions, batchesOf, buildBatch, buildControlBatch } from '@ottla/protocol';
import { type Files, MemoryFiles, type Runtime, SeededRandom, silentLogger } from '@ottla/runtime';
import { Log } from './log.ts';
import { defaultLogConfig, type LogConfig } from './log-config.ts';
import type { LogOptions } from './log-opening.ts';

export const startMs = Date.UTC(2026, 0, 1);

export type TestRuntime = Pick<Runtime, 'clock' | 'random' | 'logger' | 'timers'> & {
  readonly files: MemoryFiles;
  nowMs: number;
};

export function testRuntime(files = new MemoryFiles()): TestRuntime {
  const runtime = {
    files,
    nowMs: startMs,
    clock: { nowMs: () => runtime.nowMs, monotonicMs: () => runtime.nowMs },
    random: new SeededRandom(1),
    logger: silentLogger,
    timers: { soon: (callback: () => void) => void Promise.resolve().then(callback), after: () => ({ cancel() {} }) },
  };
  return runtime;
}

export function openLog(
  runtime: LogOptions['runtime'],
  { config, ...options }: Omit<Partial<LogOptions>, 'config'> & { config?: Partial<LogConfig> } = {},
): Log {
  return Log.open({
    directory: '/data/t-0',
    topic: 't',
    partition: 0,
    runtime,
    cleanShutdown: true,
    ...options,
    config: { ...defaultLogConfig, ...config },
  });
}

/** A batch as a producer sends it, one record per value. */
export function batchOf(
  values: readonly string[],
  options: BatchOptions & { timestamp?: number; key?: string | null } = {},
): Uint8Array {
  const { timestamp = startMs, key = 'key', ...batchOptions } = options;
  const encoder = new TextEncoder();
  return buildBatch({
    ...batchOptions,
    records: values.map((value) => ({ timestamp, key: key === null ? null : encoder.encode(key), value: encoder.encode(value) })),
  });
}

export function endTransaction(
  type: 'commit' | 'abort',
  { producerId, producerEpoch, coordinatorEpoch = 0 }: { producerId: number; producerEpoch: number; coordinatorEpoch?: number },
): Uint8Array {
  return buildControlBatch({
    records: [{ type, coordinatorEpoch }],
    timestamp: startMs,
    producerId,
    producerEpoch,
    isTransactional: true,
  });
}

export function append(log: Log, records: Uint8Array, leaderEpoch = 0) {
  return log.append(records, { leaderEpoch, origin: 'client' });
}

/** Every value that a reader gets from `startOffset` on, with its offset. */
export function valuesIn(
  log: Log,
  { startOffset = log.logStartOffset, endOffset = log.logEndOffset, maxBytes = 1 << 20 } = {},
): [number, string][] {
  const values: [number, string][] = [];
  for (let offset = startOffset; offset < endOffset; ) {
    const { records } = log.read({ startOffset: offset, endOffset, maxBytes, minOneBatch: true });
    let next = offset;
    for (const batch of batchesOf(records)) {
      for (const record of batch.records()) {
        if (record.offset >= offset) values.push([record.offset, new TextDecoder().decode(record.value ?? new Uint8Array())]);
      }
      next = batch.nextOffset;
    }
    if (next === offset) break;
    offset = next;
  }
  return values;
}

/** Overwrites bytes of a file, as a fault of the disk would. */
export function damage(files: Files, path: string, position: number, bytes: readonly number[]): void {
  const file = files.open(path, 'update');
  file.write(Uint8Array.from(bytes), position);
  file.close();
}

export function flipBit(files: Files, path: string, bit: number): void {
  const position = bit >>> 3;
  const byte = files.readFile(path)[position]!;
  damage(files, path, position, [byte ^ (1 << (bit & 7))]);
}
