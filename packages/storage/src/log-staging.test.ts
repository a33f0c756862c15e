import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KafkaError } from '@ottla/protocol';
import { type FileOperation, IoError, MemoryFiles } from '@ottla/runtime';
import fc from 'fast-check';
import type { Log } from './log.ts';
import { append, batchOf, openLog, startMs, testRuntime, valuesIn } from './log-fixture.ts';

const client = { leaderEpoch: 0, origin: 'client' } as const;

function stage(log: Log, records: Uint8Array, leaderEpoch = 0) {
  return log.stage(records, { leaderEpoch, origin: 'client' });
}

function produced(value: string, baseSequence: number, producerId = 1): Uint8Array {
  return batchOf([value], { producerId, producerEpoch: 0, baseSequence });
}

/** Files whose operations can be watched, and made to fail. */
function watchedFiles() {
  const watched = { operations: [] as FileOperation[], failure: undefined as string | undefined };
  const files = new MemoryFiles({
    fault: (operation) => {
      watched.operations.push(operation);
      return operation.kind === 'write' && operation.path.endsWith('.log') ? watched.failure : undefined;
    },
  });
  return Object.assign(watched, { files });
}

/** All that a log shows, and all that is in its files. */
function stateOf(log: Log, files: MemoryFiles) {
  return {
    offsets: [log.logStartOffset, log.logEndOffset, log.lastStableOffset],
    segments: log.segments,
    producers: log.activeProducers(),
    epochs: log.epochs,
    values: valuesIn(log),
    files: files
      .list(log.directory)
      .map((name) => [name, Buffer.from(files.readFile(`${log.directory}/${name}`)).toString('base64')]),
  };
}

test('staged batches have their offsets, are written together, and are seen only then', () => {
  const { files, operations } = watchedFiles();
  const log = openLog(testRuntime(files));
  append(log, batchOf(['a', 'b']));
  const before = stateOf(log, files);

  const offsets = ['c', 'd', 'e'].map((value, index) => stage(log, produced(value, index)).firstOffset);
  assert.deepEqual(offsets, [2, 3, 4]);
  assert.deepEqual(stateOf(log, files), before);
  assert.equal(log.measure({ startOffset: 2, endOffset: 2, maxBytes: 1e6, minOneBatch: true }), 0);
  assert.equal(log.offsetForTimestamp(startMs + 1), undefined);
  assert.throws(() => log.read({ startOffset: 3, endOffset: 5, maxBytes: 1e6, minOneBatch: true }), /up to 2/);
  assert.ok(log.stagedBytes > 0);

  operations.length = 0;
  log.commitStaged();
  assert.equal(operations.filter(({ kind }) => kind === 'write').length, 1);
  assert.deepEqual(
    valuesIn(log).map(([, value]) => value),
    ['a', 'b', 'c', 'd', 'e'],
  );
  assert.equal(log.activeProducers()[0]!.lastSequence, 2);
  assert.equal(log.stagedBytes, 0);
  log.commitStaged();
});

test('a batch that is refused leaves the staged ones alone, and those after it follow them', () => {
  const log = openLog(testRuntime());
  log.assignLeaderEpoch(0, 0);
  stage(log, produced('a', 0));
  assert.throws(() => stage(log, produced('gap', 5)), { name: 'OUT_OF_ORDER_SEQUENCE_NUMBER' });
  assert.throws(() => stage(log, batchOf(['x'], { producerId: 1, producerEpoch: -1, baseSequence: 1 })), {
    name: 'INVALID_PRODUCER_EPOCH',
  });
  const broken = produced('b', 1);
  broken[70]! ^= 1;
  assert.throws(() => stage(log, broken), { name: 'CORRUPT_MESSAGE' });
  assert.equal(stage(log, produced('b', 1)).firstOffset, 1);
  log.commitStaged();
  assert.deepEqual(valuesIn(log), [
    [0, 'a'],
    [1, 'b'],
  ]);
});

test('a batch that repeats a staged one is answered with its offset, which is not yet in the log', () => {
  const log = openLog(testRuntime());
  log.assignLeaderEpoch(0, 0);
  append(log, produced('0', 0));
  for (let sequence = 1; sequence < 7; sequence++) stage(log, produced(`${sequence}`, sequence));
  const again = stage(log, produced('4', 4));
  assert.deepEqual([again.duplicate, again.lastOffset, log.logEndOffset], [true, 4, 1]);
  assert.throws(() => stage(log, produced('1', 1)), { name: 'OUT_OF_ORDER_SEQUENCE_NUMBER' }, 'it is older than the last five');
  log.commitStaged();
  assert.equal(log.logEndOffset, 7);
});

test('whatever changes the log writes first what is staged', () => {
  const changes: [string, (log: Log) => void][] = [
    ['append', (log) => void append(log, batchOf(['z']))],
    ['roll', (log) => log.roll()],
    ['truncateTo', (log) => void log.truncateTo(2)],
    ['a later epoch', (log) => void stage(log, batchOf(['z']), 1)],
    ['another origin', (log) => void log.stage(batchOf(['z']), { leaderEpoch: 0, origin: 'coordinator' })],
    ['close', (log) => log.close()],
  ];
  for (const [name, change] of changes) {
    const runtime = testRuntime();
    const log = openLog(runtime);
    log.assignLeaderEpoch(0, 0);
    stage(log, batchOf(['a']));
    stage(log, batchOf(['b']));
    change(log);
    const seen = log.isClosed ? openLog(runtime) : log;
    assert.deepEqual(valuesIn(seen).slice(0, 2), [[0, 'a'], [1, 'b']], name); // biome-ignore format: one line
    if (!log.isClosed) log.commitStaged();
  }
});

test('a commit that fails leaves the log as it was, whether the disk is full, broken or took a part', () => {
  for (const failure of ['ENOSPC', 'EIO', 'part'] as const) {
    const disk: { capacityBytes: number; fault: (operation: FileOperation) => string | undefined } = {
      capacityBytes: Number.POSITIVE_INFINITY,
      fault: ({ kind, path }) =>
        isFailing && failure !== 'part' && kind === 'write' && path.endsWith('.log') ? failure : undefined,
    };
    let isFailing = false;
    const files = new MemoryFiles(disk);
    const runtime = testRuntime(files);
    const log = openLog(runtime);
    append(log, produced('a', 0));
    const before = stateOf(log, files);

    for (const value of ['b', 'c', 'd']) stage(log, produced(value.repeat(100), value.charCodeAt(0) - 97));
    isFailing = true;
    if (failure === 'part') {
      const used = files.list(log.directory).reduce((sum, name) => sum + files.stat(`${log.directory}/${name}`)!.size, 0);
      disk.capacityBytes = used + 250;
    }
    assert.throws(() => log.commitStaged(), IoError, failure);
    assert.deepEqual(stateOf(log, files), before, failure);
    log.commitStaged();

    // While the disk is full each batch is written at once, so that its own stage says whether it fits.
    assert.throws(() => stage(log, produced('b'.repeat(1000), 1)), IoError);
    assert.deepEqual(stateOf(log, files), before, failure);
    isFailing = false;
    disk.capacityBytes = Number.POSITIVE_INFINITY;
    stage(log, produced('b', 1));
    assert.equal(log.logEndOffset, 2);
    stage(log, produced('c', 2));
    assert.equal(log.logEndOffset, 2);
    log.commitStaged();
    assert.deepEqual(
      valuesIn(log).map(([, value]) => value),
      ['a', 'b', 'c'],
    );
    log.abandon();
    assert.equal(openLog(runtime, { cleanShutdown: false }).logEndOffset, 3);
  }
});

test('what a roll had to write early and could not is lost for its stagers too, and what it wrote stays', () => {
  const watched = watchedFiles();
  const log = openLog(testRuntime(watched.files), { config: { segmentBytes: 450 } });
  append(log, produced('a'.repeat(50), 0));
  stage(log, produced('b'.repeat(50), 1));
  stage(log, produced('c'.repeat(50), 2));
  watched.failure = 'EIO';
  assert.throws(() => stage(log, produced('d'.repeat(50), 3)), IoError);
  assert.throws(() => stage(log, produced('e'.repeat(50), 4)), IoError);
  watched.failure = undefined;
  assert.throws(() => log.commitStaged(), IoError);
  assert.deepEqual([log.logEndOffset, log.segments.length], [1, 1]);

  for (const [index, value] of ['b', 'c', 'd', 'e'].entries()) stage(log, produced(value.repeat(50), index + 1));
  assert.deepEqual([log.logEndOffset, log.segments.length], [4, 2]);
  watched.failure = 'ENOSPC';
  assert.throws(() => log.commitStaged(), IoError);
  assert.equal(log.logEndOffset, 4);
  assert.equal(log.activeProducers()[0]!.lastSequence, 3);
});

type Batch = { producerId: number; step: number; size: number; records: number; flaw: 'none' | 'crc' | 'tooLarge' };

const batches: fc.Arbitrary<Batch> = fc.record({
  producerId: fc.constantFrom(-1, -1, 1, 2),
  /** From the sequence that is due: 0 is right, below repeats or is too old, above leaves a gap. */
  step: fc.constantFrom(0, 0, 0, 0, 0, -1, -2, -6, 1),
  size: fc.nat(120),
  records: fc.integer({ min: 1, max: 3 }),
  flaw: fc.constantFrom('none', 'none', 'none', 'none', 'none', 'none', 'crc', 'tooLarge'),
});

const config = { segmentBytes: 2000, indexIntervalBytes: 150, segmentIndexBytes: 60, maxMessageBytes: 600, segmentMs: 500 };

test('staging and committing comes to the same as appending, to the last byte of every file', () => {
  fc.assert(
    fc.property(fc.array(fc.array(batches, { maxLength: 9 }), { maxLength: 12 }), (turns) => {
      const logs = [0, 1].map(() => {
        const runtime = testRuntime(new MemoryFiles({ clock: { nowMs: () => startMs, monotonicMs: () => 0 } }));
        return { runtime, log: openLog(runtime, { config }) };
      }) as [Opened, Opened];
      const [appending, staging] = logs;
      const sequences = new Map<number, number>();
      turns.forEach((turn, index) => {
        const epoch = index >> 2;
        for (const { runtime } of logs) runtime.nowMs += 40;
        const bytes = turn.map((batch) => bytesOf(batch, sequences, appending.runtime.nowMs));
        const options = { ...client, leaderEpoch: epoch };
        const appended = bytes.map((records) => outcomeOf(() => appending.log.append(records.slice(), options)));
        const staged = bytes.map((records) => outcomeOf(() => staging.log.stage(records.slice(), options)));
        staging.log.commitStaged();
        assert.deepEqual(staged, appended);
        assert.deepEqual(stateOf(staging.log, staging.runtime.files), stateOf(appending.log, appending.runtime.files));
      });
      for (const { log } of logs) log.close();
      const [left, right] = logs.map(({ runtime }) => stateOf(openLog(runtime, { config }), runtime.files));
      assert.deepEqual(left, right);
    }),
    { numRuns: 150 },
  );
});

test('with a disk that fails now and then, what a commit wrote is what later reads and a restart find', () => {
  const failures = fc.array(fc.constantFrom(undefined, undefined, undefined, 'EIO', 'ENOSPC'), { minLength: 1, maxLength: 30 });
  fc.assert(
    fc.property(fc.array(fc.array(batches, { maxLength: 9 }), { maxLength: 12 }), failures, (turns, faults) => {
      let changes = 0;
      let isFailing = false;
      const files = new MemoryFiles({
        fault: ({ kind, path }) => {
          if (!isFailing || !path.startsWith('/data/t-0/') || !['write', 'truncate', 'open'].includes(kind)) return undefined;
          return faults[changes++ % faults.length];
        },
      });
      const runtime = testRuntime(files);
      let log = openLog(runtime, { config });
      log.assignLeaderEpoch(0, 0);
      const written: string[] = [];
      let count = 0;
      for (const turn of turns) {
        isFailing = true;
        const staged: { value: string; lastOffset: number }[] = [];
        for (const { size } of turn) {
          const value = `${count++}`.padEnd(size, '.');
          try {
            staged.push({ value, lastOffset: stage(log, batchOf([value], { timestamp: runtime.nowMs })).lastOffset });
          } catch (error) {
            assert.ok(error instanceof IoError);
          }
        }
        try {
          log.commitStaged();
          assert.ok(staged.every(({ lastOffset }) => lastOffset < log.logEndOffset));
        } catch (error) {
          assert.ok(error instanceof IoError);
        }
        isFailing = false;
        for (const { value, lastOffset } of staged) {
          // An offset that a lost batch had is given again, to a batch that was staged later.
          if (lastOffset < log.logEndOffset && lastOffset >= written.length) written.push(value);
        }
        assert.deepEqual(
          valuesIn(log).map(([, value]) => value),
          written,
        );
      }
      log.abandon();
      log = openLog(runtime, { config, cleanShutdown: false });
      assert.deepEqual(
        valuesIn(log).map(([, value]) => value),
        written,
      );
    }),
    { numRuns: 200 },
  );
});

type Opened = { runtime: ReturnType<typeof testRuntime>; log: Log };

function bytesOf(
  { producerId, step, size, records, flaw }: Batch,
  sequences: Map<number, number>,
  timestamp: number,
): Uint8Array {
  const due = sequences.get(producerId) ?? 0;
  const baseSequence = Math.max(0, due + step * records);
  const bytes = batchOf(Array<string>(records).fill('v'.repeat(flaw === 'tooLarge' ? 700 : size)), {
    timestamp,
    ...(producerId < 0 ? {} : { producerId, producerEpoch: 0, baseSequence }),
  });
  if (flaw === 'crc') bytes[65]! ^= 4;
  else if (flaw === 'none' && baseSequence === due) sequences.set(producerId, due + records);
  return bytes;
}

function outcomeOf<T>(work: () => T): T | string {
  try {
    return work();
  } catch (error) {
    assert.ok(error instanceof KafkaError);
    return `${error.name}: ${error.message}`;
  }
}
