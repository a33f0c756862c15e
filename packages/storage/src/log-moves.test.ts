import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type FileOperation, MemoryFiles, SeededRandom } from '@ottla/runtime';
import type { DirectoryFailure } from './disk-errors.ts';
import { copyStep, dropWhatParted, isAhead } from './future-log.ts';
import type { Log } from './log.ts';
import { defaultLogConfig } from './log-config.ts';
import { append, batchOf, startMs, testRuntime, valuesIn } from './log-fixture.ts';
import { LogManager } from './log-manager.ts';
import { writeMetaProperties } from './meta-properties.ts';

const owner = { clusterId: 'c', nodeId: 1 };
const topicId = 'czgjCwTYRjeP-FpebEOouQ';
const [idOfA, idOfB] = ['AQAAAAAAAAAAAAAAAAAAAQ', 'AgAAAAAAAAAAAAAAAAAAAQ'];
const directories = ['/a', '/b'];
const config = { ...defaultLogConfig, segmentBytes: 600, segmentIndexBytes: 1200 };

type Fault = (operation: FileOperation) => string | undefined;

/** A node with two directories on a disk that obeys `disk.fault`. */
function twoDirectories(capacityBytes?: number) {
  const disk: { fault: Fault } = { fault: () => undefined };
  const crashes = { random: new SeededRandom(1) };
  const files = new MemoryFiles({
    fault: (operation) => disk.fault(operation),
    crashes,
    ...(capacityBytes && { capacityBytes }),
  });
  const runtime = testRuntime(files);
  directories.forEach((directory, index) => {
    files.makeDirectory(directory);
    writeMetaProperties(files, directory, { ...owner, directoryId: [idOfA!, idOfB!][index]! }, startMs);
    files.syncDirectory('/');
  });
  const failures: DirectoryFailure[] = [];
  const open = async () => {
    const manager = await LogManager.open({ directories, ...owner, runtime, configOf: () => config });
    manager.onDirectoryFailed = (failure) => failures.push(failure);
    return manager;
  };
  return { runtime, files, disk, open, failures };
}

function fill(log: Log, from: number, to: number, leaderEpoch = 0): void {
  for (let index = from; index < to; index++) append(log, batchOf([`v${index}`]), leaderEpoch);
  log.onHighWatermark(log.logEndOffset);
}

function copyAll(current: Log, future: Log, maxBytes?: number): void {
  while (copyStep(current, future, maxBytes) > 0);
}

const values = (log: Log) => valuesIn(log).map(([offset, value]) => `${offset}:${value}`);
const expected = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, index) => `${from + index}:v${from + index}`);

test('a log moves to another directory with its start, its epochs and its producers', async () => {
  const { files, open, runtime } = twoDirectories();
  const manager = await open();
  const log = manager.create('t', 0, { topicId, directoryId: idOfA });
  fill(log, 0, 30);
  append(log, batchOf(['v30'], { producerId: 7, producerEpoch: 0, baseSequence: 0 }), 3);
  fill(log, 31, 40, 3);
  log.advanceLogStartOffset(5);
  log.firstDirtyOffset = 11;
  const future = manager.createFuture('t', 0, idOfB!);
  assert.match(future.directory, /^\/b\/t-0\.[0-9a-f]{32}-future$/);
  copyAll(log, future, 200);
  assert.deepEqual(values(future), expected(5, 40));
  const moved = manager.promoteFuture('t', 0);
  assert.equal(manager.get('t', 0), moved);
  assert.equal(manager.directoryIdOf('t', 0), idOfB);
  assert.equal(moved.directory, '/b/t-0');
  assert.deepEqual(values(moved), expected(5, 40));
  assert.deepEqual([moved.logStartOffset, moved.highWatermark, moved.firstDirtyOffset, moved.topicId], [5, 40, 11, topicId]);
  assert.deepEqual(moved.epochs, log.epochs);
  const again = append(moved, batchOf(['v30'], { producerId: 7, producerEpoch: 0, baseSequence: 0 }), 3);
  assert.deepEqual([again.duplicate, again.firstOffset], [true, 30]);
  assert.throws(() => append(log, batchOf(['late'])), { name: 'KAFKA_STORAGE_ERROR' });
  fill(moved, 40, 50, 3);
  assert.match(files.list('/a').join(), /t-0\.[0-9a-f]{32}-delete/);
  await manager.runTasks((runtime.nowMs += 60_000));
  assert.doesNotMatch(files.list('/a').join(), /t-0/);
  manager.close();
  const after = await open();
  assert.deepEqual(values(after.get('t', 0)!), expected(5, 50));
  assert.deepEqual(after.futures, []);
  after.close();
});

test('a log that starts inside a batch is copied with the whole of it', async () => {
  const { open } = twoDirectories();
  const manager = await open();
  const log = manager.create('t', 0, { topicId, directoryId: idOfA });
  append(log, batchOf(['v0', 'v1', 'v2', 'v3']));
  fill(log, 4, 8);
  log.advanceLogStartOffset(2);
  const future = manager.createFuture('t', 0, idOfB!);
  copyAll(log, future);
  assert.deepEqual(values(future), expected(2, 8));
  assert.equal(future.logStartOffset, 2);
  manager.close();
});

test('a copy goes on after a restart, and drops what the log has lost', async () => {
  const { files, open } = twoDirectories();
  let manager = await open();
  let log = manager.create('t', 0, { topicId, directoryId: idOfA });
  fill(log, 0, 20);
  log.flush();
  fill(log, 20, 30);
  let future = manager.createFuture('t', 0, idOfB!);
  copyAll(log, future);
  future.flush();
  manager.syncDirectories();
  files.crash();
  manager = await open();
  log = manager.get('t', 0)!;
  future = manager.getFuture('t', 0)!;
  assert.deepEqual([log.logEndOffset, future.logEndOffset], [20, 30]);
  assert.ok(isAhead(future, log));
  for (let index = 20; index < 45; index++) append(log, batchOf([`w${index}`]), 1);
  assert.ok(!isAhead(future, log));
  log.onHighWatermark(log.logEndOffset);
  dropWhatParted(log, future);
  assert.equal(future.logEndOffset, 20);
  copyAll(log, future);
  assert.deepEqual(values(future), values(log));
  const copied = values(future);
  assert.deepEqual(values(manager.promoteFuture('t', 0)), copied);
  manager.close();
});

test('a move given up leaves the log as it is, and nothing behind', async () => {
  const { files, open, runtime } = twoDirectories();
  const manager = await open();
  const log = manager.create('t', 0, { topicId, directoryId: idOfA });
  fill(log, 0, 10);
  copyAll(log, manager.createFuture('t', 0, idOfB!));
  assert.equal(manager.removeFuture('t', 0), true);
  assert.equal(manager.removeFuture('t', 0), false);
  fill(log, 10, 20);
  assert.deepEqual(values(log), expected(0, 20));
  await manager.runTasks((runtime.nowMs += 60_000));
  assert.deepEqual(
    files.list('/b').filter((name) => name.startsWith('t-')),
    [],
  );
  manager.createFuture('t', 0, idOfB!);
  manager.delete('t', 0);
  await manager.runTasks((runtime.nowMs += 60_000));
  for (const directory of directories) assert.doesNotMatch(files.list(directory).join(), /t-0/);
  manager.close();
});

test('a power cut at any operation of the swap leaves one whole log, where the metadata says or where it was', async () => {
  let crashed = 0;
  for (let nth = 1; ; nth++) {
    const { files, disk, open } = twoDirectories();
    let manager = await open();
    const log = manager.create('t', 0, { topicId, directoryId: idOfA });
    fill(log, 0, 30);
    log.flush();
    const future = manager.createFuture('t', 0, idOfB!);
    copyAll(log, future);
    future.flush();
    let operations = 0;
    // From then on nothing reaches the disk.
    disk.fault = () => (++operations >= nth ? 'EIO' : undefined);
    let isDone = true;
    try {
      manager.promoteFuture('t', 0);
    } catch {
      isDone = false;
    }
    const seen = operations;
    disk.fault = () => undefined;
    files.crash();
    manager = await open();
    const [current, copy] = [manager.get('t', 0), manager.getFuture('t', 0)];
    const survivor = current ?? copy;
    assert.deepEqual(values(survivor!), expected(0, 30), `operation ${nth}`);
    if (!current) {
      crashed++;
      assert.equal(manager.futureDirectoryIdOf('t', 0), idOfB);
      assert.deepEqual(values(manager.promoteFuture('t', 0)), expected(0, 30));
    }
    manager.close();
    if (isDone && seen < nth) break;
  }
  assert.ok(crashed > 0, 'one of them was between the two renames');
});

test('a disk that fails at any operation of the swap leaves a log that goes on', async () => {
  for (let nth = 1; ; nth++) {
    const { disk, open, files } = twoDirectories();
    let manager = await open();
    const log = manager.create('t', 0, { topicId, directoryId: idOfA });
    fill(log, 0, 30);
    copyAll(log, manager.createFuture('t', 0, idOfB!));
    let operations = 0;
    disk.fault = () => (++operations === nth ? 'ENOSPC' : undefined);
    try {
      manager.promoteFuture('t', 0);
    } catch {}
    const seen = operations;
    disk.fault = () => undefined;
    let current = manager.get('t', 0);
    if (!current) {
      files.kill();
      manager = await open();
      current = manager.get('t', 0) ?? manager.promoteFuture('t', 0);
    }
    fill(current, 30, 35);
    assert.deepEqual(values(current), expected(0, 35), `operation ${nth}`);
    const future = manager.getFuture('t', 0);
    if (future) {
      dropWhatParted(current, future);
      copyAll(current, future);
      assert.deepEqual(values(manager.promoteFuture('t', 0)), expected(0, 35));
    }
    manager.close();
    if (seen < nth) break;
  }
});

test('a directory that fails goes offline alone, also in periodic work', async () => {
  const { disk, open, failures, runtime } = twoDirectories();
  const manager = await open();
  const inA = manager.create('t', 0, { topicId, directoryId: idOfA });
  const inB = manager.create('t', 1, { topicId, directoryId: idOfB });
  fill(inA, 0, 10);
  fill(inB, 0, 10);
  disk.fault = ({ path }) => (path.startsWith('/b') ? 'EIO' : undefined);
  await manager.runTasks((runtime.nowMs += 5_000));
  assert.deepEqual(
    failures.map(({ path, id, logs }) => [path, id, logs]),
    [['/b', idOfB, [inB]]],
  );
  assert.deepEqual(manager.directoryIds, [idOfA]);
  assert.ok(inB.isClosed);
  assert.equal(manager.get('t', 1), undefined);
  fill(inA, 10, 20);
  assert.throws(() => manager.create('t', 1, { topicId, directoryId: idOfB }), { name: 'KAFKA_STORAGE_ERROR' });
  assert.throws(() => manager.create('t', 2, { topicId, mayExist: true }), { name: 'KAFKA_STORAGE_ERROR' });
  assert.throws(() => manager.createFuture('t', 0, idOfA!), { name: 'KAFKA_STORAGE_ERROR' });
  assert.throws(() => manager.directoryForMove('/b'), { name: 'KAFKA_STORAGE_ERROR' });
  assert.throws(() => manager.directoryForMove('/c'), { name: 'LOG_DIR_NOT_FOUND' });
  manager.create('new', 0, { topicId });
  await manager.runTasks((runtime.nowMs += 600_000));
  assert.equal(failures.length, 1);
  assert.deepEqual(
    manager.describeDirs().map(({ online }) => online?.logs.length),
    [2, undefined],
  );
  manager.close();
  disk.fault = () => undefined;
  const after = await open();
  assert.deepEqual(values(after.get('t', 1)!), expected(0, 10));
  after.close();
});

test('a directory that vanished is noticed though nothing is written', async () => {
  const { open, failures, files, runtime } = twoDirectories();
  const manager = await open();
  await manager.runTasks((runtime.nowMs += 60_000));
  files.removeDirectory('/b');
  await manager.runTasks((runtime.nowMs += 5_000));
  assert.deepEqual(
    failures.map(({ path }) => path),
    ['/b'],
  );
  manager.close();
});

test('a directory that fails at start is offline, unless it is the last', async () => {
  const { disk, open } = twoDirectories();
  (await open()).close();
  disk.fault = ({ path }) => (path.startsWith('/a') ? 'EIO' : undefined);
  const manager = await open();
  assert.deepEqual(manager.directoryIds, [idOfB]);
  assert.ok(manager.hasOfflineDirectories);
  manager.close();
  disk.fault = () => 'EIO';
  await assert.rejects(open(), /EIO/);
});

test('cordoned directories take no new logs as long as there are others', async () => {
  const { open } = twoDirectories();
  const manager = await open();
  manager.cordon(['/a']);
  assert.deepEqual(manager.cordonedDirectoryIds, [idOfA]);
  for (let partition = 0; partition < 3; partition++) manager.create('t', partition, { topicId });
  assert.deepEqual(
    manager.describeDirs().map(({ online, isCordoned }) => [online?.logs.length, isCordoned]),
    [
      [0, true],
      [3, false],
    ],
  );
  assert.throws(() => manager.directoryForMove('/a'), { name: 'INVALID_REPLICA_ASSIGNMENT' });
  manager.cordon(['*']);
  manager.create('t', 3, { topicId });
  assert.equal(manager.directoryIdOf('t', 3), idOfA);
  manager.close();
});

test('a full disk gives way to the next for new logs, and is used again when there is room', async () => {
  const { disk, open, failures, runtime } = twoDirectories();
  const manager = await open();
  disk.fault = ({ kind, path }) => (path.startsWith('/a') && kind === 'write' ? 'ENOSPC' : undefined);
  for (let partition = 0; partition < 4; partition++) manager.create('t', partition, { topicId });
  const counts = () => manager.describeDirs().map(({ online }) => online?.logs.length);
  assert.deepEqual(counts(), [0, 4]);
  await manager.runTasks((runtime.nowMs += 1_000));
  manager.create('t', 4, { topicId });
  assert.deepEqual(counts(), [0, 5]);
  disk.fault = () => undefined;
  await manager.runTasks((runtime.nowMs += 5_000));
  manager.create('t', 5, { topicId });
  assert.deepEqual(counts(), [1, 5]);
  assert.deepEqual(failures, []);
  manager.close();
});
