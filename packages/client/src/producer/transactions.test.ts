import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BrokerConnection } from '@ottla/network';
import { EndTxn, errors, UpdateFeatures } from '@ottla/protocol';
import { startKafka } from '@ottla/testing';
import type { IsolationLevel } from '../admin/offsets.ts';
import { ClientClosedError } from '../client-closed-error.ts';
import { Consumer } from '../consumer/consumer.ts';
import { stringDeserializer } from '../consumer/consumer-config.ts';
import { interceptRequests } from '../testing/intercept-requests.ts';
import { SimulatedKafka } from '../testing/simulated-kafka.ts';
import { Producer } from './producer.ts';
import type { ProducerConfig } from './producer-config.ts';

async function valuesOf(bootstrapServers: string, topic: string, isolationLevel: IsolationLevel): Promise<(string | null)[]> {
  await using consumer = new Consumer({
    bootstrapServers,
    isolationLevel,
    autoOffsetReset: 'earliest',
    valueDeserializer: stringDeserializer,
  });
  consumer.assign([{ topic, partition: 0 }]);
  const values: (string | null)[] = [];
  // The last value of each test's log is committed, so that it can be waited for.
  while (values.at(-1) !== 'last') for (const { value } of await consumer.poll({ timeoutMs: 5000 })) values.push(value);
  return values;
}

test('what is committed is seen by all, what is aborted only by who reads uncommitted', async () => {
  await using kafka = await startKafka({ topics: ['log'] });
  await using producer = new Producer({ ...kafka, transactionalId: 'writer' });
  await producer.initTransactions();
  producer.beginTransaction();
  await producer.send({ topic: 'log', value: 'kept' });
  await producer.commitTransaction();
  producer.beginTransaction();
  await producer.send({ topic: 'log', value: 'dropped' });
  await producer.abortTransaction();
  await producer.transaction(() => producer.send({ topic: 'log', value: 'last' }));
  assert.deepEqual(await valuesOf(kafka.bootstrapServers, 'log', 'read_committed'), ['kept', 'last']);
  assert.deepEqual(await valuesOf(kafka.bootstrapServers, 'log', 'read_uncommitted'), ['kept', 'dropped', 'last']);
});

test('an abort rejects the sends that were not answered yet, and the next transaction is not touched by it', async () => {
  await using kafka = await startKafka({ topics: ['log'] });
  await using producer = new Producer({ ...kafka, transactionalId: 'writer', lingerMs: 60_000 });
  await producer.initTransactions();
  producer.beginTransaction();
  const sent = producer.send({ topic: 'log', value: 'dropped' });
  const rejected = assert.rejects(sent, { name: 'TRANSACTION_ABORTABLE' });
  await producer.abortTransaction();
  await rejected;
  await producer.transaction(() => void producer.send({ topic: 'log', value: 'last' }));
  assert.deepEqual(await valuesOf(kafka.bootstrapServers, 'log', 'read_uncommitted'), ['last']);
});

test('work that fails aborts its transaction and rejects with its reason', async () => {
  await using kafka = await startKafka({ topics: ['log'] });
  await using producer = new Producer({ ...kafka, transactionalId: 'writer' });
  await producer.initTransactions();
  const work = producer.transaction(async () => {
    await producer.send({ topic: 'log', value: 'dropped' });
    throw new Error('changed my mind');
  });
  await assert.rejects(work, /changed my mind/);
  await producer.transaction(() => producer.send({ topic: 'log', value: 'last' }));
  assert.deepEqual(await valuesOf(kafka.bootstrapServers, 'log', 'read_committed'), ['last']);
});

test('a record that fails makes its transaction fail, and only that one', async () => {
  await using kafka = await startKafka({ topics: [{ name: 'log', partitions: 1, configs: { 'max.message.bytes': '500' } }] });
  await using producer = new Producer({ ...kafka, transactionalId: 'writer' });
  await producer.initTransactions();
  producer.beginTransaction();
  await assert.rejects(producer.send({ topic: 'log', value: 'x'.repeat(1000) }), { name: 'MESSAGE_TOO_LARGE' });
  await assert.rejects(producer.send({ topic: 'log', value: 'late' }), { name: 'MESSAGE_TOO_LARGE' });
  await assert.rejects(producer.commitTransaction(), { name: 'MESSAGE_TOO_LARGE' });
  await producer.abortTransaction();
  await producer.transaction(() => producer.send({ topic: 'log', value: 'last' }));
  assert.deepEqual(await valuesOf(kafka.bootstrapServers, 'log', 'read_committed'), ['last']);
});

test('a record that was not delivered in time makes its transaction fail: nobody is told to commit again', async () => {
  const simulation = await SimulatedKafka.start(1, { topics: ['log'] });
  const config = { transactionalId: 'writer', deliveryTimeoutMs: 2000, requestTimeoutMs: 1000, lingerMs: 0 };
  const producer = simulation.producer(config);
  await simulation.run(producer.initTransactions());
  const sendIntoTheCut = async (): Promise<void> => {
    await producer.send({ topic: 'log', value: 'dropped' });
    simulation.world.wires.cut('broker', 'client');
    const sent = producer.send({ topic: 'log', value: 'late' });
    await assert.rejects(sent, { name: /^(REQUEST_TIMED_OUT|NETWORK_EXCEPTION)$/, message: /not delivered within/ });
    simulation.world.wires.heal();
  };
  producer.beginTransaction();
  await simulation.run(sendIntoTheCut());
  const failed = {
    name: 'TRANSACTION_ABORTABLE',
    message: /^the transaction has failed, abort it: 1 record for log-0 not delivered/,
  };
  await assert.rejects(simulation.run(producer.commitTransaction()), failed);
  await assert.rejects(simulation.run(producer.send({ topic: 'log', value: 'later' })), failed);
  await simulation.run(producer.abortTransaction());
  await assert.rejects(simulation.run(producer.transaction(sendIntoTheCut)), failed);
  await simulation.run(producer.transaction(() => producer.send({ topic: 'log', value: 'last' })));
  assert.deepEqual(await readCommitted(simulation, 'last'), ['last']);
  await simulation.run(Promise.all([producer.close(), simulation.kafka.stop()]));
});

test('initTransactions called again while it is under way is the same one', async () => {
  const simulation = await SimulatedKafka.start(1, { topics: ['log'] });
  const producer = simulation.producer({ transactionalId: 'writer' });
  const inits = [producer.initTransactions(), producer.initTransactions()];
  await simulation.run(Promise.race(inits));
  const working = producer.transaction(() => producer.send({ topic: 'log', value: 'last' }));
  await simulation.run(Promise.all([...inits, working]));
  assert.deepEqual(await readCommitted(simulation, 'last'), ['last']);
  await simulation.run(Promise.all([producer.close(), simulation.kafka.stop()]));
});

test('a producer whose id another one took over is told so, and its transaction is aborted', async () => {
  await using kafka = await startKafka({ topics: ['log'] });
  await using zombie = new Producer({ ...kafka, transactionalId: 'writer' });
  await zombie.initTransactions();
  zombie.beginTransaction();
  await zombie.send({ topic: 'log', value: 'dropped' });
  await using producer = new Producer({ ...kafka, transactionalId: 'writer' });
  await producer.initTransactions();
  await assert.rejects(zombie.commitTransaction(), { name: 'PRODUCER_FENCED' });
  await assert.rejects(zombie.send({ topic: 'log', value: 'late' }), { name: 'PRODUCER_FENCED' });
  await assert.rejects(zombie.abortTransaction(), { name: 'PRODUCER_FENCED' });
  await producer.transaction(() => producer.send({ topic: 'log', value: 'last' }));
  assert.deepEqual(await valuesOf(kafka.bootstrapServers, 'log', 'read_committed'), ['last']);
});

test('a producer that was idle while another one took its id over is told so by its next transaction', async () => {
  await using kafka = await startKafka({ topics: ['log'] });
  await using zombie = new Producer({ ...kafka, transactionalId: 'writer' });
  await zombie.initTransactions();
  await zombie.transaction(() => zombie.send({ topic: 'log', value: 'first' }));
  await using producer = new Producer({ ...kafka, transactionalId: 'writer' });
  await producer.initTransactions();
  const late = zombie.transaction(() => zombie.send({ topic: 'log', value: 'late' }));
  await assert.rejects(late, { name: 'PRODUCER_FENCED' });
});

test('calls out of their order are refused, and say what is missing', async () => {
  await using kafka = await startKafka({ topics: ['log'] });
  await using plain = new Producer(kafka);
  assert.throws(() => plain.beginTransaction(), /beginTransaction needs a producer with a transactionalId/);
  await using producer = new Producer({ ...kafka, transactionalId: 'writer' });
  assert.throws(() => producer.beginTransaction(), /call initTransactions before the first beginTransaction/);
  await producer.initTransactions();
  const message = 'initTransactions: the producer is ready already: call beginTransaction';
  await assert.rejects(producer.initTransactions(), { name: 'INVALID_TXN_STATE', message });
  await assert.rejects(producer.send({ topic: 'log', value: 'x' }), /send needs a transaction: call beginTransaction first/);
  await assert.rejects(producer.commitTransaction(), { name: 'INVALID_TXN_STATE' });
  await assert.rejects(producer.abortTransaction(), { name: 'INVALID_TXN_STATE' });
  producer.beginTransaction();
  const isOpen = 'beginTransaction: a transaction is open: commitTransaction or abortTransaction ends it';
  assert.throws(() => producer.beginTransaction(), { name: 'INVALID_TXN_STATE', message: isOpen });
  await producer.commitTransaction();
  producer.beginTransaction();
  await producer.abortTransaction();
  assert.throws(() => new Producer({ ...kafka, transactionalId: 'x', enableIdempotence: false }), { name: 'INVALID_CONFIG' });
  await using hasty = new Producer({ ...kafka, transactionalId: 'hasty', transactionTimeoutMs: 2_000_000_000 });
  await assert.rejects(hasty.initTransactions(), { name: 'INVALID_TRANSACTION_TIMEOUT' });
  await producer.close();
  assert.throws(() => producer.beginTransaction(), ClientClosedError);
});

async function readCommitted(simulation: SimulatedKafka, until: string): Promise<string[]> {
  const reader = simulation.consumer({ isolationLevel: 'read_committed', valueDeserializer: stringDeserializer } as never);
  reader.assign([{ topic: 'log', partition: 0 }]);
  const values: string[] = [];
  while (values.at(-1) !== until)
    for (const { value } of await simulation.run(reader.poll({ timeoutMs: 1000 }))) values.push(String(value));
  await simulation.run(reader.close());
  return values;
}

test('a commit that nobody answers may have happened: it can be asked for again, and is done once', async () => {
  const simulation = await SimulatedKafka.start(1, { topics: ['log'] });
  const producer = simulation.producer({ transactionalId: 'writer', maxBlockMs: 3000, requestTimeoutMs: 1000 });
  await simulation.run(producer.initTransactions());
  const committing = producer.transaction(async () => {
    await producer.send({ topic: 'log', value: 'last' });
    // The request arrives, its answer does not.
    simulation.world.wires.cut('broker', 'client', { oneWay: true });
  });
  await assert.rejects(simulation.run(committing), {
    name: 'REQUEST_TIMED_OUT',
    message: /^the transaction (coordinator did not do it|has not ended) within maxBlockMs = 3000: /,
  });
  simulation.world.wires.heal();
  const message = 'abortTransaction: the commit has timed out and may have happened: call commitTransaction again';
  await assert.rejects(simulation.run(producer.abortTransaction()), { name: 'INVALID_TXN_STATE', message });
  await simulation.run(producer.commitTransaction());
  await simulation.run(producer.transaction(() => producer.send({ topic: 'log', value: 'later' })));
  assert.deepEqual(await readCommitted(simulation, 'later'), ['last', 'later']);
  await simulation.run(Promise.all([producer.close(), simulation.kafka.stop()]));
});

/** As in a cluster that was upgraded from Kafka 3, before the feature was. */
async function toTransactionsV1({ world, kafka }: SimulatedKafka): Promise<void> {
  const { network, timers, clock } = world.machine('operator').boot();
  const [host, port] = kafka.bootstrapServers.split(':');
  const address = { host: host!, port: Number(port) };
  const connection = await world.runUntil(BrokerConnection.connect({ network, timers, clock, clientId: 'operator', address }));
  const featureUpdates = [{ feature: 'transaction.version', maxVersionLevel: 1, upgradeType: 2 }];
  const { errorCode } = await world.runUntil(connection.send(UpdateFeatures, { featureUpdates, timeoutMs: 30_000 }));
  assert.equal(errorCode, 0);
  await world.runUntil(connection.close());
}

/** A transaction with one record on its way and one that waits for it, at a broker whose answers take half a second. */
async function halfSent(
  version = 2,
  config: Partial<ProducerConfig> = {},
): Promise<{ simulation: SimulatedKafka; producer: Producer; sends: Promise<unknown>[] }> {
  const simulation = await SimulatedKafka.start(1, { topics: ['log', 'other'] });
  if (version === 1) await toTransactionsV1(simulation);
  const producer = simulation.producer({
    transactionalId: 'writer',
    maxInFlightRequestsPerConnection: 1,
    batchSize: 0,
    ...config,
  });
  await simulation.run(producer.initTransactions());
  producer.beginTransaction();
  await simulation.run(producer.send({ topic: 'log', value: 'first' }));
  simulation.world.wires.trouble('broker', 'client', { minLatencyMs: 500, maxLatencyMs: 500 }, { oneWay: true });
  const sends = ['second', 'third'].map((value) => producer.send({ topic: 'log', value }));
  for (const sent of sends) sent.catch(() => {});
  await simulation.world.advance(100);
  return { simulation, producer, sends };
}

test('an abort while the commit is under way is refused, and leaves nothing out of what is committed', async () => {
  const { simulation, producer, sends } = await halfSent();
  const committing = producer.commitTransaction();
  await assert.rejects(simulation.run(producer.abortTransaction()), {
    name: 'INVALID_TXN_STATE',
    message: 'abortTransaction: the last transaction is still being committed: await commitTransaction first',
  });
  await simulation.run(Promise.all([committing, ...sends]));
  await simulation.run(producer.transaction(() => producer.send({ topic: 'log', value: 'last' })));
  assert.deepEqual(await readCommitted(simulation, 'last'), ['first', 'second', 'third', 'last']);
  await simulation.run(Promise.all([producer.close(), simulation.kafka.stop()]));
});

for (const end of ['commitTransaction', 'abortTransaction'] as const) {
  test(`${end} called again while it is under way is the same one, and does not reach into the next transaction`, async () => {
    const { simulation, producer } = await halfSent();
    const ends = [producer[end](), producer[end]()];
    assert.throws(() => producer.beginTransaction(), /beginTransaction: the last transaction is still being/);
    await assert.rejects(producer.send({ topic: 'log', value: 'late' }), /send: the last transaction is still being/);
    const offsets = [{ topic: 'log', partition: 0, offset: 1 }];
    const group = { groupId: 'readers', generationId: -1, memberId: '', groupInstanceId: null };
    await assert.rejects(producer.sendOffsetsToTransaction(offsets, group), /sendOffsetsToTransaction: the last transaction is/);
    await simulation.run(Promise.race(ends));
    producer.beginTransaction();
    const next = producer.send({ topic: 'log', value: 'next' });
    await simulation.run(Promise.all(ends));
    await simulation.world.advance(2000);
    await simulation.run(next);
    await simulation.run(producer.commitTransaction());
    const kept = end === 'commitTransaction' ? ['first', 'second', 'third'] : [];
    assert.deepEqual(await readCommitted(simulation, 'next'), [...kept, 'next']);
    await simulation.run(Promise.all([producer.close(), simulation.kafka.stop()]));
  });
}

test('offsets that are on their way when the commit is called are committed with it', async () => {
  for (const level of [1, 2]) {
    const simulation = await SimulatedKafka.start(level, { topics: ['log'] });
    if (level === 1) await toTransactionsV1(simulation);
    const producer = simulation.producer({ transactionalId: 'writer' });
    await simulation.run(producer.initTransactions());
    const group = { groupId: 'readers', generationId: -1, memberId: '', groupInstanceId: null };
    for (const offset of [1, 2]) {
      producer.beginTransaction();
      const sending = producer.sendOffsetsToTransaction([{ topic: 'log', partition: 0, offset }], group);
      await simulation.run(Promise.all([sending, producer.commitTransaction()]));
      await simulation.world.advance(1000);
      const committed = await simulation.run(simulation.kafka.admin().listConsumerGroupOffsets('readers'));
      assert.deepEqual(
        committed.map((each) => each.offset),
        [offset],
        `transaction.version ${level}`,
      );
    }
    await simulation.run(Promise.all([producer.close(), simulation.kafka.stop()]));
  }
});

for (const version of [1, 2]) {
  test(`an abort does not wait for a timeout of batches that came back, and what follows is taken: transaction.version ${version}`, async () => {
    const { simulation, producer, sends } = await halfSent(version);
    const beganMs = simulation.world.time.nowMs;
    const aborting = producer.abortTransaction();
    await simulation.world.advance(50);
    simulation.cutConnections();
    simulation.world.wires.heal();
    const outcomes = await simulation.run(Promise.allSettled([aborting, ...sends]));
    const names = outcomes.map((outcome) => (outcome.status === 'rejected' ? (outcome.reason as Error).name : outcome.status));
    // Before V2 what has left is heard of before the transaction ends: nothing else keeps it from coming later.
    const left = version === 1 ? 'fulfilled' : 'TRANSACTION_ABORTABLE';
    assert.deepEqual(names, ['fulfilled', left, 'TRANSACTION_ABORTABLE']);
    assert.ok(simulation.world.time.nowMs - beganMs < 2000, `${simulation.world.time.nowMs - beganMs} ms`);
    for (const value of ['next', 'last']) {
      const both = () => Promise.all(['other', 'log'].map((topic) => producer.send({ topic, value })));
      await simulation.run(producer.transaction(both));
    }
    assert.deepEqual(await readCommitted(simulation, 'last'), ['next', 'last']);
    await simulation.run(Promise.all([producer.close(), simulation.kafka.stop()]));
  });

  test(`a batch that was sent again when the abort came leaves no gap behind: transaction.version ${version}`, async () => {
    const { simulation, producer, sends } = await halfSent(version);
    simulation.world.wires.cut('broker', 'client');
    simulation.cutConnections();
    await simulation.world.advance(500);
    const aborting = producer.abortTransaction();
    await assert.rejects(Promise.all(sends), { name: 'TRANSACTION_ABORTABLE' });
    simulation.world.wires.heal();
    await simulation.run(aborting);
    const both = () => Promise.all(['other', 'log'].map((topic) => producer.send({ topic, value: 'last' })));
    await simulation.run(producer.transaction(both));
    assert.deepEqual(await readCommitted(simulation, 'last'), ['last']);
    await simulation.run(Promise.all([producer.close(), simulation.kafka.stop()]));
  });
}

test('an abort finds out whether the coordinator knows a partition that was being added, and ends the transaction if it does', async () => {
  const simulation = await SimulatedKafka.start(1, { topics: ['log'] });
  await toTransactionsV1(simulation);
  const producer = simulation.producer({ transactionalId: 'writer' });
  await simulation.run(producer.initTransactions());
  await simulation.run(producer.transaction(() => producer.send({ topic: 'log', value: 'first' })));
  simulation.world.wires.trouble('broker', 'client', { minLatencyMs: 500, maxLatencyMs: 500 }, { oneWay: true });
  producer.beginTransaction();
  const rejected = assert.rejects(producer.send({ topic: 'log', value: 'dropped' }), { name: 'TRANSACTION_ABORTABLE' });
  await simulation.world.advance(100);
  const aborting = producer.abortTransaction();
  simulation.cutConnections();
  simulation.world.wires.heal();
  await simulation.run(aborting);
  await rejected;
  await simulation.run(producer.transaction(() => producer.send({ topic: 'log', value: 'last' })));
  await assertReadSoon(simulation, ['first', 'last']);
  await simulation.run(Promise.all([producer.close(), simulation.kafka.stop()]));
});

for (const what of ['a partition', 'offsets']) {
  test(`an abort ends a transaction to which ${what} may have been added without an answer`, async () => {
    for (const isKnown of [true, false]) {
      const simulation = await SimulatedKafka.start(1, { topics: ['log'] });
      const { wires } = simulation.world;
      await toTransactionsV1(simulation);
      const producer = simulation.producer({ transactionalId: 'writer', maxBlockMs: 2000, requestTimeoutMs: 500 });
      await simulation.run(producer.initTransactions());
      await simulation.run(producer.transaction(() => producer.send({ topic: 'log', value: 'first' })));
      producer.beginTransaction();
      const group = { groupId: 'readers', generationId: -1, memberId: '', groupInstanceId: null };
      // What is asked for arrives, or does not; no answer does.
      if (isKnown) wires.cut('broker', 'client', { oneWay: true });
      else wires.cut('broker', 'client');
      const added: Promise<unknown> =
        what === 'offsets'
          ? producer.sendOffsetsToTransaction([{ topic: 'log', partition: 0, offset: 1 }], group)
          : producer.send({ topic: 'log', value: 'dropped' });
      await assert.rejects(simulation.run(added), { name: /^(REQUEST_TIMED_OUT|TRANSACTION_ABORTABLE)$/ });
      wires.heal();
      await simulation.run(producer.abortTransaction());
      await simulation.run(producer.transaction(() => producer.send({ topic: 'log', value: 'last' })));
      await assertReadSoon(simulation, ['first', 'last']);
      await simulation.run(Promise.all([producer.close(), simulation.kafka.stop()]));
    }
  });
}

for (const end of ['commitTransaction', 'abortTransaction'] as const) {
  test(`${end} takes no longer than maxBlockMs, goes on, and is the same one when it is called again`, async () => {
    const { simulation, producer, sends } = await halfSent(1, { maxBlockMs: 2000, requestTimeoutMs: 1000 });
    const { world } = simulation;
    world.wires.cut('broker', 'client');
    const beganMs = world.time.nowMs;
    await assert.rejects(simulation.run(producer[end]()), {
      name: 'REQUEST_TIMED_OUT',
      message: /^the transaction has not ended within maxBlockMs = 2000/,
    });
    assert.ok(world.time.nowMs - beganMs <= 2000, `${world.time.nowMs - beganMs} ms`);
    assert.throws(() => producer.beginTransaction(), { name: 'INVALID_TXN_STATE' });
    world.wires.heal();
    // It comes to its end although nobody waits for it.
    await world.advance(10_000);
    assert.throws(() => producer.beginTransaction(), { name: 'INVALID_TXN_STATE' });
    await simulation.run(producer[end]());
    await simulation.run(Promise.allSettled(sends));
    await simulation.run(producer.transaction(() => producer.send({ topic: 'log', value: 'last' })));
    const kept = end === 'commitTransaction' ? ['first', 'second', 'third'] : [];
    assert.deepEqual(await readCommitted(simulation, 'last'), [...kept, 'last']);
    await simulation.run(Promise.all([producer.close(), simulation.kafka.stop()]));
  });
}

/** What has to be read before the coordinator would abort anything by itself. */
async function assertReadSoon(simulation: SimulatedKafka, expected: string[]): Promise<void> {
  const beganMs = simulation.world.time.nowMs;
  assert.deepEqual(await readCommitted(simulation, expected.at(-1)!), expected);
  assert.ok(simulation.world.time.nowMs - beganMs < 5000, `${simulation.world.time.nowMs - beganMs} ms`);
}

async function sendLast(simulation: SimulatedKafka): Promise<void> {
  const producer = simulation.producer();
  await simulation.run(producer.send({ topic: 'log', value: 'last' }));
  await simulation.run(producer.close());
}

for (const version of [1, 2]) {
  test(`a producer that closes aborts its transaction: transaction.version ${version}`, async () => {
    const { simulation, producer, sends } = await halfSent(version);
    const rejected = assert.rejects(Promise.all(sends), { name: 'TRANSACTION_ABORTABLE' });
    await simulation.run(producer.close());
    await rejected;
    await sendLast(simulation);
    await assertReadSoon(simulation, ['last']);
    await simulation.run(simulation.kafka.stop());
  });
}

test('a producer that closes aborts a transaction that has failed too', async () => {
  const simulation = await SimulatedKafka.start(1, { topics: ['log'] });
  const producer = simulation.producer({ transactionalId: 'writer', maxBlockMs: 1000 });
  await simulation.run(producer.initTransactions());
  const work = async () => {
    producer.beginTransaction();
    await producer.send({ topic: 'log', value: 'dropped' });
    await producer.send({ topic: 'log', value: 'x'.repeat(1_048_570) });
  };
  await assert.rejects(simulation.run(work()), { name: 'MESSAGE_TOO_LARGE' });
  await simulation.run(producer.close());
  await sendLast(simulation);
  await assertReadSoon(simulation, ['last']);
  await simulation.run(simulation.kafka.stop());
});

test('a producer that closes while it commits has committed', async () => {
  const { simulation, producer, sends } = await halfSent();
  const committing = producer.commitTransaction();
  await simulation.run(Promise.all([producer.close(), committing, ...sends]));
  await sendLast(simulation);
  await assertReadSoon(simulation, ['first', 'second', 'third', 'last']);
  await simulation.run(simulation.kafka.stop());
});

test('a producer that closes takes no longer than it may, and tells of a transaction that it leaves open', async () => {
  for (const timeoutMs of [0, 3000]) {
    const simulation = await SimulatedKafka.start(1, { topics: ['log'] });
    const logged: string[] = [];
    const logger = { ...simulation.runtime.logger, warn: (text: string) => void logged.push(text) };
    const runtime = { ...simulation.runtime, logger };
    const producer = simulation.producer({ transactionalId: 'writer', runtime });
    await simulation.run(producer.initTransactions());
    producer.beginTransaction();
    await simulation.run(producer.send({ topic: 'log', value: 'dropped' }));
    simulation.world.wires.cut('broker', 'client');
    const beganMs = simulation.world.time.nowMs;
    await simulation.run(producer.close({ timeoutMs }));
    const tookMs = simulation.world.time.nowMs - beganMs;
    assert.ok(tookMs <= timeoutMs + 1100, `${tookMs} ms`);
    assert.match(
      logged.join(),
      /^the transaction of "writer" was not ended when its producer closed within \d+ ms; read_committed/,
    );
    simulation.world.wires.heal();
    await simulation.run(simulation.kafka.stop());
  }
});

test('work whose producer closes meanwhile rejects with its own reason', async () => {
  const simulation = await SimulatedKafka.start(1, { topics: ['log'] });
  const producer = simulation.producer({ transactionalId: 'writer' });
  await simulation.run(producer.initTransactions());
  const working = producer.transaction(async () => {
    await producer.close();
    throw new Error('changed my mind');
  });
  await assert.rejects(simulation.run(working), /changed my mind/);
  await assert.rejects(producer.commitTransaction(), ClientClosedError);
  await simulation.run(simulation.kafka.stop());
});

for (const [end, answer, name] of [
  ['commitTransaction', 'INVALID_PRODUCER_EPOCH', 'PRODUCER_FENCED'],
  ['abortTransaction', 'INVALID_PRODUCER_EPOCH', 'PRODUCER_FENCED'],
  ['abortTransaction', 'INVALID_TXN_STATE', 'INVALID_TXN_STATE'],
] as const) {
  test(`a producer whose ${end} the coordinator refuses with ${answer} has failed for good`, async (context) => {
    const simulation = await SimulatedKafka.start(1, { topics: ['log'] });
    const producer = simulation.producer({ transactionalId: 'writer' });
    await simulation.run(producer.initTransactions());
    producer.beginTransaction();
    await simulation.run(producer.send({ topic: 'log', value: 'first' }));
    interceptRequests(context, (api) => (api === EndTxn ? { errorCode: errors[answer].code } : undefined));
    await assert.rejects(simulation.run(producer[end]()), { name });
    assert.throws(() => producer.beginTransaction(), { name });
    await assert.rejects(simulation.run(producer.abortTransaction()), { name });
    const beganMs = simulation.world.time.nowMs;
    await simulation.run(producer.close());
    assert.ok(simulation.world.time.nowMs - beganMs < 2000);
    await simulation.run(simulation.kafka.stop());
  });
}

for (let seed = 1; seed <= 10; seed++) {
  test(`read, change, write is done exactly once, whatever breaks: seed ${seed}`, async () => {
    const settings = { 'transaction.state.log.num.partitions': '2' };
    const simulation = await SimulatedKafka.start(seed, { topics: ['in', 'out'], settings });
    const { world } = simulation;
    const inputs = Array.from({ length: 60 }, (_, index) => `input ${index}`);
    const feeder = simulation.producer();
    await simulation.run(feeder.sendAll(inputs.map((value) => ({ topic: 'in', value }))));
    await simulation.run(feeder.close());

    let isDone = false;
    const worker = async (): Promise<void> => {
      while (!isDone) {
        // The same transactional id each time, as a program that is started again would have.
        const producer = simulation.producer({ transactionalId: 'worker', maxBlockMs: 300_000 });
        const consumer = simulation.consumer({
          groupId: 'workers',
          isolationLevel: 'read_committed',
          enableAutoCommit: false,
          maxPollRecords: 7,
          sessionTimeoutMs: 10_000,
        });
        try {
          await producer.initTransactions();
          consumer.subscribe(['in']);
          while (!isDone) {
            const records = await consumer.poll({ timeoutMs: 1000 });
            const last = records.at(-1);
            if (!last) continue;
            await producer.transaction(async () => {
              for (const { value } of records) producer.send({ topic: 'out', value }).catch(() => {});
              const next = { topic: 'in', partition: 0, offset: last.offset + 1 };
              await producer.sendOffsetsToTransaction([next], consumer.groupMetadata);
            });
          }
        } catch {
          // Begins anew from what was committed.
        } finally {
          await Promise.allSettled([consumer.close(), producer.close({ timeoutMs: 1000 })]);
        }
      }
    };
    const working = worker();
    for (let fault = 0; fault < 6; fault++) {
      await world.advance(200 + 150 * ((seed * 7 + fault * 13) % 11));
      if ((seed + fault) % 3 === 0) await simulation.restart(500);
      else simulation.cutConnections();
    }
    const reader = simulation.consumer({ isolationLevel: 'read_committed' });
    reader.assign([{ topic: 'out', partition: 0 }]);
    const outputs: string[] = [];
    const readOutputs = async (): Promise<void> => {
      for (const { value } of await simulation.run(reader.poll({ timeoutMs: 30_000 })))
        outputs.push(Buffer.from(value!).toString());
    };
    while (outputs.length < inputs.length) await readOutputs();
    // Whatever comes twice would come by then.
    await readOutputs();
    isDone = true;
    await simulation.run(working);
    await simulation.run(reader.close());
    assert.deepEqual(outputs, inputs);
  });
}
