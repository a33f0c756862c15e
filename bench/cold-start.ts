/**
 * `npm run bench cold-start [-- --rounds N]`: from exec to the first Metadata answer, and resident memory a second later, of Ottla and of
 * Apache Kafka with the options of its own start script, alternately. Both start on a formatted directory with nothing in it.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { installKafka, serverCommand } from '../test/interop/kafka/kafka.ts';
import { type TargetName, TargetNode } from '../test/interop/targets/node.ts';
import { comparison } from './comparison.ts';

/** Metadata v1 without topics: size, api key 3, version 1, correlation id, client id, no topics. */
const request = Buffer.from('0000000f000300010000000700017000000000', 'hex');

const { values: options } = parseArgs({ options: { rounds: { type: 'string', default: '7' } } });
const rounds = Number(options.rounds);

installKafka();
const nodes = { ottla: await TargetNode.create('ottla'), kafka: await TargetNode.create('kafka') };
const coldStartMs = { ottla: [] as number[], kafka: [] as number[] };
const residentMiB = { ottla: [] as number[], kafka: [] as number[] };
try {
  for (const node of Object.values(nodes)) await node.stop();
  // The first round fills caches, of compiled code for the one and of the page cache for both, and is not counted.
  for (let round = 0; round <= rounds; round++) {
    for (const target of ['ottla', 'kafka'] as const) {
      const { startMs, memoryMiB } = await measure(target, nodes[target]);
      if (round === 0) continue;
      coldStartMs[target].push(startMs);
      residentMiB[target].push(memoryMiB);
    }
  }
} finally {
  for (const node of Object.values(nodes)) await node.destroy();
}
console.log(`cold start and memory, ${rounds} rounds, alternately`);
console.log(comparison('exec to first Metadata answer', 'ms', coldStartMs));
console.log(comparison('resident memory, idle', 'MiB', residentMiB));

async function measure(target: TargetName, node: TargetNode): Promise<{ startMs: number; memoryMiB: number }> {
  const [command, ...args] = node.command(target === 'kafka' ? shippedKafka(node) : undefined);
  const began = performance.now();
  const child = spawn(command!, args, { cwd: node.directory, stdio: 'ignore' });
  try {
    while (!(await answersMetadata(node.port))) await sleep(2);
    const startMs = performance.now() - began;
    await sleep(1000);
    return { startMs, memoryMiB: residentKiB(child) / 1024 };
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
