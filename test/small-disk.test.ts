/**
 * A node on a real file system that is full, and then has room again. It has to be mounted, which takes an administrator:
 * `SMALL_DISK=1 node --test test/small-disk.test.ts`; skipped otherwise, and where mounting is not allowed.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmdirSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Admin, Consumer, Producer, stringDeserializer } from '@ottla/client';
import { startKafka } from '@ottla/testing';

const mebibyte = 1024 * 1024;

/** Undefined: it is not allowed here. */
function mountSmall(size: string): string | undefined {
  if (process.env['SMALL_DISK'] !== '1') return undefined;
  const directory = mkdtempSync(join(tmpdir(), 'small-disk-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', directory], { stdio: 'ignore' });
    return directory;
  } catch {
    rmdirSync(directory);
    return undefined;
  }
}

const silent = { debug() {}, info() {}, warn() {}, error() {}, child: () => silent };
const directory = mountSmall('6m');

/** What is left of the disk, in one file. */
function fillUp(path: string, mebibytes = 16): void {
  try {
    writeFileSync(path, new Uint8Array(mebibytes * mebibyte));
  } catch (error) {
    assert.equal((error as NodeJS.ErrnoException).code, 'ENOSPC');
  }
}

test('a node on a disk that is full loses nothing, and serves again by itself', { skip: !directory }, async () => {
  const options = { files: directory!, logger: silent, settings: { 'offsets.topic.num.partitions': '1' } };
  const filler = join(directory!, 'filler');
  const acknowledged: string[] = [];
  try {
    {
      await using kafka = await startKafka({ ...options, topics: ['orders'] });
      const { bootstrapServers } = kafka;
      await using producer = new Producer({ bootstrapServers, lingerMs: 0, deliveryTimeoutMs: 2_000, requestTimeoutMs: 1_000 });
      const send = async (value: string): Promise<boolean> => {
        try {
          await producer.send({ topic: 'orders', value });
          acknowledged.push(value);
          return true;
        } catch {
          return false;
        }
      };
      for (let index = 0; index < 20; index++) assert.ok(await send(`${index}`));
      fillUp(filler);
      assert.equal(await send('x'.repeat(100_000)), false);
      assert.deepEqual(await allValues(bootstrapServers, acknowledged.length), acknowledged);
      unlinkSync(filler);
      let isBack = false;
      for (let attempt = 0; attempt < 20 && !isBack; attempt++) isBack = await send(`back ${attempt}`);
      assert.ok(isBack);
      await kafka.stop();
    }
    await using kafka = await startKafka(options);
    const found = new Set(await allValues(kafka.bootstrapServers, acknowledged.length));
    assert.deepEqual(
      acknowledged.filter((value) => !found.has(value)),
      [],
    );
  } finally {
    execFileSync('umount', ['-l', directory!]);
    rmdirSync(directory!);
  }
});

test('a directory that is full after kill -9 is offline alone, and whole when a start finds room', {
  skip: !directory,
}, async () => {
  const small = mountSmall('120m')!;
  const good = mkdtempSync(join(tmpdir(), 'beside-small-disk-'));
  const filler = join(small, 'filler');
  mkdirSync(join(small, 'logs'));
  let node: { process: ChildProcess; bootstrapServers: string; said: () => string } | undefined;
  const values = Array.from({ length: 800 }, (_, index) => `${index} ${'x'.repeat(100_000)}`);
  try {
    node = await startProcess([good, join(small, 'logs')]);
    const { bootstrapServers } = node;
    {
      await using admin = new Admin({ bootstrapServers });
      await admin.createTopics([{ name: 'orders', partitions: 2 }]);
      await using producer = new Producer({ bootstrapServers });
      // Each log is large enough for a thread of its own to recover it.
      for (const partition of [0, 1]) for (const value of values) await producer.send({ topic: 'orders', partition, value });
    }
    await end(node.process, 'SIGKILL');
    fillUp(filler, 128);
    node = await startProcess([good, join(small, 'logs')]);
    assert.match(node.said(), /no room for the recovery of its logs.*small-disk-.*ENOSPC/);
    const served = execFileSync('ls', [good], { encoding: 'utf8' }).includes('orders-0') ? 0 : 1;
    assert.deepEqual(await allValues(node.bootstrapServers, values.length, served), values);
    await end(node.process, 'SIGKILL');
    unlinkSync(filler);
    node = await startProcess([good, join(small, 'logs')]);
    for (const partition of [0, 1]) assert.deepEqual(await allValues(node.bootstrapServers, values.length, partition), values);
    await end(node.process, 'SIGTERM');
  } finally {
    node?.process.kill('SIGKILL');
    execFileSync('umount', ['-l', small]);
    rmdirSync(small);
    rmSync(good, { recursive: true });
  }
});

/** A node that can be killed. */
async function startProcess(directories: readonly string[]) {
  const main = fileURLToPath(import.meta.resolve('../packages/ottla/src/main.ts'));
  const settings = ['--set', `metadata.log.dir=${directories[0]}`, '--set', 'offsets.topic.num.partitions=1'];
  const started = spawn(process.execPath, [main, 'start', '--port', '0', '--data', directories.join(','), ...settings]);
  let said = '';
  for (const stream of [started.stdout, started.stderr]) stream.on('data', (chunk: Buffer) => void (said += chunk));
  const deadlineMs = Date.now() + 30_000;
  for (;;) {
    const port = /the node serves.*listeners=PLAINTEXT:\/\/127\.0\.0\.1:(\d+)/.exec(said)?.[1];
    if (port) return { process: started, bootstrapServers: `127.0.0.1:${port}`, said: () => said };
    if (started.exitCode !== null || Date.now() > deadlineMs) {
      started.kill('SIGKILL');
      throw new Error(`the node does not start: ${said}`);
    }
    await sleep(50);
  }
}

async function end(started: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  const ended = once(started, 'exit');
  started.kill(signal);
  await ended;
}

async function allValues(bootstrapServers: string, count: number, partition = 0): Promise<string[]> {
  await using consumer = new Consumer({ bootstrapServers, autoOffsetReset: 'earliest', valueDeserializer: stringDeserializer });
  consumer.assign([{ topic: 'orders', partition }]);
  const values: string[] = [];
  for (let polls = 0; values.length < count && polls < 200; polls++)
    for (const { value } of await consumer.poll({ timeoutMs: 500 })) values.push(value!);
  return values;
}
