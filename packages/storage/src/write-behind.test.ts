/** What a log writes behind: its leader epochs, and whose it is. Durable no later than the records it vouches for. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type FileOperation, MemoryFiles, SeededRandom } from '@ottla/runtime';
import { append, batchOf, openLog, testRuntime } from './log-fixture.ts';
import { readPartitionMetadata } from './partition-metadata.ts';

const topicId = 'czgjCwTYRjeP-FpebEOouQ';

function withPowerCuts() {
  const operations: FileOperation[] = [];
  const files = new MemoryFiles({
    crashes: { random: new SeededRandom(1) },
    fault: (operation) => void operations.push(operation),
  });
  files.makeDirectory('/data');
  files.syncDirectory('/');
  operations.length = 0;
  return { runtime: testRuntime(files), files, operations };
}

test('creating a log, taking its lead and closing it empty wait for the disk not once', () => {
  const { runtime, operations } = withPowerCuts();
  const log = openLog(runtime, { topicId });
  log.assignLeaderEpoch(3, 0);
  assert.deepEqual(
    operations.filter(({ kind }) => kind === 'sync' || kind === 'syncDirectory'),
    [],
  );
  assert.equal(log.latestEpoch, 3);
  assert.equal(log.topicId, topicId);
  // Nor does a clean stop, as long as there is nothing in it.
  log.close();
  assert.deepEqual(
    operations.filter(({ kind }) => kind === 'sync' || kind === 'syncDirectory'),
    [],
  );
});

test('what is flushed is found again with its topic and its epochs when the power goes', () => {
  const { runtime, files } = withPowerCuts();
  const log = openLog(runtime, { topicId });
  for (const epoch of [1, 2, 4]) append(log, batchOf(['x', 'y']), epoch);
  log.flush();
  append(log, batchOf(['lost']), 5);
  const { recoveryPoint } = log;
  files.crash();
  assert.deepEqual(readPartitionMetadata(files, '/data/t-0'), { topicId });
  const after = openLog(runtime, { cleanShutdown: false, recoveryPoint });
  assert.equal(after.logEndOffset, 6);
  assert.deepEqual(after.epochs, [
    { epoch: 1, startOffset: 0 },
    { epoch: 2, startOffset: 2 },
    { epoch: 4, startOffset: 4 },
  ]);
});

test('a log that was created and crashed before its first flush makes up for it at the next', () => {
  const { runtime, files } = withPowerCuts();
  append(openLog(runtime, { topicId }), batchOf(['x']), 0);
  // The process dies, the machine does not.
  const log = openLog(runtime, { cleanShutdown: false });
  log.flush();
  files.crash();
  assert.deepEqual(readPartitionMetadata(files, '/data/t-0'), { topicId });
  assert.equal(openLog(runtime, { cleanShutdown: false, recoveryPoint: 1 }).logEndOffset, 1);
});

test('epochs of a tail that was cut off do not come back with a crash', () => {
  const { runtime } = withPowerCuts();
  const log = openLog(runtime);
  append(log, batchOf(['a']), 1);
  for (const epoch of [2, 3]) append(log, batchOf(['b']), epoch);
  log.flush();
  log.truncateTo(1);
  // The same epochs, elsewhere: it fetched again from another leader.
  append(log, batchOf(['c', 'd', 'e']), 2);
  append(log, batchOf(['f']), 3);
  const { recoveryPoint, epochs } = log;
  assert.equal(recoveryPoint, 1);
  log.abandon();
  assert.deepEqual(openLog(runtime, { cleanShutdown: false, recoveryPoint }).epochs, epochs);
});

test('a clean stop leaves the epochs in the file, but none in which nothing was written', () => {
  const { runtime, files, operations } = withPowerCuts();
  const log = openLog(runtime);
  append(log, batchOf(['a']), 1);
  log.assignLeaderEpoch(2, 1);
  log.close();
  const path = '/data/t-0/leader-epoch-checkpoint';
  assert.equal(new TextDecoder().decode(files.readFile(path)), '0\n1\n1 0\n');
  operations.length = 0;
  const again = openLog(runtime, { recoveryPoint: 1 });
  again.assignLeaderEpoch(3, 1);
  again.close();
  assert.deepEqual(
    operations.filter(({ kind }) => kind === 'sync' || kind === 'syncDirectory'),
    [],
  );
});
