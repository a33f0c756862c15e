import assert from 'node:assert/strict';
import { test } from 'node:test';
import { errors } from '@ottla/protocol';
import type { RequestContext } from './handler.ts';
import { LeaderHints } from './leader-hints.ts';

/** Topic a: partition 0 follows broker 2 here, 1 is on broker 3 alone, 2 has no leader. Broker 3 has no listener for clients. */
function context(): Pick<RequestContext, 'broker' | 'connection'> {
  const states = [2, 3, -1].map((leader) => ({ leader, leaderEpoch: 4 }));
  const endpoint = { nodeId: 2, host: 'two', port: 9092, rack: null };
  const broker = {
    partitions: {
      get: (topic: string, index: number) => (topic === 'a' && index === 0 ? { leader: 2, leaderEpoch: 5 } : undefined),
    },
    metadata: {
      image: {
        topics: { byName: (topic: string) => (topic === 'a' ? { partition: (index: number) => states[index] } : undefined) },
      },
      endpointOf: (id: number, listener: string) => (id === 2 && listener === 'CLIENTS' ? endpoint : undefined),
    },
  };
  return { broker, connection: { listenerName: 'CLIENTS' } } as unknown as Pick<RequestContext, 'broker' | 'connection'>;
}

const notLeader = errors.NOT_LEADER_OR_FOLLOWER.code;

test('whoever asks the wrong broker is told the leader, as its replica knows it or else the metadata', () => {
  const hints = new LeaderHints(context());
  assert.deepEqual(hints.of('a', 0, notLeader), { leaderId: 2, leaderEpoch: 5 });
  assert.deepEqual(hints.of('a', 1, errors.FENCED_LEADER_EPOCH.code), { leaderId: 3, leaderEpoch: 4 });
  assert.deepEqual(hints.of('a', 2, notLeader), { leaderId: -1, leaderEpoch: 4 });
  assert.deepEqual(hints.of('b', 0, notLeader), { leaderId: -1, leaderEpoch: -1 });
  // Where a client cannot reach the leader it is told no address.
  assert.deepEqual(
    hints.endpoints().map(({ host }) => host),
    ['two'],
  );
});

test('other errors, and none, name no leader', () => {
  const hints = new LeaderHints(context());
  assert.equal(hints.of('a', 0, 0), undefined);
  assert.equal(hints.of('a', 0, errors.UNKNOWN_LEADER_EPOCH.code), undefined);
  assert.equal(hints.of(undefined, 0, notLeader), undefined);
  assert.deepEqual(hints.endpoints(), []);
});
