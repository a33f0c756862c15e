/**
 * `npm run bench log [-- --rounds N --case TEXT --directory PATH]`: CPU time of this process for one append to a log, and for one read
 * from it, without requests or sockets around them. The batch lies in a small buffer that is used again and again, as a socket's
 * would; what putting it there costs is measured alone and taken off.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { BatchBuilder, BatchView, type CompressionCodec } from '@ottla/protocol';
import { nodeRuntime } from '@ottla/runtime';
import { defaultLogConfig, Log } from '@ottla/storage';

type Case = {
  readonly name: string;
  readonly records: number;
  readonly recordBytes: number;
  readonly codec?: CompressionCodec;
  readonly isIdempotent?: boolean;
  /** Batches of one turn, which go to the disk together. */
  readonly together?: number;
};

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '9' },
    case: { type: 'string', default: '' },
    directory: { type: 'string', default: tmpdir() },
  },
});
const rounds = Number(options.rounds);
const appendsPerRound = 2000;

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
  const buffer = new Uint8Array(64 * 1024);
  const records = buffer.subarray(0, source.length);
  const batch = new BatchView(records);
  const view = new DataView(records.buffer, records.byteOffset, records.byteLength);
  let sequence = 0;
  const receive = (): void => {
    buffer.set(source);
    if (!load.isIdempotent) return;
    view.setInt32(53, sequence);
    batch.refreshCrc();
    sequence += load.records;
  };
  const append = (): void => {
    log.append(records, { leaderEpoch: 0, origin: 'client', apiVersion: 11 });
  };
  const costs: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const both = cpuMicros(() => {
      for (let index = 0; index < appendsPerRound; index++) {
        receive();
        append();
      }
    });
    const before = sequence;
    const receiving = cpuMicros(() => {
      for (let index = 0; index < appendsPerRound; index++) receive();
    });
    sequence = before;
    costs.push((both - receiving) / appendsPerRound);
  }
  report(`append of ${source.length} B`, costs);
}

function measureReads(log: Log, load: Case): void {
  const { logEndOffset } = log;
  const tail = logEndOffset - load.records;
  const reads = { 'read of the last batch': [tail, 1 << 20], 'read of 1 MiB at the start': [0, 1 << 20] } as const;
  for (const [name, [startOffset, maxBytes]] of Object.entries(reads)) {
    const times = maxBytes > log.sizeBytes || startOffset > 0 ? 2000 : 300;
    const costs: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const micros = cpuMicros(() => {
        for (let index = 0; index < times; index++)
          log.read({ startOffset, endOffset: logEndOffset, maxBytes, minOneBatch: true });
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
  console.log(`  ${what.padEnd(30)} ${median.toFixed(2).padStart(8)} µs of CPU (least ${low.toFixed(2)})`);
}
