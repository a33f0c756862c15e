import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KafkaError } from '@ottla/protocol';
import { World } from '@ottla/runtime';
import { ItemsError } from '../admin/each-item.ts';
import type { OffsetToCommit } from '../admin/group-offsets.ts';
import { CommitOrder } from './commit-order.ts';

/** What is sent, as "partition:offset"; each answer is the test's. */
function order() {
  const world = new World({ seed: 1 });
  const sent: string[] = [];
  const answers: PromiseWithResolvers<void>[] = [];
  const commits = new CommitOrder(world.machine('client').boot(), (offsets) => {
    sent.push(offsets.map(({ partition, offset }) => `${partition}:${offset}`).join(' '));
    const answer = Promise.withResolvers<void>();
    answers.push(answer);
    return answer.promise;
  });
  return { world, commits, sent, answers };
}

const at = (partition: number, offset: number): OffsetToCommit => ({ topic: 'log', partition, offset });

test('what is asked for while a commit is under way goes together, the last offset of each partition', async () => {
  const { world, commits, sent, answers } = order();
  const all: Promise<void>[] = [];
  for (let offset = 1; offset <= 1000; offset++) all.push(commits.commit([at(offset % 2, offset)], undefined, 5000));
  assert.deepEqual(sent, ['1:1']);
  answers[0]!.resolve();
  await world.advance(0);
  assert.deepEqual(sent, ['1:1', '0:1000 1:999']);
  answers[1]!.resolve();
  await world.runUntil(Promise.all([...all, commits.end(5000)]));
  assert.equal(sent.length, 2);
});

test('of another generation they go for themselves', async () => {
  const { world, commits, sent, answers } = order();
  const member = (generationId: number) => ({ memberId: 'm', generationId, groupInstanceId: null });
  const [first, second] = [member(1), member(2)];
  const all = [first, first, first, second].map((membership, index) => commits.commit([at(0, index)], membership, 5000));
  for (let count = 0; count < 3; count++) {
    answers[count]!.resolve();
    await world.advance(0);
  }
  assert.deepEqual(sent, ['0:0', '0:2', '0:3']);
  await world.runUntil(Promise.all(all));
});

test('each hears of its own partitions', async () => {
  const { world, commits, answers } = order();
  const all = [0, 1, 2].map((partition) => commits.commit([at(partition, 7)], undefined, 5000));
  const outcomes = Promise.allSettled(all);
  answers[0]!.resolve();
  await world.advance(0);
  answers[1]!.reject(new ItemsError(new Map([['log-2', new KafkaError('TOPIC_AUTHORIZATION_FAILED')]])));
  assert.deepEqual(
    (await world.runUntil(outcomes)).map((outcome) => (outcome.status === 'rejected' ? outcome.reason.name : 'committed')),
    ['committed', 'committed', 'TOPIC_AUTHORIZATION_FAILED'],
  );
});

test('each waits for its own time, and what nobody waits for any more is not sent', async () => {
  const { world, commits, sent, answers } = order();
  const late = { name: 'REQUEST_TIMED_OUT' };
  const patient = commits.commit([at(0, 1)], undefined, 60_000);
  await world.runUntil(assert.rejects(commits.commit([at(0, 2)], undefined, 5000), late));
  assert.equal(world.time.nowMs, 5000);
  await world.runUntil(commits.end(1000));
  assert.equal(world.time.nowMs, 6000);
  answers[0]!.resolve();
  await world.runUntil(Promise.all([patient, commits.end(1000)]));
  assert.deepEqual(sent, ['0:1']);
});
