/**
 * `npm run bench recovery [-- --mib 1024 --partitions 20 --threads 2]`: how long a node needs to read its logs again after a crash, with nothing
 * flushed, on the event loop and on other threads. The files are in the page cache.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { buildBatch } from '@ottla/protocol';
import { nodeRuntime, type Runtime } from '@ottla/runtime';
import { cleanShutdownName, LogManager, writeMetaProperties } from '@ottla/storage';
import { readOptions, wholeNumber } from '../scripts/command-line.ts';

const values = readOptions(
  {
    mib: { type: 'string', default: '1024' },
    partitions: { type: 'string', default: '20' },
    threads: { type: 'string', default: '2' },
    rounds: { type: 'string', default: '3' },
  },
  `npm run bench recovery [-- --mib N --partitions N --threads N --rounds N]`,
);
const owner = { clusterId: 'bench', nodeId: 1 };
const directory = mkdtempSync(join(tmpdir(), 'ottla-recovery-'));
const partitions = wholeNumber(values.partitions, 'partitions', 1);
const bytesEach = (Number(values.mib) * 1024 * 1024) / partitions;

const open = (runtime: Runtime) =>
  LogManager.open({ directories: [directory], ...owner, runtime, recoveryThreadsPerDirectory: Number(values.threads) });

/** As a kill leaves it: no marker, and nothing below a recovery point. */
function die(manager: LogManager): void {
  for (const log of manager.logs) log.abandon();
  manager.close();
  rmSync(join(directory, cleanShutdownName));
}

try {
  const machine = nodeRuntime();
  writeMetaProperties(machine.files, directory, { ...owner, directoryId: 'AQAAAAAAAAAAAAAAAAAAAQ' }, machine.clock.nowMs());
  const filling = await open(machine);
  const records = Array.from({ length: 16 }, () => ({
    timestamp: machine.clock.nowMs(),
    key: null,
    value: machine.random.bytes(1024),
  }));
  for (let partition = 0; partition < partitions; partition++) {
    const log = filling.create('t', partition);
    for (let sequence = 0; log.sizeBytes < bytesEach; sequence += records.length) {
      const batch = buildBatch({ records, producerId: partition, producerEpoch: 0, baseSequence: sequence });
      log.append(batch, { leaderEpoch: 0, origin: 'client' });
    }
  }
  die(filling);
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const [what, runtime] of [
      ['on the event loop', { ...machine, workers: undefined }],
      [`on ${values.threads} threads`, machine],
    ] as const) {
      let longestMs = 0;
      let last = performance.now();
      const watch = setInterval(() => {
        longestMs = Math.max(longestMs, performance.now() - last);
        last = performance.now();
      }, 1);
      const before = process.cpuUsage();
      const beganMs = performance.now();
      const manager = await open(runtime);
      const wallMs = performance.now() - beganMs;
      longestMs = Math.max(longestMs, performance.now() - last);
      const cpu = process.cpuUsage(before);
      clearInterval(watch);
      const figures = [wallMs, (cpu.user + cpu.system) / 1000, longestMs].map((ms) => `${Math.round(ms)}`.padStart(6));
      console.log(
        `${what.padEnd(18)} wall ${figures[0]} ms   cpu ${figures[1]} ms   the loop stood still for up to ${figures[2]} ms`,
      );
      die(manager);
    }
  }
} finally {
  rmSync(directory, { recursive: true });
}
