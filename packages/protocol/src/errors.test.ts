import assert from 'node:assert/strict';
import { test } from 'node:test';
import { errorCodeOf, errorName, errorOfCode, errors, KafkaError, ProtocolError, withoutStacks } from './index.ts';

test('every code from -1 to 133 has one name', () => {
  const codes = Object.values(errors).map(({ code }) => code);
  assert.deepEqual(
    [...codes].sort((a, b) => a - b),
    Array.from({ length: 135 }, (_, index) => index - 1),
  );
});

test('an error knows its code and what a client may do', () => {
  const error = new KafkaError('NOT_LEADER_OR_FOLLOWER', 'orders-3 is led by broker 2');
  assert.equal(error.code, 6);
  assert.equal(error.name, 'NOT_LEADER_OR_FOLLOWER');
  assert.equal(error.message, 'orders-3 is led by broker 2');
  assert.ok(error.retriable && error.refreshMetadata);
  assert.equal(new KafkaError('COORDINATOR_LOAD_IN_PROGRESS').refreshMetadata, false);
  assert.equal(new KafkaError('PRODUCER_FENCED').retriable, false);
  assert.equal(new KafkaError('PRODUCER_FENCED').message, errors.PRODUCER_FENCED.text);
});

test('whatever is thrown has a code', () => {
  assert.equal(errorCodeOf(new KafkaError('INVALID_GROUP_ID')), 24);
  assert.equal(errorCodeOf(new ProtocolError('truncated')), 42);
  assert.equal(errorCodeOf(new Error('a bug')), -1);
  assert.equal(errorCodeOf(undefined), -1);
});

test('a code from a newer broker is an unknown server error', () => {
  assert.equal(errorName(5), 'LEADER_NOT_AVAILABLE');
  assert.equal(errorName(9999), 'UNKNOWN_SERVER_ERROR');
  assert.equal(errorOfCode(0), null);
  assert.equal(errorOfCode(3, null)?.name, 'UNKNOWN_TOPIC_OR_PARTITION');
});

test('errors that are only to be answered cost no stack, and bugs beside them keep theirs', () => {
  const [refusal, bug] = withoutStacks(() => [new KafkaError('INVALID_REQUEST', 'no'), new TypeError('a bug')] as const);
  assert.doesNotMatch(refusal.stack ?? '', /\n +at /);
  assert.equal(refusal.message, 'no');
  assert.match(bug.stack!, /\n +at /);
  assert.throws(() =>
    withoutStacks(() => {
      throw new Error('given up');
    }),
  );
  assert.match(new KafkaError('INVALID_REQUEST').stack!, /\n +at /);
});
