import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KafkaError } from '@ottla/protocol';
import { durableStreamsGroup, outcomeOf, StreamsThread, StreamsWorld, wordCount } from './streams-world.ts';

/** Without a delay at the beginning or between assignments, and with the topics of a word count. */
function quickWorld({ partitions = 2, standbys = 0 } = {}): StreamsWorld {
  const world = new StreamsWorld();
  world.groupConfigs.set('g', {
    'streams.initial.rebalance.delay.ms': 0,
    'streams.assignment.interval.ms': 0,
    'streams.num.standby.replicas': standbys,
  });
  for (const name of ['text', 'words', 'counts-changelog']) world.createTopic(name, partitions);
  return world;
}

function threadsOf(world: StreamsWorld, ...ids: string[]): StreamsThread[] {
  return ids.map((id) => new StreamsThread(world, id, `process of ${id}`, wordCount()));
}

/** Until nothing moves any more. */
function settle(...threads: StreamsThread[]): void {
  for (let round = 0; round < 6; round++) for (const thread of threads) thread.beat();
}

test('the first members are waited for, and internal topics are asked for before there are tasks', () => {
  const world = new StreamsWorld();
  world.createTopic('text', 2);
  const [one, two] = threadsOf(world, 'one', 'two') as [StreamsThread, StreamsThread];
  one.beat();
  assert.equal(String(one), 'one at 1: - [ASSIGNMENT_DELAYED MISSING_INTERNAL_TOPICS]');
  assert.deepEqual(
    [...world.missing.values()].map(({ name, partitions, replicationFactor }) => [name, partitions, replicationFactor]),
    [
      ['words', 2, -1],
      ['counts-changelog', 2, -1],
    ],
  );
  assert.equal(world.streamsGroup().committedState, 'NotReady');
  world.createMissingTopics();
  two.beat();
  assert.equal(String(two), 'two at 1: - [ASSIGNMENT_DELAYED]');
  assert.equal(world.streamsGroup().committedState, 'Assigning');
  world.pass(3_000);
  settle(one, two);
  assert.equal(String(one), 'one at 3: 0_0 1_0');
  assert.equal(String(two), 'two at 3: 0_1 1_1');
  assert.equal(world.streamsGroup().committedState, 'Stable');
});

test('a member that joins gets tasks when the one that has them has given them up', () => {
  const world = quickWorld();
  const [one, two] = threadsOf(world, 'one', 'two') as [StreamsThread, StreamsThread];
  one.beat();
  assert.equal(String(one), 'one at 2: 0_0 0_1 1_0 1_1');
  two.beat();
  assert.equal(String(two), 'two at 3: -');
  assert.equal(world.streamsGroup().members.get('two')!.state, 'UnreleasedTasks');
  const before = [...one.active];
  one.beat();
  assert.equal(String(one), 'one at 2: 0_0 1_0', 'asked to give up, at its old epoch');
  two.beat();
  assert.equal(String(two), 'two at 3: -', 'the other may still have them');
  assert.equal(world.streamsGroup().committedState, 'Reconciling');
  // It says that it has all of them, still.
  const ids = ['0', '1'].map((subtopologyId) => ({ subtopologyId, partitions: [0, 1] }));
  one.beat({ fields: { activeTasks: ids } });
  assert.equal(one.memberEpoch, 2);
  one.beat();
  assert.equal(String(one), 'one at 3: 0_0 1_0');
  two.beat();
  assert.equal(String(two), 'two at 3: 0_1 1_1');
  assert.equal(world.streamsGroup().committedState, 'Stable');
  assert.equal(before.length, 4);
});

test('who does not give up tasks in time is fenced, and others get them', () => {
  const world = quickWorld();
  const [one, two] = threadsOf(world, 'one', 'two') as [StreamsThread, StreamsThread];
  one.beat();
  two.beat();
  one.beat();
  const ids = ['0', '1'].map((subtopologyId) => ({ subtopologyId, partitions: [0, 1] }));
  for (let ms = 0; ms < 30_000; ms += 5_000) {
    assert.equal(one.beat({ fields: { activeTasks: ids } }), 'NONE');
    two.beat();
    world.pass(5_000);
  }
  assert.equal(one.beat({ fields: { activeTasks: ids } }), 'UNKNOWN_MEMBER_ID');
  settle(two);
  assert.equal(String(two), 'two at 4: 0_0 0_1 1_0 1_1');
});

test('a member that leaves, or is not heard of, makes room', () => {
  const world = quickWorld();
  const [one, two] = threadsOf(world, 'one', 'two') as [StreamsThread, StreamsThread];
  settle(one, two);
  assert.equal(two.leave(), 'NONE');
  settle(one);
  assert.equal(String(one), 'one at 4: 0_0 0_1 1_0 1_1');
  settle(one, two);
  world.pass(40_000);
  one.beat();
  world.pass(6_000);
  assert.deepEqual([...world.streamsGroup().members.keys()], ['one']);
  world.pass(45_000);
  assert.equal(world.streamsGroup().committedState, 'Empty');
  assert.equal(one.beat(), 'UNKNOWN_MEMBER_ID');
});

test('a session that could not be ended is ended later', () => {
  const world = quickWorld();
  const [one] = threadsOf(world, 'one') as [StreamsThread];
  one.beat();
  world.appendError = new KafkaError('NOT_ENOUGH_REPLICAS');
  world.pass(45_100);
  assert.equal(world.streamsGroup().isEmpty, false);
  world.appendError = null;
  world.pass(1_000);
  assert.equal(world.streamsGroup().isEmpty, true);
});

test('standbys are in other processes, and follow the config', () => {
  const world = quickWorld({ standbys: 1 });
  const [one, two] = threadsOf(world, 'one', 'two') as [StreamsThread, StreamsThread];
  settle(one, two);
  assert.equal(String(one), 'one at 3: 0_0 1_0 standby 1_1');
  assert.equal(String(two), 'two at 3: 0_1 1_1 standby 1_0');
  world.groupConfigs.set('g', { ...world.groupConfigs.get('g'), 'streams.num.standby.replicas': 0 });
  settle(one, two);
  assert.equal(String(one), 'one at 4: 0_0 1_0');
  assert.equal(String(two), 'two at 4: 0_1 1_1');
});

test('an assignment is made at most once in an interval', () => {
  const world = quickWorld();
  world.groupConfigs.set('g', { 'streams.initial.rebalance.delay.ms': 0, 'streams.assignment.interval.ms': 1_000 });
  const [one, two] = threadsOf(world, 'one', 'two') as [StreamsThread, StreamsThread];
  one.beat();
  two.beat();
  assert.equal(String(two), 'two at 2: - [ASSIGNMENT_DELAYED]');
  assert.equal(world.streamsGroup().committedState, 'Assigning');
  world.pass(1_000);
  settle(two, one);
  assert.equal(String(two), 'two at 3: 0_1 1_1');
});

test('without its source topics a group has no tasks, and gets them when the topics come', () => {
  const world = new StreamsWorld();
  world.groupConfigs.set('g', { 'streams.initial.rebalance.delay.ms': 0, 'streams.assignment.interval.ms': 0 });
  const [one] = threadsOf(world, 'one') as [StreamsThread];
  one.beat();
  assert.equal(String(one), 'one at 2: - [MISSING_SOURCE_TOPICS]');
  assert.equal(world.streamsGroup().committedState, 'NotReady');
  world.createTopic('text', 1);
  one.beat();
  assert.equal(String(one), 'one at 3: - [MISSING_INTERNAL_TOPICS]');
  world.createTopic('words', 3);
  one.beat();
  assert.equal(String(one), 'one at 4: - [INCORRECTLY_PARTITIONED_TOPICS]');
  world.createTopic('words', 1);
  world.createTopic('counts-changelog', 1);
  one.beat();
  assert.equal(String(one), 'one at 5: 0_0 1_0');
  world.createTopic('text', 2);
  one.beat();
  assert.equal(String(one), 'one at 5: - [INCORRECTLY_PARTITIONED_TOPICS]', 'first it gives up what it has');
  one.beat();
  assert.equal(String(one), 'one at 6: - [INCORRECTLY_PARTITIONED_TOPICS]');
});

test('the first topology is that of the group', () => {
  const world = quickWorld();
  const beat = (memberId: string, topology = wordCount(), memberEpoch = 0): string =>
    outcomeOf(
      world.askStreams({
        memberId,
        memberEpoch,
        topology,
        rebalanceTimeoutMs: 1,
        activeTasks: [],
        standbyTasks: [],
        warmupTasks: [],
      }),
    );
  assert.equal(beat('one', wordCount({ epoch: 3 })), 'NONE');
  assert.equal(beat('two', wordCount({ epoch: 3, sources: ['other'] })), 'INVALID_REQUEST');
  assert.equal(beat('two', wordCount({ epoch: 4 })), 'INVALID_REQUEST');
  const old = new StreamsThread(world, 'old', 'p', wordCount({ epoch: 2 }));
  old.beat();
  assert.deepEqual(old.status, ['STALE_TOPOLOGY']);
  assert.deepEqual([...world.streamsGroup().members.keys()], ['one', 'old']);
  const order = wordCount({ epoch: 3 });
  assert.equal(beat('three', { ...order, subtopologies: order.subtopologies.toReversed() }), 'NONE');
});

test('a request that is wrong by itself is refused with what is wrong', () => {
  const world = quickWorld();
  const join = { rebalanceTimeoutMs: 1, activeTasks: [], standbyTasks: [], warmupTasks: [], topology: wordCount() };
  const beat = (fields: Partial<Parameters<StreamsWorld['askStreams']>[0]>): string =>
    outcomeOf(world.askStreams({ memberId: 'm', memberEpoch: 0, ...join, ...fields }));
  const [first, second] = wordCount().subtopologies as [
    ReturnType<typeof wordCount>['subtopologies'][0],
    ReturnType<typeof wordCount>['subtopologies'][0],
  ];
  const reading = (...sourceTopics: string[]) => ({ epoch: 0, subtopologies: [{ ...first, sourceTopics }, second] });
  for (const [fields, expected] of [
    [{ instanceId: 'i' }, 'INVALID_REQUEST'],
    [{ memberId: '' }, 'INVALID_REQUEST'],
    [{ groupId: '' }, 'INVALID_REQUEST'],
    [{ rackId: '' }, 'INVALID_REQUEST'],
    [{ rebalanceTimeoutMs: -1 }, 'INVALID_REQUEST'],
    [{ activeTasks: null }, 'INVALID_REQUEST'],
    [{ standbyTasks: [{ subtopologyId: '0', partitions: [0] }] }, 'INVALID_REQUEST'],
    [{ topology: null }, 'INVALID_REQUEST'],
    [{ taskOffsets: [] }, 'INVALID_REQUEST'],
    [{ taskEndOffsets: [] }, 'INVALID_REQUEST'],
    [{ memberEpoch: -2 }, 'INVALID_REQUEST'],
    [{ memberEpoch: -3 }, 'INVALID_REQUEST'],
    [{ memberEpoch: 1 }, 'INVALID_REQUEST'],
    [{ topology: { epoch: 0, subtopologies: [{ ...first, sourceTopicRegex: ['t.*'] }] } }, 'INVALID_REQUEST'],
    [{ topology: reading('__consumer_offsets') }, 'STREAMS_INVALID_TOPOLOGY'],
    [{ topology: reading('no/name') }, 'STREAMS_INVALID_TOPOLOGY'],
    [{ topology: { epoch: 0, subtopologies: [first, first] } }, 'STREAMS_INVALID_TOPOLOGY'],
    [{ topology: { epoch: 0, subtopologies: [second] } }, 'STREAMS_INVALID_TOPOLOGY'],
    [
      { topology: { epoch: 0, subtopologies: [{ ...first, sourceTopics: [], repartitionSinkTopics: [] }] } },
      'STREAMS_INVALID_TOPOLOGY',
    ],
    [{ memberEpoch: -1, topology: null, activeTasks: null, standbyTasks: null, warmupTasks: null }, 'GROUP_ID_NOT_FOUND'],
    [{ memberEpoch: 5, topology: null, activeTasks: null, standbyTasks: null, warmupTasks: null }, 'GROUP_ID_NOT_FOUND'],
  ] as const) {
    assert.equal(beat(fields as never), expected, JSON.stringify(fields));
  }
  assert.equal(world.coordinator.groups.size, 0);
  assert.equal(world.log.length, 0);
});

test('epochs: an answer may be lost, anything else is fenced', () => {
  const world = quickWorld();
  const [one, two] = threadsOf(world, 'one', 'two') as [StreamsThread, StreamsThread];
  settle(one, two);
  const again = (memberEpoch: number, partitions: number[] | null): string => {
    const tasks = partitions && [{ subtopologyId: '0', partitions }];
    return outcomeOf(
      world.askStreams({ memberId: 'one', memberEpoch, activeTasks: tasks, standbyTasks: tasks && [], warmupTasks: tasks && [] }),
    );
  };
  assert.equal(world.streamsGroup().members.get('one')!.previousMemberEpoch, 2);
  assert.equal(again(3, null), 'NONE');
  assert.equal(again(2, [0]), 'NONE', 'one epoch behind, with no more than it should have');
  assert.equal(again(2, [0, 1]), 'FENCED_MEMBER_EPOCH');
  assert.equal(again(2, null), 'FENCED_MEMBER_EPOCH');
  assert.equal(again(1, []), 'FENCED_MEMBER_EPOCH');
  assert.equal(again(4, []), 'FENCED_MEMBER_EPOCH');
  assert.equal(again(3, [7]), 'INVALID_REQUEST', 'no such task');
  assert.equal(outcomeOf(world.askStreams({ memberId: 'nobody', memberEpoch: 3 })), 'UNKNOWN_MEMBER_ID');
});

test('a member that lost an answer is told its tasks again', () => {
  const world = quickWorld();
  const [one, two] = threadsOf(world, 'one', 'two') as [StreamsThread, StreamsThread];
  one.beat();
  two.beat();
  one.beat();
  one.beat();
  two.beat({ isAnswerLost: true });
  assert.equal(String(two), 'two at 3: -');
  two.beat();
  assert.equal(String(two), 'two at 3: 0_1 1_1');
});

test('one member can stop the application', () => {
  const world = quickWorld();
  const [one, two] = threadsOf(world, 'one', 'two') as [StreamsThread, StreamsThread];
  settle(one, two);
  one.beat({ fields: { shutdownApplication: true } });
  two.beat();
  assert.deepEqual(two.status, ['SHUTDOWN_APPLICATION']);
  one.leave();
  two.leave();
  settle(one);
  assert.deepEqual(one.status, [], 'when all have left, the application may begin anew');
});

test('members know which endpoint has which partitions', () => {
  const world = quickWorld();
  const [one, two] = threadsOf(world, 'one', 'two') as [StreamsThread, StreamsThread];
  one.beat({ fields: { userEndpoint: { host: 'h', port: 1 } } });
  two.beat({ fields: { userEndpoint: { host: 'h', port: 2 } } });
  settle(one, two);
  const answer = world.askStreams({ memberId: 'one', memberEpoch: one.memberEpoch, endpointInformationEpoch: 0 });
  assert.ok(typeof answer === 'object');
  const { endpointInformationEpoch = 0, partitionsByUserEndpoint } = answer;
  const partitions = (index: number) => ['words', 'text'].map((topic) => ({ topic, partitions: [index] }));
  assert.deepEqual(
    partitionsByUserEndpoint?.map(({ userEndpoint, activePartitions, standbyPartitions }) => [
      userEndpoint!.port,
      activePartitions?.toSorted((a, b) => (a.topic! > b.topic! ? -1 : 1)),
      standbyPartitions,
    ]),
    [
      [2, partitions(1), []],
      [1, partitions(0), []],
    ],
  );
  const next = world.askStreams({ memberId: 'one', memberEpoch: one.memberEpoch, endpointInformationEpoch });
  assert.equal(typeof next === 'object' && next.partitionsByUserEndpoint, undefined);
});

test('offsets are committed by members, at epochs that had the task', () => {
  const world = quickWorld();
  const [one, two] = threadsOf(world, 'one', 'two') as [StreamsThread, StreamsThread];
  settle(one);
  const commit = (memberId: string, generationIdOrMemberEpoch: number, at: string, apiVersion = 9): string =>
    world.commit({ [at]: 5 }, { memberId, generationIdOrMemberEpoch, apiVersion });
  assert.equal(commit('one', 2, 'text-0'), 'NONE');
  settle(one, two);
  assert.equal(one.memberEpoch, 3);
  assert.equal(commit('one', 3, 'text-0'), 'NONE');
  assert.equal(commit('one', 2, 'text-0'), 'NONE', 'it has had this task since epoch 2');
  assert.equal(commit('one', 2, 'text-1'), 'STALE_MEMBER_EPOCH', 'it has it no more');
  assert.equal(commit('one', 1, 'text-0'), 'STALE_MEMBER_EPOCH');
  assert.equal(commit('one', 2, 'other-0'), 'STALE_MEMBER_EPOCH');
  assert.equal(commit('one', 4, 'text-0'), 'STALE_MEMBER_EPOCH');
  assert.equal(commit('nobody', 3, 'text-0'), 'UNKNOWN_MEMBER_ID');
  assert.equal(commit('', -1, 'text-0'), 'UNKNOWN_MEMBER_ID');
  assert.equal(commit('one', 3, 'text-0', 8), 'UNSUPPORTED_VERSION');
  assert.deepEqual(world.fetched(), { 'text-0': 5 });
  one.leave();
  two.leave();
  assert.equal(commit('', -1, 'text-1'), 'NONE', 'an administrator, of an empty group');
});

test('groups change what they are only while they are empty', () => {
  const world = quickWorld();
  world.commit({ 'text-0': 7 });
  const [one] = threadsOf(world, 'one') as [StreamsThread];
  one.beat();
  assert.equal(String(one), 'one at 2: 0_0 0_1 1_0 1_1', 'a group that only had offsets becomes a streams group');
  assert.deepEqual(world.fetched(), { 'text-0': 7 });
  const token = world.join('', { apiVersion: 3 });
  assert.equal(world.errorOf(token), 'INCONSISTENT_GROUP_PROTOCOL');
  one.leave();
  world.join('', { apiVersion: 3 });
  assert.equal(world.coordinator.groups.get('g')!.type, 'Classic');
  assert.equal(one.beat(), 'GROUP_ID_NOT_FOUND');
});

test('a group is listed, described and deleted', () => {
  const world = quickWorld();
  const [one] = threadsOf(world, 'one') as [StreamsThread];
  // The group is made by the first heartbeat, and knows by the second how the topics are.
  one.beat();
  one.beat();
  const { coordinator } = world;
  const listed = (...states: string[]) => coordinator.list({ states: new Set(states), types: new Set(['streams']) });
  assert.deepEqual(listed(), [{ groupId: 'g', protocolType: 'streams', groupState: 'Stable', groupType: 'streams' }]);
  const described = coordinator.streams.describe('g');
  assert.equal(described.groupEpoch, 2);
  assert.deepEqual(described.topology?.subtopologies?.[1]?.stateChangelogTopics, [
    {
      name: 'counts-changelog',
      partitions: 2,
      replicationFactor: -1,
      topicConfigs: [{ key: 'cleanup.policy', value: 'compact' }],
    },
  ]);
  const remove = (): number => {
    const outcome = coordinator.deleteGroups(['g'], world.moment);
    world.submit(outcome);
    return outcome.response[0]!.errorCode!;
  };
  assert.equal(remove(), 68);
  one.leave();
  assert.equal(remove(), 0);
  assert.equal(coordinator.groups.size, 0);
  assert.equal(coordinator.streams.describe('g').errorCode, 69);
  assert.equal(world.reloaded().groups.size, 0);
});

test('a coordinator that takes over knows all, and gives everybody a fresh session', () => {
  const world = quickWorld({ standbys: 1 });
  const [one, two] = threadsOf(world, 'one', 'two') as [StreamsThread, StreamsThread];
  settle(one);
  two.beat();
  one.beat();
  const before = durableStreamsGroup(world.streamsGroup());
  world.pass(20_000);
  world.takeOver();
  assert.deepEqual(durableStreamsGroup(world.streamsGroup()), before);
  world.pass(29_000);
  settle(one, two);
  assert.equal(String(one), 'one at 3: 0_0 1_0 standby 1_1');
  world.takeOver();
  world.pass(45_000);
  assert.equal(world.streamsGroup().isEmpty, true);
});

test('no more members than group.streams.max.size', () => {
  const world = new StreamsWorld({ streamsMaxSize: 1 });
  world.createTopic('text', 1);
  const [one, two] = threadsOf(world, 'one', 'two') as [StreamsThread, StreamsThread];
  assert.equal(one.beat(), 'NONE');
  assert.equal(two.beat(), 'GROUP_MAX_SIZE_REACHED');
});
