import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { batchesOf } from '@ottla/protocol';
import type { MemoryFiles } from '@ottla/runtime';
import { cleanShutdownName } from './clean-shutdown.ts';
import { testRuntime } from './log-fixture.ts';
import { LogManager } from './log-manager.ts';

const source = new URL('../vectors/node1', import.meta.url).pathname;
const owner = { clusterId: 'MkU3OEVBNTcwNTJENDM2Qg', nodeId: 1 };
/** What the node's checkpoints say of partitions that are not among the vectors is of no interest. */
const checkpoints = /-offset-checkpoint$/;

/** The directory as Kafka left it, in memory at /kafka, with the state of its producers not yet expired. */
function kafkaDirectory() {
  const runtime = testRuntime();
  runtime.nowMs = 1795258400000;
  copyInto(runtime.files, source, '/kafka');
  return runtime;
}

function copyInto(files: MemoryFiles, from: string, to: string): void {
  files.makeDirectory(to);
  for (const name of readdirSync(from)) {
    const path = `${from}/${name}`;
    if (statSync(path).isDirectory()) copyInto(files, path, `${to}/${name}`);
    else if (name.endsWith('.gz')) files.writeFileDurably(`${to}/${name.slice(0, -3)}`, gunzipSync(readFileSync(path)));
    else files.writeFileDurably(`${to}/${name}`, readFileSync(path));
  }
}

function contentsOf(files: MemoryFiles, directory = '/kafka'): Map<string, string> {
  const contents = new Map<string, string>();
  for (const name of files.list(directory)) {
    const path = `${directory}/${name}`;
    if (files.stat(path)!.isDirectory) for (const entry of contentsOf(files, path)) contents.set(...entry);
    else if (!checkpoints.test(name) && name !== '.lock') contents.set(path, digest(files.readFile(path)));
  }
  return contents;
}

const digest = (content: Uint8Array) =>
  `${content.length} bytes, ${createHash('sha1').update(content).digest('hex').slice(0, 8)}`;

function open(runtime: ReturnType<typeof testRuntime>) {
  return LogManager.open({ directories: ['/kafka'], ...owner, runtime });
}

function assertIsKafkas(manager: LogManager): void {
  const transactional = manager.get('t1', 0)!;
  assert.deepEqual(
    [transactional.logStartOffset, transactional.logEndOffset, transactional.topicId],
    [100, 408, 'czgjCwTYRjeP-FpebEOouQ'],
  );
  assert.deepEqual(transactional.epochs, [{ epoch: 0, startOffset: 100 }]);
  assert.deepEqual(transactional.abortedTransactions(100, 408), [
    { producerId: 1, firstOffset: 404, lastOffset: 405, lastStableOffset: 406 },
  ]);
  assert.deepEqual(transactional.activeProducers(), [
    {
      producerId: 0,
      producerEpoch: 0,
      lastSequence: 403,
      lastTimestamp: 1795258135644,
      coordinatorEpoch: -1,
      currentTransactionFirstOffset: -1,
    },
    {
      producerId: 1,
      producerEpoch: 3,
      lastSequence: -1,
      lastTimestamp: 1795258137729,
      coordinatorEpoch: 0,
      currentTransactionFirstOffset: -1,
    },
  ]);
  assert.deepEqual(transactional.offsetOfMaxTimestamp(), { timestamp: 1795258137729, offset: 407, leaderEpoch: 0 });
  assert.equal(transactional.offsetForTimestamp(0)?.offset, 100);

  const compacted = manager.get('c1', 0)!;
  assert.deepEqual([compacted.logStartOffset, compacted.logEndOffset, compacted.segments.length], [0, 1200, 2]);
  assert.deepEqual(
    compacted.activeProducers().map(({ producerId, lastSequence }) => [producerId, lastSequence]),
    [
      [3, 299],
      [4, 299],
      [5, 299],
      [1000, 299],
    ],
  );
  assert.equal(manager.get('__consumer_offsets', 3)!.logEndOffset, 19);
  assert.equal(manager.get('__consumer_offsets', 0)!.logEndOffset, 0);
}

test('a data directory of Apache Kafka opens with the same offsets, epochs, producers and transactions', async () => {
  const manager = await open(kafkaDirectory());
  assertIsKafkas(manager);
  assert.equal(manager.lastBrokerEpoch, 13);
  assert.deepEqual(manager.directoryIds, ['AQAAAAAAAAAAAAAAAAAAAQ']);
});

test('opening and closing a data directory of Kafka changes no byte of its partitions', async () => {
  const runtime = kafkaDirectory();
  const before = contentsOf(runtime.files);
  const manager = await open(runtime);
  // Kafka's leader notes its epoch in an empty log as soon as it leads; so will ours.
  manager.get('__consumer_offsets', 0)!.assignLeaderEpoch(0, 0);
  manager.close({ brokerEpoch: 13 });
  assert.deepEqual(contentsOf(runtime.files), before);
});

test("after a crash Kafka's indexes, snapshots and epochs are rebuilt to the same bytes", async () => {
  const runtime = kafkaDirectory();
  const { files } = runtime;
  const before = contentsOf(files);
  files.remove(`/kafka/${cleanShutdownName}`);
  files.writeFileDurably('/kafka/recovery-point-offset-checkpoint', '0\n0\n');
  for (const path of before.keys()) if (/\.(index|timeindex|txnindex|snapshot)$/.test(path)) files.remove(path);
  const manager = await open(runtime);
  assert.equal(manager.lastBrokerEpoch, -1);
  manager.close();
  const after = contentsOf(files);
  for (const [path, content] of before) {
    // The epochs of t1 began before its log start; the cleaner emptied the first segment of c1 of its producers' batches.
    if (/\.(index|timeindex|txnindex|log)$/.test(path)) assert.equal(after.get(path), content, path);
  }
});

test("every record of Kafka's is read, and the batches pass their crc", async () => {
  const manager = await open(kafkaDirectory());
  for (const log of manager.logs) {
    let offset = log.logStartOffset;
    while (offset < log.logEndOffset) {
      const { records } = log.read({ startOffset: offset, endOffset: log.logEndOffset, maxBytes: 50_000, minOneBatch: true });
      const batches = [...batchesOf(records)];
      assert.ok(batches.length > 0, `${log.name} at ${offset}`);
      for (const batch of batches) {
        assert.ok(batch.isCrcValid());
        assert.equal([...batch.records()].length, batch.recordsCount);
        offset = batch.nextOffset;
      }
    }
    assert.equal(offset, log.logEndOffset, log.name);
  }
});

test("another node's or another cluster's directory is refused, and nothing stays locked", async () => {
  const runtime = kafkaDirectory();
  await assert.rejects(
    LogManager.open({ directories: ['/kafka'], clusterId: 'other', nodeId: 1, runtime }),
    /belongs to cluster MkU3/,
  );
  await assert.rejects(
    LogManager.open({ directories: ['/kafka'], clusterId: owner.clusterId, nodeId: 2, runtime }),
    /belongs to node 1/,
  );
  const manager = await open(runtime);
  await assert.rejects(open(runtime), /another node is using \/kafka/);
  manager.close();
  runtime.files.writeFileDurably('/kafka/meta.properties', 'version=7\n');
  await assert.rejects(open(runtime), /is corrupt/);
});
