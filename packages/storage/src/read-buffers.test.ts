import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryFiles } from '@ottla/runtime';
import { copyStep } from './future-log.ts';
import { append, batchOf, openLog, testRuntime } from './log-fixture.ts';
import { ReadBuffers } from './read-buffers.ts';

const all = { startOffset: 0, maxBytes: 1 << 20, minOneBatch: true };

test('a buffer is used again once released, and once only', () => {
  const buffers = new ReadBuffers();
  const first = buffers.lease(3000);
  const second = buffers.lease(3000);
  assert.equal(first.buffer.length, 4096);
  first.release!();
  first.release!();
  assert.equal(buffers.freeBytes, 4096);
  assert.equal(buffers.lease(4096).buffer, first.buffer);
  const third = buffers.lease(4096).buffer;
  assert.ok(third !== first.buffer && third !== second.buffer);
});

test('more than its share is not kept, nor what is larger than reads usually are', () => {
  const buffers = new ReadBuffers({ maxFreeBytes: 10_000 });
  const leases = [1, 2, 3].map(() => buffers.lease(4096));
  for (const { release } of leases) release!();
  assert.equal(buffers.freeBytes, 8192);
  assert.equal(buffers.lease(3 << 20).release, undefined);
});

test('a read that fails, and a copy, give back what they borrowed', () => {
  let isFailing = false;
  const files = new MemoryFiles({ fault: ({ kind }) => (isFailing && kind === 'read' ? 'EIO' : undefined) });
  const runtime = testRuntime(files);
  const buffers = new ReadBuffers();
  const current = openLog(runtime, { buffers });
  append(current, batchOf(['x'.repeat(2000)]));
  const future = openLog(runtime, { directory: '/future' });
  assert.ok(copyStep(current, future) > 2000);
  assert.equal(future.logEndOffset, current.logEndOffset);
  assert.equal(buffers.freeBytes, 4096);
  isFailing = true;
  assert.throws(() => current.read({ ...all, endOffset: current.logEndOffset }), /EIO|input|failed/i);
  assert.equal(buffers.freeBytes, 4096);
});
