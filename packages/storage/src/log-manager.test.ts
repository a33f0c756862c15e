import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IoError, MemoryFiles, SeededRandom } from '@ottla/runtime';
import { readCleanShutdown } from './clean-shutdown.ts';
import { defaultLogConfig } from './log-config.ts';
import { append, batchOf, startMs, testRuntime, valuesIn } from './log-fixture.ts';
import { LogManager } from './log-manager.ts';
import { writeMetaProperties } from './meta-properties.ts';
import { readOffsetCheckpoint } from './offset-checkpoint.ts';
import { readPartitionMetadata } from './partition-metadata.ts';

const owner = { clusterId: 'c', nodeId: 1 };
const topicId = 'czgjCwTYRjeP-FpebEOouQ';
const ids = ['AQAAAAAAAAAAAAAAAAAAAQ', 'AgAAAAAAAAAAAAAAAAAAAQ'];

function formatted(runtime = testRuntime(), directories = ['/a']) {
  directories.forEach((directory, index) => {
    runtime.files.makeDirectory(directory);
    writeMetaProperties(runtime.files, directory, { ...owner, directoryId: ids[index]! }, startMs);
  });
  return { runtime, open: () => LogManager.open({ directories, ...owner, runtime }) };
}

const textOf = (runtime: ReturnType<typeof testRuntime>, path: string) => new TextDecoder().decode(runtime.files.readFile(path));

test('a clean stop leaves checkpoints and a marker, and the next start takes the marker away', async () => {
  const { runtime, open } = formatted();
  const manager = await open();
  assert.equal(manager.lastBrokerEpoch, -1);
  const log = manager.create('t', 3, { topicId });
  append(log, batchOf(['a', 'b', 'c']));
  log.onHighWatermark(2);
  log.advanceLogStartOffset(1);
  manager.close({ brokerEpoch: 42 });
  assert.equal(textOf(runtime, '/a/.kafka_cleanshutdown'), '{"version":0,"brokerEpoch":42}');
  assert.equal(textOf(runtime, '/a/recovery-point-offset-checkpoint'), '0\n1\nt 3 3\n');
  assert.equal(textOf(runtime, '/a/replication-offset-checkpoint'), '0\n1\nt 3 2\n');
  assert.equal(textOf(runtime, '/a/log-start-offset-checkpoint'), '0\n1\nt 3 1\n');
  assert.equal(textOf(runtime, '/a/t-3/partition.metadata'), `version: 0\ntopic_id: ${topicId}`);

  const again = await open();
  const reopened = again.get('t', 3)!;
  assert.equal(again.lastBrokerEpoch, 42);
  assert.deepEqual(
    [reopened.logStartOffset, reopened.highWatermark, reopened.recoveryPoint, reopened.logEndOffset, reopened.topicId],
    [1, 2, 3, 3, topicId],
  );
  assert.equal(readCleanShutdown(runtime.files, '/a'), undefined);
});

test('new logs go to the directory with the fewest partitions, or to the one asked for', async () => {
  const { open } = formatted(testRuntime(), ['/a', '/b']);
  const manager = await open();
  for (let partition = 0; partition < 4; partition++) manager.create('t', partition);
  manager.create('u', 0, { directoryId: ids[1] });
  assert.deepEqual(
    manager.describeDirs().map(({ path, online }) => [path, online?.id, online?.logs.map((log) => log.name)]),
    [
      ['/a', ids[0], ['t-0', 't-2']],
      ['/b', ids[1], ['t-1', 't-3', 'u-0']],
    ],
  );
  assert.equal(manager.directoryIdOf('t', 1), ids[1]);
  // All directories are online, so it cannot lie elsewhere: it was in one that was replaced.
  manager.create('u', 1, { directoryId: topicId });
  assert.equal(manager.directoryIdOf('u', 1), ids[0]);
});

test('creating a log twice gives the same one, unless the topic is another', async () => {
  const { open } = formatted();
  const manager = await open();
  const log = manager.create('t', 0, { topicId });
  assert.equal(manager.create('t', 0, { topicId }), log);
  assert.throws(() => manager.create('t', 0, { topicId: ids[0] }), { name: 'INCONSISTENT_TOPIC_ID' });
});

test('a deleted log disappears at once, its files after the delay, also across a restart', async () => {
  const { runtime, open } = formatted();
  const manager = await open();
  const log = manager.create('t', 0);
  append(log, batchOf(['a']));
  assert.equal(manager.delete('t', 0), true);
  assert.equal(manager.delete('t', 0), false);
  assert.equal(manager.get('t', 0), undefined);
  assert.throws(() => append(log, batchOf(['b'])), { name: 'KAFKA_STORAGE_ERROR' });
  const waiting = () => runtime.files.list('/a').filter((name) => /^t-0\.[0-9a-f]{32}-delete$/.test(name)).length;
  assert.equal(waiting(), 1);
  assert.equal(valuesIn(manager.create('t', 0)).length, 0);

  manager.close();
  const again = await open();
  await again.runTasks((runtime.nowMs += 59_999));
  assert.equal(waiting(), 1);
  await again.runTasks((runtime.nowMs += 1));
  assert.equal(waiting(), 0);
  assert.ok(again.get('t', 0));
});

test('whoever deletes many logs waits for the disk once', async () => {
  const { runtime, open } = formatted();
  const manager = await open();
  for (let partition = 0; partition < 20; partition++) manager.create('t', partition);
  const synced: string[] = [];
  const { syncDirectory } = runtime.files;
  runtime.files.syncDirectory = (path) => {
    synced.push(path);
    syncDirectory.call(runtime.files, path);
  };
  for (let partition = 0; partition < 20; partition++) assert.ok(manager.delete('t', partition, { durably: false }));
  assert.deepEqual(synced, []);
  manager.syncDirectories();
  manager.syncDirectories();
  assert.deepEqual(synced, ['/a']);
  manager.close();
});

test('a stray replica is kept out of use', async () => {
  const { runtime, open } = formatted();
  const manager = await open();
  manager.create('t', 0);
  assert.equal(manager.markStray('t', 0), true);
  manager.close();
  const again = await open();
  await again.runTasks(runtime.nowMs + 1e9);
  assert.equal(again.get('t', 0), undefined);
  assert.equal(runtime.files.list('/a').filter((name) => name.endsWith('-stray')).length, 1);
});

test('the periodic work writes checkpoints, flushes rolled segments, applies retention and forgets producers', async () => {
  const { runtime, open } = formatted();
  const manager = await open();
  const log = manager.create('t', 0, { config: { ...defaultLogConfig, segmentBytes: 600, retentionMs: 250_000 } });
  for (let index = 0; index < 9; index++) {
    append(log, batchOf(['x'.repeat(200)], { timestamp: startMs + index, producerId: 5, producerEpoch: 0, baseSequence: index }));
  }
  log.onHighWatermark(7);
  const active = log.segments.at(-1)!.baseOffset;
  await manager.runTasks((runtime.nowMs += 5_000));
  assert.equal(log.recoveryPoint, active);
  assert.equal(readOffsetCheckpoint(runtime.files, '/a/replication-offset-checkpoint').get('t-0'), 7);
  await manager.runTasks((runtime.nowMs += 55_000));
  assert.equal(readOffsetCheckpoint(runtime.files, '/a/recovery-point-offset-checkpoint').get('t-0'), active);

  await manager.runTasks((runtime.nowMs += 240_000));
  assert.equal(log.logStartOffset, 6, 'the segment that the high watermark has not passed stays');
  assert.deepEqual(
    valuesIn(log).map(([offset]) => offset),
    [6, 7, 8],
  );
  assert.ok(runtime.files.list('/a/t-0').some((name) => name.endsWith('.log.deleted')));
  await manager.runTasks((runtime.nowMs += 60_000));
  assert.ok(!runtime.files.list('/a/t-0').some((name) => name.endsWith('.deleted')));

  assert.equal(log.activeProducers().length, 1);
  await manager.runTasks((runtime.nowMs += 24 * 3_600_000));
  assert.equal(log.activeProducers().length, 0);
});

test('flush.ms makes the open segment durable in time', async () => {
  const { runtime, open } = formatted();
  const manager = await open();
  const log = manager.create('t', 0, { config: { ...defaultLogConfig, flushMs: 2000 } });
  append(log, batchOf(['a']));
  await manager.runTasks((runtime.nowMs += 1999));
  assert.equal(log.recoveryPoint, 0);
  await manager.runTasks((runtime.nowMs += 1));
  assert.equal(log.recoveryPoint, 1);
  manager.updateConfig('t', { ...defaultLogConfig, flushMessages: 2 });
  append(log, batchOf(['b']));
  assert.equal(log.recoveryPoint, 1);
  append(log, batchOf(['c']));
  assert.equal(log.recoveryPoint, 3);
});

test('a log deleted while it is flushed harms nobody', async () => {
  const { runtime, open } = formatted();
  const manager = await open();
  const log = manager.create('t', 0, { config: { ...defaultLogConfig, segmentBytes: 300 } });
  for (let index = 0; index < 5; index++) append(log, batchOf(['x'.repeat(200)]));
  const tasks = manager.runTasks(runtime.nowMs);
  manager.delete('t', 0);
  await tasks;
  assert.equal(log.recoveryPoint, 0);
});

test('a directory that cannot be closed stays without a marker', async () => {
  const { runtime, open } = formatted(testRuntime(), ['/a', '/b']);
  const manager = await open();
  append(manager.create('t', 0), batchOf(['a']));
  append(manager.create('t', 1), batchOf(['a']));
  runtime.files.removeDirectory('/a/t-0');
  assert.throws(() => manager.close(), IoError);
  assert.equal(readCleanShutdown(runtime.files, '/a'), undefined);
  assert.ok(readCleanShutdown(runtime.files, '/b'));
});

test('a partition in two directories stops the start', async () => {
  const { runtime, open } = formatted(testRuntime(), ['/a', '/b']);
  runtime.files.makeDirectory('/a/t-0');
  runtime.files.makeDirectory('/b/t-0');
  await assert.rejects(open(), /t-0 is both in \/a\/t-0 and in \/b\/t-0|t-0 is both in \/a and in \/b/);
});

test('the metadata log, unknown names and files are left alone', async () => {
  const { runtime, open } = formatted();
  for (const name of ['__cluster_metadata-0', 'lost+found', 'no-partition-x']) runtime.files.makeDirectory(`/a/${name}`);
  runtime.files.writeFileDurably('/a/a-file-0', 'x');
  const manager = await open();
  assert.equal(manager.logs.length, 0);
  manager.close();
  assert.deepEqual(runtime.files.list('/a/__cluster_metadata-0'), []);
});

test('logs are opened in slices, and who is told to stop meanwhile lets go of the directories', async () => {
  const { runtime, open } = formatted();
  const manager = await open();
  for (let partition = 0; partition < 50; partition++) manager.create('t', partition);
  manager.close();
  let slices = 0;
  const stopping = new AbortController();
  const timers = {
    ...runtime.timers,
    soon(callback: () => void) {
      if (++slices === 3) stopping.abort(new Error('told to stop'));
      callback();
    },
  };
  const slow = { ...runtime, timers, clock: { ...runtime.clock, monotonicMs: () => (runtime.nowMs += 10) } };
  const opening = LogManager.open({ directories: ['/a'], ...owner, runtime: slow, signal: stopping.signal });
  await assert.rejects(opening, /told to stop/);
  assert.equal(slices, 3);
  assert.equal(readCleanShutdown(runtime.files, '/a'), undefined);
  assert.equal((await open()).logs.length, 50);
});

test('whose a log is outlasts a loss of power a moment after its first records, though they were never flushed', async () => {
  const files = new MemoryFiles({ crashes: { random: new SeededRandom(1), tornWrites: false } });
  const { runtime, open } = formatted(testRuntime(files));
  files.syncDirectory('/');
  files.syncDirectory('/a');
  const manager = await open();
  const [used, unused] = [manager.create('t', 0, { topicId }), manager.create('t', 1, { topicId })];
  append(used, batchOf(['a']));
  assert.ok(used.lacksDurableOwner && !unused.lacksDurableOwner);
  await manager.runTasks(runtime.nowMs);
  assert.equal(used.recoveryPoint, 0);
  assert.ok(!used.lacksDurableOwner);
  files.crash();
  assert.deepEqual(readPartitionMetadata(files, '/a/t-0'), { topicId });
});

test('a topic id that a log gets late is made durable too', async () => {
  const { runtime, open } = formatted();
  const manager = await open();
  const log = manager.create('t', 0);
  append(log, batchOf(['a']));
  log.flush();
  manager.create('t', 0, { topicId });
  assert.ok(log.lacksDurableOwner);
  await manager.runTasks(runtime.nowMs);
  assert.ok(!log.lacksDurableOwner);
});
