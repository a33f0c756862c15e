import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KafkaError } from '@ottla/protocol';
import { maxPartitionsOfSession, ShareSession, ShareSessions } from './share-session.ts';

const named = (index: number) => ({ topic: 't', topicId: 'id', index });
const fails = (name: string) => (error: unknown) => error instanceof KafkaError && error.name === name;

/** A connection that can be closed. */
class Wire {
  readonly #callbacks = new Set<() => void>();
  onClosed(callback: () => void): () => void {
    this.#callbacks.add(callback);
    return () => this.#callbacks.delete(callback);
  }
  close(): void {
    for (const callback of [...this.#callbacks]) callback();
  }
  get listeners(): number {
    return this.#callbacks.size;
  }
}

function world({ slots = 3, maxPartitions = 10 } = {}) {
  const told: string[] = [];
  const sessions = new ShareSessions({
    slots: () => slots,
    maxPartitions,
    end: {
      onMemberGone: ({ memberId }) => told.push(`${memberId} is gone`),
      onGroupEmpty: (groupId) => told.push(`${groupId} is empty`),
    },
  });
  const wire = new Wire();
  const fetch = (memberId: string, epoch: number, added: number[] = [], forgotten: number[] = [], on = wire) =>
    sessions.fetch({ groupId: 'g', memberId, epoch }, added.map(named), forgotten.map(named), on);
  return { sessions, told, wire, fetch };
}

test('a session counts the requests of its member, also those that only acknowledge', () => {
  const { sessions, fetch } = world();
  const session = fetch('m', 0, [0]);
  assert.equal(fetch('m', 1), session);
  assert.equal(sessions.acknowledge({ groupId: 'g', memberId: 'm', epoch: 2 }), session);
  assert.throws(() => fetch('m', 2), fails('INVALID_SHARE_SESSION_EPOCH'));
  assert.throws(() => sessions.acknowledge({ groupId: 'g', memberId: 'm', epoch: 0 }), fails('INVALID_SHARE_SESSION_EPOCH'));
  session.epoch = 0x7fffffff;
  fetch('m', 0x7fffffff);
  assert.equal(session.epoch, 1);
});

test('members of different groups with names alike have sessions of their own', () => {
  const { sessions, wire } = world();
  const one = sessions.fetch({ groupId: 'bc', memberId: 'a', epoch: 0 }, [], [], wire);
  const other = sessions.fetch({ groupId: 'c', memberId: 'ab', epoch: 0 }, [], [], wire);
  assert.notEqual(one, other);
  assert.equal(sessions.size, 2);
});

test('partitions come and go, and take turns in being first', () => {
  const { fetch } = world();
  const session = fetch('m', 0, [0, 1, 2]);
  fetch('m', 1, [3], [1]);
  const order = (epoch: number) => session.inTurn(epoch).map(({ index }) => index);
  assert.deepEqual(
    [order(0), order(1), order(2), order(3)],
    [
      [0, 2, 3],
      [2, 3, 0],
      [3, 0, 2],
      [0, 2, 3],
    ],
  );
});

test('a member is told of a partition once, and then when there is something to tell', () => {
  const session = new ShareSession('g', 'm');
  session.update([named(0)], []);
  const quiet = { errorCode: 0, hasRecords: false };
  assert.equal(session.tell(named(0), quiet), true);
  assert.equal(session.tell(named(0), quiet), false);
  assert.equal(session.tell(named(0), { ...quiet, hasRecords: true }), true);
  assert.equal(session.tell(named(0), { ...quiet, errorCode: 3 }), true);
  assert.equal(session.tell(named(0), quiet), true, 'and that it is well again');
});

test('there are no more sessions, and no more partitions in them, than there may be', () => {
  const { sessions, fetch } = world({ slots: 2, maxPartitions: 5 });
  fetch('a', 0, [0, 1]);
  const other = fetch('b', 0, [0]);
  assert.throws(() => fetch('c', 0), fails('SHARE_SESSION_LIMIT_REACHED'));
  assert.throws(() => fetch('b', 1, [1, 2, 3]), fails('SHARE_SESSION_LIMIT_REACHED'));
  fetch('b', 1, [1, 2]);
  sessions.close(other);
  fetch('c', 0, [0, 1, 2]);
  fetch('a', 0, [0, 1]);
  assert.equal(sessions.size, 2, 'who begins anew takes no second place');
});

test('one session follows no more than can be gone over in a turn', () => {
  const { sessions, fetch } = world({ maxPartitions: 1_000_000 });
  const most = Array.from({ length: maxPartitionsOfSession }, (_, index) => index);
  assert.throws(() => fetch('a', 0, [...most, -1]), fails('SHARE_SESSION_LIMIT_REACHED'));
  const session = fetch('a', 0, most);
  assert.throws(() => fetch('a', 1, [maxPartitionsOfSession]), fails('SHARE_SESSION_LIMIT_REACHED'));
  assert.throws(() => fetch('a', 1, [], [...most, -1]), fails('SHARE_SESSION_LIMIT_REACHED'));
  fetch('a', 1, [0, 1], [2]);
  fetch('a', 2, [maxPartitionsOfSession]);
  assert.equal(session.size, maxPartitionsOfSession);
  assert.equal(sessions.size, 1);
});

test('a group whose last member begins anew and finds no room is empty', () => {
  const { sessions, told, fetch } = world({ maxPartitions: 2 });
  fetch('a', 0, [0]);
  assert.throws(() => fetch('a', 0, [0, 1, 2]), fails('SHARE_SESSION_LIMIT_REACHED'));
  assert.equal(sessions.size, 0);
  assert.deepEqual(told, ['g is empty']);
});

test('a session ends with its connection; one that was opened again on another one does not', () => {
  const { told, wire, fetch } = world();
  fetch('a', 0);
  fetch('b', 0);
  const other = new Wire();
  fetch('a', 0, [], [], other);
  wire.close();
  assert.deepEqual(told, ['b is gone']);
  assert.throws(() => fetch('b', 1), fails('SHARE_SESSION_NOT_FOUND'));
  fetch('a', 1);
  other.close();
  assert.deepEqual(told, ['b is gone', 'a is gone', 'g is empty']);
  assert.equal(wire.listeners + other.listeners, 0);
});
