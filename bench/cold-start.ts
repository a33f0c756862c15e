/**
 * `npm run bench cold-start [-- --rounds N]`: from exec to the first Metadata answer, and resident memory a second later, of the published
 * `ottla` command, of the same from the sources of this clone, and of Apache Kafka with the options of its own start script, alternately.
 * All start on a formatted directory with nothing in it.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { installCommand } from '../scripts/bundle.ts';
import { readOptions, wholeNumber } from '../scripts/command-line.ts';
import { installKafka, serverCommand } from '../test/interop/kafka/kafka.ts';
import { TargetNode } from '../test/interop/targets/node.ts';
import { comparison } from './comparison.ts';

/** Metadata v1 without topics: size, api key 3, version 1, correlation id, client id, no topics. */
const request = Buffer.from('0000000f000300010000000700017000000000', 'hex');

type Sample = { readonly startMs: number; readonly cpuMs: number; readonly memoryMiB: number };

const options = readOptions({ rounds: { type: 'string', default: '7' } }, `npm run bench cold-start [-- --rounds N]`);
const rounds = wholeNumber(options.rounds, 'rounds', 1);

await installKafka();
const nodes = { ottla: await TargetNode.create('ottla'), kafka: await TargetNode.create('kafka') };
const installed = mkdtempSync(join(tmpdir(), 'ottla-cold-start-'));
const published = await installCommand(installed);
const commands = {
  published: [process.execPath, published, 'start', '--config', nodes.ottla.propertiesFile],
  sources: nodes.ottla.command(),
  kafka: nodes.kafka.command(shippedKafka(nodes.kafka)),
};
const samples = { published: [] as Sample[], sources: [] as Sample[], kafka: [] as Sample[] };
try {
  for (const node of Object.values(nodes)) await node.stop();
  // The first round fills caches, of compiled code for the one and of the page cache for both, and is not counted.
  for (let round = 0; round <= rounds; round++) {
    for (const what of ['published', 'sources', 'kafka'] as const) {
      const sample = await measure(commands[what], what === 'kafka' ? nodes.kafka : nodes.ottla);
      if (round > 0) samples[what].push(sample);
    }
  }
} finally {
  for (const node of Object.values(nodes)) await node.destroy();
  rmSync(installed, { recursive: true, force: true });
}
console.log(`cold start and memory, ${rounds} rounds, alternately`);
for (const what of ['published', 'sources'] as const) {
  const each = (value: (sample: Sample) => number) => ({ ottla: samples[what].map(value), kafka: samples.kafka.map(value) });
  console.log(`${what}:`);
  console.log(
    comparison(
      'exec to first Metadata answer',
      'ms',
      each(({ startMs }) => startMs),
    ),
  );
  console.log(
    comparison(
      'CPU time until then',
      'ms',
      each(({ cpuMs }) => cpuMs),
    ),
  );
  console.log(
    comparison(
      'resident memory, idle',
      'MiB',
      each(({ memoryMiB }) => memoryMiB),
    ),
  );
}

async function measure(command: readonly string[], { directory, port }: TargetNode): Promise<Sample> {
  const began = performance.now();
  const child = spawn(command[0]!, command.slice(1), { cwd: directory, stdio: 'ignore' });
  try {
    while (!(await answersMetadata(port))) await sleep(2);
    const startMs = performance.now() - began;
    const cpuMs = cpuTimeMs(child);
    await sleep(1000);
    return { startMs, cpuMs, memoryMiB: residentKiB(child) / 1024 };
  } finally {
    child.kill('SIGTERM');
    await new Promise((resolve) => child.once('exit', resolve));
  }
}

/** As kafka-server-start.sh runs it: a heap of a gigabyte, G1, all compilers. */
function shippedKafka(node: TargetNode): string[] {
  const args = serverCommand(node.propertiesFile, node.directory);
  const ours = new Set(['-Xms48m', '-Xmx384m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1']);
  return [
    'java',
    '-Xms1g',
    '-Xmx1g',
    '-server',
    '-XX:+UseG1GC',
    ...args.filter((arg) => !ours.has(arg) && !arg.includes('SharedArchive')),
  ];
}

/** User and system time so far; the kernel counts in hundredths of a second. */
function cpuTimeMs({ pid }: ChildProcess): number {
  const [, fields] = /\) (.*)/.exec(readFileSync(`/proc/${pid}/stat`, 'utf8'))!;
  const [userTicks, systemTicks] = fields!.split(' ').slice(11, 13).map(Number);
  return (userTicks! + systemTicks!) * 10;
}

function residentKiB({ pid }: ChildProcess): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]);
}

function answersMetadata(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    const done = (answered: boolean): void => {
      socket.destroy();
      resolve(answered);
    };
    socket.on('error', () => done(false));
    socket.on('close', () => done(false));
    socket.on('connect', () => socket.write(request));
    socket.on('data', (chunk) => done(chunk.length >= 12 && chunk.readInt32BE(8) > 0));
  });
}
