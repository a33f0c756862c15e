import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defaultTransactionConfig, type ProducerIdAndEpoch } from '@ottla/coordinator';
import { batchesOf, type ErrorName, KafkaError } from '@ottla/protocol';
import { World } from '@ottla/runtime';
import { MarkerSender } from '../transactions/marker-sender.ts';
import type { TransactionMarker } from '../transactions/transaction-marker.ts';
import { MemoryCoordinatorLog } from './memory-coordinator-log.ts';
import { TransactionCoordinatorService } from './transaction-coordinator-service.ts';

/** Where markers go, for tests: each partition takes them, or says why not. */
class Destination {
  readonly written: string[] = [];
  readonly refusals = new Map<string, ErrorName>();
  attempts = 0;

  write(topic: string, _partition: number, marker: TransactionMarker): Promise<void> {
    this.attempts++;
    const refusal = this.refusals.get(topic);
    if (refusal !== undefined) return Promise.reject(new KafkaError(refusal));
    const { isCommit, producerId, producerEpoch, coordinatorEpoch } = marker;
    this.written.push(`${topic} ${isCommit ? 'commit' : 'abort'} ${producerId}/${producerEpoch} by ${coordinatorEpoch}`);
    return Promise.resolve();
  }
}

class Coordinator {
  readonly world = new World({ seed: 1 });
  readonly log = new MemoryCoordinatorLog();
  readonly destination = new Destination();
  readonly topics = new Set(['x', 'y']);
  readonly #runtime = this.world.machine('node').boot();
  #producerId = 1000;
  service = this.#start();

  #start(): TransactionCoordinatorService {
    const runtime = this.#runtime;
    return new TransactionCoordinatorService({
      runtime,
      config: {
        transactions: defaultTransactionConfig,
        partition: { appendLingerMs: -1, commitTimeoutMs: 5_000, compression: 'none', loadStepBytes: 1_000 },
      },
      partitionCount: () => 1,
      log: () => this.log,
      nextProducerId: () => Promise.resolve(this.#producerId++),
      markers: new MarkerSender({
        runtime,
        destination: this.destination,
        hasPartition: (topic) => this.topics.has(topic),
      }),
    });
  }

  /** As if the broker had died, and come back with what was written. */
  async restart(leaderEpoch: number): Promise<void> {
    this.service.shutdown();
    this.service = this.#start();
    await this.elect(leaderEpoch);
  }

  elect(leaderEpoch: number): Promise<void> {
    return this.world.runUntil(this.service.onPartitionElected(0, leaderEpoch));
  }

  init(): Promise<ProducerIdAndEpoch> {
    return this.world.runUntil(this.service.initProducerId({ transactionalId: 'a', timeoutMs: 60_000, expected: undefined }));
  }

  add(producer: ProducerIdAndEpoch, ...topics: string[]): Promise<void> {
    const partitions = new Map(topics.map((topic) => [topic, new Set([0])]));
    const request = { transactionalId: 'a', ...producer, partitions, clientTransactionVersion: 2 };
    return this.world.runUntil(this.service.addPartitions(request));
  }

  end(producer: ProducerIdAndEpoch, isCommit = true): Promise<ProducerIdAndEpoch> {
    return this.world.runUntil(
      this.service.endTransaction({ transactionalId: 'a', ...producer, isCommit, clientTransactionVersion: 2 }),
    );
  }

  async state(): Promise<string> {
    return (await this.world.runUntil(this.service.describe('a'))).status;
  }

  /** How many batches the log has. */
  get batches(): number {
    return this.log.batches.reduce((sum, bytes) => sum + [...batchesOf(bytes)].length, 0);
  }
}

async function begun(): Promise<{ coordinator: Coordinator; producer: ProducerIdAndEpoch }> {
  const coordinator = new Coordinator();
  await coordinator.elect(3);
  const producer = await coordinator.init();
  await coordinator.add(producer, 'x', 'y');
  return { coordinator, producer };
}

test('the answer to an end does not wait for the markers; they carry the epoch of who sends them', async () => {
  const { coordinator, producer } = await begun();
  assert.deepEqual(await coordinator.end(producer), { producerId: 1000, producerEpoch: 1 });
  await coordinator.world.advance(10);
  assert.deepEqual(coordinator.destination.written, ['x commit 1000/1 by 3', 'y commit 1000/1 by 3']);
  assert.equal(await coordinator.state(), 'CompleteCommit');
});

test('a marker that cannot be written is sent until it is, however long that takes', async () => {
  const { coordinator, producer } = await begun();
  const { destination, world } = coordinator;
  destination.refusals.set('y', 'NOT_LEADER_OR_FOLLOWER');
  await coordinator.end(producer);
  await world.advance(3_600_000);
  assert.equal(await coordinator.state(), 'PrepareCommit');
  assert.ok(destination.attempts > 3_000 && destination.attempts < 5_000, `${destination.attempts} attempts`);
  await assert.rejects(coordinator.init(), { name: 'CONCURRENT_TRANSACTIONS' });
  destination.refusals.clear();
  await world.advance(2_000);
  assert.deepEqual(destination.written, ['x commit 1000/1 by 3', 'y commit 1000/1 by 3']);
  assert.equal(await coordinator.state(), 'CompleteCommit');
});

test('who waits for a transaction to be complete hears of it at once, and waits no longer than asked for', async () => {
  const { coordinator, producer } = await begun();
  const { destination, world, service } = coordinator;
  destination.refusals.set('y', 'NOT_LEADER_OR_FOLLOWER');
  await coordinator.end(producer);
  const heard: string[] = [];
  void service.untilComplete('a', 30).then(() => heard.push('the hasty'));
  void service.untilComplete('a', 60_000).then(() => heard.push('the patient'));
  await world.advance(50);
  assert.deepEqual(heard, ['the hasty']);
  destination.refusals.clear();
  await world.advance(2_000);
  assert.equal(await coordinator.state(), 'CompleteCommit');
  assert.deepEqual(heard, ['the hasty', 'the patient']);
});

test('a partition that was deleted needs no marker', async () => {
  const { coordinator, producer } = await begun();
  coordinator.destination.refusals.set('y', 'UNKNOWN_TOPIC_OR_PARTITION');
  await coordinator.end(producer, false);
  await coordinator.world.advance(1_000);
  assert.equal(await coordinator.state(), 'PrepareAbort');
  coordinator.topics.delete('y');
  await coordinator.world.advance(2_000);
  assert.equal(await coordinator.state(), 'CompleteAbort');
});

test('who crashed between a decision and its markers sends them when it is back, under its new epoch', async () => {
  const { coordinator, producer } = await begun();
  coordinator.destination.refusals.set('y', 'NOT_ENOUGH_REPLICAS');
  await coordinator.end(producer);
  await coordinator.world.advance(100);
  coordinator.destination.refusals.clear();
  await coordinator.restart(4);
  await coordinator.world.advance(100);
  assert.deepEqual(coordinator.destination.written, ['x commit 1000/1 by 3', 'x commit 1000/1 by 4', 'y commit 1000/1 by 4']);
  assert.equal(await coordinator.state(), 'CompleteCommit');
});

test('who leads on in a new epoch sends what is left under that epoch', async () => {
  const { coordinator, producer } = await begun();
  coordinator.destination.refusals.set('y', 'NOT_LEADER_OR_FOLLOWER');
  await coordinator.end(producer);
  await coordinator.world.advance(1_000);
  await coordinator.world.runUntil(coordinator.service.onPartitionElected(0, 4, true));
  coordinator.destination.refusals.clear();
  await coordinator.world.advance(2_000);
  assert.ok(coordinator.destination.written.includes('y commit 1000/1 by 4'), `${coordinator.destination.written}`);
  assert.equal(await coordinator.state(), 'CompleteCommit');
});

test('a coordinator that was deposed sends no more markers, and says that it is none', async () => {
  const { coordinator, producer } = await begun();
  const { destination, world, service } = coordinator;
  destination.refusals.set('y', 'NOT_ENOUGH_REPLICAS');
  await coordinator.end(producer);
  service.onPartitionResigned(0);
  await world.advance(2_000);
  const { attempts } = destination;
  await world.advance(10_000);
  assert.equal(destination.attempts, attempts);
  await assert.rejects(coordinator.init(), { name: 'NOT_COORDINATOR' });
  destination.refusals.clear();
  await coordinator.elect(5);
  await world.advance(100);
  assert.equal(await coordinator.state(), 'CompleteCommit');
});

test('a marker that a partition has moved beyond is not sent again', async () => {
  const { coordinator, producer } = await begun();
  coordinator.destination.refusals.set('y', 'TRANSACTION_COORDINATOR_FENCED');
  await coordinator.end(producer);
  await coordinator.world.advance(10_000);
  assert.equal(coordinator.destination.attempts, 2);
  assert.equal(await coordinator.state(), 'PrepareCommit');
});

test('nothing is answered, and no marker sent, before the record of the decision is committed', async () => {
  const { coordinator, producer } = await begun();
  const { log, world, destination, service } = coordinator;
  log.holdsCommits = true;
  const request = { transactionalId: 'a', ...producer, isCommit: true, clientTransactionVersion: 2 };
  let answered = false;
  const ended = service.endTransaction(request).then(() => void (answered = true));
  await world.advance(1_000);
  assert.deepEqual([answered, destination.attempts, await coordinator.state()], [false, 0, 'Ongoing']);
  await assert.rejects(coordinator.end(producer), { name: 'CONCURRENT_TRANSACTIONS' });
  log.commit();
  log.holdsCommits = false;
  await world.runUntil(ended);
  await world.advance(10);
  assert.equal(await coordinator.state(), 'CompleteCommit');
});

test('whoever waits too long for the commit is told so; the decision stands if it is committed after all', async () => {
  const { coordinator, producer } = await begun();
  const { log, world } = coordinator;
  log.holdsCommits = true;
  await assert.rejects(coordinator.end(producer), { name: 'COORDINATOR_NOT_AVAILABLE' });
  log.commit();
  log.holdsCommits = false;
  await world.advance(100);
  assert.equal(await coordinator.state(), 'CompleteCommit');
  assert.deepEqual(await coordinator.end(producer), { producerId: 1000, producerEpoch: 1 });
});

test('what could not be appended has not happened', async () => {
  const { coordinator, producer } = await begun();
  const { log } = coordinator;
  log.appendError = new KafkaError('NOT_ENOUGH_REPLICAS');
  await assert.rejects(coordinator.end(producer), { name: 'COORDINATOR_NOT_AVAILABLE' });
  await assert.rejects(coordinator.init(), { name: 'COORDINATOR_NOT_AVAILABLE' });
  log.appendError = null;
  assert.equal(await coordinator.state(), 'Ongoing');
  assert.deepEqual(await coordinator.end(producer), { producerId: 1000, producerEpoch: 1 });
});

test('the end of a transaction that cannot be written down is tried again', async () => {
  const { coordinator, producer } = await begun();
  const { log, world, destination } = coordinator;
  destination.refusals.set('y', 'NOT_ENOUGH_REPLICAS');
  await coordinator.end(producer);
  log.appendError = new KafkaError('NOT_ENOUGH_REPLICAS');
  destination.refusals.clear();
  await world.advance(5_000);
  assert.equal(await coordinator.state(), 'PrepareCommit');
  log.appendError = null;
  await world.advance(1_000);
  assert.equal(await coordinator.state(), 'CompleteCommit');
});

test('partitions may join while those before them are being written; what comes in one turn is written together', async () => {
  const coordinator = new Coordinator();
  await coordinator.elect(1);
  const producer = await coordinator.init();
  const before = coordinator.batches;
  const add = (topic: string) =>
    coordinator.service.addPartitions({
      transactionalId: 'a',
      ...producer,
      partitions: new Map([[topic, new Set([0])]]),
      clientTransactionVersion: 2,
    });
  await coordinator.world.runUntil(Promise.all([add('x'), add('y')]));
  assert.equal(coordinator.batches, before + 1);
  const { partitions } = await coordinator.world.runUntil(coordinator.service.describe('a'));
  assert.deepEqual([...partitions.keys()], ['x', 'y']);
});
