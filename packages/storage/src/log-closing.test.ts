/** A stop after writes to many logs: what it waits for, and that nothing is promised which is not there. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type FileOperation, IoError, MemoryFiles, SeededRandom } from '@ottla/runtime';
import { readCleanShutdown } from './clean-shutdown.ts';
import type { Log } from './log.ts';
import { append, batchOf, startMs, testRuntime, valuesIn } from './log-fixture.ts';
import { LogManager } from './log-manager.ts';
import { writeMetaProperties } from './meta-properties.ts';

const owner = { clusterId: 'c', nodeId: 1 };
const topicId = 'czgjCwTYRjeP-FpebEOouQ';
const partitions = Array.from({ length: 40 }, (_, partition) => partition);

async function withLogs() {
  const operations: FileOperation[] = [];
  const broken = new Set<string>();
  const files = new MemoryFiles({
    crashes: { random: new SeededRandom(1) },
    fault: (operation) => {
      operations.push(operation);
      return operation.kind === 'sync' && broken.has(operation.path) ? 'EIO' : undefined;
    },
  });
  const runtime = testRuntime(files);
  files.makeDirectory('/a');
  files.syncDirectory('/');
  writeMetaProperties(files, '/a', { ...owner, directoryId: 'AQAAAAAAAAAAAAAAAAAAAQ' }, startMs);
  const open = () => LogManager.open({ directories: ['/a'], ...owner, runtime });
  const manager = await open();
  const logs = partitions.map((partition) => manager.create('t', partition, { topicId }));
  for (const log of logs) append(log, batchOf([`in ${log.partition}`]), 3);
  operations.length = 0;
  const syncsIn = (directory: string) =>
    operations.filter(
      ({ kind, path }) =>
        (kind === 'sync' || kind === 'syncDirectory') && (path === directory || path.startsWith(`${directory}/`)),
    );
  return { files, manager, logs, open, operations, broken, syncsIn };
}

const isWhole = (log: Log | undefined, partition: number): void => {
  assert.ok(log);
  assert.deepEqual(valuesIn(log), [[0, `in ${partition}`]]);
  assert.deepEqual([log.topicId, log.latestEpoch, log.recoveryPoint], [topicId, 3, 1]);
};

test('every file of a written log is synced once beforehand, and its directory; what they lie in only once for all', async () => {
  const { manager, operations, syncsIn } = await withLogs();
  await manager.closeAhead();
  assert.deepEqual(
    syncsIn('/a/t-7')
      .map(({ path }) => path.slice('/a/t-7'.length))
      .sort(),
    [
      '',
      '/00000000000000000000.index',
      '/00000000000000000000.log',
      '/00000000000000000000.timeindex',
      '/00000000000000000001.snapshot',
      '/leader-epoch-checkpoint.tmp',
      '/partition.metadata',
    ],
  );
  assert.equal(operations.filter(({ kind, path }) => kind === 'syncDirectory' && path === '/a').length, 1);
  operations.length = 0;
  manager.close();
  for (const partition of partitions) assert.deepEqual(syncsIn(`/a/t-${partition}`), []);
});

test('after that stop the power may go', async () => {
  const { files, manager, open } = await withLogs();
  await manager.closeAhead();
  manager.close();
  files.crash();
  const again = await open();
  assert.ok(again.wasCleanShutdown);
  for (const partition of partitions) isWhole(again.get('t', partition), partition);
});

test('what a recovery wrote anew is synced beforehand as well', async () => {
  const { files, manager, open, syncsIn, operations } = await withLogs();
  for (const log of manager.logs) log.flush();
  manager.checkpointHighWatermarks();
  files.kill();
  const again = await open();
  operations.length = 0;
  await again.closeAhead();
  assert.ok(syncsIn('/a/t-7').length > 0);
  operations.length = 0;
  again.close();
  for (const partition of partitions) assert.deepEqual(syncsIn(`/a/t-${partition}`), []);
});

test('what is written between the two is as durable', async () => {
  const { files, manager, logs, open } = await withLogs();
  await manager.closeAhead();
  append(logs[5]!, batchOf(['late']), 4);
  manager.close();
  files.crash();
  const log = (await open()).get('t', 5)!;
  assert.deepEqual(valuesIn(log), [
    [0, 'in 5'],
    [1, 'late'],
  ]);
  assert.deepEqual([log.recoveryPoint, log.latestEpoch], [2, 4]);
});

test('a sync that fails beforehand is not forgotten by the close', async () => {
  for (const file of ['00000000000000000000.log', '00000000000000000000.timeindex', 'leader-epoch-checkpoint.tmp']) {
    const { files, manager, broken } = await withLogs();
    broken.add(`/a/t-9/${file}`);
    await manager.closeAhead();
    // As a system does that has dropped what it could not write: the next sync succeeds without it.
    broken.clear();
    assert.throws(() => manager.close(), IoError);
    assert.equal(readCleanShutdown(files, '/a'), undefined);
  }
});

test('the power may go while the logs are synced', async () => {
  for (let seed = 1; seed <= 10; seed++) {
    const { files, manager, open } = await withLogs();
    const closing = manager.closeAhead();
    for (let turn = 0; turn < seed * 7; turn++) await Promise.resolve();
    files.crash();
    await closing;
    const again = await open();
    assert.equal(again.wasCleanShutdown, false);
    for (const log of again.logs) if (log.logEndOffset > 0) assert.deepEqual(valuesIn(log), [[0, `in ${log.partition}`]]);
  }
});
