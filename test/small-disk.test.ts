/**
 * A node on a real file system that is full, and then has room again. It has to be mounted, which takes an administrator:
 * `SMALL_DISK=1 node --test test/small-disk.test.ts`; skipped otherwise, and where mounting is not allowed.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmdirSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Consumer, Producer, stringDeserializer } from '@ottla/client';
import { startKafka } from '@ottla/testing';

const mebibyte = 1024 * 1024;

/** Undefined: it is not allowed here. */
function mountSmall(): string | undefined {
  if (process.env['SMALL_DISK'] !== '1') return undefined;
  const directory = mkdtempSync(join(tmpdir(), 'small-disk-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=6m', 'tmpfs', directory], { stdio: 'ignore' });
    return directory;
  } catch {
    rmdirSync(directory);
    return undefined;
  }
}

const silent = { debug() {}, info() {}, warn() {}, error() {}, child: () => silent };
const directory = mountSmall();

/** What is left of the disk, in one file. */
function fillUp(path: string): void {
  try {
    writeFileSync(path, new Uint8Array(16 * mebibyte));
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

async function allValues(bootstrapServers: string, count: number): Promise<string[]> {
  await using consumer = new Consumer({ bootstrapServers, autoOffsetReset: 'earliest', valueDeserializer: stringDeserializer });
  consumer.assign([{ topic: 'orders', partition: 0 }]);
  const values: string[] = [];
  for (let polls = 0; values.length < count && polls < 50; polls++)
    for (const { value } of await consumer.poll({ timeoutMs: 500 })) values.push(value!);
  return values;
}
