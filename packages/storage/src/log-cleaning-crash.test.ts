import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryFiles, SeededRandom } from '@ottla/runtime';
import { appendKeyed, clean, cleaningOf, type Survivor, survivorsIn } from './cleaner-fixture.ts';
import { endTransaction, openLog, testRuntime } from './log-fixture.ts';

const config = { cleanupPolicy: ['compact'], deleteRetentionMs: 1000, fileDeleteDelayMs: 60_000, segmentBytes: 1200 };

/** Five segments in two groups, one of which becomes empty, with an aborted transaction across two of them. */
function filled(files: MemoryFiles) {
  const runtime = testRuntime(files);
  const log = openLog(runtime, { config });
  const producer = { producerId: 9, producerEpoch: 0, isTransactional: true };
  for (let segment = 0; segment < 5; segment++) {
    const pad = 'x'.repeat(300);
    appendKeyed(
      log,
      ['a', 'b'].map((key) => [key, `${segment}${pad}`] as const),
    );
    appendKeyed(log, [[`only ${segment % 4}`, 'kept']]);
    if (segment === 1) appendKeyed(log, [['a', 'aborted']], { ...producer, baseSequence: 0 });
    if (segment === 2) log.append(endTransaction('abort', producer), { leaderEpoch: 0, origin: 'coordinator' });
    log.roll();
  }
  appendKeyed(log, [['a', 'active']]);
  log.flush();
  for (const directory of ['/data/t-0', '/data', '/']) files.syncDirectory(directory);
  return { runtime, log };
}

type End = { readonly survivors: Survivor[]; readonly latest: Map<string | null, string | null> };

const endOf = (survivors: Survivor[]): End => ({ survivors, latest: new Map(survivors.map(([, key, value]) => [key, value])) });

/** Cleans until the operation fails, lets the process or the machine die, and returns whether it got that far. */
function dieAt(operation: number, death: 'kill' | 'power loss', expected: { before: End; after: End }): boolean {
  let count = Number.NEGATIVE_INFINITY;
  let died = false;
  const files = new MemoryFiles({
    crashes: { random: new SeededRandom(operation + 1), tornWrites: true },
    fault: () => {
      if (count++ < operation) return undefined;
      died = true;
      return 'EIO';
    },
  });
  const { runtime, log } = filled(files);
  count = 0;
  try {
    clean(log, runtime);
  } catch (error) {
    assert.ok(died, String(error));
  }
  const { recoveryPoint, logEndOffset } = log;
  const producers = log.activeProducers();
  count = Number.NEGATIVE_INFINITY;
  const memory = died ? survivorsIn(log) : expected.after.survivors;
  assert.deepEqual(endOf(memory).latest, expected.after.latest, 'the log serves on after the failure');
  count = operation + 1; // closing would need the disk
  if (death === 'kill') files.kill();
  else files.crash();
  count = Number.NEGATIVE_INFINITY;

  const where = `${death} at operation ${operation}`;
  const reopened = openLog(runtime, { config, cleanShutdown: false, recoveryPoint });
  const found = survivorsIn(reopened);
  assert.equal(reopened.logEndOffset, logEndOffset, where);
  const known = new Map(expected.before.survivors.map((record) => [record[0], record]));
  const offsets = new Set(found.map(([offset]) => offset));
  for (const record of found) assert.deepEqual(record, known.get(record[0]), where);
  for (const [offset] of expected.after.survivors) assert.ok(offsets.has(offset), `${where}: ${offset} is lost`);
  assert.deepEqual(reopened.activeProducers(), producers, where);
  const leftovers = files.list('/data/t-0').filter((name) => /\.(cleaned|swap|deleted)$/.test(name));
  assert.deepEqual(leftovers, [], where);

  // And the cleaning, done again, comes to the same.
  const again = cleaningOf(reopened, runtime).run();
  for (let step = again.next(); !step.done; step = again.next()) step.value.flush?.flush();
  assert.deepEqual(survivorsIn(reopened), expected.after.survivors, where);
  assert.equal(reopened.logEndOffset, logEndOffset);
  return died;
}

for (const death of ['kill', 'power loss'] as const) {
  test(`a ${death} at any operation of a cleaning loses nothing`, () => {
    const before = filled(new MemoryFiles());
    const all = endOf(survivorsIn(before.log));
    clean(before.log, before.runtime);
    const after = endOf(survivorsIn(before.log));
    assert.ok(after.survivors.length < all.survivors.length / 2);
    let operations = 0;
    while (dieAt(operations, death, { before: all, after })) operations++;
    assert.ok(operations > 60, `${operations} operations`);
  });
}
