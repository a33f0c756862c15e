/**
 * `npm run bench log [-- --rounds N --case TEXT --directory PATH]`: CPU time of this process for one append to a log, and for one read
 * from it, without requests or sockets around them. The batch lies in a small buffer that is used again and again, as a socket's
 * would; what putting it there costs is measured alone and taken off.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { BatchBuilder, BatchView, type CompressionCodec } from '@ottla/protocol';
import { nodeRuntime } from '@ottla/runtime';
import { defaultLogConfig, Log, TailCache } from '@ottla/storage';
import { readOptions, wholeNumber } from '../scripts/command-line.ts';

type Case = {
  readonly name: string;
  readonly records: number;
  readonly recordBytes: number;
  readonly codec?: CompressionCodec;
  readonly isIdempotent?: boolean;
};

const options = readOptions(
  {
    rounds: { type: 'string', default: '9' },
    case: { type: 'string', default: '' },
    directory: { type: 'string', default: tmpdir() },
  },
  `npm run bench log [-- --rounds N --case WORDS --directory D]`,
);
const rounds = wholeNumber(options.rounds, 'rounds', 1);
const appendsPerRound = 1000;

const cases: Case[] = [
  { name: '16 KB of 100 B records', records: 150, recordBytes: 100 },
  { name: '16 KB of 100 B records, idempotent', records: 150, recordBytes: 100, isIdempotent: true },
  { name: '16 KB of 100 B records, lz4', records: 150, recordBytes: 100, codec: 'lz4' },
  { name: '16 KB of 1 KB records', records: 16, recordBytes: 1024 },
  { name: '1 KB: one record', records: 1, recordBytes: 1024 },
  { name: '100 B: one record', records: 1, recordBytes: 100 },
  { name: '100 B: one record, idempotent', records: 1, recordBytes: 100, isIdempotent: true },
];

for (const load of cases.filter(({ name }) => name.includes(options.case))) {
  console.log(load.name);
  measure(load);
}

function measure(load: Case): void {
  const directory = mkdtempSync(join(options.directory, 'ottla-bench-log-'));
  try {
    const log = Log.open({
      directory: join(directory, 'bench-0'),
      topic: 'bench',
      partition: 0,
      runtime: nodeRuntime(),
      config: { ...defaultLogConfig, segmentBytes: 256 * 1024 * 1024 },
      cleanShutdown: true,
      tails: new TailCache({ maxBytes: 64 * 1024 * 1024 }),
    });
    measureAppends(log, load);
    measureReads(log, load);
    log.close();
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function measureAppends(log: Log, load: Case): void {
  const source = batchFor(load);
  // As many as a turn may stage, one behind the other.
  const buffer = new Uint8Array(4 * source.length);
  const slots = [0, 1, 2, 3].map((index) => {
    const records = buffer.subarray(index * source.length, (index + 1) * source.length);
    return {
      records,
      batch: new BatchView(records),
      view: new DataView(buffer.buffer, records.byteOffset, records.length),
    };
  });
  let sequence = 0;
  const receive = ({ records, batch, view }: (typeof slots)[number]): void => {
    records.set(source);
    if (!load.isIdempotent) return;
    view.setInt32(53, sequence);
    batch.refreshCrc();
    sequence += load.records;
  };
  const options = { leaderEpoch: 0, origin: 'client', apiVersion: 11 } as const;
  const ways = {
    append: () => {
      receive(slots[0]!);
      log.append(slots[0]!.records, options);
    },
    'append, 4 in one commit': () => {
      for (const slot of slots) {
        receive(slot);
        log.stage(slot.records, options);
      }
      log.commitStaged();
    },
    'append and read at the tail': () => {
      receive(slots[0]!);
      const { firstOffset } = log.append(slots[0]!.records, options);
      log.read({ startOffset: firstOffset, endOffset: log.logEndOffset, maxBytes: 1 << 20, minOneBatch: true }).release?.();
    },
  };
  for (const [name, way] of Object.entries(ways)) {
    const batches = name.includes('4') ? slots.length : 1;
    const times = appendsPerRound / batches;
    const costs: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const both = cpuMicros(() => {
        for (let index = 0; index < times; index++) way();
      });
      const before = sequence;
      const receiving = cpuMicros(() => {
        for (let index = 0; index < appendsPerRound; index++) receive(slots[index % batches]!);
      });
      sequence = before;
      costs.push((both - receiving) / appendsPerRound);
    }
    report(`${name}, ${source.length} B`, costs);
  }
}

function measureReads(log: Log, load: Case): void {
  log.releaseMemory();
  log.releaseMemory();
  const { logEndOffset } = log;
  const reads = { 'read of the last batch, from the file': logEndOffset - load.records, 'read of 1 MiB, from the file': 0 };
  for (const [name, startOffset] of Object.entries(reads)) {
    const times = startOffset > 0 ? 1000 : 100;
    const costs: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const micros = cpuMicros(() => {
        for (let index = 0; index < times; index++) {
          log.read({ startOffset, endOffset: logEndOffset, maxBytes: 1 << 20, minOneBatch: true }).release?.();
        }
      });
      costs.push(micros / times);
    }
    report(name, costs);
  }
}

function batchFor({ records, recordBytes, codec = 'none', isIdempotent }: Case): Uint8Array {
  const producer = isIdempotent ? { producerId: 7, producerEpoch: 0, baseSequence: 0 } : {};
  const builder = new BatchBuilder({ codec, ...producer });
  let state = 1;
  for (let index = 0; index < records; index++) {
    // Half of it compresses.
    const value = Uint8Array.from({ length: recordBytes }, (_, at) => {
      state = (state * 1103515245 + 12345) & 0x7fff_ffff;
      return at % 2 === 0 ? 120 : state >>> 16;
    });
    builder.append(Date.now(), null, value);
  }
  return builder.build();
}

function cpuMicros(work: () => void): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return user + system;
}

function report(what: string, costs: number[]): void {
  const sorted = costs.slice(1).sort((left, right) => left - right);
  const [low, median] = [sorted[0]!, sorted[sorted.length >> 1]!];
  console.log(`  ${what.padEnd(40)} ${median.toFixed(2).padStart(8)} µs of CPU (least ${low.toFixed(2)})`);
}
