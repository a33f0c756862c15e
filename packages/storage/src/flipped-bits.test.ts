import assert from 'node:assert/strict';
import { test } from 'node:test';
import { batchesOf } from '@ottla/protocol';
import { IoError, type LogFields, MemoryFiles } from '@ottla/runtime';
import { cleanShutdownName } from './clean-shutdown.ts';
import { CorruptFileError } from './corrupt-file-error.ts';
import type { Log } from './log.ts';
import { defaultLogConfig } from './log-config.ts';
import { append, batchOf, endTransaction, flipBit, startMs, testRuntime } from './log-fixture.ts';
import { LogManager } from './log-manager.ts';
import { writeMetaProperties } from './meta-properties.ts';

const owner = { clusterId: 'c', nodeId: 1 };
const topicId = 'czgjCwTYRjeP-FpebEOouQ';
const config = { ...defaultLogConfig, segmentBytes: 2000, indexIntervalBytes: 300, segmentIndexBytes: 1200, retentionMs: -1 };

type Files = ReadonlyMap<string, Uint8Array>;

/** Everything a directory can hold: several segments, aborted transactions, epochs, producers, and all checkpoints. */
async function filledDirectory(death: 'clean stop' | 'crash'): Promise<Files> {
  const runtime = testRuntime();
  runtime.files.makeDirectory('/a');
  writeMetaProperties(runtime.files, '/a', { ...owner, directoryId: 'AQAAAAAAAAAAAAAAAAAAAQ' }, startMs);
  const manager = await LogManager.open({ directories: ['/a'], ...owner, runtime, configOf: () => config });
  const log = manager.create('t', 0, { topicId });
  const producer = { producerId: 7, producerEpoch: 2 };
  for (let index = 0; index < 30; index++) {
    runtime.nowMs += 10;
    const isTransactional = index % 10 > 5;
    const baseSequence = isTransactional
      ? Math.floor(index / 10) * 8 + ((index % 10) - 6) * 2
      : Math.floor(index / 10) * 12 + (index % 10) * 2;
    const of = isTransactional ? { ...producer, isTransactional } : { producerId: 8, producerEpoch: 0 };
    const batch = batchOf([`a${index}`.padEnd(120, '.'), `b${index}`], { ...of, baseSequence, timestamp: runtime.nowMs });
    append(log, batch, Math.floor(index / 12));
    const marker = () => endTransaction(index < 25 ? 'abort' : 'commit', producer);
    if (index % 10 === 9) log.append(marker(), { leaderEpoch: Math.floor(index / 12), origin: 'coordinator' });
    if (index === 12) log.flush();
  }
  log.onHighWatermark(log.logEndOffset);
  log.advanceLogStartOffset(3);
  log.firstDirtyOffset = 5;
  manager.close({ brokerEpoch: 4 });
  if (death === 'crash') {
    runtime.files.remove(`/a/${cleanShutdownName}`);
    runtime.files.writeFileDurably('/a/recovery-point-offset-checkpoint', '0\n1\nt 0 25\n');
  }
  return contentsOf(runtime.files);
}

function contentsOf(files: MemoryFiles): Files {
  const contents = new Map<string, Uint8Array>();
  for (const directory of ['/a', '/a/t-0']) {
    for (const name of files.list(directory)) {
      const path = `${directory}/${name}`;
      if (!files.stat(path)!.isDirectory && name !== '.lock') contents.set(path, files.readFile(path));
    }
  }
  return contents;
}

function restored(contents: Files): MemoryFiles {
  const files = new MemoryFiles();
  files.makeDirectory('/a/t-0');
  for (const [path, content] of contents) {
    const file = files.open(path, 'truncate');
    file.write(content, 0);
    file.close();
  }
  return files;
}

type Served = {
  /** What a consumer that checks crcs gets, and where it is told that something is wrong. */
  readonly records: Map<number, string>;
  readonly failures: number;
  readonly end: number;
  readonly start: number;
  readonly state: string;
};

/** Reads as a consumer does: a batch that fails its crc is an error, and it goes on behind it. */
function serve(log: Log): Served {
  const records = new Map<number, string>();
  let failures = 0;
  for (let offset = log.logStartOffset; offset < log.logEndOffset; ) {
    let next = offset;
    try {
      const read = log.read({ startOffset: offset, endOffset: log.logEndOffset, maxBytes: 1, minOneBatch: true });
      for (const batch of batchesOf(read.records)) {
        if (!batch.isCrcValid()) {
          failures++;
          break;
        }
        if (!batch.isControl)
          for (const record of batch.records()) records.set(record.offset, Buffer.from(record.value ?? []).toString());
        next = Math.max(next, batch.nextOffset);
      }
    } catch (error) {
      assert.ok(isTold(error), String(error));
      failures++;
    }
    offset = Math.max(next, offset + 1);
  }
  return { records, failures, end: log.logEndOffset, start: log.logStartOffset, state: stateOf(log) };
}

/** Everything else that is answered from the files. */
function stateOf(log: Log): string {
  try {
    const times = Array.from({ length: 32 }, (_, index) => log.offsetForTimestamp(startMs + index * 10)?.offset);
    return JSON.stringify([
      times,
      log.offsetOfMaxTimestamp(),
      log.epochs,
      log.activeProducers().sort((left, right) => left.producerId - right.producerId),
      log.abortedTransactions(log.logStartOffset, log.logEndOffset),
    ]);
  } catch (error) {
    assert.ok(isTold(error), (error as Error).stack);
    return String(error);
  }
}

const isTold = (error: unknown): boolean =>
  error instanceof CorruptFileError || error instanceof IoError || /CORRUPT_MESSAGE|INVALID_RECORD/.test((error as Error).name);

type Outcome = 'no effect' | 'repaired' | 'refused' | 'told to readers' | 'not seen';

async function flip(contents: Files, path: string, bit: number, whole: Served): Promise<{ outcome: Outcome; detail: string }> {
  const files = restored(contents);
  flipBit(files, path, bit);
  const said: string[] = [];
  const say = (message: string, fields?: LogFields): void => void said.push(`${message} ${JSON.stringify(fields ?? {})}`);
  const runtime = testRuntime(files);
  runtime.nowMs += 1000;
  const logger = { ...runtime.logger, warn: say, error: say };
  let manager: LogManager;
  try {
    manager = await LogManager.open({ directories: ['/a'], ...owner, runtime: { ...runtime, logger }, configOf: () => config });
  } catch (error) {
    assert.ok(error instanceof Error, String(error));
    assert.ok(error.message.includes(path) || /belongs to|INCONSISTENT/.test(`${error.name} ${error.message}`), error.stack);
    return { outcome: 'refused', detail: error.message };
  }
  const log = manager.get('t', 0);
  assert.ok(log, 'the partition is there');
  const served = serve(log);
  const name = path.slice(path.lastIndexOf('/') + 1);
  const isNamed = said.some((line) => line.includes(name));
  const foreign = [...served.records].filter(([offset, value]) => offset >= served.start && value !== whole.records.get(offset));
  const missing = [...whole.records.keys()].filter((offset) => offset >= served.start && !served.records.has(offset));
  const isPrefix = missing.every((offset) => offset >= served.end);
  const isSame = missing.length === 0 && served.start === whole.start && served.end === whole.end && served.state === whole.state;
  if (foreign.length > 0) return { outcome: 'not seen', detail: `foreign ${foreign[0]}` };
  if (isSame) return { outcome: isNamed ? 'repaired' : 'no effect', detail: said.join('; ') };
  if (served.failures > 0 || served.state.startsWith('CORRUPT')) return { outcome: 'told to readers', detail: said.join('; ') };
  if (isNamed && isPrefix) return { outcome: 'repaired', detail: said.join('; ') };
  return { outcome: 'not seen', detail: `missing ${missing}; ${served.start}-${served.end}; ${served.state} ${whole.state}` };
}

async function outcomesOf(death: 'clean stop' | 'crash', wanted: (path: string) => boolean, step: number) {
  const contents = await filledDirectory(death);
  const runtime = testRuntime(restored(contents));
  runtime.nowMs += 1000;
  const manager = await LogManager.open({ directories: ['/a'], ...owner, runtime, configOf: () => config });
  const whole = serve(manager.get('t', 0)!);
  const found = new Map<string, Map<Outcome, string[]>>();
  for (const [path, content] of contents) {
    if (!wanted(path)) continue;
    for (let bit = path.length % step; bit < content.length * 8; bit += step) {
      const { outcome, detail } = await flip(contents, path, bit, whole);
      const kind = path.slice(path.lastIndexOf('/') + 1).replace(/^\d{20}/, '*');
      const outcomes = found.get(kind) ?? new Map<Outcome, string[]>();
      found.set(kind, outcomes);
      outcomes.set(outcome, [...(outcomes.get(outcome) ?? []), `${path} bit ${bit}: ${detail}`]);
    }
  }
  return found;
}

/**
 * What no reader of Kafka's files can see: a number in a text file without a checksum, an entry of the transaction index that is possible, and
 * what a batch's crc does not cover, its base offset and leader epoch, where a clean stop or the recovery point says that they need not be
 * read again.
 */
function isUncovered(kind: string, line: string, contents: Files): boolean {
  if (/checkpoint$|\.txnindex$/.test(kind)) return true;
  if (kind !== '*.log') return false;
  const [, path, bit] = /^(\S+) bit (\d+):/.exec(line)!;
  const bytes = contents.get(path!)!;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const position = Math.floor(Number(bit) / 8);
  let start = 0;
  while (start + 12 + view.getInt32(start + 8) <= position) start += 12 + view.getInt32(start + 8);
  const within = position - start;
  return within < 8 || (within >= 12 && within < 16);
}

const steps: readonly (readonly [what: string, wanted: (path: string) => boolean, step: number])[] = [
  ['indexes and snapshots', (path) => /index$|snapshot$/.test(path), 29],
  ['the log', (path) => path.endsWith('.log'), 211],
  ['small files', (path) => !/index$|snapshot$|\.log$/.test(path), 3],
];

for (const death of ['clean stop', 'crash'] as const) {
  for (const [what, wanted, step] of steps) {
    test(`after a ${death} a flipped bit in ${what} is repaired, refused or told to who reads it`, async () => {
      const contents = await filledDirectory(death);
      const found = await outcomesOf(death, wanted, step);
      assert.ok(found.size >= 1);
      for (const [kind, outcomes] of found) {
        for (const line of outcomes.get('not seen') ?? []) assert.ok(isUncovered(kind, line, contents), line);
      }
      const count = (outcome: Outcome) => [...found.values()].reduce((all, of) => all + (of.get(outcome)?.length ?? 0), 0);
      assert.ok(count('repaired') + count('refused') + count('told to readers') > 10);
    });
  }
}
