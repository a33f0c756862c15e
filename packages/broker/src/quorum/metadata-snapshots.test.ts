import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Files, IoError, type Logger, memoryRuntime } from '@ottla/runtime';
import { MetadataSnapshots } from './metadata-snapshots.ts';

test('a snapshot that cannot be removed is said so, and waits for the next start', async () => {
  const runtime = memoryRuntime({ seed: 1 });
  const warnings: string[] = [];
  const logger: Logger = { ...runtime.logger, warn: (message) => void warnings.push(message), child: () => logger };
  const remove = (path: string): never => {
    throw new IoError(`remove ${path}: EIO`, { code: 'EIO', path });
  };
  const files = new Proxy(runtime.files as Files, {
    get: (real, name: keyof Files) => (name === 'remove' ? remove : (real[name] as () => unknown).bind(real)),
  });
  runtime.files.makeDirectory('/data');
  const options = { directory: '/data', deleteDelayMs: 1000, retentionMs: 10, retentionBytes: -1 };
  const snapshots = new MetadataSnapshots({ ...options, runtime: { ...runtime, files, logger } });
  for (const endOffset of [10, 20]) {
    await runtime.runUntil(snapshots.write({ endOffset, epoch: 1 }, { lastContainedLogTimestampMs: 0 }, []));
  }
  snapshots.clean({ sizeBytes: 0, deleteBefore: () => {} });
  await runtime.advance(2000);
  assert.deepEqual(warnings, ['a superfluous snapshot could not be removed']);
  assert.deepEqual(snapshots.all, [{ endOffset: 20, epoch: 1 }]);
});
