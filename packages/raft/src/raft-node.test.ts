import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BatchBuilder, errors, KafkaError, ZERO_UUID } from '@ottla/protocol';
import fc from 'fast-check';
import type { RaftEvent } from './effects.ts';
import type { ElectionState } from './election-state.ts';
import { QuorumHistory } from './quorum-history.ts';
import { RaftNode } from './raft-node.ts';
import { type Voter, VoterSet } from './voter-set.ts';

const directoryId = 'AQAAAAAAAAAAAAAAAAAAAQ';
const voter = (id: number, port = 9093, directory = directoryId): Voter => ({
  id,
  directoryId: directory,
  endpoints: [{ name: 'CONTROLLER', host: 'localhost', port }],
  minKRaftVersion: 0,
  maxKRaftVersion: 1,
});

type Given = {
  self?: Voter;
  voters?: VoterSet;
  votersOffset?: number;
  kRaftVersion?: number;
  electionState?: ElectionState;
  logEndOffset?: number;
  lastEpoch?: number;
  bootstrapServers?: readonly { host: string; port: number }[];
};

function node(given: Given = {}): RaftNode {
  const { self = voter(1), voters = new VoterSet([voter(1)]), votersOffset = -1, kRaftVersion = 1 } = given;
  const quorum = new QuorumHistory({ voters, kRaftVersion });
  if (votersOffset >= 0) quorum.addVoters(votersOffset, voters);
  const { electionState = null, logEndOffset = 0, lastEpoch = 0, bootstrapServers = [] } = given;
  const log = { startOffset: 0, endOffset: logEndOffset, epochs: lastEpoch > 0 ? [{ epoch: lastEpoch, startOffset: 0 }] : [] };
  return new RaftNode({ self, quorum, electionState, log, bootstrapServers, random: () => 0.5 });
}

const values = (count: number): Uint8Array[] => Array.from({ length: count }, () => Uint8Array.of(1));

test('the first start of a dynamic quorum: a new epoch is saved, then opened with the version and the voters', () => {
  const effects = node().step({ type: 'wake' }, 1000);
  assert.deepEqual(effects, {
    electionState: { leaderEpoch: 1, leaderId: 1, votedFor: null },
    truncateTo: null,
    batches: [
      {
        kind: 'control',
        baseOffset: 0,
        leaderEpoch: 1,
        timestampMs: 1000,
        records: [
          { type: 'leaderChange', value: { leaderId: 1, voters: [{ voterId: 1 }], grantingVoters: [{ voterId: 1 }] } },
          { type: 'kraftVersion', value: { kRaftVersion: 1 } },
          { type: 'kraftVoters', value: new VoterSet([voter(1)]).toRecord() },
        ],
      },
    ],
    fetched: null,
    snapshotChunk: null,
    damage: null,
    requests: [],
    replies: [],
    leadership: { leaderId: 1, leaderEpoch: 1 },
    highWatermark: null,
    nextWakeMs: null,
  });
});

test('a later epoch names the voters again only when this node has moved', () => {
  const known = { votersOffset: 2, logEndOffset: 10, lastEpoch: 4 };
  const types = (raft: RaftNode): string[] =>
    raft
      .step({ type: 'wake' }, 0)
      .batches.flatMap((batch) => (batch.kind === 'control' ? batch.records.map(({ type }) => type) : []));
  assert.deepEqual(types(node(known)), ['leaderChange']);
  assert.deepEqual(types(node({ ...known, self: voter(1, 9999) })), ['leaderChange', 'kraftVersion', 'kraftVoters']);
});

test('a static quorum never writes its voters', () => {
  const raft = node({ kRaftVersion: 0, voters: new VoterSet([voter(1, 9093, ZERO_UUID)]) });
  const [batch] = raft.step({ type: 'wake' }, 0).batches;
  assert.equal(batch?.kind === 'control' && batch.records.length, 1);
});

test('an epoch is never used twice, even when the saved election was lost', () => {
  const saved: ElectionState = { leaderEpoch: 7, leaderId: 1, votedFor: null };
  assert.equal(node({ electionState: saved, lastEpoch: 6 }).step({ type: 'wake' }, 0).electionState?.leaderEpoch, 8);
  assert.equal(node({ lastEpoch: 6, logEndOffset: 3 }).step({ type: 'wake' }, 0).electionState?.leaderEpoch, 7);
});

test('nothing is committed before the first batch of the epoch is on disk, and then all before it is', () => {
  const raft = node({ logEndOffset: 5, lastEpoch: 1, votersOffset: 2 });
  raft.step({ type: 'wake' }, 0);
  assert.equal(raft.logEndOffset, 6);
  assert.equal(raft.step({ type: 'flushed', endOffset: 5 }, 0).highWatermark, null);
  assert.equal(raft.step({ type: 'flushed', endOffset: 6 }, 0).highWatermark, 6);
});

test('an append takes the next offsets at once and commits when it is flushed', () => {
  const raft = node();
  raft.step({ type: 'wake' }, 0);
  assert.equal(raft.step({ type: 'append', values: values(4) }, 5).batches[0]?.baseOffset, 3);
  assert.equal(raft.step({ type: 'append', values: values(1) }, 6).batches[0]?.baseOffset, 7);
  assert.equal(raft.step({ type: 'flushed', endOffset: 7 }, 7).highWatermark, 7);
  assert.equal(raft.step({ type: 'flushed', endOffset: 7 }, 7).highWatermark, null);
  assert.equal(raft.step({ type: 'flushed', endOffset: 8 }, 8).highWatermark, 8);
});

test('who does not lead refuses to append', () => {
  const isNotController = (error: unknown): boolean =>
    error instanceof KafkaError && error.message.includes('not the active controller');
  const raft = node();
  assert.throws(() => raft.step({ type: 'append', values: values(1) }, 0), isNotController);
  raft.step({ type: 'wake' }, 0);
  assert.deepEqual(raft.step({ type: 'resign' }, 0).leadership, { leaderId: null, leaderEpoch: 1 });
  assert.throws(() => raft.step({ type: 'append', values: values(1) }, 0), isNotController);
  assert.deepEqual(raft.step({ type: 'wake' }, 0).batches, [], 'a resigned node does not stand again');
});

test('the description holds the own log end as far as it is on disk', () => {
  const raft = node();
  assert.equal(raft.describe(9).leaderId, -1);
  raft.step({ type: 'wake' }, 0);
  raft.step({ type: 'flushed', endOffset: 3 }, 1);
  raft.step({ type: 'append', values: values(2) }, 2);
  assert.deepEqual(raft.describe(9), {
    leaderId: 1,
    leaderEpoch: 1,
    highWatermark: 3,
    voters: [
      {
        replicaId: 1,
        replicaDirectoryId: directoryId,
        endpoints: [{ name: 'CONTROLLER', host: 'localhost', port: 9093 }],
        logEndOffset: 3,
        lastFetchTimestampMs: 9,
        lastCaughtUpTimestampMs: 9,
      },
    ],
    observers: [],
  });
});

const follower = (): RaftNode => {
  const voters = new VoterSet([voter(1), voter(2), voter(3)]);
  const follows = node({ voters, electionState: { leaderEpoch: 5, leaderId: 2, votedFor: null } });
  follows.step({ type: 'wake' }, 1000);
  assert.deepEqual(follows.leaderAndEpoch, { leaderId: 2, leaderEpoch: 5 });
  return follows;
};

test('a follower that is told of another leader of its epoch goes on following', () => {
  const follows = follower();
  for (const leaderId of [3, 99]) {
    const partition = { partitionIndex: 0, voterDirectoryId: directoryId, leaderId, leaderEpoch: 5 };
    const request = {
      clusterId: null,
      voterId: 1,
      topics: [{ topicName: '__cluster_metadata', partitions: [partition] }],
      leaderEndpoints: [{ name: 'CONTROLLER', host: 'localhost', port: 1 }],
    };
    const { replies } = follows.step(
      { type: 'request', requestId: leaderId, api: 'beginQuorumEpoch', version: 1, request, listenerName: 'CONTROLLER' },
      1100,
    );
    assert.equal(replies.length, 1);
    assert.deepEqual(follows.leaderAndEpoch, { leaderId: 2, leaderEpoch: 5 });
  }
});

/** Of the leader of epoch 5. */
const fetchAnswer = (leaderId: number, content: object): object => ({
  errorCode: 0,
  responses: [
    {
      ...{ topic: '__cluster_metadata', topicId: 'AAAAAAAAAAAAAAAAAAAAAQ' },
      partitions: [
        {
          ...{ partitionIndex: 0, errorCode: 0, highWatermark: 10, currentLeader: { leaderId, leaderEpoch: 5 } },
          ...{ divergingEpoch: { epoch: -1, endOffset: -1 }, snapshotId: { epoch: -1, endOffset: -1 }, records: null },
          ...content,
        },
      ],
    },
  ],
  nodeEndpoints: [],
});

/** Of offset 10 and epoch 4, in one piece. */
const wholeSnapshot = (leaderId: number): object => {
  const chunk = {
    ...{ index: 0, errorCode: 0, snapshotId: { endOffset: 10, epoch: 4 }, currentLeader: { leaderId, leaderEpoch: 5 } },
    ...{ size: 4, position: 0, unalignedRecords: Uint8Array.of(1, 2, 3, 4) },
  };
  return { errorCode: 0, topics: [{ partitions: [chunk] }], nodeEndpoints: [] };
};

test('a late answer to a fetch that was asked twice, at the leader and at a bootstrap server, is left alone', () => {
  const records = new BatchBuilder({ baseOffset: 10, leaderEpoch: 5 });
  for (const value of values(2)) records.append(0, null, value);
  const lateAnswers = [
    { snapshotId: { endOffset: 10, epoch: 4 } },
    { divergingEpoch: { epoch: 3, endOffset: 0 } },
    { divergingEpoch: { epoch: 4, endOffset: 10 } },
  ];
  for (const late of lateAnswers) {
    const voters = new VoterSet([voter(1), voter(2, 9002), voter(3, 9003)]);
    // The leader has another name there.
    const bootstrapServers = [
      { host: 'localhost', port: 9002 },
      { host: 'controllers', port: 9003 },
    ];
    const follows = node({ voters, bootstrapServers, electionState: { leaderEpoch: 5, leaderId: 3, votedFor: null } });
    let nowMs = 1000;
    const step = (event: object) => follows.step(event as RaftEvent, nowMs++);
    const hear = (requestId: number, response: object) => step({ type: 'response', requestId, api: 'fetch', response });
    const first = step({ type: 'wake' }).requests[0]!;
    const bootstrap = step({ type: 'failed', requestId: first.requestId, error: new KafkaError('NETWORK_EXCEPTION') });
    assert.equal(bootstrap.requests[0]!.destination.host, 'controllers');
    nowMs += 100;
    const again = step({ type: 'wake' }).requests.at(-1)!;
    const fetchesSnapshot = hear(again.requestId, fetchAnswer(3, { snapshotId: { endOffset: 10, epoch: 4 } })).requests[0]!;
    const { requestId } = fetchesSnapshot;
    const whole = { type: 'response', requestId, api: 'fetchSnapshot', response: wholeSnapshot(3) };
    assert.ok(step(whole).snapshotChunk?.isLast);
    const quorum = { kRaftVersion: 1, voters };
    const behind = step({ type: 'snapshotLoaded', snapshotId: { endOffset: 10, epoch: 4 }, quorum }).requests[0]!;
    const taken = hear(behind.requestId, fetchAnswer(3, { records: records.build(), highWatermark: 12 }));
    assert.equal(taken.fetched?.endOffset, 12);
    step({ type: 'written', endOffset: 12 });
    const next = step({ type: 'flushed', endOffset: 12 });
    assert.equal(follows.highWatermark, 12);
    const after = hear(bootstrap.requests[0]!.requestId, fetchAnswer(3, late));
    assert.deepEqual([after.truncateTo, after.fetched], [null, null]);
    const [goesOn] = hear(next.requests[0]!.requestId, fetchAnswer(3, { highWatermark: 12 })).requests;
    assert.equal(goesOn?.api, 'fetch');
  }
});

test('a node that looks for the leader asks no server that has failed while it can ask another', () => {
  const voters = new VoterSet([voter(1, 9001), voter(2, 9002), voter(3, 9003)]);
  const raft = node({ self: voter(4, 9004), voters, electionState: { leaderEpoch: 5, leaderId: null, votedFor: null } });
  const step = (event: object, nowMs: number) => raft.step(event as RaftEvent, nowMs);
  const partition = {
    partitionIndex: 0,
    errorCode: errors.NOT_LEADER_OR_FOLLOWER.code,
    currentLeader: { leaderId: -1, leaderEpoch: 5 },
  };
  const topic = { topic: '__cluster_metadata', topicId: 'AAAAAAAAAAAAAAAAAAAAAQ', partitions: [partition] };
  const response = { errorCode: 0, responses: [topic], nodeEndpoints: [] };
  const [first] = step({ type: 'wake' }, 1000).requests;
  const dark = first!.destination.port;
  let [asked] = step({ type: 'failed', requestId: first!.requestId, error: new KafkaError('NETWORK_EXCEPTION') }, 1001).requests;
  for (let nowMs = 1100; nowMs < 2000; nowMs += 100) {
    assert.notEqual(asked!.destination.port, dark);
    // The other two are not asked again at once.
    const { requestId } = asked!;
    const other = step({ type: 'response', requestId, api: 'fetch', response }, nowMs).requests[0];
    assert.notEqual(other?.destination.port, dark);
    asked = other;
  }
});

test('a node that is told that its own id leads, which it does not, says that another one has it', () => {
  const told = (raft: RaftNode, leaderEpoch: number): void => {
    const partition = { partitionIndex: 0, voterDirectoryId: directoryId, leaderId: 1, leaderEpoch };
    const topics = [{ topicName: '__cluster_metadata', partitions: [partition] }];
    const request = {
      clusterId: null,
      voterId: 1,
      topics,
      leaderEndpoints: [{ name: 'CONTROLLER', host: 'localhost', port: 1 }],
    };
    const event = { type: 'request', requestId: 1, api: 'beginQuorumEpoch', version: 1, request, listenerName: 'CONTROLLER' };
    raft.step(event as RaftEvent, 1100);
  };
  const observer = node({ voters: new VoterSet([voter(1, 9001, 'BAAAAAAAAAAAAAAAAAAAAQ'), voter(2, 9002)]) });
  observer.step({ type: 'wake' }, 1000);
  told(observer, 5);
  assert.equal(observer.namesakeEpoch, 5);
  const restarted = node({
    voters: new VoterSet([voter(1), voter(2), voter(3)]),
    electionState: { leaderEpoch: 5, leaderId: 1, votedFor: null },
  });
  restarted.step({ type: 'wake' }, 1000);
  told(restarted, 5);
  assert.equal(restarted.namesakeEpoch, null, 'it led that epoch before it was restarted');
});

test('only the leader itself proves that another node has the id: it answers a fetch, or fails with it as Kafka does', () => {
  for (const [error, isProof] of [
    ['NONE', true],
    ['UNKNOWN_SERVER_ERROR', true],
    ['NOT_LEADER_OR_FOLLOWER', false],
    ['FENCED_LEADER_EPOCH', false],
  ] as const) {
    const observer = node({ voters: new VoterSet([voter(1, 9001, 'BAAAAAAAAAAAAAAAAAAAAQ'), voter(2, 9002)]) });
    const [request] = observer.step({ type: 'wake' }, 1000).requests;
    assert.equal(request?.api, 'fetch');
    const partition = {
      ...{ partitionIndex: 0, errorCode: errors[error].code, highWatermark: -1, records: null },
      ...{ currentLeader: { leaderId: 1, leaderEpoch: 5 }, divergingEpoch: { epoch: -1, endOffset: -1 } },
      snapshotId: { epoch: -1, endOffset: -1 },
    };
    const responses = [{ topic: '__cluster_metadata', topicId: 'AAAAAAAAAAAAAAAAAAAAAQ', partitions: [partition] }];
    const nodeEndpoints = [{ nodeId: 1, host: 'elsewhere', port: 9093, rack: null }];
    const response = { throttleTimeMs: 0, errorCode: 0, sessionId: 0, responses, nodeEndpoints };
    observer.step({ type: 'response', requestId: request!.requestId, api: 'fetch', response } as unknown as RaftEvent, 1100);
    const endpoints = [{ name: 'CONTROLLER', host: 'elsewhere', port: 9093 }];
    assert.deepEqual(observer.namesake, isProof ? { leaderEpoch: 5, endpoints } : null, error);
    assert.equal(observer.namesakeEpoch, 5);
  }
});

test('a vote in an epoch that cannot be is refused, and leaves epochs for others', () => {
  const follows = follower();
  const partition = {
    partitionIndex: 0,
    replicaEpoch: 0x7fff_ffff,
    replicaId: 3,
    replicaDirectoryId: directoryId,
    voterDirectoryId: directoryId,
    lastOffsetEpoch: 5,
    lastOffset: 1e12,
    preVote: false,
  };
  const request = { clusterId: null, voterId: 1, topics: [{ topicName: '__cluster_metadata', partitions: [partition] }] };
  const { replies, electionState } = follows.step(
    { type: 'request', requestId: 1, api: 'vote', version: 2, request, listenerName: 'CONTROLLER' },
    1100,
  );
  assert.equal(electionState, null);
  assert.match(JSON.stringify(replies), /"errorCode":42/);
  assert.equal(follows.leaderAndEpoch.leaderEpoch, 5);
});

test('who has not heard its leader for long refuses nobody who wants to lead, be it that it cannot stand itself', () => {
  const voters = new VoterSet([voter(1, 9001), voter(2, 9002), voter(3, 9003)]);
  const electionState = { leaderEpoch: 5, leaderId: 2, votedFor: null };
  const partition = {
    ...{ partitionIndex: 0, replicaEpoch: 5, replicaId: 3, replicaDirectoryId: directoryId, voterDirectoryId: directoryId },
    ...{ lastOffsetEpoch: 5, lastOffset: 100, preVote: true },
  };
  const topics = [{ topicName: '__cluster_metadata', partitions: [partition] }];
  const isGranted = (raft: RaftNode, nowMs: number): boolean => {
    const request = { clusterId: null, voterId: raft === observer ? 4 : 1, topics };
    const event = { type: 'request', requestId: 1, api: 'vote', version: 2, request, listenerName: 'CONTROLLER' };
    const [reply] = raft.step(event as RaftEvent, nowMs).replies;
    return /"voteGranted":true/.test(JSON.stringify(reply));
  };
  const hear = (raft: RaftNode, api: string, requestId: number, response: object) =>
    raft.step({ type: 'response', requestId, api, response } as RaftEvent, 1010).requests[0]!;
  const fetchOf = (raft: RaftNode): number => raft.step({ type: 'wake' }, 1000).requests[0]!.requestId;

  const loading = node({ voters, electionState });
  const { requestId } = hear(loading, 'fetch', fetchOf(loading), fetchAnswer(2, { snapshotId: { endOffset: 10, epoch: 4 } }));
  hear(loading, 'fetchSnapshot', requestId, wholeSnapshot(2));

  const observer = node({ self: voter(4, 9004), voters, electionState });
  hear(observer, 'fetch', fetchOf(observer), fetchAnswer(2, {}));

  for (const raft of [loading, observer]) {
    assert.equal(isGranted(raft, 2900), false);
    assert.equal(isGranted(raft, 3010), true);
    assert.deepEqual(raft.leaderAndEpoch, { leaderId: 2, leaderEpoch: 5 });
  }
});

test('batches are gapless and the high watermark never retreats, whatever the order of appends and flushes', () => {
  const events = fc.array(fc.oneof(fc.record({ append: fc.integer({ min: 1, max: 5 }) }), fc.record({ flush: fc.nat(8) })), {
    maxLength: 60,
  });
  fc.assert(
    fc.property(events, (steps) => {
      const raft = node();
      let end = 0;
      let highWatermark = -1;
      for (const event of [{ wake: true }, ...steps]) {
        const effects =
          'wake' in event
            ? raft.step({ type: 'wake' }, 0)
            : 'append' in event
              ? raft.step({ type: 'append', values: values(event.append) }, 0)
              : raft.step({ type: 'flushed', endOffset: Math.max(0, raft.logEndOffset - event.flush) }, 0);
        for (const batch of effects.batches) {
          assert.equal(batch.baseOffset, end);
          end += batch.kind === 'control' ? batch.records.length : batch.values.length;
        }
        if (effects.highWatermark !== null) {
          assert.ok(effects.highWatermark > highWatermark && effects.highWatermark <= end);
          highWatermark = effects.highWatermark;
        }
      }
      assert.equal(raft.logEndOffset, end);
    }),
  );
});
