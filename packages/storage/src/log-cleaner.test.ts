import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type FileOperation, MemoryFiles, SeededRandom } from '@ottla/runtime';
import { appendKeyed, survivorsIn } from './cleaner-fixture.ts';
import { defaultLogCleanerConfig, LogCleaner, type LogCleanerConfig } from './log-cleaner.ts';
import { defaultLogConfig, type LogConfig } from './log-config.ts';
import { damage, startMs, testRuntime } from './log-fixture.ts';
import { LogManager } from './log-manager.ts';
import { writeMetaProperties } from './meta-properties.ts';

const owner = { clusterId: 'c', nodeId: 1 };

/** A node with a cleaner whose turns are taken by hand; its clock moves a hundredth of a millisecond at each look. */
async function started({
  config = {},
  topic = {},
  runtime = testRuntime(),
}: {
  config?: Partial<LogCleanerConfig>;
  topic?: Partial<LogConfig>;
  runtime?: ReturnType<typeof testRuntime>;
} = {}) {
  const said: string[] = [];
  const say = (message: string): void => void said.push(message);
  const logger = { ...runtime.logger, error: say, warn: say };
  let ticks = 0;
  const clock = { nowMs: () => runtime.nowMs, monotonicMs: () => runtime.nowMs + ticks++ / 100 };
  if (!runtime.files.stat('/a')) {
    runtime.files.makeDirectory('/a');
    writeMetaProperties(runtime.files, '/a', { ...owner, directoryId: 'AQAAAAAAAAAAAAAAAAAAAQ' }, startMs);
  }
  const open = () =>
    LogManager.open({
      directories: ['/a'],
      ...owner,
      runtime,
      configOf: () => ({ ...defaultLogConfig, cleanupPolicy: ['compact'], fileDeleteDelayMs: 0, ...topic }),
    });
  const manager = await open();
  const timers = { after: () => ({ cancel() {} }), soon() {} };
  const cleanerOf = (logs: LogManager) =>
    new LogCleaner({
      runtime: { ...runtime, clock, logger, timers },
      logs: () => logs.logs,
      onCleaned: () => logs.checkpointFirstDirtyOffsets(),
      config: () => ({ ...defaultLogCleanerConfig, ...config }),
    });
  const logOf = (name: string, rounds: number, size = 1, keys = 10) => {
    const log = manager.create(name, 0);
    for (let round = 0; round < rounds; round++) {
      for (let key = 0; key < keys; key++) appendKeyed(log, [[`k${key}`, `${round}`.repeat(size)]]);
      log.roll();
    }
    log.onHighWatermark(log.logEndOffset);
    return log;
  };
  return { runtime, manager, cleaner: cleanerOf(manager), cleanerOf, open, logOf, said };
}

const checkpoint = (runtime: ReturnType<typeof testRuntime>) =>
  new TextDecoder().decode(runtime.files.readFile('/a/cleaner-offset-checkpoint'));

async function turnsUntilIdle(cleaner: LogCleaner, backoffMs = 15_000): Promise<number> {
  for (let turns = 1; ; turns++) {
    if ((await cleaner.takeTurn()) >= backoffMs) return turns;
    assert.ok(turns < 10_000);
  }
}

test('the dirtiest log goes first, and how far each is clean outlives a restart', async () => {
  const { runtime, manager, cleaner, open, cleanerOf, logOf } = await started();
  const first = logOf('first', 3);
  await turnsUntilIdle(cleaner);
  assert.equal(checkpoint(runtime), '0\n1\nfirst 0 30\n');
  assert.equal(survivorsIn(first).length, 10);
  logOf('second', 2);
  await turnsUntilIdle(cleaner);
  assert.equal(checkpoint(runtime), '0\n2\nfirst 0 30\nsecond 0 20\n');
  manager.delete('second', 0);
  manager.close();

  const again = await open();
  assert.equal(again.get('first', 0)?.firstDirtyOffset, 30);
  const idle = cleanerOf(again);
  assert.equal(await turnsUntilIdle(idle), 1);
  again.close();
  assert.equal(checkpoint(runtime), '0\n1\nfirst 0 30\n');
});

test('a checkpoint that is damaged costs a round, no more', async () => {
  const { runtime, manager, cleaner, open, cleanerOf, logOf } = await started();
  logOf('t', 3);
  await turnsUntilIdle(cleaner);
  manager.close();
  damage(runtime.files, '/a/cleaner-offset-checkpoint', 0, [0x78]);
  const again = await open();
  assert.equal(again.get('t', 0)?.firstDirtyOffset, undefined);
  await turnsUntilIdle(cleanerOf(again));
  assert.equal(checkpoint(runtime), '0\n1\nt 0 30\n');
});

test('a truncation takes back what was clean', async () => {
  const { runtime, manager, cleaner, logOf } = await started();
  const log = logOf('t', 3);
  await turnsUntilIdle(cleaner);
  log.truncateTo(25);
  assert.equal(log.firstDirtyOffset, 25);
  manager.checkpointFirstDirtyOffsets();
  assert.equal(checkpoint(runtime), '0\n1\nt 0 25\n');
});

test('work is cut into turns of about a megabyte, between which others append, read and delete', async () => {
  const { cleaner, logOf, manager } = await started();
  const log = logOf('t', 20, 3000, 100);
  const other = logOf('deleted', 20, 3000, 100);
  let turns = 0;
  while ((await cleaner.takeTurn()) < 15_000) {
    turns++;
    appendKeyed(log, [['while', 'cleaning']]);
    log.onHighWatermark(log.logEndOffset);
    const latest = new Map(survivorsIn(log).map(([, key, value]) => [key, value?.slice(0, 2)]));
    assert.deepEqual([latest.get('k0'), latest.get('k99'), latest.get('while')], ['19', '19', 'cl']);
    if (turns === 5) manager.delete('deleted', 0);
  }
  assert.ok(turns > 10, `${turns} turns`);
  assert.equal(survivorsIn(log).length, 100 + turns);
  assert.equal(other.isClosed, true);
  assert.equal(cleaner.isUncleanable(other), false);
});

test('log.cleaner.io.max.bytes.per.second sets the pauses between turns', async () => {
  const { cleaner, logOf } = await started({ config: { ioMaxBytesPerSecond: 1_000_000 } });
  logOf('t', 10, 3000, 10);
  let pausedMs = 0;
  for (let pause = await cleaner.takeTurn(); pause < 15_000; pause = await cleaner.takeTurn()) {
    assert.ok(pause < 300, `${pause} ms at once`);
    pausedMs += pause;
  }
  // 300 kB are read twice, and a tenth of it is written.
  assert.ok(pausedMs > 550 && pausedMs < 800, `${pausedMs} ms`);
});

test('a partition that cannot be cleaned is said once, left alone, and does not keep the others from it', async () => {
  const { runtime, cleaner, logOf, said } = await started();
  const damaged = logOf('damaged', 4);
  const sound = logOf('sound', 3);
  const path = '/a/damaged-0/00000000000000000000.log';
  damage(runtime.files, path, 65, [255]);
  await turnsUntilIdle(cleaner);
  await turnsUntilIdle(cleaner);
  assert.equal(cleaner.isUncleanable(damaged), true);
  assert.deepEqual(said, ['a partition cannot be cleaned: it is left as it is until the next start']);
  assert.equal(survivorsIn(sound).length, 10);
  assert.equal(damaged.segments.length, 5);
});

test('a full disk is no reason to give a partition up', async () => {
  let isFull = false;
  const fault = ({ kind, path }: FileOperation) =>
    isFull && kind === 'write' && path.includes('.cleaned') ? 'ENOSPC' : undefined;
  const { cleaner, logOf, said, runtime } = await started({ runtime: testRuntime(new MemoryFiles({ fault })) });
  const log = logOf('t', 3);
  isFull = true;
  assert.equal(await cleaner.takeTurn(), 15_000);
  assert.deepEqual(said, ['cleaning failed and is tried again later']);
  assert.ok(!runtime.files.list('/a/t-0').some((name) => name.endsWith('.cleaned')));
  isFull = false;
  await turnsUntilIdle(cleaner);
  assert.equal(survivorsIn(log).length, 10);
});

test('stopping gives up what is under way and leaves nothing behind', async () => {
  const { runtime, manager, cleaner, logOf } = await started();
  const log = logOf('t', 20, 3000, 100);
  for (let turn = 0; turn < 8; turn++) await cleaner.takeTurn();
  await cleaner.stop();
  manager.close();
  assert.ok(!runtime.files.list('/a/t-0').some((name) => /cleaned|swap/.test(name)));
  assert.equal(log.isClosed, true);
});

test('nothing is cleaned away for the sake of a value that a power loss could still take', async () => {
  for (let seed = 1; seed <= 20; seed++) {
    const random = new SeededRandom(seed);
    const runtime = testRuntime(new MemoryFiles({ crashes: { random, tornWrites: true } }));
    // Small segments, so that groups are swapped long before the last has been read.
    const { cleaner, logOf, open } = await started({
      runtime,
      topic: { segmentBytes: 2000 },
      config: { ioMaxBytesPerSecond: 1 }, // a step a turn
    });
    runtime.files.syncDirectory('/');
    logOf('t', 8, 10);
    for (let turns = random.below(6) + 1; turns > 0; turns--) await cleaner.takeTurn();
    runtime.files.crash();
    const log = (await open()).get('t', 0)!;
    const latest = new Map(survivorsIn(log).map(([, key, value]) => [key, value?.[0]]));
    assert.deepEqual(new Set(latest.values()), new Set(['7']), `seed ${seed}`);
    assert.equal(latest.size, 10);
  }
});

test('compact,delete does both', async () => {
  const { manager, cleaner, logOf, runtime } = await started({
    topic: { cleanupPolicy: ['compact', 'delete'], retentionMs: 60_000 },
  });
  const log = logOf('t', 3);
  await turnsUntilIdle(cleaner);
  assert.equal(survivorsIn(log).length, 10);
  runtime.nowMs += 400_000;
  await manager.runTasks(runtime.nowMs);
  assert.deepEqual([log.logStartOffset, survivorsIn(log).length], [30, 0]);
});
