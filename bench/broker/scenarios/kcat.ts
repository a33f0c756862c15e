import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BenchNode } from '../bench-node.ts';
import { BenchTopic } from '../bench-topic.ts';
import { payload } from '../load/payload.ts';
import { cpuSeconds } from '../process-usage.ts';
import { isInstalled, runProgram } from '../programs.ts';
import { type Figures, onWarmNodes, type Scenario } from '../scenario.ts';

const sizes = [
  { label: '1 M × 100 B', records: 1_000_000, recordBytes: 100 },
  { label: '200 k × 1 KB', records: 200_000, recordBytes: 1000 },
];
type Size = (typeof sizes)[number];

const missing = (): string | undefined => (isInstalled('kcat', '-V') ? undefined : 'kcat');
const goals = { 'throughput records/s': { atLeast: 2 }, 'broker CPU s/GB': { atMost: 0.5 } };

function producer(size: Size): Scenario {
  return onWarmNodes({
    name: `kcat produce ${size.label}, acks=all, 3 partitions`,
    goals,
    length: 'long',
    missing,
    prepare: async (node) => {
      const lines = new LinesFile(size);
      return {
        async measure() {
          await using topic = await BenchTopic.create(node, 3);
          const figures = await kcat(node, size, ['-P', '-t', topic.name, '-X', 'acks=all', '-l', lines.file]);
          await topic.assertStored(size.records);
          return figures;
        },
        [Symbol.asyncDispose]: async () => lines.remove(),
      };
    },
  });
}

function consumer(size: Size): Scenario {
  return onWarmNodes({
    name: `kcat consume ${size.label}, 3 partitions`,
    length: 'long',
    missing,
    prepare: async (node) => {
      const topic = await BenchTopic.create(node, 3);
      const lines = new LinesFile(size);
      await kcat(node, size, ['-P', '-t', topic.name, '-X', 'acks=all', '-l', lines.file]);
      lines.remove();
      await topic.assertStored(size.records);
      const toTheEnd = ['-C', '-t', topic.name, '-o', 'beginning', '-e', '-q', '-c', String(size.records), '-f', ''];
      return {
        measure: () => kcat(node, size, toTheEnd),
        [Symbol.asyncDispose]: () => topic[Symbol.asyncDispose](),
      };
    },
  });
}

/** Time and CPU include kcat's start, the same for both. */
function kcat(node: BenchNode, { records, recordBytes }: Size, args: readonly string[]): Promise<Figures> {
  return node.underLoad(async () => {
    const cpuBefore = cpuSeconds(node.pid);
    const beganMs = performance.now();
    await runProgram('kcat', ['-b', node.bootstrap, ...args]);
    const seconds = (performance.now() - beganMs) / 1000;
    return {
      'throughput records/s': records / seconds,
      'broker CPU s/GB': (cpuSeconds(node.pid) - cpuBefore) / ((records * recordBytes) / 1e9),
    };
  });
}

/** A record a line. */
class LinesFile {
  readonly #directory = mkdtempSync(join(tmpdir(), 'ottla-bench-'));
  readonly file = join(this.#directory, 'lines');

  constructor({ records, recordBytes }: Size) {
    const lines = Array.from({ length: 1000 }, (_, seed) => `${payload(recordBytes, seed).toString('latin1')}\n`).join('');
    writeFileSync(this.file, lines.repeat(records / 1000));
  }

  remove(): void {
    rmSync(this.#directory, { recursive: true });
  }
}

export const kcatScenarios: readonly Scenario[] = [...sizes.map(producer), ...sizes.map(consumer)];
