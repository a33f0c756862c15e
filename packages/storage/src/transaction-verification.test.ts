import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BatchOptions } from '@ottla/protocol';
import type { Log } from './log.ts';
import { batchOf, endTransaction, openLog, startMs, testRuntime } from './log-fixture.ts';
import { NO_GUARD, type VerificationGuard } from './transaction-verifications.ts';

const PRODUCER = { producerId: 7, producerEpoch: 0 };

function start(
  log: Log,
  options: { producerEpoch?: number; baseSequence?: number; supportsEpochBump?: boolean } = {},
): VerificationGuard {
  return log.startVerification({ ...PRODUCER, baseSequence: 0, supportsEpochBump: true, ...options });
}

/** As a client does whose transactions are verified. */
function write(log: Log, verificationGuard: VerificationGuard | undefined, batch: BatchOptions = {}): number {
  const records = batchOf(['value'], { ...PRODUCER, baseSequence: 0, isTransactional: true, ...batch });
  return log.append(records, { leaderEpoch: 0, origin: 'client', verificationGuard }).firstOffset;
}

function mark(log: Log, type: 'commit' | 'abort', producerEpoch: number): void {
  const records = endTransaction(type, { producerId: PRODUCER.producerId, producerEpoch });
  log.append(records, { leaderEpoch: 0, origin: 'coordinator', transactionVersion2: true });
}

const named = (name: string) => ({ name });

test('the first batch of a transaction needs the guard of its verification; those after it need none', () => {
  const log = openLog(testRuntime());
  assert.throws(() => write(log, NO_GUARD), named('INVALID_TXN_STATE'));
  assert.throws(() => write(log, Symbol('another')), named('INVALID_TXN_STATE'));
  const guard = start(log);
  assert.equal(start(log), guard);
  assert.throws(() => write(log, NO_GUARD), named('INVALID_TXN_STATE'));
  assert.equal(write(log, guard), 0);
  assert.equal(start(log), NO_GUARD);
  assert.equal(write(log, NO_GUARD, { baseSequence: 1 }), 1);
  // Nobody asks for verification.
  assert.equal(write(log, undefined, { baseSequence: 0, producerId: 8 }), 2);
});

test('a batch that was verified is kept out when a marker has ended its transaction meanwhile', () => {
  const log = openLog(testRuntime());
  for (const supportsEpochBump of [false, true]) {
    const guard = start(log, { supportsEpochBump });
    mark(log, 'abort', supportsEpochBump ? 1 : 0);
    const name = supportsEpochBump ? 'INVALID_PRODUCER_EPOCH' : 'INVALID_TXN_STATE';
    assert.throws(() => write(log, guard), named(name));
  }
  assert.throws(() => start(log), named('INVALID_PRODUCER_EPOCH'));
});

test('the marker of the transaction before leaves the verification of the next alone', () => {
  const log = openLog(testRuntime());
  write(log, start(log));
  const guard = start(log, { producerEpoch: 1 });
  mark(log, 'commit', 1);
  assert.equal(write(log, guard, { producerEpoch: 1 }), 2);
});

test('of batches that came before the transaction was verified the first is written first', () => {
  const log = openLog(testRuntime());
  const guard = start(log, { baseSequence: 0 });
  start(log, { baseSequence: 1 });
  assert.throws(() => write(log, guard, { baseSequence: 1 }), named('OUT_OF_ORDER_SEQUENCE_NUMBER'));
  assert.equal(write(log, guard, { baseSequence: 0 }), 0);
  assert.equal(write(log, guard, { baseSequence: 1 }), 1);
});

test('under transactions v2 a producer that nothing is known of begins with sequence 0', () => {
  const log = openLog(testRuntime());
  const guard = start(log, { baseSequence: 5 });
  assert.throws(() => write(log, guard, { baseSequence: 5 }), named('OUT_OF_ORDER_SEQUENCE_NUMBER'));
  const old = openLog(testRuntime());
  assert.equal(write(old, start(old, { baseSequence: 5, supportsEpochBump: false }), { baseSequence: 5 }), 0);
});

test('a batch without a transaction has no place in an open one', () => {
  const log = openLog(testRuntime());
  write(log, start(log));
  assert.throws(() => write(log, undefined, { baseSequence: 1, isTransactional: false }), named('INVALID_TXN_STATE'));
});

test('a log that takes the place of another lets in what was verified for it', () => {
  const log = openLog(testRuntime());
  const guard = start(log);
  const other = openLog(testRuntime());
  other.takeOverVerifications(log);
  assert.equal(write(other, guard), 0);
});

test('a verification that nobody came back for is forgotten with idle producers', () => {
  const log = openLog(testRuntime());
  const guard = start(log);
  log.removeExpiredProducers(startMs + 1_000, 2_000);
  assert.equal(start(log), guard);
  log.removeExpiredProducers(startMs + 3_000, 2_000);
  assert.notEqual(start(log), guard);
});
