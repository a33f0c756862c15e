import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  AddPartitionsToTxn,
  type AddPartitionsToTxnRequest,
  type ErrorName,
  errors,
  KafkaError,
  partitionForGroup,
} from '@ottla/protocol';
import { World } from '@ottla/runtime';
import { FakeBrokers } from '../testing-brokers.ts';
import { CoordinatorRoutes } from './coordinator-routes.ts';
import { TransactionVerifier } from './transaction-verifier.ts';

const PARTITIONS = 4;
const producer = { producerId: 7, producerEpoch: 3 };
const partitions = new Map([['a', new Set([0, 1])]]);
const idOn = (partition: number): string =>
  Array.from({ length: 100 }, (_, number) => `id-${number}`).find((id) => partitionForGroup(id, PARTITIONS) === partition)!;
const [here, there] = [idOn(0), idOn(1)];

/** This broker coordinates partition 0 of the transactions, broker 2 partition 1. */
function cluster() {
  const brokers = new FakeBrokers();
  const local: string[] = [];
  const leaders: (number | undefined)[] = [1, 2, 2, -1];
  const world = new World({ seed: 1 });
  const routes = new CoordinatorRoutes({
    local: {
      addPartitions: async ({ transactionalId }) => void local.push(`add ${transactionalId}`),
      verifyPartitions: async (transactionalId) => {
        local.push(`verify ${transactionalId}`);
        return [];
      },
      untilComplete: async () => void local.push('wait'),
    },
    partitionCount: () => PARTITIONS,
    leaderOf: (partition) => leaders[partition],
    brokers,
    timers: world.machine('node').boot().timers,
  });
  return { brokers, local, routes, world, leaders };
}

const answering =
  (seen: string[], errorOf: (partition: number) => ErrorName | undefined = () => undefined) =>
  ({ transactions }: AddPartitionsToTxnRequest) => {
    seen.push(
      transactions
        .map(({ transactionalId, producerId, producerEpoch, verifyOnly, topics }) => {
          const what = topics.map(({ name, partitions }) => `${name} ${partitions}`).join(', ');
          return `${verifyOnly ? 'verify' : 'add'} ${transactionalId} ${producerId}/${producerEpoch}: ${what}`;
        })
        .join('; '),
    );
    return {
      throttleTimeMs: 0,
      errorCode: 0,
      resultsByTopicV3AndBelow: [],
      resultsByTransaction: transactions.map(({ transactionalId, topics }) => ({
        transactionalId,
        topicResults: topics.map(({ name, partitions }) => ({
          name,
          resultsByPartition: partitions.map((partitionIndex) => {
            const error = errorOf(partitionIndex);
            return { partitionIndex, partitionErrorCode: error ? errors[error].code : 0 };
          }),
        })),
      })),
    };
  };

const named = (name: ErrorName) => (error: unknown) => error instanceof KafkaError && error.name === name;

describe('the coordinator of a transactional id is asked', () => {
  test('here, or on another broker, about many transactions at once', async () => {
    const { brokers, local, routes } = cluster();
    const seen: string[] = [];
    brokers.answer(2, AddPartitionsToTxn, answering(seen));
    const other = idOn(2);
    const verified = routes.verifyPartitions(other, producer, partitions);
    await Promise.all([
      routes.addPartitions({ transactionalId: here, ...producer, partitions, clientTransactionVersion: 2 }),
      routes.addPartitions({ transactionalId: there, ...producer, partitions, clientTransactionVersion: 2 }),
      verified,
    ]);
    assert.deepEqual(local, [`add ${here}`]);
    assert.deepEqual(seen, [`verify ${other} 7/3: a 0,1; add ${there} 7/3: a 0,1`]);
    assert.deepEqual(
      (await verified).map(({ isAdded }) => isAdded),
      [true, true],
    );
  });

  test('and says of each partition whether it is part of the transaction', async () => {
    const { brokers, routes } = cluster();
    brokers.answer(
      2,
      AddPartitionsToTxn,
      answering([], (partition) => (partition === 1 ? 'TRANSACTION_ABORTABLE' : undefined)),
    );
    assert.deepEqual(await routes.verifyPartitions(there, producer, partitions), [
      { topic: 'a', partition: 0, isAdded: true },
      { topic: 'a', partition: 1, isAdded: false },
    ]);
  });

  test('and what it refuses for one partition is refused for the transaction', async () => {
    const { brokers, routes } = cluster();
    brokers.answer(
      2,
      AddPartitionsToTxn,
      answering([], (partition) => (partition === 0 ? 'OPERATION_NOT_ATTEMPTED' : 'UNKNOWN_TOPIC_OR_PARTITION')),
    );
    const adding = routes.addPartitions({ transactionalId: there, ...producer, partitions, clientTransactionVersion: 2 });
    await assert.rejects(adding, named('UNKNOWN_TOPIC_OR_PARTITION'));
    brokers.answer(
      2,
      AddPartitionsToTxn,
      answering([], () => 'PRODUCER_FENCED'),
    );
    await assert.rejects(routes.verifyPartitions(there, producer, partitions), named('PRODUCER_FENCED'));
  });

  test('of which nobody knows, or that does not answer, is said as producers know it', async () => {
    const { brokers, routes, leaders } = cluster();
    await assert.rejects(routes.verifyPartitions(there, producer, partitions), named('NETWORK_EXCEPTION'));
    assert.deepEqual(brokers.asked, ['2 AddPartitionsToTxn']);
    leaders[1] = -1;
    await assert.rejects(routes.verifyPartitions(there, producer, partitions), named('COORDINATOR_NOT_AVAILABLE'));
    leaders[1] = undefined;
    await assert.rejects(routes.verifyPartitions(there, producer, partitions), named('COORDINATOR_NOT_AVAILABLE'));
  });

  test('again after a while, when it still ends the last transaction elsewhere', async () => {
    const { local, routes, world } = cluster();
    await world.runUntil(routes.untilComplete(here, 20));
    assert.deepEqual(local, ['wait']);
    const startedMs = world.time.nowMs;
    await world.runUntil(routes.untilComplete(there, 20));
    assert.equal(world.time.nowMs - startedMs, 20);
  });
});

test('what a coordinator elsewhere says, a producer of any version understands', async () => {
  const { brokers, routes } = cluster();
  const verifier = new TransactionVerifier(routes);
  const confirm = async (...[support]: [Parameters<TransactionVerifier['confirm']>[3]]) =>
    (await verifier.confirm(there, producer, partitions, support)).map(({ partition, error }) => `${partition} ${error}`);
  brokers.answer(
    2,
    AddPartitionsToTxn,
    answering([], (partition) => (partition === 1 ? 'TRANSACTION_ABORTABLE' : undefined)),
  );
  assert.deepEqual(await confirm('verify'), ['1 TRANSACTION_ABORTABLE']);
  assert.deepEqual(await confirm('verify, old errors'), ['1 INVALID_TXN_STATE']);
  brokers.answer(
    2,
    AddPartitionsToTxn,
    answering([], () => 'PRODUCER_FENCED'),
  );
  assert.deepEqual(await confirm('add'), ['0 INVALID_PRODUCER_EPOCH', '1 INVALID_PRODUCER_EPOCH']);
  brokers.answer(
    2,
    AddPartitionsToTxn,
    answering([], () => 'NOT_COORDINATOR'),
  );
  assert.deepEqual(await confirm('add'), ['0 COORDINATOR_NOT_AVAILABLE', '1 COORDINATOR_NOT_AVAILABLE']);
});
