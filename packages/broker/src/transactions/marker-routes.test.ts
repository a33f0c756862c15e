import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Transaction } from '@ottla/coordinator';
import { type ErrorName, errors, KafkaError, WriteTxnMarkers, type WriteTxnMarkersRequest } from '@ottla/protocol';
import { World } from '@ottla/runtime';
import { FakeBrokers } from '../testing-brokers.ts';
import { MarkerRoutes } from './marker-routes.ts';
import { MarkerSender } from './marker-sender.ts';
import type { TransactionMarker } from './transaction-marker.ts';

const marker: TransactionMarker = { producerId: 7, producerEpoch: 3, isCommit: true, coordinatorEpoch: 5, transactionVersion: 2 };

/** Partitions by name, each led by the broker given: 1 is this one. */
function cluster(leaders: Record<string, number>) {
  const brokers = new FakeBrokers();
  const local: string[] = [];
  const routes = new MarkerRoutes({
    local: { write: async (topic, index) => void local.push(`${topic}-${index}`) },
    leaderOf: (topic, index) => leaders[`${topic}-${index}`],
    brokers,
    timeoutMs: () => 30_000,
  });
  return { brokers, local, routes, leaders };
}

/** Everything that is asked about is answered so, by partition; else with no error. */
const answering =
  (seen: string[], wrong: Record<string, ErrorName> = {}) =>
  ({ markers }: WriteTxnMarkersRequest) => {
    seen.push(
      markers
        .map(
          ({ producerId, producerEpoch, transactionResult, coordinatorEpoch, transactionVersion, topics }) =>
            `${producerId}/${producerEpoch} ${transactionResult ? 'commit' : 'abort'} by ${coordinatorEpoch} v${transactionVersion}: ${topics.map(({ name, partitionIndexes }) => `${name} ${partitionIndexes}`).join(', ')}`,
        )
        .join('; '),
    );
    return {
      markers: markers.map(({ producerId, topics }) => ({
        producerId,
        topics: topics.map(({ name, partitionIndexes }) => ({
          name,
          partitions: partitionIndexes.map((partitionIndex) => {
            const error = wrong[`${name}-${partitionIndex}`];
            return { partitionIndex, errorCode: error ? errors[error].code : 0 };
          }),
        })),
      })),
    };
  };

describe('markers find the leaders of their partitions', () => {
  test('here, or elsewhere in one request for all that end at once', async () => {
    const { brokers, local, routes } = cluster({ 'a-0': 1, 'a-1': 2, 'a-2': 2, 'b-0': 2, 'b-1': 3 });
    const [two, three]: string[][] = [[], []];
    brokers.answer(2, WriteTxnMarkers, answering(two!));
    brokers.answer(3, WriteTxnMarkers, answering(three!));
    const other = { ...marker, producerId: 8, isCommit: false };
    await Promise.all([
      routes.write('a', 0, marker),
      routes.write('a', 1, marker),
      routes.write('a', 2, marker),
      routes.write('b', 0, other),
      routes.write('b', 1, other),
    ]);
    assert.deepEqual(local, ['a-0']);
    assert.deepEqual(two, ['7/3 commit by 5 v2: a 1,2; 8/3 abort by 5 v2: b 0']);
    assert.deepEqual(three, ['8/3 abort by 5 v2: b 1']);
  });

  test('each hears what its own partition says', async () => {
    const { brokers, routes } = cluster({ 'a-0': 2, 'a-1': 2, 'a-2': -1 });
    brokers.answer(2, WriteTxnMarkers, answering([], { 'a-1': 'TRANSACTION_COORDINATOR_FENCED' }));
    const named = (name: ErrorName) => (error: unknown) => error instanceof KafkaError && error.name === name;
    await Promise.all([
      routes.write('a', 0, marker),
      assert.rejects(routes.write('a', 1, marker), named('TRANSACTION_COORDINATOR_FENCED')),
      assert.rejects(routes.write('a', 2, marker), named('NOT_LEADER_OR_FOLLOWER')),
      assert.rejects(routes.write('a', 3, marker), named('UNKNOWN_TOPIC_OR_PARTITION')),
    ]);
  });

  test('two markers of one producer for one partition are not in the same request', async () => {
    const { brokers, routes } = cluster({ 'a-0': 2 });
    const seen: string[] = [];
    brokers.answer(2, WriteTxnMarkers, answering(seen));
    await Promise.all([routes.write('a', 0, marker), routes.write('a', 0, { ...marker, producerEpoch: 4 })]);
    assert.equal(seen.length, 2);
  });
});

test('a transaction ends in all its partitions, however often their leaders change', async () => {
  const { brokers, leaders, local, routes } = cluster({ 'a-0': 2, 'a-1': 2, 'a-2': 2, 'gone-0': 2 });
  const world = new World({ seed: 1 });
  const { timers, logger } = world.machine('node').boot();
  const hasPartition = (topic: string, index: number) => leaders[`${topic}-${index}`] !== undefined;
  const sender = new MarkerSender({ runtime: { timers, logger }, destination: routes, hasPartition });
  const prepared = {
    transactionalId: 't',
    producerId: 7,
    producerEpoch: 3,
    status: 'PrepareCommit',
    clientTransactionVersion: 2,
    partitions: new Map([
      ['a', new Set([0, 1, 2])],
      ['gone', new Set([0])],
    ]),
  } as unknown as Transaction;
  const sending = sender.send(prepared, { coordinatorEpoch: 5, isOver: () => false });
  // Broker 2 cannot be reached.
  await world.advance(100);
  assert.ok(brokers.asked.length >= 2 && brokers.asked.every((what) => what === '2 WriteTxnMarkers'));
  // It comes back, and has lost the lead of two partitions.
  const [two, three]: string[][] = [[], []];
  brokers.answer(2, WriteTxnMarkers, answering(two!, { 'a-1': 'NOT_LEADER_OR_FOLLOWER', 'a-2': 'NOT_LEADER_OR_FOLLOWER' }));
  brokers.answer(3, WriteTxnMarkers, answering(three!));
  delete leaders['gone-0'];
  await world.advance(1_000);
  assert.match(two!.at(-1)!, /: a [12]$/);
  Object.assign(leaders, { 'a-1': 3, 'a-2': 1 });
  assert.equal(await world.runUntil(sending), true);
  assert.deepEqual([three, local], [['7/3 commit by 5 v2: a 1'], ['a-2']]);
});

test('a coordinator that was deposed hears of it, and sends no more', async () => {
  const { brokers, routes } = cluster({ 'a-0': 2 });
  const world = new World({ seed: 2 });
  const { timers, logger } = world.machine('node').boot();
  const sender = new MarkerSender({ runtime: { timers, logger }, destination: routes, hasPartition: () => true });
  brokers.answer(2, WriteTxnMarkers, answering([], { 'a-0': 'TRANSACTION_COORDINATOR_FENCED' }));
  const prepared = {
    ...{ transactionalId: 't', producerId: 7, producerEpoch: 3, status: 'PrepareAbort', clientTransactionVersion: 2 },
    partitions: new Map([['a', new Set([0])]]),
  } as unknown as Transaction;
  assert.equal(await world.runUntil(sender.send(prepared, { coordinatorEpoch: 5, isOver: () => false })), false);
  assert.equal(brokers.asked.length, 1);
});
