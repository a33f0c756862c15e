import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  DescribeProducers,
  DescribeTransactions,
  errorName,
  Fetch,
  FindCoordinator,
  InitProducerId,
  ListOffsets,
  ListTransactions,
  OffsetFetch,
  Produce,
  partitionForGroup,
  UpdateFeatures,
  WriteTxnMarkers,
} from '@ottla/protocol';
import { type TestClient, TestNode } from './testing-node.ts';
import { TestProducer, type TransactionVersion } from './testing-transactions.ts';

async function started(settings: Readonly<Record<string, string>> = {}) {
  const node = await TestNode.start({ settings });
  const client = await node.client();
  assert.equal(await client.createTopic('orders', {}, { partitions: 3 }), 'NONE');
  for (const keyType of [0, 1]) await client.ask(FindCoordinator, { keyType, coordinatorKeys: ['a'] });
  return { node, client };
}

async function stateOf(client: TestClient, transactionalId: string): Promise<string> {
  const { transactionStates } = await client.ask(DescribeTransactions, { transactionalIds: [transactionalId] });
  const { errorCode, transactionState } = transactionStates[0]!;
  return errorCode === 0 ? transactionState : errorName(errorCode);
}

async function committedOffset(client: TestClient, groupId: string, requireStable = true): Promise<number | string> {
  const topics = [{ name: 'orders', partitionIndexes: [0] }];
  const { groups } = await client.ask(OffsetFetch, { groups: [{ groupId, memberEpoch: -1, topics }], requireStable }, 9);
  const { errorCode, committedOffset } = groups[0]!.topics[0]!.partitions[0]!;
  return errorCode === 0 ? committedOffset : errorName(errorCode);
}

for (const version of [1, 2] as const satisfies readonly TransactionVersion[]) {
  test(`what is committed is read, what is aborted is not (producer of transactions v${version})`, async () => {
    const { node, client } = await started();
    const producer = await TestProducer.begin(client, 'a', version);
    assert.equal(await producer.produce('orders', ['one', 'two']), 'NONE');
    assert.equal(await producer.produce('orders', ['three'], { partition: 1 }), 'NONE');
    assert.deepEqual(await client.fetchCommitted('orders'), []);
    assert.equal(await producer.commit(), 'NONE');
    assert.equal(await producer.produce('orders', ['lost']), 'NONE');
    assert.equal(await producer.abort(), 'NONE');
    assert.equal(await producer.produce('orders', ['four']), 'NONE');
    assert.equal(await producer.commit(), 'NONE');
    await node.advance(1_000);
    assert.deepEqual(await client.fetchCommitted('orders'), ['one', 'two', 'four']);
    assert.deepEqual(await client.fetchCommitted('orders', { partition: 1 }), ['three']);
    assert.deepEqual(await client.fetch('orders'), ['one', 'two', 'lost', 'four']);
    assert.equal(await stateOf(client, 'a'), 'CompleteCommit');
    await node.restart();
    assert.deepEqual(await (await node.client()).fetchCommitted('orders'), ['one', 'two', 'four']);
    await node.stop();
  });

  test(`a zombie is fenced by its successor, and what it left open is aborted (v${version})`, async () => {
    const { node, client } = await started();
    const zombie = await TestProducer.begin(client, 'a', version);
    assert.equal(await zombie.produce('orders', ['of the zombie']), 'NONE');
    const successor = await TestProducer.begin(client, 'a', version);
    assert.ok(successor.producerEpoch > zombie.producerEpoch);
    assert.equal(await zombie.produce('orders', ['late']), version === 1 ? 'PRODUCER_FENCED' : 'INVALID_PRODUCER_EPOCH');
    assert.equal(await zombie.commit(), 'PRODUCER_FENCED');
    assert.equal(await successor.produce('orders', ['of the successor']), 'NONE');
    assert.equal(await successor.commit(), 'NONE');
    await node.advance(1_000);
    assert.deepEqual(await client.fetchCommitted('orders'), ['of the successor']);
    await node.stop();
  });

  test(`offsets count when their transaction is committed (v${version})`, async () => {
    const { node, client } = await started();
    const producer = await TestProducer.begin(client, 'a', version);
    assert.equal(await producer.commitOffset('g', 'orders', 5), 'NONE');
    assert.equal(await committedOffset(client, 'g'), 'UNSTABLE_OFFSET_COMMIT');
    assert.equal(await committedOffset(client, 'g', false), -1);
    assert.equal(await producer.commit(), 'NONE');
    await node.advance(1_000);
    assert.equal(await committedOffset(client, 'g'), 5);
    assert.equal(await producer.commitOffset('g', 'orders', 9), 'NONE');
    assert.equal(await producer.abort(), 'NONE');
    await node.advance(1_000);
    assert.equal(await committedOffset(client, 'g'), 5);
    // A member that the group does not know is a zombie of the group's, whatever its producer says.
    assert.equal(await producer.commitOffset('g', 'orders', 9, { generationId: 3, memberId: 'gone' }), 'UNKNOWN_MEMBER_ID');
    await node.restart();
    assert.equal(await committedOffset(await node.client(), 'g'), 5);
    await node.stop();
  });

  test(`a transaction that is open longer than its timeout is aborted, and its producer fenced (v${version})`, async () => {
    const { node, client } = await started();
    const producer = new TestProducer(client, 'a', version);
    producer.timeoutMs = 5_000;
    assert.equal(await producer.init(), 'NONE');
    assert.equal(await producer.produce('orders', ['slow']), 'NONE');
    await node.advance(4_000);
    assert.equal(await stateOf(client, 'a'), 'Ongoing');
    await node.advance(12_000);
    assert.equal(await stateOf(client, 'a'), 'CompleteAbort');
    assert.equal(await client.offset('orders', -1), 2);
    assert.deepEqual(await client.fetchCommitted('orders'), []);
    // Under v2 its epoch looks like that of a repeated abort: another end than that is none.
    assert.equal(await producer.commit(), version === 1 ? 'PRODUCER_FENCED' : 'INVALID_TXN_STATE');
    await node.stop();
  });

  test(`a transaction goes on after the node was killed (v${version})`, async () => {
    const { node, client } = await started();
    const producer = await TestProducer.begin(client, 'a', version);
    assert.equal(await producer.produce('orders', ['before']), 'NONE');
    assert.equal(await producer.commitOffset('g', 'orders', 7), 'NONE');
    node.machine.kill();
    await node.start();
    const again = await node.client();
    const survivor = Object.assign(new TestProducer(again, 'a', version), {
      producerId: producer.producerId,
      producerEpoch: producer.producerEpoch,
    });
    assert.equal(await stateOf(again, 'a'), 'Ongoing');
    assert.equal(await committedOffset(again, 'g'), 'UNSTABLE_OFFSET_COMMIT');
    assert.equal(await survivor.produce('orders', ['after'], { baseSequence: 1 }), 'NONE');
    assert.equal(await survivor.commit(), 'NONE');
    await node.advance(1_000);
    assert.deepEqual(await again.fetchCommitted('orders'), ['before', 'after']);
    assert.equal(await committedOffset(again, 'g'), 7);
    await node.stop();
  });
}

test('batches that come while the first of them waits for the coordinator are written in their order', async () => {
  const { node, client } = await started();
  const producer = await TestProducer.begin(client, 'a');
  const requests = [];
  for (const value of ['1', '2', '3', '4', '5']) requests.push(await producer.request('orders', [value]));
  const answers = await node.run(Promise.all(requests.map((request) => client.later(Produce, request, 12))));
  assert.deepEqual(
    answers
      .map(({ responses }) => responses[0]!.partitionResponses[0]!)
      .map(({ errorCode, baseOffset }) => [errorCode, baseOffset]),
    [0, 1, 2, 3, 4].map((offset) => [0, offset]),
  );
  assert.equal(await producer.commit(), 'NONE');
  await node.advance(1_000);
  assert.deepEqual(await client.fetchCommitted('orders'), ['1', '2', '3', '4', '5']);
  await node.stop();
});

test('a batch of a transaction that the coordinator does not know is refused, unless verification is off', async () => {
  const { node, client } = await started();
  const producer = await TestProducer.begin(client, 'a', 1);
  assert.equal(await producer.write('orders', ['unknown'], { version: 11 }), 'TRANSACTION_ABORTABLE');
  assert.equal(await producer.write('orders', ['unknown'], { version: 10, baseSequence: 0 }), 'INVALID_TXN_STATE');
  const stranger = Object.assign(new TestProducer(client, 'nobody', 1), { producerId: 77, producerEpoch: 0 });
  assert.equal(await stranger.write('orders', ['unknown'], { version: 11 }), 'INVALID_PRODUCER_ID_MAPPING');
  await client.configure({ type: 4, name: '' }, { 'transaction.partition.verification.enable': 'false' });
  assert.equal(await producer.write('orders', ['unverified'], { version: 11, baseSequence: 0 }), 'NONE');
  await node.stop();
});

test('what a transaction is refused tells as much as Kafka tells', async () => {
  const { node, client } = await started();
  const producer = await TestProducer.begin(client, 'a', 1);
  const { producerId, producerEpoch } = producer;
  const values = await client.produceRequest('orders', ['x'], {
    producerId,
    producerEpoch,
    baseSequence: 0,
    isTransactional: true,
  });
  const { responses } = await client.ask(Produce, { ...values, transactionalId: 'a' }, 10);
  const { errorCode, errorMessage, logStartOffset } = responses[0]!.partitionResponses[0]!;
  assert.deepEqual(
    [errorName(errorCode), errorMessage, logStartOffset],
    ['INVALID_TXN_STATE', 'Partition was not added to the transaction', -1],
  );
  assert.equal(await producer.commitOffset('', 'orders', 5), 'INVALID_GROUP_ID');
  const written = await client.ask(WriteTxnMarkers, { markers: [{ producerId, producerEpoch, topics: [] }] });
  assert.deepEqual(written.markers, []);
  await node.stop();
});

test('a reader of what is committed who has nothing to read hears of no aborted transactions', async () => {
  const { node, client } = await started();
  const [lost, open] = [await TestProducer.begin(client, 'lost', 2), await TestProducer.begin(client, 'open', 2)];
  await lost.produce('orders', ['lost']);
  await open.produce('orders', ['open']);
  await lost.abort();
  await node.advance(1_000);
  const asked = async (offset: number) => {
    const { responses } = await client.ask(Fetch, await client.fetchRequest('orders', { offset, isolationLevel: 1 }));
    return responses[0]!.partitions[0]!.abortedTransactions!.map(({ firstOffset }) => firstOffset);
  };
  assert.deepEqual(await asked(0), [0]);
  assert.deepEqual(await asked(1), []);
  await node.stop();
});

test('a hanging transaction is seen in its partition, and ended by an administrator', async () => {
  const { node, client } = await started();
  await client.configure({ type: 4, name: '' }, { 'transaction.partition.verification.enable': 'false' });
  const stranger = Object.assign(new TestProducer(client, 'nobody', 1), { producerId: 77, producerEpoch: 3 });
  assert.equal(await stranger.write('orders', ['hanging'], { version: 11 }), 'NONE');
  const asked = { topics: [{ name: 'orders', partitionIndexes: [0] }] };
  const openSince = async () => {
    const { topics } = await client.ask(DescribeProducers, asked);
    return topics[0]!.partitions[0]!.activeProducers.map(({ producerId, currentTxnStartOffset }) => [
      producerId,
      currentTxnStartOffset,
    ]);
  };
  assert.deepEqual(await openSince(), [[77, 0]]);
  const marker = { producerId: 77, producerEpoch: 3, transactionResult: false, coordinatorEpoch: 0 };
  const { markers } = await client.ask(
    WriteTxnMarkers,
    { markers: [{ ...marker, topics: [{ name: 'orders', partitionIndexes: [0, 9] }] }] },
    1,
  );
  assert.deepEqual(
    markers[0]!.topics[0]!.partitions.map(({ partitionIndex, errorCode }) => [partitionIndex, errorName(errorCode)]),
    [
      [0, 'NONE'],
      [9, 'UNKNOWN_TOPIC_OR_PARTITION'],
    ],
  );
  assert.deepEqual(await openSince(), [[77, -1]]);
  assert.deepEqual(await client.fetchCommitted('orders'), []);
  await node.stop();
});

test('a transaction ends that names partitions which coordinators keep their own state in', async () => {
  const { node, client } = await started({ 'transaction.state.log.num.partitions': '4' });
  const producer = await TestProducer.begin(client, 'a', 1);
  const own = partitionForGroup('a', 4);
  const logEnd = async (): Promise<number> => {
    const partitions = [{ partitionIndex: own, timestamp: -1, currentLeaderEpoch: -1 }];
    const { topics } = await client.ask(ListOffsets, { replicaId: -1, topics: [{ name: '__transaction_state', partitions }] });
    return topics[0]!.partitions[0]!.offset;
  };
  assert.equal(await producer.addPartition('__transaction_state', own), 'NONE');
  const before = await logEnd();
  assert.equal(await producer.commit(), 'NONE');
  await node.advance(1_000);
  assert.equal(await stateOf(client, 'a'), 'CompleteCommit');
  // What was decided, and that it is done: no marker is between the coordinator's records.
  assert.equal(await logEnd(), before + 2);
  const topics = [{ name: '__transaction_state', partitionIndexes: [own] }];
  const marker = { producerId: 77, producerEpoch: 0, transactionResult: true, coordinatorEpoch: 0, topics };
  const { markers } = await client.ask(WriteTxnMarkers, { markers: [marker] });
  assert.equal(errorName(markers[0]!.topics[0]!.partitions[0]!.errorCode), 'INVALID_TOPIC_EXCEPTION');
  assert.equal(await logEnd(), before + 2);
  await node.stop();
});

test('transactional ids are listed by state, producer, duration and pattern', async () => {
  const { node, client } = await started();
  const open = await TestProducer.begin(client, 'open');
  await TestProducer.begin(client, 'idle');
  assert.equal(await open.produce('orders', ['one']), 'NONE');
  await node.advance(2_000);
  const all = { stateFilters: [], producerIdFilters: [], durationFilter: -1, transactionalIdPattern: null };
  const listed = async (filters: object): Promise<unknown[]> => {
    const answer = await client.ask(ListTransactions, { ...all, ...filters });
    const ids = answer.transactionStates.map(({ transactionalId, transactionState }) => `${transactionalId} ${transactionState}`);
    return [errorName(answer.errorCode), ...answer.unknownStateFilters, ...ids.sort()];
  };
  assert.deepEqual(await listed({}), ['NONE', 'idle Empty', 'open Ongoing']);
  assert.deepEqual(await listed({ stateFilters: ['Ongoing', 'Odd'] }), ['NONE', 'Odd', 'open Ongoing']);
  assert.deepEqual(await listed({ stateFilters: ['Odd'] }), ['NONE', 'Odd']);
  assert.deepEqual(await listed({ producerIdFilters: [open.producerId] }), ['NONE', 'open Ongoing']);
  assert.deepEqual(await listed({ durationFilter: 60_000, stateFilters: ['Ongoing'] }), ['NONE']);
  assert.deepEqual(await listed({ durationFilter: 1_000, stateFilters: ['Ongoing'] }), ['NONE', 'open Ongoing']);
  assert.deepEqual(await listed({ transactionalIdPattern: 'i.*' }), ['NONE', 'idle Empty']);
  assert.deepEqual(await listed({ transactionalIdPattern: 'pen' }), ['NONE']);
  assert.deepEqual(await listed({ transactionalIdPattern: '(' }), ['INVALID_REGULAR_EXPRESSION']);
  assert.equal(await stateOf(client, 'unknown'), 'TRANSACTIONAL_ID_NOT_FOUND');
  await node.stop();
});

test('a transactional id that nobody uses is forgotten after transactional.id.expiration.ms', async () => {
  const settings = {
    'transactional.id.expiration.ms': '100000',
    'transaction.remove.expired.transaction.cleanup.interval.ms': '10000',
  };
  const { node, client } = await started(settings);
  const producer = await TestProducer.begin(client, 'a');
  await node.advance(90_000);
  assert.equal(await stateOf(client, 'a'), 'Empty');
  await node.advance(25_000);
  assert.equal(await stateOf(client, 'a'), 'TRANSACTIONAL_ID_NOT_FOUND');
  assert.equal(await producer.produce('orders', ['late']), 'INVALID_PRODUCER_ID_MAPPING');
  await node.stop();
});

test('what cannot be a transaction is refused before it begins', async () => {
  const { node, client } = await started();
  const init = async (request: object): Promise<string> => {
    const valid = { transactionalId: 'a', transactionTimeoutMs: 1_000, producerId: -1, producerEpoch: -1 };
    const { errorCode } = await client.ask(InitProducerId, { ...valid, ...request }, 5);
    return errorName(errorCode);
  };
  assert.equal(await init({ transactionalId: '' }), 'INVALID_REQUEST');
  assert.equal(await init({ transactionTimeoutMs: 0 }), 'INVALID_TRANSACTION_TIMEOUT');
  assert.equal(await init({ transactionTimeoutMs: 900_001 }), 'INVALID_TRANSACTION_TIMEOUT');
  assert.equal(await init({ producerId: 4 }), 'INVALID_REQUEST');
  const producer = await TestProducer.begin(client, 'a', 1);
  assert.equal(await producer.commit(), 'INVALID_TXN_STATE');
  assert.equal(await producer.addPartition('nowhere'), 'UNKNOWN_TOPIC_OR_PARTITION');
  await node.stop();
});

test('the level of transaction.version decides how the coordinator fences, at once', async () => {
  const { node, client } = await started();
  const update = async (level: number): Promise<void> => {
    const featureUpdates = [{ feature: 'transaction.version', maxVersionLevel: level, upgradeType: level < 2 ? 2 : 1 }];
    const { errorCode } = await client.ask(UpdateFeatures, { featureUpdates, timeoutMs: 1_000, validateOnly: false });
    assert.equal(errorName(errorCode), 'NONE');
  };
  for (const level of [2, 1, 2]) {
    await update(level);
    const zombie = await TestProducer.begin(client, `a${level}`, 1);
    assert.equal(await zombie.produce('orders', ['open']), 'NONE');
    const successor = await TestProducer.begin(client, `a${level}`, 1);
    assert.equal(await successor.produce('orders', [`committed at ${level}`]), 'NONE');
    assert.equal(await successor.commit(), 'NONE');
  }
  await node.advance(1_000);
  assert.deepEqual(await client.fetchCommitted('orders'), ['committed at 2', 'committed at 1', 'committed at 2']);
  await node.stop();
});
