import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ProducerIdAndEpoch } from './transaction.ts';
import { oneOf, TransactionWorld } from './transaction-world.ts';

function begun(world: TransactionWorld, transactionalId = 'a', expected?: ProducerIdAndEpoch): ProducerIdAndEpoch {
  const producer = world.init(transactionalId, expected);
  assert.ok(typeof producer !== 'string', String(producer));
  return producer;
}

const at = (producerId: number, producerEpoch: number): ProducerIdAndEpoch => ({ producerId, producerEpoch });

test('a transaction from its first partition to its markers, epochs of v1', () => {
  const world = new TransactionWorld({ transactionVersion: 1 });
  const producer = begun(world);
  assert.deepEqual(producer, at(1000, 0));
  assert.equal(world.state('a'), 'Empty 1000/0 []');
  assert.equal(world.add('a', producer, 'x', 0), 'added');
  assert.equal(world.add('a', producer, 'y', 0), 'added');
  assert.equal(world.state('a'), 'Ongoing 1000/0 [x,y]');
  assert.deepEqual(world.end('a', producer, true, 0), producer);
  assert.equal(world.state('a'), 'PrepareCommit 1000/0 [x,y]');
  assert.equal(world.add('a', producer, 'z', 0), 'CONCURRENT_TRANSACTIONS');
  assert.equal(world.end('a', producer, true, 0), 'CONCURRENT_TRANSACTIONS');
  assert.deepEqual(
    world.perform().map(({ status, producerEpoch }) => [status, producerEpoch]),
    [['PrepareCommit', 0]],
  );
  assert.equal(world.state('a'), 'CompleteCommit 1000/0 []');
  // The answer got lost: the producer asks again. Another end than that is none.
  assert.deepEqual(world.end('a', producer, true, 0), producer);
  assert.equal(world.end('a', producer, false, 0), 'INVALID_TXN_STATE');
});

test('under v2 every end bumps the epoch, and a repeated request is known by the one before', () => {
  const world = new TransactionWorld();
  const producer = begun(world);
  assert.equal(world.add('a', producer, 'x'), 'added');
  assert.deepEqual(world.end('a', producer, false), at(1000, 1));
  assert.equal(world.state('a'), 'PrepareAbort 1000/1 [x]');
  world.perform();
  assert.equal(world.state('a'), 'CompleteAbort 1000/1 []');
  assert.deepEqual(world.end('a', producer, false), at(1000, 1));
  assert.equal(world.end('a', producer, true), 'INVALID_TXN_STATE');
  assert.equal(world.end('a', at(1000, 7), false), 'PRODUCER_FENCED');
  assert.equal(world.add('a', producer, 'x'), 'PRODUCER_FENCED');
  // Nothing was added: an abort of nothing bumps the epoch too, a commit of nothing is none.
  assert.equal(world.end('a', at(1000, 1), true), 'INVALID_TXN_STATE');
  assert.deepEqual(world.end('a', at(1000, 1), false), at(1000, 2));
  world.perform();
  assert.equal(world.state('a'), 'CompleteAbort 1000/2 []');
});

test('when the epochs are used up the producer goes on under another id', () => {
  const world = new TransactionWorld();
  const producer = world.restAt('a', 999, 32765);
  world.add('a', producer, 'x');
  assert.deepEqual(world.end('a', producer, true), at(999, 32766));
  world.perform();
  const last = at(999, 32766);
  world.add('a', last, 'x');
  assert.deepEqual(world.end('a', last, true), at(1000, 0));
  assert.equal(world.state('a'), 'PrepareCommit 999/32767 [x]');
  world.reload();
  world.perform();
  assert.equal(world.state('a'), 'CompleteCommit 1000/0 []');
  // A repeated end, and one that goes on after an error.
  assert.deepEqual(world.end('a', last, true), at(1000, 0));
  assert.deepEqual(world.add('a', at(1000, 0), 'x'), 'added');
});

test('InitProducerId at the last epoch rotates the id, and knows the producer by the old one', () => {
  const world = new TransactionWorld({ transactionVersion: 1 });
  const producer = world.restAt('a', 999, 32766);
  const rotated = begun(world, 'a', producer);
  assert.deepEqual(rotated, at(1000, 0));
  assert.deepEqual(world.init('a', producer), rotated);
  assert.equal(world.init('a', at(999, 5)), 'PRODUCER_FENCED');
});

test('a successor fences, and what was open is aborted before it may begin', () => {
  for (const transactionVersion of [1, 2]) {
    const world = new TransactionWorld({ transactionVersion });
    const zombie = begun(world);
    world.add('a', zombie, 'x', 0);
    assert.equal(world.init('a'), 'CONCURRENT_TRANSACTIONS');
    assert.equal(world.state('a'), 'PrepareAbort 1000/1 [x]');
    assert.equal(world.init('a'), 'CONCURRENT_TRANSACTIONS');
    world.perform();
    assert.deepEqual(world.init('a'), at(1000, 2));
    assert.equal(world.add('a', zombie, 'y', 0), 'PRODUCER_FENCED');
    assert.equal(world.end('a', zombie, true, 0), 'PRODUCER_FENCED');
    assert.equal(world.init('a', zombie), 'PRODUCER_FENCED');
  }
});

test('a producer that goes on after an error gets the same answer however often it asks', () => {
  const world = new TransactionWorld();
  const producer = begun(world);
  const bumped = begun(world, 'a', producer);
  assert.deepEqual(bumped, at(1000, 1));
  assert.deepEqual(world.init('a', producer), bumped);
  // A coordinator that has just loaded does not know what was before.
  world.reload();
  assert.equal(world.init('a', producer), 'PRODUCER_FENCED');
  assert.deepEqual(world.init('a', bumped), at(1000, 2));
});

test('an end that was decided is carried out by whoever loads the partition', () => {
  const world = new TransactionWorld();
  const producer = begun(world);
  world.add('a', producer, 'x');
  world.end('a', producer, true);
  world.reload();
  assert.equal(world.state('a'), 'PrepareCommit 1000/1 [x]');
  assert.deepEqual(
    world.perform().map(({ status }) => status),
    ['PrepareCommit'],
  );
  assert.equal(world.state('a'), 'CompleteCommit 1000/1 []');
});

test('markers are sent when the decision is committed, not before; a decision that is lost sends none', () => {
  const world = new TransactionWorld();
  const producer = begun(world);
  world.add('a', producer, 'x');
  world.commitsAtOnce = false;
  world.end('a', producer, true);
  assert.deepEqual(world.perform(), []);
  assert.equal(world.end('a', producer, true), 'CONCURRENT_TRANSACTIONS');
  world.reload();
  assert.equal(world.state('a'), 'Ongoing 1000/0 [x]');
  assert.deepEqual(world.perform(), []);
  world.end('a', producer, false);
  world.commit();
  assert.deepEqual(
    world.perform().map(({ status }) => status),
    ['PrepareAbort'],
  );
});

test('what cannot be written has not happened', () => {
  const world = new TransactionWorld();
  const producer = begun(world);
  world.failsAppends = true;
  assert.equal(world.add('a', producer, 'x'), 'not written');
  assert.equal(world.state('a'), 'Empty 1000/0 []');
  world.failsAppends = false;
  world.add('a', producer, 'x');
  world.failsAppends = true;
  assert.equal(world.init('a'), 'not written');
  assert.equal(world.end('a', producer, true), 'not written');
  world.failsAppends = false;
  assert.deepEqual(world.end('a', producer, true), at(1000, 1));
});

test('a transaction is aborted when its timeout is over, unless it belongs to a two-phase commit', () => {
  const world = new TransactionWorld({ maxTimeoutMs: 0x7fff_ffff });
  const slow = begun(world, 'slow');
  world.init('external', undefined, 0x7fff_ffff);
  world.add('slow', slow, 'x');
  world.add('external', at(1001, 0), 'x');
  world.advance(60_000);
  world.perform();
  assert.equal(world.state('slow'), 'Ongoing 1000/0 [x]');
  world.advance(10_000);
  world.perform();
  assert.equal(world.state('slow'), 'PrepareAbort 1000/1 [x]');
  world.perform();
  assert.equal(world.state('slow'), 'CompleteAbort 1000/1 []');
  world.advance(0x7fff_ffff);
  world.perform();
  assert.equal(world.state('external'), 'Ongoing 1001/0 [x]');
});

test('a wall clock that is set back does not let a transaction live for as long', () => {
  const world = new TransactionWorld();
  const untilLook = (count: number): string => {
    for (let look = 0; look < count; look++) world.advance(10_000);
    world.perform();
    return world.state('a');
  };
  world.add('a', begun(world, 'a'), 'x');
  world.wallAheadMs = -900_000;
  assert.equal(untilLook(7), 'Ongoing 1000/0 [x]');
  assert.equal(untilLook(1), 'PrepareAbort 1000/1 [x]');
  world.perform();
  world.add('a', world.init('a') as ProducerIdAndEpoch, 'x');
  assert.equal(untilLook(6), 'Ongoing 1000/2 [x]');
  assert.equal(untilLook(1), 'PrepareAbort 1000/3 [x]');
});

test('an id is forgotten when it is at rest for long enough', () => {
  const world = new TransactionWorld({ transactionalIdExpirationMs: 10_000_000 });
  begun(world, 'idle');
  const busy = begun(world, 'busy');
  world.add('busy', busy, 'x');
  world.advance(10_800_000);
  assert.equal(world.state('idle'), 'unknown');
  assert.ok(world.state('busy').startsWith('Ongoing'));
  assert.equal(world.loaded().transactions.length, 1);
});

test('partitions are verified for the producer of the transaction alone', () => {
  const world = new TransactionWorld();
  const producer = begun(world);
  world.add('a', producer, 'x');
  const asked = new Map([...oneOf('x'), ...oneOf('y')]);
  const verified = (who: ProducerIdAndEpoch) => world.run(() => world.machine.verifyPartitions('a', who, asked));
  assert.deepEqual(verified(producer), [
    { topic: 'x', partition: 0, isAdded: true },
    { topic: 'y', partition: 0, isAdded: false },
  ]);
  assert.equal(verified(at(1000, 1)), 'PRODUCER_FENCED');
  assert.equal(verified(at(7, 0)), 'INVALID_PRODUCER_ID_MAPPING');
  world.end('a', producer, true);
  assert.equal(verified(at(1000, 1)), 'CONCURRENT_TRANSACTIONS');
});

test('records have the version that the feature allows', () => {
  const world = new TransactionWorld({ transactionVersion: 0 });
  const producer = begun(world);
  world.add('a', producer, 'x', 0);
  assert.deepEqual(
    world.log.map(({ value }) => value![1]),
    [0, 0],
  );
  world.machine.updateConfig({ ...world.config, transactionVersion: 2 });
  world.end('a', producer, true);
  assert.equal(world.log.at(-1)!.value![1], 1);
});
