import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KafkaError } from '@ottla/protocol';
import fc from 'fast-check';
import { ShareWorld, stateOf } from './share-world.ts';

const memberIds = ['one', 'two', 'three', 'four'];
const topicNames = ['t', 'u'];

const memberId = fc.constantFrom(...memberIds);
const topicName = fc.constantFrom(...topicNames);
const topics = fc.subarray(topicNames, { minLength: 1 });

const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ type: fc.constant('join' as const), memberId, topics }) },
  { weight: 6, arbitrary: fc.record({ type: fc.constant('beat' as const), memberId, late: fc.nat(2) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('subscribe' as const), memberId, topics }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('leave' as const), memberId }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant('answer' as const), isDone: fc.boolean() }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant('pass' as const), ms: fc.constantFrom(10, 1_000, 20_000, 50_000) }) },
  {
    weight: 1,
    arbitrary: fc.record({ type: fc.constant('create' as const), topicName, partitions: fc.integer({ min: 1, max: 3 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ type: fc.constant('grow' as const), topicName, partitions: fc.integer({ min: 2, max: 5 }) }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('drop' as const), topicName }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('alter' as const), topicName, partition: fc.nat(3) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('deleteOffsets' as const), topicName, isAnswered: fc.boolean() }) },
  { weight: 1, arbitrary: fc.constant({ type: 'deleteGroup' as const }) },
  { weight: 1, arbitrary: fc.constant({ type: 'takeOver' as const }) },
  { weight: 1, arbitrary: fc.constant({ type: 'loseAppend' as const }) },
);
type Step = typeof step extends fc.Arbitrary<infer Value> ? Value : never;

/** Who is in the group, at which epoch, when it was last heard: what every answer must agree with. */
type Model = Map<string, { epoch: number; previousEpoch: number; heardMs: number; assigned: readonly string[] }>;

test('whatever happens to a share group: epochs, members and answers agree, and a restart knows the same', () =>
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const world = new ShareWorld();
      world.createTopic('t', 2);
      const model: Model = new Map();
      for (const each of steps) {
        const before = world.group?.groupEpoch ?? 0;
        take(world, model, each);
        forgetSilent(world, model);
        assert.deepEqual([...(world.group?.members.keys() ?? [])].sort(), [...model.keys()].sort());
        const { group } = world;
        if (group !== undefined && each.type !== 'deleteGroup') assert.ok(group.groupEpoch >= before || before === 0);
        for (const member of group?.members.values() ?? []) assert.ok(member.memberEpoch <= group!.groupEpoch);
        assert.ok((group?.assignmentEpoch ?? 0) <= (group?.groupEpoch ?? 0));
        assert.deepEqual(stateOf(world.reloaded()), stateOf(world.coordinator));
      }
      settle(world, model);
    }),
    { numRuns: 3000 },
  ));

function take(world: ShareWorld, model: Model, each: Step): void {
  switch (each.type) {
    case 'join':
      heard(world, model, each.memberId, world.beat(each.memberId, { topics: each.topics }));
      break;
    case 'beat':
      beat(world, model, each.memberId, each.late);
      break;
    case 'subscribe': {
      const member = model.get(each.memberId);
      if (member === undefined) return;
      heard(world, model, each.memberId, world.beat(each.memberId, { memberEpoch: member.epoch, topics: each.topics }));
      break;
    }
    case 'leave': {
      const { error } = world.beat(each.memberId, { memberEpoch: -1 });
      assert.equal(
        error,
        model.has(each.memberId) ? 'NONE' : world.group === undefined ? 'GROUP_ID_NOT_FOUND' : 'UNKNOWN_MEMBER_ID',
      );
      model.delete(each.memberId);
      break;
    }
    case 'answer':
      world.answerInitialize(each.isDone);
      break;
    case 'pass':
      world.pass(each.ms);
      break;
    case 'create':
      if (world.topics.byName(each.topicName) === undefined) world.createTopic(each.topicName, each.partitions);
      return;
    case 'grow':
      world.growTopic(each.topicName, each.partitions);
      break;
    case 'drop':
      world.deleteTopic(each.topicName);
      break;
    case 'alter': {
      const error = world.alter(each.topicName, each.partition, 5);
      const exists = each.partition < (world.topics.byName(each.topicName)?.partitionCount ?? 0);
      assert.equal(error, model.size > 0 ? 'NON_EMPTY_GROUP' : exists ? 'NONE' : 'UNKNOWN_TOPIC_OR_PARTITION');
      break;
    }
    case 'deleteOffsets': {
      const hasGroup = world.group !== undefined;
      const error = world.deleteOffsets(each.topicName, each.isAnswered);
      if (!hasGroup) assert.equal(error, 'GROUP_ID_NOT_FOUND');
      else if (model.size > 0) assert.equal(error, 'NON_EMPTY_GROUP');
      break;
    }
    case 'deleteGroup': {
      const hasGroup = world.group !== undefined;
      const error = world.deleteGroup();
      assert.equal(error, !hasGroup ? 'GROUP_ID_NOT_FOUND' : model.size > 0 ? 'NON_EMPTY_GROUP' : 'NONE');
      break;
    }
    case 'takeOver': {
      world.takeOver();
      for (const member of model.values()) member.heardMs = world.nowMs;
      break;
    }
    case 'loseAppend': {
      const before = stateOf(world.coordinator);
      world.appendError = new KafkaError('NOT_ENOUGH_REPLICAS');
      assert.equal(world.beat('five', { topics: ['t'] }).error, 'NOT_ENOUGH_REPLICAS');
      assert.deepEqual(stateOf(world.coordinator), before);
      break;
    }
  }
}

/** `late`: 0 with its epoch, 1 with the one before, 2 with one that it never had. */
function beat(world: ShareWorld, model: Model, memberId: string, late: number): void {
  const member = model.get(memberId);
  if (member === undefined) {
    const { error } = world.beat(memberId, { memberEpoch: 3 });
    assert.equal(error, world.group === undefined ? 'GROUP_ID_NOT_FOUND' : 'UNKNOWN_MEMBER_ID');
    return;
  }
  const memberEpoch = late === 0 ? member.epoch : late === 1 ? member.previousEpoch : member.epoch + 1;
  if (memberEpoch === 0) return;
  const beaten = world.beat(memberId, { memberEpoch });
  if (late === 2) assert.equal(beaten.error, 'FENCED_MEMBER_EPOCH');
  else heard(world, model, memberId, beaten);
}

function heard(
  world: ShareWorld,
  model: Model,
  memberId: string,
  { error, memberEpoch, assigned }: ReturnType<ShareWorld['beat']>,
): void {
  assert.equal(error, 'NONE');
  const known = model.get(memberId);
  const before = known ?? { epoch: 0, previousEpoch: 0, assigned: [] };
  assert.ok(memberEpoch >= before.epoch);
  model.set(memberId, {
    epoch: memberEpoch,
    previousEpoch: memberEpoch === before.epoch ? before.previousEpoch : before.epoch,
    heardMs: world.nowMs,
    assigned: assigned ?? before.assigned,
  });
  // What it is told is what the coordinator believes that it has.
  const member = world.group!.members.get(memberId)!;
  const has = [...member.assigned].flatMap(([topicId, partitions]) =>
    partitions.map((partition) => `${world.topics.byId(topicId)?.name}-${partition}`),
  );
  if (assigned !== undefined) assert.deepEqual(assigned, has.sort());
}

function forgetSilent(world: ShareWorld, model: Model): void {
  for (const [memberId, { heardMs }] of model) if (world.nowMs - heardMs >= 45_000) model.delete(memberId);
}

/** When everybody is heard of and the share coordinator answers, every partition has a reader, and nobody reads anything else. */
function settle(world: ShareWorld, model: Model): void {
  for (let round = 0; round < 8; round++) {
    world.pass(10_000);
    forgetSilent(world, model);
    for (const memberId of [...model.keys()]) beat(world, model, memberId, 0);
    while (world.asked.length > 0) world.answerInitialize();
  }
  const { group } = world;
  if (group === undefined || model.size === 0) return;
  const read = new Set<string>();
  for (const [memberId, { assigned }] of model) {
    const { subscribedTopicNames } = group.members.get(memberId)!;
    for (const partition of assigned) {
      const [name] = partition.split('-');
      // A topic that is gone was taken away without a word, where it was all that changed.
      if (world.topics.byName(name!) === undefined) continue;
      assert.ok(subscribedTopicNames.includes(name!), `${memberId} has ${partition}`);
      read.add(partition);
    }
  }
  for (const name of group.subscribedTopics()) {
    const topic = world.topics.byName(name);
    for (let partition = 0; partition < (topic?.partitionCount ?? 0); partition++) {
      assert.ok(read.has(`${name}-${partition}`), `nobody reads ${name}-${partition}`);
    }
  }
}
