import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PartitionQueue } from './partition-queue.ts';
import { ProducerBatch } from './producer-batch.ts';

const identity = { producerId: 5, producerEpoch: 0 };
const leaderId = 1;

/** A queue whose batches hold so many records, and what leaves it until it has to wait. */
function queueOf(...counts: number[]): { queue: PartitionQueue; batches: ProducerBatch[] } {
  const queue = new PartitionQueue('log', 0);
  const batches = counts.map((count, createdMs) => {
    const batch = new ProducerBatch({ topic: 'log', partition: 0, createdMs }, {});
    for (let index = 0; index < count; index++) batch.append(1, null, null, []);
    queue.waiting.push(batch);
    return batch;
  });
  return { queue, batches };
}

function sendAll(queue: PartitionQueue): string[] {
  const sent: string[] = [];
  for (
    let batch = queue.next({ nowMs: 1000, leaderEpoch: 0 }, () => true);
    batch;
    batch = queue.next({ nowMs: 1000, leaderEpoch: 0 }, () => true)
  ) {
    queue.sent(batch, identity, leaderId);
    sent.push(numbers(batch));
  }
  return sent;
}

const numbers = ({ sequence }: ProducerBatch): string => `${sequence.producerEpoch}/${sequence.baseSequence}`;

test('sequences count the records of what was sent', () => {
  const { queue, batches } = queueOf(3, 2, 1);
  assert.deepEqual(sendAll(queue), ['0/0'], 'a leader that knows nothing of the producer would take any sequence');
  queue.succeeded(batches[0]!);
  assert.deepEqual(sendAll(queue), ['0/3', '0/5']);
});

test('after a failure all that is in flight comes back first, then leaves in order, one at a time, before what is new', () => {
  const { queue, batches } = queueOf(1, 1, 1, 1, 1);
  const [zeroth, first, second, third] = batches as [ProducerBatch, ProducerBatch, ProducerBatch, ProducerBatch];
  queue.sent(zeroth, identity, leaderId);
  queue.succeeded(zeroth);
  for (let count = 0; count < 3; count++) queue.sent(queue.next({ nowMs: 0, leaderEpoch: 0 }, () => true)!, identity, leaderId);
  queue.postponed(first);
  assert.deepEqual(sendAll(queue), []);
  assert.ok(queue.isBehindAnother(second));
  queue.postponed(third);
  queue.postponed(second);
  assert.deepEqual(sendAll(queue), ['0/1']);
  queue.succeeded(first);
  assert.deepEqual(sendAll(queue), ['0/2']);
  queue.succeeded(second);
  assert.deepEqual(sendAll(queue), ['0/3', '0/4']);
});

test('what follows a batch that was given up starts over in a new epoch', () => {
  const { queue, batches } = queueOf(2, 3, 1);
  const [first, second] = batches as [ProducerBatch, ProducerBatch];
  queue.sent(first, identity, leaderId);
  queue.sent(second, identity, leaderId);
  queue.gaveUp(first);
  assert.deepEqual(sendAll(queue), [], 'the second may still have been accepted');
  queue.postponed(second);
  assert.deepEqual(sendAll(queue), ['1/0']);
  queue.succeeded(second);
  assert.deepEqual(sendAll(queue), ['1/3']);
});

test('nothing leaves for another leader before all that left for the last one has come back', () => {
  const { queue, batches } = queueOf(1, 1, 1);
  const [first, second] = batches as [ProducerBatch, ProducerBatch];
  assert.ok(queue.mayLeaveFor(1));
  queue.sent(first, identity, 1);
  queue.succeeded(first);
  queue.sent(second, identity, 1);
  assert.deepEqual([queue.mayLeaveFor(1), queue.mayLeaveFor(2)], [true, false]);
  queue.postponed(second);
  assert.ok(queue.mayLeaveFor(2));
});

test('what was overtaken keeps its number, also behind a gap; what was not starts over after it', () => {
  const { queue, batches } = queueOf(1, 1, 1, 1, 1);
  const [zeroth, first, second, third, fourth] = batches as [
    ...[ProducerBatch, ProducerBatch, ProducerBatch, ProducerBatch, ProducerBatch],
  ];
  queue.sent(zeroth, identity, leaderId);
  queue.succeeded(zeroth);
  for (const batch of [first, second, third, fourth]) queue.sent(batch, identity, leaderId);
  queue.succeeded(third);
  queue.postponed(first);
  queue.postponed(second);
  queue.postponed(fourth);
  assert.deepEqual(
    [first, second, fourth].map((batch) => queue.isOvertaken(batch)),
    [true, true, false],
  );
  queue.gaveUp(first);
  assert.deepEqual(queue.retries.map(numbers), ['0/2', '0/4'], 'the second would be written again, behind the third');
  assert.deepEqual(sendAll(queue), ['0/2']);
  queue.succeeded(second);
  assert.deepEqual(sendAll(queue), ['1/0']);
});

test('what was overtaken starts over with the others once the leader can take none of the old numbers', () => {
  const { queue, batches } = queueOf(1, 1, 1, 1);
  const [zeroth, first, second, third] = batches as [ProducerBatch, ProducerBatch, ProducerBatch, ProducerBatch];
  queue.sent(zeroth, identity, leaderId);
  queue.succeeded(zeroth);
  for (const batch of [first, second, third]) queue.sent(batch, identity, leaderId);
  queue.succeeded(second);
  queue.postponed(third);
  queue.outOfSequence(first);
  assert.deepEqual(queue.retries.map(numbers), ['1/0', '1/1']);
});

test('a batch of an earlier epoch neither overtakes nor is overtaken in this one', () => {
  const { queue, batches } = queueOf(1, 1, 1, 1);
  const [zeroth, first, second, third] = batches as [ProducerBatch, ProducerBatch, ProducerBatch, ProducerBatch];
  queue.sent(zeroth, identity, leaderId);
  queue.succeeded(zeroth);
  queue.sent(first, identity, leaderId);
  queue.gaveUp(first);
  queue.sent(second, identity, leaderId);
  queue.succeeded(first);
  assert.deepEqual([numbers(second), queue.isOvertaken(second)], ['1/0', false]);
  queue.succeeded(second);
  queue.sent(third, identity, leaderId);
  queue.succeeded(third);
  assert.deepEqual([numbers(zeroth), queue.isOvertaken(zeroth)], ['0/0', false]);
});

test('a batch that expired before it was sent leaves no gap', () => {
  const { queue, batches } = queueOf(2, 1);
  queue.gaveUp(batches[0]!);
  assert.deepEqual(sendAll(queue), ['0/0']);
});

test('the halves of a batch take over its sequence', () => {
  const { queue, batches } = queueOf(3, 1);
  const [first, second] = batches as [ProducerBatch, ProducerBatch];
  queue.sent(first, identity, leaderId);
  queue.sent(second, identity, leaderId);
  const halves = first.split({});
  queue.replaced(first, halves);
  queue.postponed(second);
  assert.deepEqual(halves.map(numbers), ['0/0', '0/2']);
  assert.deepEqual(queue.retries.map(numbers), ['0/0', '0/2', '0/3']);
});

test('an id without epochs left is not used any more', () => {
  const { queue, batches } = queueOf(1, 1);
  const worn = { producerId: 5, producerEpoch: 0x7fff };
  const other = { producerId: 6, producerEpoch: 0 };
  queue.sent(batches[0]!, worn, leaderId);
  assert.ok(!queue.hasWornOut(worn));
  queue.gaveUp(batches[0]!);
  assert.deepEqual([queue.hasWornOut(worn), queue.hasWornOut(other)], [true, false]);
  queue.sent(batches[1]!, other, leaderId);
  assert.deepEqual([queue.hasWornOut(worn), queue.hasWornOut(other)], [true, false]);
  assert.deepEqual([batches[1]!.sequence.producerId, numbers(batches[1]!)], [6, '0/0']);
});

test('what is before a gap may have been accepted: it keeps its number, and leaves before the others start over', () => {
  const { queue, batches } = queueOf(1, 1, 1, 1, 1);
  const [zeroth, first, second, third] = batches as [ProducerBatch, ProducerBatch, ProducerBatch, ProducerBatch];
  queue.sent(zeroth, identity, leaderId);
  queue.succeeded(zeroth);
  for (const batch of [first, second, third]) queue.sent(batch, identity, leaderId);
  queue.postponed(first);
  queue.gaveUp(second);
  queue.postponed(third);
  assert.deepEqual(
    [first, second, third].map((batch) => queue.isBehindGap(batch)),
    [false, true, true],
  );
  assert.deepEqual(sendAll(queue), ['0/1']);
  queue.succeeded(first);
  assert.deepEqual(sendAll(queue), ['1/0']);
  queue.succeeded(third);
  assert.deepEqual(sendAll(queue), ['1/1']);
});
