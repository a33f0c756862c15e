import assert from 'node:assert/strict';
import { test } from 'node:test';
import { featureLevelRecord } from '@ottla/metadata';
import { type Files, IoError, type Logger, memoryRuntime } from '@ottla/runtime';
import { CorruptFileError } from '@ottla/storage';
import { MetadataQuorum } from './metadata-quorum.ts';
import { MetadataSnapshots } from './metadata-snapshots.ts';
import { loneVoter } from './testing-quorum.ts';

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

test('a file that only looks like a snapshot does not cost the metadata log, and is named', async () => {
  const runtime = memoryRuntime({ seed: 2 });
  const directory = '/data/__cluster_metadata-0';
  const open = () => MetadataQuorum.open({ runtime, ...loneVoter });
  const quorum = await runtime.runUntil(open());
  await runtime.runUntil(quorum.append([featureLevelRecord('metadata.version', 30)]));
  await runtime.runUntil(quorum.close());
  const log = `${directory}/00000000000000000000.log`;
  const before = runtime.files.readFile(log);
  const foreign = `${directory}/00000000000000099999-0000000001.checkpoint`;
  runtime.files.writeFileDurably(foreign, 'junk');
  await assert.rejects(runtime.runUntil(open()), (error) => error instanceof CorruptFileError && error.path === foreign);
  assert.deepEqual(runtime.files.readFile(log), before);
});
