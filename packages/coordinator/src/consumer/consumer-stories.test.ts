import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ConsumerGroupHeartbeatRequest, errors, KafkaError } from '@ottla/protocol';
import { defaultGroupCoordinatorConfig } from '../group-coordinator-config.ts';
import { durableState, GroupWorld } from '../group-world.ts';

function worldOf(topics: Record<string, number> = { t: 3 }): GroupWorld {
  const world = new GroupWorld();
  for (const [name, partitions] of Object.entries(topics)) world.setTopic(name, partitions);
  return world;
}

test('the first member gets everything at once', () => {
  const world = worldOf();
  world.beat('a', 0);
  assert.deepEqual(world.story(), [
    '  stored MemberMetadata a',
    '  stored Metadata',
    '  stored TargetAssignmentMember a',
    '  stored TargetAssignmentMetadata',
    '  stored CurrentMemberAssignment a',
    'beat a 0: 2 [t-0 t-1 t-2]',
  ]);
  world.beat('a', 2);
  assert.deepEqual(world.story(), ['beat a 2: 2']);
  assert.equal(world.consumerGroup().committedState, 'Stable');
  assert.deepEqual(durableState(world.reloaded()), durableState(world.coordinator));
});

test('a second member waits for what the first has to give up', () => {
  const world = worldOf({ t: 4 });
  world.beat('a', 0);
  world.pass(1_000);
  world.story();
  world.beat('b', 0);
  world.beat('a', 2);
  world.beat('b', 3);
  world.beat('a', 2, { owned: ['t-0', 't-1'] });
  world.beat('b', 3);
  assert.deepEqual(
    world.story().filter((line) => line.startsWith('beat')),
    ['beat b 0: 3 []', 'beat a 2: 2 [t-0 t-1]', 'beat b 3: 3', 'beat a 2: 3', 'beat b 3: 3 [t-2 t-3]'],
  );
  assert.equal(world.consumerGroup().committedState, 'Stable');
  world.coordinator.assertInvariants();
});

test('assignments are computed at most once in an interval, and the last of many joins is not forgotten', () => {
  const world = worldOf({ t: 4 });
  world.beat('a', 0);
  world.story();
  world.beat('b', 0);
  assert.equal(world.consumerGroup().committedState, 'Assigning');
  world.pass(999);
  world.beat('b', 2);
  world.pass(1);
  world.beat('b', 2);
  assert.deepEqual(
    world.story().filter((line) => line.startsWith('beat')),
    // It joins at the epoch of the assignment that there is, and has nothing in it.
    ['beat b 0: 2 []', 'beat b 2: 2', 'beat b 2: 3'],
  );
  assert.equal(world.consumerGroup().committedState, 'Reconciling');
});

test('a member that does not give up what it is asked to is out after its rebalance timeout', () => {
  const world = worldOf({ t: 2 });
  world.beat('a', 0, { rebalanceTimeoutMs: 20_000 });
  world.pass(1_000);
  world.beat('b', 0);
  world.beat('a', 2);
  world.pass(19_999);
  world.beat('a', 2);
  assert.equal(world.consumerGroup().members.has('a'), true);
  world.pass(1);
  assert.equal(world.consumerGroup().members.has('a'), false);
  assert.equal(world.beat('a', 2, { owned: [] }).error, 'UNKNOWN_MEMBER_ID');
  assert.deepEqual(world.beat('b', 3).assigned, ['t-0', 't-1']);
});

test('a member that is not heard of is out after its session timeout, and its partitions are free', () => {
  const world = worldOf();
  world.groupConfigs.set('g', { 'consumer.session.timeout.ms': 50_000 });
  world.beat('a', 0);
  world.pass(49_999);
  world.beat('a', 2);
  world.pass(49_999);
  assert.equal(world.consumerGroup().members.size, 1);
  world.story();
  world.pass(1);
  assert.deepEqual(world.story(), [
    '  gone CurrentMemberAssignment a',
    '  gone TargetAssignmentMember a',
    '  gone MemberMetadata a',
    '  stored Metadata',
  ]);
  assert.equal(world.consumerGroup().committedState, 'Empty');
});

test('a session that could not be ended is ended a little later', () => {
  const world = worldOf();
  world.beat('a', 0);
  world.appendError = new KafkaError('NOT_ENOUGH_REPLICAS');
  world.pass(45_000);
  assert.equal(world.consumerGroup().members.has('a'), true);
  world.appendError = null;
  world.pass(500);
  assert.equal(world.consumerGroup().members.has('a'), false);
  // As one that left without anybody hearing of it.
  world.beat('b', 0);
  world.appendError = new KafkaError('NOT_ENOUGH_REPLICAS');
  assert.equal(world.beat('b', -1).error, 'NOT_ENOUGH_REPLICAS');
  world.appendError = null;
  world.pass(45_000);
  assert.equal(world.consumerGroup().members.has('b'), false);
});

test('epochs that are not the member’s are fenced, but for the one whose answer may have been lost', () => {
  const world = worldOf({ t: 2 });
  world.beat('a', 0);
  world.pass(1_000);
  world.beat('b', 0);
  world.beat('a', 2, { owned: ['t-0', 't-1'] });
  world.beat('a', 2, { owned: ['t-0'] });
  assert.equal(world.consumerGroup().member('a').memberEpoch, 3);
  // The answer was lost: the same again is fine, and so is less.
  assert.equal(world.beat('a', 2, { owned: ['t-0'] }).epoch, 3);
  assert.equal(world.beat('a', 2, { owned: [] }).epoch, 3);
  // More than it was given is not, nor to say nothing of it.
  assert.equal(world.beat('a', 2, { owned: ['t-0', 't-1'] }).error, 'FENCED_MEMBER_EPOCH');
  assert.equal(world.beat('a', 2).error, 'FENCED_MEMBER_EPOCH');
  assert.equal(world.beat('a', 1, { owned: [] }).error, 'FENCED_MEMBER_EPOCH');
  assert.equal(world.beat('a', 4, { owned: [] }).error, 'FENCED_MEMBER_EPOCH');
  assert.equal(world.beat('x', 3).error, 'UNKNOWN_MEMBER_ID');
  assert.equal(world.beat('x', -1).error, 'UNKNOWN_MEMBER_ID');
  assert.equal(world.beat('a', 3, {}, 'other').error, 'GROUP_ID_NOT_FOUND');
  assert.equal(world.beat('a', -1, {}, 'other').error, 'GROUP_ID_NOT_FOUND');
  // To join again with the same id changes nothing, and tells it all.
  world.story();
  assert.deepEqual(world.beat('a', 0), world.beat('a', 0));
  assert.deepEqual(world.story(), ['beat a 0: 3 [t-0]', 'beat a 0: 3 [t-0]']);
  world.coordinator.assertInvariants();
});

test('a full request is answered whole, and what has not changed is not said again', () => {
  const world = worldOf();
  world.beat('a', 0);
  const full = { topics: ['t'], rebalanceTimeoutMs: 60_000, owned: ['t-0', 't-1', 't-2'] };
  assert.deepEqual(world.beat('a', 2, full).assigned, ['t-0', 't-1', 't-2']);
  assert.equal(world.beat('a', 2, { owned: ['t-0', 't-1', 't-2'] }).assigned, undefined);
  assert.equal(world.beat('a', 2).assigned, undefined);
});

test('a static member that goes away for a while keeps its place for the next with its instance id', () => {
  const world = worldOf({ t: 2 });
  world.beat('a1', 0, { instanceId: 'a' });
  world.pass(1_000);
  world.beat('b', 0);
  world.beat('a1', 2, { instanceId: 'a', owned: ['t-0'] });
  world.beat('b', 3);
  assert.equal(world.beat('a2', 0, { instanceId: 'a' }).error, 'UNRELEASED_INSTANCE_ID');
  assert.equal(world.beat('a2', 3, { instanceId: 'a' }).error, 'FENCED_INSTANCE_ID');
  assert.equal(world.beat('z', 3, { instanceId: 'z' }).error, 'UNKNOWN_MEMBER_ID');
  world.story();
  world.beat('a1', -2, { instanceId: 'a' });
  world.beat('a2', 0, { instanceId: 'a' });
  assert.deepEqual(world.story(), [
    '  stored CurrentMemberAssignment a1',
    'beat a1 -2: -2',
    '  gone CurrentMemberAssignment a1',
    '  gone TargetAssignmentMember a1',
    '  gone MemberMetadata a1',
    '  stored MemberMetadata a2',
    '  stored TargetAssignmentMember a2',
    '  stored CurrentMemberAssignment a2',
    '  stored CurrentMemberAssignment a2',
    'beat a2 0: 3 [t-0]',
  ]);
  assert.equal(world.beat('a1', 3, { instanceId: 'a' }).error, 'FENCED_INSTANCE_ID');
  assert.equal(world.beat('a1', 3).error, 'UNKNOWN_MEMBER_ID');
  assert.equal(world.beat('b', 3).epoch, 3);
  assert.deepEqual(durableState(world.reloaded()), durableState(world.coordinator));
});

test('a static member that never comes back is out after its session timeout', () => {
  const world = worldOf();
  world.beat('a1', 0, { instanceId: 'a' });
  world.beat('a1', -2, { instanceId: 'a' });
  assert.equal(world.consumerGroup().committedState, 'Reconciling');
  world.pass(45_000);
  assert.equal(world.consumerGroup().committedState, 'Empty');
  assert.deepEqual(world.beat('a2', 0, { instanceId: 'a' }).assigned, ['t-0', 't-1', 't-2']);
});

test('most votes choose the assignor', () => {
  const world = worldOf({ t: 3, u: 3 });
  for (const [memberId, serverAssignor] of [
    ['a', 'range'],
    ['b', 'range'],
    ['c', 'uniform'],
  ] as const) {
    world.beat(memberId, 0, { serverAssignor, topics: ['t', 'u'] });
    world.pass(1_000);
  }
  assert.equal(world.coordinator.consumer.describe('g').assignorName, 'range');
  world.beat('a', 2, { owned: [] });
  const targets = ['a', 'b', 'c'].map((memberId) => [...world.consumerGroup().targets.get(memberId)!.values()]);
  assert.deepEqual(targets, [
    [[0], [0]],
    [[1], [1]],
    [[2], [2]],
  ]);
});

test('new partitions, new topics and topics that go change the group’s epoch when a member is next heard of', () => {
  const world = worldOf({ t: 1 });
  world.beat('a', 0, { topics: ['t', 'u'] });
  world.pass(1_000);
  world.setTopic('t', 2);
  assert.deepEqual(world.beat('a', 2).assigned, ['t-0', 't-1']);
  world.pass(1_000);
  world.setTopic('x', 2);
  assert.equal(world.beat('a', 3).epoch, 3, 'it does not subscribe to that');
  world.setTopic('u', 1);
  assert.deepEqual(world.beat('a', 3).assigned, ['t-0', 't-1', 'u-0']);
  world.pass(1_000);
  world.deleteTopic('t');
  world.beat('a', 4);
  assert.deepEqual(world.beat('a', 4, { owned: ['u-0'] }).assigned, undefined);
  assert.equal(world.consumerGroup().member('a').memberEpoch, 5);
  // After a restart it is found out what changed meanwhile.
  world.setTopic('u', 2);
  world.takeOver();
  world.pass(1_000);
  assert.deepEqual(world.beat('a', 5).assigned, ['u-0', 'u-1']);
});

test('a topic that is no longer subscribed to is given up at once', () => {
  const world = worldOf({ t: 1, u: 1 });
  world.beat('a', 0, { topics: ['t', 'u'] });
  // The next target is not due yet.
  assert.deepEqual(world.beat('a', 2, { topics: ['u'] }).assigned, ['u-0']);
  assert.equal(world.consumerGroup().member('a').state, 1);
  world.pass(1_000);
  assert.equal(world.beat('a', 2, { owned: ['u-0'] }).epoch, 3);
  assert.equal(world.consumerGroup().committedState, 'Stable');
});

test('a change of topics asks nothing of the members of a group, until its next heartbeat', () => {
  const world = worldOf({ t: 1, other: 1 });
  world.beat('a', 0);
  world.beat('a', 2);
  const group = world.consumerGroup();
  let looks = 0;
  group.subscribedTopics = () => {
    looks++;
    return new Set(['t']);
  };
  for (let partitions = 2; partitions < 50; partitions++) world.setTopic('other', partitions);
  assert.equal(looks, 0);
  assert.equal(world.beat('a', 2).epoch, 2);
  assert.equal(world.beat('a', 2).epoch, 2);
  assert.equal(looks, 1);
  world.setTopic('t', 2);
  world.setTopic('other', 50);
  world.pass(1_000);
  assert.deepEqual(world.beat('a', 2).assigned, ['t-0', 't-1']);
  // One that slept through very many looks at its topics themselves.
  world.setTopic('t', 3);
  for (let partitions = 51; partitions < 200; partitions++) world.setTopic('other', partitions);
  world.pass(1_000);
  assert.deepEqual(world.beat('a', 3).assigned, ['t-0', 't-1', 't-2']);
});

test('a wall clock that is set back does not keep regular expressions from new topics', () => {
  const world = worldOf({ logs1: 1 });
  world.beat('a', 0, { subscribedTopicRegex: 'logs.*' });
  world.resolveRegexes();
  world.beat('a', 1);
  world.wallMs -= 3_600_000;
  world.setTopic('logs2', 1);
  world.pass(10_001);
  world.beat('a', 2);
  world.resolveRegexes();
  assert.deepEqual(world.beat('a', 2).assigned, ['logs1-0', 'logs2-0']);
});

test('regular expressions are resolved out of the way, and again when topics come', () => {
  const world = worldOf({ logs1: 1, logs2: 1, other: 1 });
  assert.deepEqual(world.beat('a', 0, { subscribedTopicRegex: 'logs.*' }).assigned, []);
  assert.equal(world.beat('a', 1).assigned, undefined);
  world.resolveRegexes();
  assert.deepEqual(world.beat('a', 1).assigned, ['logs1-0', 'logs2-0']);
  assert.equal(world.consumerGroup().isSubscribedTo('logs1'), true);
  assert.equal(world.consumerGroup().isSubscribedTo('other'), false);
  world.setTopic('logs3', 1);
  world.pass(10_000);
  world.beat('a', 2);
  world.resolveRegexes();
  assert.equal(world.beat('a', 2).assigned, undefined, 'topics that come one after another are looked at together');
  world.pass(1);
  world.beat('a', 2);
  world.resolveRegexes();
  assert.deepEqual(world.beat('a', 2).assigned, ['logs1-0', 'logs2-0', 'logs3-0']);
  // Who comes with the same finds it resolved, and the last to leave takes it away.
  world.pass(1_000);
  world.beat('b', 0, { subscribedTopicRegex: 'logs.*' });
  assert.equal(world.consumerGroup().committedState, 'Reconciling');
  world.beat('b', -1);
  assert.equal(world.consumerGroup().regexes.size, 1);
  world.beat('a', 3, { subscribedTopicRegex: '' });
  assert.equal(world.consumerGroup().regexes.size, 0);
  assert.deepEqual(durableState(world.reloaded()), durableState(world.coordinator));
});

test('a regular expression that is none is refused, and leaves no trace', () => {
  const world = worldOf();
  assert.equal(world.beat('a', 0, { subscribedTopicRegex: 'x[' }).error, 'INVALID_REGULAR_EXPRESSION');
  assert.equal(world.coordinator.groups.size, 0);
  world.beat('a', 0);
  assert.equal(world.beat('a', 2, { subscribedTopicRegex: '(?<=y)x' }).error, 'INVALID_REGULAR_EXPRESSION');
  const tooLarge = '(ab?c){999}(de?f){999}';
  assert.equal(world.beat('a', 2, { subscribedTopicRegex: tooLarge }).error, 'INVALID_REGULAR_EXPRESSION');
  assert.equal(world.consumerGroup().member('a').subscribedTopicRegex, '');
  assert.equal(world.coordinator.consumer.regexes.take(), undefined);
});

test('a full group takes nobody new, and keeps those it has', () => {
  const world = new GroupWorld({ consumer: { ...defaultGroupCoordinatorConfig.consumer, maxSize: 1 } });
  world.setTopic('t', 2);
  world.beat('a', 0);
  assert.equal(world.beat('b', 0).error, 'GROUP_MAX_SIZE_REACHED');
  assert.equal(world.beat('', 0).error, 'GROUP_MAX_SIZE_REACHED');
  assert.equal(world.beat('a', 0).error, 'NONE');
});

test('a member without an id is given one', () => {
  const world = worldOf();
  const { memberId } = world.beat('', 0);
  assert.match(memberId!, /^new-/);
  assert.equal(world.beat(memberId!, 2).epoch, 2);
});

test('a heartbeat that could not be written changed nothing', () => {
  const world = worldOf();
  world.appendError = new KafkaError('NOT_ENOUGH_REPLICAS');
  assert.equal(world.beat('a', 0).error, 'NOT_ENOUGH_REPLICAS');
  assert.equal(world.coordinator.groups.size, 0);
  world.appendError = null;
  assert.deepEqual(world.beat('a', 0).assigned, ['t-0', 't-1', 't-2']);
  world.pass(1_000);
  const before = durableState(world.coordinator);
  world.appendError = new KafkaError('NOT_ENOUGH_REPLICAS');
  for (const beat of [() => world.beat('b', 0), () => world.beat('a', 2, { topics: ['u'] }), () => world.beat('a', -1)]) {
    assert.equal(beat().error, 'NOT_ENOUGH_REPLICAS');
    assert.deepEqual(durableState(world.coordinator), before);
    world.coordinator.assertInvariants();
  }
  world.appendError = null;
  assert.equal(world.beat('b', 0).epoch, 3);
});

test('offsets are committed by members at their epoch, or where the partition was theirs all the time', () => {
  const world = worldOf({ t: 2 });
  const commit = (memberId: string, generationIdOrMemberEpoch: number, at: string): string =>
    world.commit({ [at]: 1 }, { memberId, generationIdOrMemberEpoch });
  world.beat('a', 0);
  world.pass(1_000);
  world.beat('b', 0);
  world.beat('a', 2, { owned: ['t-0', 't-1'] });
  assert.equal(commit('a', 2, 't-1'), 'NONE', 'it is asked to give it up, and may say first how far it came');
  world.beat('a', 2, { owned: ['t-0'] });
  world.beat('b', 3);
  assert.equal(commit('a', 3, 't-0'), 'NONE');
  assert.equal(commit('a', 3, 't-1'), 'NONE', 'who knows the present epoch knows what it does');
  assert.equal(commit('a', 2, 't-0'), 'NONE');
  assert.equal(commit('a', 2, 't-1'), 'STALE_MEMBER_EPOCH');
  assert.equal(commit('a', 1, 't-0'), 'STALE_MEMBER_EPOCH');
  assert.equal(commit('a', 4, 't-0'), 'STALE_MEMBER_EPOCH');
  assert.equal(commit('b', 2, 't-1'), 'STALE_MEMBER_EPOCH');
  assert.equal(commit('x', 3, 't-0'), 'UNKNOWN_MEMBER_ID');
  assert.equal(world.commit({ 't-0': 9 }), 'UNKNOWN_MEMBER_ID', 'nobody else commits while there are members');
  const fetch = (memberId: string | null, memberEpoch: number): unknown =>
    world.coordinator.offsets.fetch({ groupId: 'g', memberId, memberEpoch, topics: null }, 'stable').errorCode;
  assert.equal(fetch('a', 3), undefined);
  assert.equal(fetch(null, -1), undefined);
  assert.throws(() => fetch('a', 2), { name: 'STALE_MEMBER_EPOCH' });
  assert.throws(() => fetch('x', 3), { name: 'UNKNOWN_MEMBER_ID' });
});

test('offsets of topics that are read stay, and others expire by their commit', () => {
  const world = worldOf({ t: 1 });
  world.beat('a', 0);
  world.commit({ 't-0': 1, 'u-0': 1 }, { memberId: 'a', generationIdOrMemberEpoch: 2 });
  for (let day = 0; day < 8; day++) {
    for (let beats = 0; beats < 2 * 60 * 24; beats++) {
      world.pass(30_000);
      world.beat('a', 2);
    }
    world.story();
  }
  assert.deepEqual(world.fetched(), { 't-0': 1 });
  world.beat('a', -1);
  world.pass(8 * 24 * 60 * 60 * 1000);
  assert.equal(world.coordinator.groups.size, 0);
  assert.equal(world.reloaded().groups.size, 0);
});

test('a group with members is not deleted, an empty one whole', () => {
  const world = worldOf();
  world.beat('a', 0);
  assert.equal(world.coordinator.deleteGroups(['g'], world.moment).response[0]!.errorCode, errors.NON_EMPTY_GROUP.code);
  world.beat('a', -1);
  world.story();
  world.submit(world.coordinator.deleteGroups(['g'], world.moment));
  assert.deepEqual(world.story(), ['  gone TargetAssignmentMetadata', '  gone PartitionMetadata', '  gone Metadata']);
  assert.equal(world.reloaded().groups.size, 0);
});

test('describing and listing tell of what is committed', () => {
  const world = worldOf({ t: 1 });
  world.beat('a', 0, { instanceId: 'i', rackId: 'r' });
  assert.deepEqual(world.coordinator.consumer.describe('g'), {
    groupId: 'g',
    groupState: 'Stable',
    groupEpoch: 2,
    assignmentEpoch: 2,
    assignorName: 'uniform',
    members: [
      {
        memberId: 'a',
        instanceId: 'i',
        rackId: 'r',
        memberEpoch: 2,
        clientId: 'c',
        clientHost: '/127.0.0.1',
        subscribedTopicNames: ['t'],
        subscribedTopicRegex: '',
        assignment: { topicPartitions: [{ topicId: world.topics.byName('t')!.id, topicName: 't', partitions: [0] }] },
        targetAssignment: { topicPartitions: [{ topicId: world.topics.byName('t')!.id, topicName: 't', partitions: [0] }] },
        memberType: 1,
      },
    ],
  });
  assert.equal(world.coordinator.consumer.describe('x').errorCode, errors.GROUP_ID_NOT_FOUND.code);
  // A record that is written and not yet committed is seen by requests alone.
  const { records } = world.coordinator.consumer.heartbeat(
    { ...joinOf('b'), groupId: 'g' },
    { clientId: 'c', clientHost: '', newMemberId: '' },
    world.moment,
  );
  records.forEach((record, index) => void world.coordinator.replay(record, { offset: world.log.length + index, producerId: -1 }));
  assert.equal(world.consumerGroup().members.size, 2);
  assert.equal(world.coordinator.consumer.describe('g').members!.length, 1);
  assert.equal(world.consumerGroup().committedState, 'Stable');
});

function joinOf(memberId: string): Omit<ConsumerGroupHeartbeatRequest, 'groupId'> {
  return {
    memberId,
    memberEpoch: 0,
    instanceId: null,
    rackId: null,
    rebalanceTimeoutMs: 1,
    subscribedTopicNames: ['t'],
    subscribedTopicRegex: null,
    serverAssignor: null,
    topicPartitions: [],
  };
}
