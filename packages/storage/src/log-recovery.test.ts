import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BatchView, batchesOf, buildLegacyMessageSet, writeInt64 } from '@ottla/protocol';
import { type FileOperation, MemoryFiles } from '@ottla/runtime';
import { append, batchOf, damage, endTransaction, flipBit, openLog, startMs, testRuntime, valuesIn } from './log-fixture.ts';

const directory = '/data/t-0';
const config = { segmentBytes: 2000, indexIntervalBytes: 300 };

/** A log of several segments with everything in it that recovery has to bring back. */
function filledLog() {
  const runtime = testRuntime();
  const log = openLog(runtime, { config });
  const producer = { producerId: 7, producerEpoch: 2 };
  for (let index = 0; index < 30; index++) {
    runtime.nowMs += 10;
    const isTransactional = index % 10 > 5;
    append(
      log,
      batchOf([`a${index}`.padEnd(120, '.'), `b${index}`], {
        ...(isTransactional ? { ...producer, isTransactional } : { producerId: 8, producerEpoch: 0 }),
        baseSequence: isTransactional
          ? Math.floor(index / 10) * 8 + ((index % 10) - 6) * 2
          : Math.floor(index / 10) * 12 + (index % 10) * 2,
        timestamp: runtime.nowMs,
      }),
      Math.floor(index / 12),
    );
    if (index % 10 === 9)
      log.append(endTransaction(index < 15 ? 'abort' : 'commit', producer), {
        leaderEpoch: Math.floor(index / 12),
        origin: 'coordinator',
      });
  }
  return { runtime, log };
}

function stateOf(log: ReturnType<typeof openLog>) {
  const { logStartOffset, logEndOffset, epochs, lastStableOffset } = log;
  return {
    ...{ logStartOffset, logEndOffset, epochs, lastStableOffset },
    values: valuesIn(log),
    producers: log.activeProducers(),
    aborted: log.abortedTransactions(0, logEndOffset),
    segments: log.segments.map(({ baseOffset, sizeBytes, largestTimestamp }) => ({ baseOffset, sizeBytes, largestTimestamp })),
    maxTimestamp: log.offsetOfMaxTimestamp(),
  };
}

function contentsOf(runtime: ReturnType<typeof testRuntime>): Record<string, string> {
  return Object.fromEntries(
    runtime.files
      .list(directory)
      .map((name) => [name, Buffer.from(runtime.files.readFile(`${directory}/${name}`)).toString('hex')]),
  );
}

test('a clean restart changes neither the state nor a byte of the files', () => {
  const { runtime, log } = filledLog();
  const before = stateOf(log);
  log.close();
  const files = contentsOf(runtime);
  const reopened = openLog(runtime, { config });
  assert.deepEqual(stateOf(reopened), before);
  assert.equal(reopened.recoveryPoint, before.logEndOffset);
  reopened.close();
  assert.deepEqual(contentsOf(runtime), files);
});

test('records from before 1970 keep no log from opening, after a clean stop or a crash', () => {
  for (const timestamp of [-2, -5, Number.MIN_SAFE_INTEGER]) {
    const { runtime, log } = filledLog();
    append(log, batchOfLongAgo('old', timestamp), 3);
    log.roll();
    append(log, batchOfLongAgo('old too', timestamp), 3);
    const before = stateOf(log);
    log.close();
    const reopened = openLog(runtime, { config });
    assert.deepEqual(stateOf(reopened), before);
    reopened.abandon();
    assert.deepEqual(stateOf(openLog(runtime, { config, cleanShutdown: false })), before);
  }
});

/** As other producers may send it: ours refuses to build it. */
function batchOfLongAgo(value: string, timestamp: number): Uint8Array {
  const bytes = batchOf([value]);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (const position of [27, 35]) writeInt64(view, position, timestamp);
  new BatchView(bytes).refreshCrc();
  return bytes;
}

test('after a crash the log is read again, with the same result', () => {
  const { runtime, log } = filledLog();
  const before = stateOf(log);
  log.abandon();
  const recovered = openLog(runtime, { config, cleanShutdown: false });
  assert.deepEqual(stateOf(recovered), before);
  append(recovered, batchOf(['next'], { timestamp: runtime.nowMs }), 3);
  recovered.close();
  const again = openLog(runtime, { config });
  assert.equal(again.logEndOffset, before.logEndOffset + 1);
  assert.equal(
    append(
      again,
      batchOf(['a29'.padEnd(120, '.'), 'b29'], { producerId: 7, producerEpoch: 2, baseSequence: 22, isTransactional: true }),
    ).duplicate,
    true,
  );
});

test('without its indexes, snapshots and epochs a log is rebuilt from its batches', () => {
  const { runtime, log } = filledLog();
  const before = stateOf(log);
  log.close();
  const files = contentsOf(runtime);
  for (const name of Object.keys(files)) if (!name.endsWith('.log')) runtime.files.remove(`${directory}/${name}`);
  const recovered = openLog(runtime, { config, cleanShutdown: false });
  assert.deepEqual(stateOf(recovered), before);
  recovered.close();
  const rebuilt = contentsOf(runtime);
  for (const name of Object.keys(files)) {
    if (/\.(log|index|timeindex|txnindex)$/.test(name) || name === 'leader-epoch-checkpoint')
      assert.equal(rebuilt[name], files[name], name);
  }
});

test('a missing or damaged index costs a clean start nothing but reading that segment', () => {
  const { runtime, log } = filledLog();
  const before = stateOf(log);
  const [base, last] = [log.segments[1]!, log.segments.at(-1)!].map(({ baseOffset }) => baseOffset.toString().padStart(20, '0'));
  log.close();
  const files = contentsOf(runtime);
  const path = `${directory}/${base}.index`;
  const spoilEntries = (of: string) => {
    const bytes = files[`${of}.index`]!.length / 2;
    assert.ok(bytes > 0);
    const spoilAt =
      (at: number, ...values: number[]) =>
      () =>
        damage(runtime.files, `${directory}/${of}.index`, at, values);
    const garbage = Array.from({ length: bytes }, (_, index) => (index * 151 + 201) & 0xff);
    return [spoilAt(bytes - 4, 0xa9), spoilAt(bytes - 8, 0xa9), spoilAt(0, ...garbage)];
  };
  for (const spoil of [
    ...spoilEntries(base!),
    ...spoilEntries(last!),
    () => runtime.files.remove(path),
    () => damage(runtime.files, path, 0, [1]),
    () => damage(runtime.files, path, files[`${base}.index`]!.length / 2, [0, 0, 0]),
    () => damage(runtime.files, path, 4, [0, 0, 0, 77]),
    () => damage(runtime.files, path, 4, [0x7f]),
    () => damage(runtime.files, `${directory}/${base}.timeindex`, 0, [1, 2, 3, 4, 5]),
  ]) {
    spoil();
    const reopened = openLog(runtime, { config });
    assert.deepEqual(stateOf(reopened).values, before.values);
    assert.deepEqual(stateOf(reopened).producers, before.producers);
    reopened.close();
    for (const [name, content] of Object.entries(files)) {
      const file = runtime.files.open(`${directory}/${name}`, 'truncate');
      file.write(Buffer.from(content, 'hex'), 0);
      file.close();
    }
  }
});

test('a torn tail is cut off, with what the tail said of producers and transactions', () => {
  const { runtime, log } = filledLog();
  const before = stateOf(log);
  log.abandon();
  const last = `${directory}/${before.segments.at(-1)!.baseOffset.toString().padStart(20, '0')}.log`;
  const file = runtime.files.open(last, 'update');
  file.truncate(before.segments.at(-1)!.sizeBytes - 1);
  file.close();
  const recovered = openLog(runtime, { config, cleanShutdown: false });
  const values = valuesIn(recovered);
  assert.deepEqual(values, before.values.slice(0, values.length));
  // The marker was the last batch: its transaction is open again.
  assert.equal(recovered.logEndOffset, before.logEndOffset - 1);
  assert.equal(
    recovered.activeProducers().find((producer) => producer.producerId === 7)!.currentTransactionFirstOffset,
    recovered.lastStableOffset,
  );
});

test('a zero tail, as a preallocated file has, is cut off', () => {
  const runtime = testRuntime();
  const log = openLog(runtime, { config: { ...config, preallocate: true } });
  append(log, batchOf(['a']));
  assert.equal(runtime.files.stat(`${directory}/00000000000000000000.log`)!.size, config.segmentBytes);
  const { sizeBytes } = log;
  log.abandon();
  const recovered = openLog(runtime, { config, cleanShutdown: false });
  assert.deepEqual([recovered.logEndOffset, recovered.sizeBytes], [1, sizeBytes]);
});

test('flipped bits are never served as good data after recovery', () => {
  const { runtime, log } = filledLog();
  const before = stateOf(log);
  log.close();
  const files = contentsOf(runtime);
  let seed = 7;
  for (let round = 0; round < 150; round++) {
    seed = (seed * 1103515245 + 12345) & 0x7fffffff;
    const segment = before.segments[seed % before.segments.length]!;
    const path = `${directory}/${segment.baseOffset.toString().padStart(20, '0')}.log`;
    flipBit(runtime.files, path, (seed >>> 3) % (segment.sizeBytes * 8));
    const recovered = openLog(runtime, { config, cleanShutdown: false });
    const read = recovered.read({
      startOffset: recovered.logStartOffset,
      endOffset: recovered.logEndOffset,
      maxBytes: 1e9,
      minOneBatch: true,
    });
    for (const batch of batchesOf(read.records)) assert.ok(batch.isCrcValid());
    // Offset and leader epoch of a batch stand outside its crc; whatever else is read is a prefix of what was written.
    const values = valuesIn(recovered).map(([, value]) => value);
    assert.deepEqual(values, before.values.map(([, value]) => value).slice(0, values.length));
    recovered.abandon();
    for (const name of runtime.files.list(directory)) runtime.files.remove(`${directory}/${name}`);
    for (const [name, content] of Object.entries(files)) {
      const file = runtime.files.open(`${directory}/${name}`, 'truncate');
      file.write(Buffer.from(content, 'hex'), 0);
      file.close();
    }
  }
});

test('damage in the middle ends the log there, and the segments behind it go', () => {
  const { runtime, log } = filledLog();
  const before = stateOf(log);
  log.close();
  const damaged = before.segments[1]!;
  flipBit(runtime.files, `${directory}/${damaged.baseOffset.toString().padStart(20, '0')}.log`, 100 * 8);
  const recovered = openLog(runtime, { config, cleanShutdown: false });
  assert.equal(recovered.logEndOffset, damaged.baseOffset);
  assert.equal(recovered.segments.length, 2);
  assert.ok(
    runtime.files
      .list(directory)
      .every((name) => !name.endsWith('.log') || name.slice(0, 20) <= damaged.baseOffset.toString().padStart(20, '0')),
  );
  assert.ok(recovered.epochs.every((entry) => entry.startOffset < damaged.baseOffset));
});

test('only what lies behind the recovery point is read again', () => {
  const { runtime, log } = filledLog();
  log.close();
  const [first, second] = log.segments;
  const path = `${directory}/${first!.baseOffset.toString().padStart(20, '0')}.log`;
  flipBit(runtime.files, path, 100 * 8);
  const recovered = openLog(runtime, { config, cleanShutdown: false, recoveryPoint: second!.baseOffset });
  assert.equal(recovered.logEndOffset, log.logEndOffset);
});

test('leftovers: deletions are finished, unfinished cleanings undone, finished ones completed, orphans removed', () => {
  const { runtime, log } = filledLog();
  const before = stateOf(log);
  log.close();
  const { files } = runtime;
  const path = (name: string) => `${directory}/${name}`;
  const name = (offset: number, suffix: string) => path(offset.toString().padStart(20, '0') + suffix);
  const [first, second] = before.segments;
  const copy = (from: string, to: string) => files.writeFileDurably(to, files.readFile(from));

  copy(name(0, '.log'), name(0, '.log.deleted'));
  copy(name(0, '.log'), path('00000000000000000100-0000000001.checkpoint.deleted'));
  copy(name(0, '.index'), name(5, '.index'));
  // The first two segments were cleaned into one; the swap was cut short after the new files were in place.
  for (const suffix of ['.log', '.index', '.timeindex']) copy(name(0, suffix), name(0, `${suffix}.swap`));
  copy(name(second!.baseOffset, '.log'), name(second!.baseOffset, '.log.cleaned'));
  copy(name(second!.baseOffset, '.log'), name(second!.baseOffset, '.log.swap'));

  const reopened = openLog(runtime, { config });
  assert.deepEqual(
    reopened.segments.map((segment) => segment.baseOffset),
    before.segments.map((segment) => segment.baseOffset),
  );
  assert.equal(reopened.segments[0]!.sizeBytes, first!.sizeBytes);
  assert.deepEqual(
    files.list(directory).filter((file) => /deleted|cleaned|swap/.test(file) || file.startsWith('00000000000000000005')),
    ['00000000000000000100-0000000001.checkpoint.deleted'],
  );
});

test('after a crash a log that ends before its start begins anew there; after a clean stop the start is not believed', () => {
  const { runtime, log } = filledLog();
  const before = stateOf(log);
  log.close();
  const kept = openLog(runtime, { config, logStartOffset: 1000 });
  assert.deepEqual(stateOf(kept), before);
  kept.close();
  const reopened = openLog(runtime, { config, logStartOffset: 1000, cleanShutdown: false });
  assert.deepEqual(
    [reopened.logStartOffset, reopened.logEndOffset, reopened.segments.length, reopened.epochs.length],
    [1000, 1000, 1, 0],
  );
  assert.equal(append(reopened, batchOf(['a'])).firstOffset, 1000);
});

test('a corrupt producer snapshot is passed over for an older one', () => {
  const { runtime, log } = filledLog();
  const before = stateOf(log);
  log.close();
  const snapshots = runtime.files.list(directory).filter((name) => name.endsWith('.snapshot'));
  assert.ok(snapshots.length > 2);
  damage(runtime.files, `${directory}/${snapshots.at(-1)}`, 20, [99]);
  damage(runtime.files, `${directory}/${snapshots.at(-2)}`, 0, [0, 9]);
  const reopened = openLog(runtime, { config });
  assert.deepEqual(
    reopened.activeProducers().sort((left, right) => left.producerId - right.producerId),
    before.producers.sort((left, right) => left.producerId - right.producerId),
  );
});

test('truncation goes back to whole batches, with epochs, producers and aborted transactions', () => {
  const { log } = filledLog();
  const before = stateOf(log);
  const target = log.segments[2]!.baseOffset + 3;
  assert.equal(log.truncateTo(log.logEndOffset), false);
  assert.equal(log.truncateTo(target), true);
  assert.equal(log.logEndOffset, target);
  assert.deepEqual(
    valuesIn(log),
    before.values.filter(([offset]) => offset < target - (target % 2 === 0 ? 0 : 1)).slice(0, valuesIn(log).length),
  );
  assert.ok(log.recoveryPoint <= target);
  assert.equal(append(log, batchOf(['again']), 9).firstOffset, target);
  log.truncateFullyAndStartAt(500);
  assert.deepEqual([log.logStartOffset, log.logEndOffset, log.activeProducers().length, log.epochs.length], [500, 500, 0, 0]);
});

test('a full truncation below the log start begins at the offset asked for', () => {
  const { runtime, log } = filledLog();
  log.advanceLogStartOffset(30);
  log.deleteOldSegments({ highWatermark: log.logEndOffset, nowMs: startMs });
  log.truncateTo(3);
  assert.deepEqual([log.logStartOffset, log.logEndOffset], [3, 3]);
  runtime.nowMs += 60_000;
  log.runTasks(runtime.nowMs);
  assert.equal(runtime.files.list(directory).filter((name) => name.endsWith('.deleted')).length, 0);
});

test('segments with the old message formats are recovered and read', () => {
  const runtime = testRuntime();
  const encoder = new TextEncoder();
  const set = (magic: 0 | 1, codec: 'none' | 'gzip', baseOffset: number) =>
    buildLegacyMessageSet({
      magic,
      codec,
      baseOffset,
      records: ['a', 'b', 'c'].map((value) => ({
        timestamp: startMs + baseOffset,
        value: encoder.encode(`${value}${baseOffset}`),
      })),
    });
  const parts = [set(0, 'none', 0), set(0, 'gzip', 3), set(1, 'none', 6), set(1, 'gzip', 9)];
  runtime.files.makeDirectory(directory);
  runtime.files.writeFileDurably(`${directory}/00000000000000000000.log`, Buffer.concat(parts));
  const log = openLog(runtime, { config, cleanShutdown: false });
  const expected = [0, 3, 6, 9].flatMap((base) =>
    ['a', 'b', 'c'].map((value, index): [number, string] => [base + index, `${value}${base}`]),
  );
  assert.deepEqual(valuesIn(log), expected);
  assert.deepEqual(valuesIn(log, { startOffset: 10 }), expected.slice(10));
  assert.deepEqual([log.logEndOffset, log.latestEpoch], [12, -1]);
  assert.deepEqual(log.offsetForTimestamp(startMs + 7), { timestamp: startMs + 9, offset: 9, leaderEpoch: -1 });
  assert.equal(append(log, batchOf(['new'], { timestamp: startMs })).firstOffset, 12);
  const follower = openLog(testRuntime());
  follower.append(Buffer.concat(parts), { leaderEpoch: 4, origin: 'replication' });
  assert.deepEqual(valuesIn(follower), expected);
});

test('after a crash nothing is read of an index that is made anew, and nothing is waited for', () => {
  const operations: FileOperation[] = [];
  const files = new MemoryFiles({ fault: (operation) => void operations.push(operation) });
  const runtime = testRuntime(files);
  const log = openLog(runtime, { config: { indexIntervalBytes: 100 } });
  for (let index = 0; index < 20; index++) append(log, batchOf([`${index}`.padEnd(200, '.')], { timestamp: startMs + index }));
  // They have entries, and the zero tail of an active segment.
  log.runTasks(runtime.nowMs);
  operations.length = 0;
  const after = openLog(runtime, { config: { indexIntervalBytes: 100 }, cleanShutdown: false });
  const onIndexes = operations.filter(({ path }) => path.endsWith('index'));
  assert.deepEqual(
    onIndexes.filter(({ kind }) => kind === 'read'),
    [],
  );
  assert.deepEqual(
    operations.filter(({ kind }) => kind === 'sync' || kind === 'syncDirectory'),
    [],
  );
  assert.equal(after.logEndOffset, 20);
  assert.equal(after.offsetForTimestamp(startMs + 11)?.offset, 11);
});
