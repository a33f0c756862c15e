import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compressionCodecs } from '@ottla/protocol';
import { appendKeyed, batchesIn, clean, cleaningOf, keyedBatch, survivorsIn } from './cleaner-fixture.ts';
import type { Log } from './log.ts';
import { endTransaction, flipBit, openLog, startMs, testRuntime } from './log-fixture.ts';

const config = { cleanupPolicy: ['compact'], deleteRetentionMs: 1000, fileDeleteDelayMs: 0 };
const compacted = (runtime = testRuntime(), more = {}) => ({
  runtime,
  log: openLog(runtime, { config: { ...config, ...more } }),
});
const bases = (log: Log): number[] => log.segments.map(({ baseOffset }) => baseOffset);

test('of each key the latest record stays, at its offset, and the segments become one', () => {
  const { runtime, log } = compacted();
  appendKeyed(log, [
    ['a', '1'],
    ['b', '2'],
    ['a', '3'],
  ]);
  log.roll();
  appendKeyed(log, [
    ['b', '4'],
    ['c', '5'],
    [null, 'without key'],
  ]);
  log.roll();
  appendKeyed(log, [
    ['a', 'in the active segment'],
    ['c', 'too'],
  ]);
  const { endOffset, segmentsBefore, segmentsAfter } = clean(log, runtime);
  assert.deepEqual([endOffset, segmentsBefore, segmentsAfter], [6, 2, 1]);
  assert.deepEqual(survivorsIn(log), [
    [2, 'a', '3'],
    [3, 'b', '4'],
    [4, 'c', '5'],
    [6, 'a', 'in the active segment'],
    [7, 'c', 'too'],
  ]);
  assert.deepEqual(bases(log), [0, 6]);
  assert.deepEqual(
    batchesIn(log).map(({ baseOffset, lastOffset }) => [baseOffset, lastOffset]),
    [
      [0, 2],
      [3, 5],
      [6, 7],
    ],
  );
  log.close();
  assert.deepEqual(survivorsIn(openLog(runtime, { config })).length, 5);
});

test('the files of a cleaned segment are those of any other, with the time of the last that went into it', () => {
  const { runtime, log } = compacted();
  for (let round = 0; round < 3; round++) {
    appendKeyed(log, [['a', `${round}`]]);
    log.roll();
    runtime.files.setModifiedMs(`/data/t-0/${`${round}`.padStart(20, '0')}.log`, startMs - 5000 + round);
  }
  clean(log, runtime);
  log.runTasks(runtime.nowMs);
  const names = runtime.files.list('/data/t-0').filter((name) => name.startsWith('0000000000000000000'));
  assert.deepEqual(names, [
    '00000000000000000000.index',
    '00000000000000000000.log',
    '00000000000000000000.timeindex',
    '00000000000000000003.index',
    '00000000000000000003.log',
    '00000000000000000003.snapshot',
    '00000000000000000003.timeindex',
  ]);
  assert.equal(runtime.files.stat('/data/t-0/00000000000000000000.log')?.modifiedMs, startMs - 4998);
});

test('a tombstone gets its delete horizon in the first round, and goes in one after that', () => {
  const { runtime, log } = compacted();
  appendKeyed(log, [
    ['a', '1'],
    ['b', '2'],
  ]);
  appendKeyed(log, [
    ['a', null],
    ['c', '3'],
  ]);
  log.roll();
  appendKeyed(log, [['x', 'y']]);
  clean(log, runtime);
  assert.deepEqual(survivorsIn(log).slice(0, 3), [
    [1, 'b', '2'],
    [2, 'a', null],
    [3, 'c', '3'],
  ]);
  const horizons = () => batchesIn(log).map(({ deleteHorizonMs }) => deleteHorizonMs);
  assert.deepEqual(horizons(), [-1, startMs + 1000, -1]);
  assert.deepEqual(
    batchesIn(log)[1]!.records.map(({ timestamp }) => timestamp),
    [startMs, startMs],
  );

  runtime.nowMs += 999;
  log.roll();
  appendKeyed(log, [['z', '1']]);
  clean(log, runtime);
  assert.deepEqual(horizons(), [-1, startMs + 1000, -1, -1]);
  assert.ok(survivorsIn(log).some(([, key, value]) => key === 'a' && value === null));

  runtime.nowMs += 1;
  log.roll();
  clean(log, runtime);
  assert.deepEqual(survivorsIn(log), [
    [1, 'b', '2'],
    [3, 'c', '3'],
    [4, 'x', 'y'],
    [5, 'z', '1'],
  ]);
});

test('the last batch of the round and the last of a live producer stay, if only as headers', () => {
  const { runtime, log } = compacted();
  appendKeyed(
    log,
    [
      ['a', '1'],
      ['b', '1'],
    ],
    { producerId: 7, producerEpoch: 2, baseSequence: 0 },
  );
  appendKeyed(log, [['a', '2']]);
  appendKeyed(log, [['b', '2']]);
  appendKeyed(log, [[null, 'no key']]);
  log.roll();
  const before = log.activeProducers();
  clean(log, runtime);
  assert.deepEqual(
    batchesIn(log).map(({ baseOffset, lastOffset, producerId, lastSequence, records }) => [
      baseOffset,
      lastOffset,
      producerId,
      lastSequence,
      records.length,
    ]),
    [
      [0, 1, 7, 1, 0],
      [2, 2, -1, -1, 1],
      [3, 3, -1, -1, 1],
      [4, 4, -1, -1, 0],
    ],
  );
  log.close();
  for (const name of runtime.files.list('/data/t-0')) if (name.endsWith('.snapshot')) runtime.files.remove(`/data/t-0/${name}`);
  const reopened = openLog(runtime, { config, cleanShutdown: false });
  assert.deepEqual(reopened.activeProducers(), before);
  assert.equal(reopened.logEndOffset, 5);
});

// After its own recovery and a kill Kafka leaves the recovery point where it was: at the log's beginning, maybe.
for (const recoveryPoint of [0, 6])
  test(`a segment that Kafka cleaned has not lost its end, whatever the roll behind it witnesses, recovery from ${recoveryPoint}`, () => {
    const value = 'x'.repeat(200);
    const { runtime, log } = compacted(testRuntime(), { segmentBytes: 900 });
    for (const key of ['a', 'b', 'b', 'c', 'd', 'e']) {
      appendKeyed(log, [[key, value]]);
      if (log.logEndOffset === 3) log.roll();
    }
    log.roll();
    const witnesses = (): string[] => runtime.files.list('/data/t-0').filter((name) => name.includes('.after-'));
    const before = witnesses();
    const { endOffset } = clean(log, runtime);
    const survivors = survivorsIn(log);
    assert.deepEqual([bases(log), survivors.length], [[0, 3, 6], 5]);
    assert.deepEqual(witnesses(), []);
    for (const name of before) runtime.files.open(`/data/t-0/${name}`, 'create').close();
    log.abandon();

    const options = { config, cleanShutdown: false, recoveryPoint, firstDirtyOffset: endOffset };
    assert.deepEqual(survivorsIn(openLog(runtime, options)), survivors);
    assert.deepEqual(witnesses(), []);
  });

test('no record has the largest timestamp when cleaning took those of the first batch with it', () => {
  const { runtime, log } = compacted();
  appendKeyed(log, [['a', '1']], { producerId: 7, producerEpoch: 0, baseSequence: 0, timestamp: startMs + 9 });
  appendKeyed(log, [['a', '2']]);
  appendKeyed(log, [['b', '1']], { timestamp: startMs + 9 });
  log.roll();
  assert.equal(log.offsetOfMaxTimestamp()?.offset, 0);
  clean(log, runtime);
  assert.deepEqual(
    batchesIn(log).map(({ records }) => records.length),
    [0, 1, 1],
  );
  assert.equal(log.offsetOfMaxTimestamp(), undefined);
  log.close();
  const reopened = openLog(runtime, { config });
  assert.equal(reopened.offsetOfMaxTimestamp(), undefined);
  appendKeyed(reopened, [['b', '2']], { timestamp: startMs + 10 });
  assert.equal(reopened.offsetOfMaxTimestamp()?.offset, 3);
});

test('data of aborted transactions goes at once, its marker a round and a delete horizon later', () => {
  const { runtime, log } = compacted();
  const producer = { producerId: 9, producerEpoch: 0, isTransactional: true };
  appendKeyed(log, [['a', 'kept']]);
  appendKeyed(log, [['a', 'aborted']], { ...producer, baseSequence: 0 });
  log.append(endTransaction('abort', producer), { leaderEpoch: 0, origin: 'coordinator' });
  appendKeyed(log, [['b', 'committed']], { ...producer, baseSequence: 1 });
  log.append(endTransaction('commit', producer), { leaderEpoch: 0, origin: 'coordinator' });
  log.roll();
  const shape = () =>
    batchesIn(log).map(({ baseOffset, isControl, records, deleteHorizonMs }) => {
      const horizon = deleteHorizonMs < 0 ? '' : ` until ${deleteHorizonMs - startMs}`;
      return `${baseOffset} ${isControl ? 'marker' : 'data'} x${records.length}${horizon}`;
    });
  clean(log, runtime);
  assert.deepEqual(survivorsIn(log), [
    [0, 'a', 'kept'],
    [3, 'b', 'committed'],
  ]);
  assert.deepEqual(shape(), ['0 data x1', '2 marker x1', '3 data x1', '4 marker x1']);
  assert.equal(log.abortedTransactions(0, 5).length, 1);

  const again = (values: [string, string][]) => {
    appendKeyed(log, values);
    log.roll();
    clean(log, runtime);
  };
  again([['b', 'later']]);
  assert.deepEqual(shape(), ['0 data x1', '2 marker x1 until 1000', '3 data x0', '4 marker x1', '5 data x1']);
  assert.equal(log.abortedTransactions(0, 5).length, 0);
  runtime.nowMs += 1000;
  again([['c', '1']]);
  // Its last data batch stays for the sequence, so the commit's marker stays, too.
  assert.deepEqual(shape(), ['0 data x1', '3 data x0', '4 marker x1', '5 data x1', '6 data x1']);
});

test('an open transaction holds back the segments from its first offset on', () => {
  const { runtime, log } = compacted();
  appendKeyed(log, [['a', '1']]);
  log.roll();
  appendKeyed(log, [['a', '2']], { producerId: 9, producerEpoch: 0, baseSequence: 0, isTransactional: true });
  log.roll();
  appendKeyed(log, [['a', '3']]);
  clean(log, runtime);
  assert.deepEqual(
    survivorsIn(log).map(([offset]) => offset),
    [0, 1, 2],
  );
  assert.equal(log.firstDirtyOffset, 1);
});

test('a map that is full ends the round at the last offset that fit, and the next goes on from there', () => {
  const { runtime, log } = compacted();
  for (let round = 0; round < 3; round++) {
    appendKeyed(
      log,
      ['a', 'b', 'c', 'd'].map((key) => [key, `${round}`] as const),
    );
    log.roll();
  }
  const small = { dedupeBufferBytes: 24 * 4 }; // three keys
  assert.equal(clean(log, runtime, small).endOffset, 3);
  assert.deepEqual(survivorsIn(log).length, 12);
  const ends = [];
  while (log.firstDirtyOffset! < 12) ends.push(clean(log, runtime, small).endOffset);
  assert.deepEqual(ends, [6, 9, 12]);
  assert.deepEqual(clean(log, runtime).endOffset, 12);
  // Each of them forgot one key, so a few repetitions stay, but never an older value behind a newer one.
  const latest = new Map(survivorsIn(log).map(([, key, value]) => [key, value]));
  assert.deepEqual([...latest.values()], ['2', '2', '2', '2']);
});

for (const codec of compressionCodecs) {
  test(`rewritten batches keep what they were made with: ${codec}`, () => {
    const { runtime, log } = compacted();
    const options = { codec, producerId: 3, producerEpoch: 1, baseSequence: 5 };
    appendKeyed(log, [['0', '0']]);
    log.append(keyed(options), { leaderEpoch: 4, origin: 'client' });
    appendKeyed(log, [['k1', 'new']]);
    log.roll();
    clean(log, runtime);
    const batch = batchesIn(log)[1]!;
    assert.deepEqual(
      [
        batch.codec,
        batch.baseOffset,
        batch.lastOffset,
        batch.leaderEpoch,
        batch.producerId,
        batch.lastSequence,
        batch.records.length,
      ],
      [codec, 1, 40, 4, 3, 44, 39],
    );
    log.close();
  });
}

test('a flipped bit anywhere in a segment stops the round, and nothing has changed', () => {
  const { runtime, log } = compacted();
  appendKeyed(log, [['a', '1']]);
  appendKeyed(log, [['a', '2']]);
  log.roll();
  const path = '/data/t-0/00000000000000000000.log';
  const names = () => runtime.files.list('/data/t-0');
  const before = names();
  const { length } = runtime.files.readFile(path);
  for (let bit = 0; bit < length * 8; bit++) {
    const isLeaderEpoch = [12, 13, 14, 15].includes((bit >>> 3) % (length / 2)); // which no crc covers
    if (isLeaderEpoch) continue;
    flipBit(runtime.files, path, bit);
    assert.throws(() => clean(log, runtime), /corrupt|is not whole|ends at offset|claims|safe/i, `bit ${bit}`);
    assert.deepEqual(names(), before);
    flipBit(runtime.files, path, bit);
  }
});

test('a round is obsolete once its log is truncated, deleted from, no longer compacted or closed, and leaves nothing behind', () => {
  const changes: Record<string, (log: Log) => void> = {
    truncated: (log) => void log.truncateTo(3),
    'cut at its start': (log) => {
      log.advanceLogStartOffset(2);
      log.deleteOldSegments({ highWatermark: 4, nowMs: startMs });
    },
    'no longer compacted': (log) => log.updateConfig({ ...log.config, cleanupPolicy: ['delete'] }),
    closed: (log) => log.close(),
  };
  for (const [name, change] of Object.entries(changes)) {
    const { runtime, log } = compacted();
    for (let round = 0; round < 4; round++) {
      appendKeyed(log, [['a', `${round}`]]);
      if (round % 2 === 1) log.roll();
    }
    const cleaning = cleaningOf(log, runtime);
    const steps = cleaning.run();
    assert.ok(steps.next().value);
    assert.equal(cleaning.isObsolete, false);
    assert.ok(runtime.files.list('/data/t-0').some((file) => file.endsWith('.cleaned')));
    change(log);
    assert.equal(cleaning.isObsolete, true, name);
    steps.return(undefined as never);
    if (name === 'closed') openLog(runtime, { config }).close();
    assert.ok(!runtime.files.list('/data/t-0').some((file) => file.endsWith('.cleaned')), name);
  }
});

function keyed(options: object): Uint8Array {
  return keyedBatch(
    Array.from({ length: 40 }, (_, index) => [`k${index}`, 'value'.repeat(10)] as const),
    options,
  );
}
