import assert from 'node:assert/strict';
import { test } from 'node:test';
import { batchesOf, Fetch, Produce } from '@ottla/protocol';
import { heldByReads } from '../spoiled-memory.ts';
import { type TestClient, TestNode } from '../testing-node.ts';

// Memory that a read gave back is overwritten at once in these tests: whoever answers with it answers with garbage.

const partitions = 3;
const recordsPerBatch = 8;

/** Each record says which it is, and all of its bytes follow from that. */
function contentOf(partition: number, offset: number): string {
  const letter = String.fromCharCode(97 + ((partition * 7 + offset) % 26));
  return `${partition}/${offset}:${letter.repeat(300 + ((offset * 131) % 4000))}`;
}

/** So many batches, one after the other. */
async function produce(writer: TestClient, partition: number, from: number, to: number): Promise<void> {
  for (let batch = from; batch < to; batch++) {
    const first = batch * recordsPerBatch;
    const values = Array.from({ length: recordsPerBatch }, (_, index) => contentOf(partition, first + index));
    const request = await writer.produceRequest('orders', values, { partition, timestamp: 1_700_000_000_000 });
    const { responses } = await writer.later(Produce, request);
    const { errorCode, baseOffset } = responses[0]!.partitionResponses[0]!;
    assert.deepEqual([errorCode, baseOffset], [0, first]);
  }
}

type Reading = { readonly end: number; readonly maxBytes: number; readonly inFlight: number; readonly maxWaitMs?: number };

/** One that knows the topic already: while time passes, nobody may make it pass for a question. */
async function connect(node: TestNode): Promise<TestClient> {
  const client = await node.connect();
  await client.topicId('orders');
  return client;
}

/** Reads all partitions, with so many fetches on their way, and compares every record. Returns how many there were. */
async function consume(reader: TestClient, { end, maxBytes, inFlight, maxWaitMs = 100 }: Reading): Promise<number> {
  const offsets = Array.from({ length: partitions }, () => 0);
  const topicId = await reader.topicId('orders');
  const next = () => {
    const answer = reader.later(Fetch, {
      maxWaitMs,
      minBytes: 1,
      maxBytes: maxBytes * 2,
      sessionEpoch: -1,
      topics: [
        {
          topicId,
          partitions: offsets.map((fetchOffset, partition) => ({ partition, fetchOffset, partitionMaxBytes: maxBytes })),
        },
      ],
    });
    // Of a reader that leaves, several fail at once.
    answer.catch(() => {});
    return answer;
  };
  let compared = 0;
  const answers = Array.from({ length: inFlight }, next);
  while (offsets.some((offset) => offset < end)) {
    const { responses } = await answers.shift()!;
    for (const { partitionIndex, errorCode, records } of responses[0]!.partitions) {
      assert.equal(errorCode, 0);
      for (const batch of batchesOf(records ?? new Uint8Array(0))) {
        batch.ensureCrc();
        for (const { offset, value } of batch.records()) {
          assert.equal(Buffer.from(value!).toString('latin1'), contentOf(partitionIndex, offset));
          compared++;
        }
        offsets[partitionIndex] = Math.max(offsets[partitionIndex]!, batch.nextOffset);
      }
    }
    answers.push(next());
  }
  await Promise.all(answers);
  return compared;
}

for (const seed of [1, 2]) {
  test(`every record that many readers get, behind writers and at the end, is the one that was written (seed ${seed})`, async () => {
    const node = await TestNode.start({ seed, wires: { fragmentation: 0.05 } });
    const before = heldByReads();
    const control = await node.connect();
    assert.equal(await control.createTopic('orders', { 'segment.bytes': `${2 << 20}` }, { partitions }), 'NONE');
    const batches = 180;
    const end = batches * recordsPerBatch;
    const [early, late] = [batches / 3, batches];
    const writers: TestClient[] = [];
    for (let partition = 0; partition < partitions; partition++) writers.push(await connect(node));
    await node.run(Promise.all(writers.map((writer, partition) => produce(writer, partition, 0, early))));

    const readings: Reading[] = [
      { end, maxBytes: 1 << 20, inFlight: 1 },
      { end, maxBytes: 1 << 20, inFlight: 6 },
      { end, maxBytes: 100_000, inFlight: 3 },
      { end, maxBytes: 9_000, inFlight: 8 },
      { end, maxBytes: 300_000, inFlight: 1, maxWaitMs: 0 },
    ];
    const readers: TestClient[] = [];
    for (const _ of readings) readers.push(await connect(node));
    const leavers: TestClient[] = [];
    for (let index = 0; index < 6; index++) leavers.push(await connect(node));
    const reading = Promise.all(readings.map((how, index) => consume(readers[index]!, how)));

    // These leave while answers are on their way to them.
    const leaving: Promise<unknown>[] = [];
    for (const [index, leaver] of leavers.entries()) {
      leaving.push(assert.rejects(consume(leaver, { end: Number.POSITIVE_INFINITY, maxBytes: 1 << 20, inFlight: 1 + index })));
      await node.advance(3 + index * 5);
      leaver.connection.close().catch(() => {});
    }
    const writing = Promise.all(writers.map((writer, partition) => produce(writer, partition, early, late)));
    const [counts] = await node.run(Promise.all([reading, writing, ...leaving]));
    for (const [index, count] of counts.entries()) assert.ok(count >= partitions * end, `reader ${index} compared ${count}`);
    await node.advance(5_000);
    assert.deepEqual(heldByReads(), before, 'all that reads had borrowed is back');
    assert.deepEqual(node.logs.at('error'), []);
    await node.stop();
  });
}
