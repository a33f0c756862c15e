import assert from 'node:assert/strict';
import { test } from 'node:test';
import { featureLevelRecord } from '@ottla/metadata';
import { type Files, IoError, type Logger, memoryRuntime } from '@ottla/runtime';
import { CorruptFileError } from '@ottla/storage';
import { MetadataQuorum } from './metadata-quorum.ts';
import { MetadataSnapshots } from './metadata-snapshots.ts';
import { snapshotBatches } from './snapshot-content.ts';
import { snapshotName } from './snapshot-files.ts';
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

test('a snapshot is given up when the leader has given a newer one before it was whole, and leaves nothing', async () => {
  const runtime = memoryRuntime({ seed: 1 });
  runtime.files.makeDirectory('/data');
  const snapshots = new MetadataSnapshots({
    runtime,
    directory: '/data',
    deleteDelayMs: 1000,
    retentionMs: -1,
    retentionBytes: -1,
  });
  const written = snapshots.write({ endOffset: 10, epoch: 1 }, { lastContainedLogTimestampMs: 0 }, []);
  const ofLeader = snapshots.beginFetched({ endOffset: 20, epoch: 2 });
  const bytes = Buffer.concat([...snapshotBatches([], { lastContainedLogTimestampMs: 5, epoch: 2, nowMs: 0 })]);
  ofLeader.add({ snapshotId: ofLeader.id, position: 0, bytes, isLast: true });
  await runtime.runUntil(snapshots.prove(ofLeader).then(() => snapshots.adopt(ofLeader)));
  assert.equal(await runtime.runUntil(written), false);
  assert.deepEqual(runtime.files.list('/data'), [snapshotName(ofLeader.id)]);
  assert.deepEqual(snapshots.all, [ofLeader.id]);
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

test('a snapshot with any bit flipped, or cut off anywhere, is read as it was or refused with its file and byte', async () => {
  const runtime = memoryRuntime({ seed: 3 });
  runtime.files.makeDirectory('/data');
  const options = { directory: '/data', deleteDelayMs: 1000, retentionMs: -1, retentionBytes: -1 };
  const id = { endOffset: 10, epoch: 1 };
  const path = `/data/${snapshotName(id)}`;
  const records = Array.from({ length: 5 }, (_, index) => featureLevelRecord(`feature-${index}`, 1 + index));
  const snapshots = new MetadataSnapshots({ ...options, runtime });
  await runtime.runUntil(snapshots.write(id, { lastContainedLogTimestampMs: 0, kRaftVersion: 1 }, records));
  const whole = Buffer.from(runtime.files.readFile(path));
  const look = (bytes: Uint8Array): unknown => {
    runtime.files.writeFileDurably(path, bytes);
    try {
      const opened = new MetadataSnapshots({ ...options, runtime });
      opened.verify(id);
      return [opened.header(id).kRaftVersion, ...[...opened.slices(id, 2)].flat()];
    } catch (error) {
      assert.ok(error instanceof CorruptFileError, String(error));
      assert.equal(error.path, path);
      assert.match(error.message, /at byte \d+/);
      return 'refused';
    }
  };
  const read = look(whole);
  assert.deepEqual(read, [1, ...records]);
  let refused = 0;
  for (let bit = 0; bit < whole.length * 8; bit++) {
    const flipped = Buffer.from(whole);
    flipped[bit >> 3]! ^= 1 << (bit & 7);
    const found = look(flipped);
    if (found === 'refused') refused++;
    else assert.deepEqual(found, read, `bit ${bit}`);
  }
  // Kafka's checksum does not cover where a batch says that it begins, and of which epoch it is: nobody goes by them here.
  assert.ok(refused >= (whole.length - 3 * 12) * 8, `only ${refused} of ${whole.length * 8} are refused`);
  for (let length = 0; length < whole.length; length++)
    assert.equal(look(whole.subarray(0, length)), 'refused', `${length} bytes`);
  assert.equal(look(Buffer.concat([whole, Buffer.of(0)])), 'refused');
});
