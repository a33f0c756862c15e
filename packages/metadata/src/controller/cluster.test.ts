/** Several brokers: who leads, who is in sync, and what survives when they come and go. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { errorName, errors } from '@ottla/protocol';
import fc from 'fast-check';
import { TestController } from '../../test/test-controller.ts';

/** As a leader would: its own view of the epochs, and the epochs of the brokers it counts. */
function alterIsr(
  test: TestController,
  isr: number[],
  {
    topic = 't',
    index = 0,
    leaderRecoveryState = 0,
    ...fields
  }: Record<string, unknown> & { topic?: string; index?: number; leaderRecoveryState?: number } = {},
) {
  const { leader, leaderEpoch, partitionEpoch } = test.partition(topic, index);
  const epochOf = (id: number) => test.image.brokers.get(id)?.epoch ?? -1;
  const asked = {
    partitionIndex: index,
    leaderEpoch,
    partitionEpoch,
    newIsr: [],
    newIsrWithEpochs: isr.map((brokerId) => ({ brokerId, brokerEpoch: epochOf(brokerId) })),
    leaderRecoveryState,
    ...fields,
  };
  const topicId = test.image.topics.byName(topic)!.id;
  const brokerId = (fields['brokerId'] as number | undefined) ?? leader;
  const request = { brokerId, brokerEpoch: epochOf(brokerId), topics: [{ topicId, partitions: [asked] }] };
  return test.do((controller) => controller.alterPartition(request)).topics[0]!.partitions[0]!;
}

/** Silent for too long. */
function kill(test: TestController, ...ids: number[]): void {
  const living = [...test.image.brokers.values()].filter(({ id, fenced }) => !ids.includes(id) && !fenced);
  test.nowMs += 9_001;
  for (const { id } of living) test.heartbeat(id);
  for (const _ of ids) test.tick();
}

test('nobody is fenced for a silence in which the controller could not hear', () => {
  const test = TestController.withBrokers(2);
  test.createTopicOn('t', [[1, 2]]);
  test.nowMs += 20_000;
  test.controller.overslept(19_000, test.nowMs);
  test.tick();
  assert.deepEqual(
    [...test.image.brokers.values()].map(({ fenced }) => fenced),
    [false, false],
  );
  test.nowMs += 8_001;
  test.tick();
  test.tick();
  assert.deepEqual(
    [...test.image.brokers.values()].map(({ fenced }) => fenced),
    [true, true],
  );
});

test('a broker that leaves many partitions in parts, silent to the controller alone, joins no isr again until it is heard of', () => {
  const test = TestController.withBrokers(2, { maxRecordsPerPart: 1, maxIdleIntervalMs: 0, leaderBalance: false });
  test.createTopicOn('t', [
    [1, 2],
    [1, 2],
    [1, 2],
  ]);
  test.nowMs += 9_001;
  test.heartbeat(1);
  test.tick();
  assert.deepEqual(test.partition('t', 0).isr, [1]);
  assert.equal(errorName(alterIsr(test, [1, 2]).errorCode), 'INELIGIBLE_REPLICA');
  // Of one in which it still is, others may change.
  assert.equal(alterIsr(test, [1, 2], { index: 1 }).errorCode, 0);
  test.heartbeat(2);
  assert.equal(alterIsr(test, [1, 2]).errorCode, 0);
  test.nowMs += 9_001;
  test.heartbeat(1);
  for (let part = 0; part < 4; part++) {
    test.tick();
    for (const index of [0, 1, 2]) alterIsr(test, [1, 2], { index });
  }
  assert.equal(test.image.brokers.get(2)!.fenced, true);
  for (const index of [0, 1, 2]) assert.deepEqual(test.partition('t', index).isr, [1]);
});

/** What the brokers that are left think of one that goes. */
const shutDown = (test: TestController, id: number, { isRefused = false } = {}) => {
  const request = {
    brokerId: id,
    brokerEpoch: test.image.brokers.get(id)!.epoch,
    currentMetadataOffset: test.nextOffset - 1,
    wantFence: false,
    wantShutDown: true,
    offlineLogDirs: [],
    cordonedLogDirs: [],
  };
  const { records, response } = test.controller.brokerHeartbeat(request, test.context());
  if (!isRefused) test.commit(records);
  return response.shouldShutDown;
};

test('a broker whose shutdown could not be written hands its partitions over when it asks again', () => {
  const test = TestController.withBrokers(2);
  test.createTopicOn('t', [[1, 2]]);
  assert.equal(shutDown(test, 1, { isRefused: true }), false);
  assert.equal(test.partition('t').leader, 1);
  assert.equal(shutDown(test, 1), false);
  assert.equal(test.partition('t').leader, 2);
  test.heartbeat(2);
  // It may go, and asks once more when that cannot be written either.
  assert.equal(shutDown(test, 1, { isRefused: true }), true);
  assert.equal(shutDown(test, 1), true);
  assert.equal(test.image.brokers.get(1)!.fenced, true);
});

test('so does one whose shutdown was written and lost', () => {
  const test = TestController.withBrokers(2);
  test.createTopicOn('t', [[1, 2]]);
  const committed = test.image.copy();
  assert.equal(shutDown(test, 1), false);
  test.controller.restore(committed, test.nowMs);
  assert.equal(test.partition('t').leader, 1);
  assert.equal(shutDown(test, 1), false);
  assert.equal(test.partition('t').leader, 2);
  test.heartbeat(2);
  assert.equal(shutDown(test, 1), true);
});

test('a silent broker is fenced after all when the records of its fencing are lost', () => {
  const test = TestController.withBrokers(2);
  test.createTopicOn('t', [[1, 2]]);
  test.tick();
  test.nowMs += 9_001;
  test.heartbeat(2);
  // Never written.
  assert.notDeepEqual(test.controller.tick(test.context()).records, []);
  const committed = test.image.copy();
  assert.notDeepEqual(test.tick(), []);
  assert.equal(test.partition('t').leader, 2);
  // Written, and withdrawn.
  test.controller.restore(committed, test.nowMs);
  assert.equal(test.partition('t').leader, 1);
  assert.ok(test.controller.nextWakeMs() <= test.nowMs + 9_001);
  test.nowMs += 9_001;
  test.heartbeat(2);
  assert.notDeepEqual(test.tick(), []);
  assert.deepEqual([test.partition('t').leader, test.image.brokers.get(1)!.fenced], [2, true]);
});

test('below the minimum isr those who leave stay eligible, in the order they may lead', () => {
  const test = TestController.withBrokers(3);
  test.createTopicOn('t', [[1, 2, 3]], { 'min.insync.replicas': '2' });
  kill(test, 1);
  assert.deepEqual([test.partition('t').leader, test.partition('t').isr, test.partition('t').elr], [2, [2, 3], []]);
  kill(test, 2);
  assert.deepEqual([test.partition('t').leader, test.partition('t').isr, test.partition('t').elr], [3, [3], [2]]);
  kill(test, 3);
  assert.deepEqual([test.partition('t').leader, test.partition('t').isr, test.partition('t').elr], [-1, [], [2, 3]]);
  assert.deepEqual(test.partition('t').lastKnownElr, [3]);
  // 2 stopped cleanly: its previous epoch is the registered one. It has all that was committed, and may lead.
  test.startBroker(2, null, test.image.brokers.get(2)!.epoch);
  const { leader, isr, elr, lastKnownElr, leaderRecoveryState } = test.partition('t');
  assert.deepEqual(
    { leader, isr, elr, lastKnownElr, leaderRecoveryState },
    { leader: 2, isr: [2], elr: [3], lastKnownElr: [], leaderRecoveryState: 0 },
  );
  test.assertInvariants();
});

test('who stopped uncleanly is eligible no more, and leads again only as the last known leader', () => {
  const test = TestController.withBrokers(2);
  test.createTopicOn('t', [[1, 2]], { 'min.insync.replicas': '2' });
  kill(test, 1);
  kill(test, 2);
  assert.deepEqual([test.partition('t').elr, test.partition('t').lastKnownElr], [[1, 2], [2]]);
  test.startBroker(1);
  assert.deepEqual([test.partition('t').leader, test.partition('t').elr], [-1, [2]], 'it may have lost what was committed');
  test.startBroker(2);
  const { leader, isr, elr, leaderRecoveryState } = test.partition('t');
  assert.deepEqual({ leader, isr, elr, leaderRecoveryState }, { leader: 2, isr: [2], elr: [], leaderRecoveryState: 1 });
  assert.equal(alterIsr(test, [2]).errorCode, 0);
  assert.equal(test.partition('t').leaderRecoveryState, 0, 'until the leader says it has recovered');
  test.assertInvariants();
});

test('a topic that allows unclean elections is led by whoever lives', () => {
  const test = TestController.withBrokers(2);
  test.createTopicOn('t', [[1, 2]], { 'unclean.leader.election.enable': 'true' });
  alterIsr(test, [1]);
  kill(test, 1);
  const { leader, isr, leaderRecoveryState } = test.partition('t');
  assert.deepEqual({ leader, isr, leaderRecoveryState }, { leader: 2, isr: [2], leaderRecoveryState: 1 });
});

test('others wait for the isr, or for somebody to ask for an unclean election', () => {
  const test = TestController.withBrokers(2);
  test.createTopicOn('t', [[1, 2]]);
  alterIsr(test, [1]);
  kill(test, 1);
  assert.equal(test.partition('t').leader, -1);
  const elect = (electionType: number) =>
    test.do((controller) =>
      controller.electLeaders({ electionType, topicPartitions: [{ topic: 't', partitions: [0] }], timeoutMs: 0 }),
    ).replicaElectionResults[0]!.partitionResult[0]!.errorCode;
  assert.equal(elect(0), errors.PREFERRED_LEADER_NOT_AVAILABLE.code);
  assert.equal(elect(1), 0);
  assert.deepEqual([test.partition('t').leader, test.partition('t').leaderRecoveryState], [2, 1]);
  assert.equal(elect(1), errors.ELECTION_NOT_NEEDED.code);
});

test('without eligible leader replicas the last one in sync stays in the isr', () => {
  const test = new TestController();
  test.activate(new Map([['metadata.version', 22]]));
  for (const id of [1, 2]) test.startBroker(id);
  test.createTopicOn('t', [[1, 2]], { 'min.insync.replicas': '2' });
  kill(test, 1);
  kill(test, 2);
  const { leader, isr, elr, lastKnownElr } = test.partition('t');
  assert.deepEqual({ leader, isr, elr, lastKnownElr }, { leader: -1, isr: [2], elr: [], lastKnownElr: [] });
  test.startBroker(1);
  assert.equal(test.partition('t').leader, -1);
  test.startBroker(2);
  assert.deepEqual([test.partition('t').leader, test.partition('t').leaderRecoveryState], [2, 0]);
  assert.ok(
    test.log.every(({ type, version }) => type !== 'PartitionRecord' || version === 1),
    'records of the finalized version',
  );
  test.assertInvariants();
});

test('a leader may only report an isr that can be', () => {
  const test = TestController.withBrokers(3);
  test.createTopicOn('t', [[1, 2]]);
  const refusals: [string, number[], Record<string, unknown>][] = [
    ['NOT_CONTROLLER', [1], { leaderEpoch: 9 }],
    ['NOT_CONTROLLER', [1], { partitionEpoch: 9 }],
    ['FENCED_LEADER_EPOCH', [1], { leaderEpoch: -1 }],
    ['INVALID_REQUEST', [1], { brokerId: 2 }],
    ['INVALID_UPDATE_VERSION', [1], { partitionEpoch: -1 }],
    ['INVALID_REQUEST', [1, 3], {}],
    ['INVALID_REQUEST', [2], {}],
    ['INVALID_REQUEST', [1, 1], {}],
    ['INVALID_REQUEST', [1], { leaderRecoveryState: 1 }],
    ['UNKNOWN_TOPIC_OR_PARTITION', [1], { partitionIndex: 7 }],
  ];
  for (const [error, isr, fields] of refusals) {
    assert.equal(
      alterIsr(test, isr, fields).errorCode,
      errors[error as keyof typeof errors].code,
      `${error} for ${JSON.stringify([isr, fields])}`,
    );
  }
  const { errorCode, isr, partitionEpoch } = alterIsr(test, [1]);
  assert.deepEqual({ errorCode, isr, partitionEpoch }, { errorCode: 0, isr: [1], partitionEpoch: 1 });
  kill(test, 2);
  assert.equal(alterIsr(test, [1, 2]).errorCode, errors.INELIGIBLE_REPLICA.code);
});

test('a restarted broker does not slip into the isr under its old epoch', () => {
  const test = TestController.withBrokers(2);
  test.createTopicOn('t', [[1, 2]]);
  const oldEpoch = test.image.brokers.get(2)!.epoch;
  kill(test, 2);
  test.startBroker(2);
  const stale = [
    { brokerId: 1, brokerEpoch: -1 },
    { brokerId: 2, brokerEpoch: oldEpoch },
  ];
  assert.equal(alterIsr(test, [1, 2], { newIsrWithEpochs: stale }).errorCode, errors.INELIGIBLE_REPLICA.code);
  assert.equal(alterIsr(test, [1, 2]).errorCode, 0);
});

test('a reassignment that takes the leader away tells it so', () => {
  const test = TestController.withBrokers(3);
  test.createTopicOn('t', [[1, 2]]);
  const reassign = (replicas: number[] | null, allowReplicationFactorChange = true) =>
    test.do((controller) =>
      controller.alterPartitionReassignments({
        topics: [{ name: 't', partitions: [{ partitionIndex: 0, replicas }] }],
        timeoutMs: 0,
        allowReplicationFactorChange,
      }),
    ).responses[0]!.partitions[0]!;
  assert.equal(reassign(null).errorCode, errors.NO_REASSIGNMENT_IN_PROGRESS.code);
  assert.equal(
    reassign([9]).errorMessage,
    'The manual partition assignment includes broker 9, but no such broker is registered.',
  );
  assert.equal(reassign([3], false).errorMessage, 'The replication factor is changed from 2 to 1');
  assert.equal(reassign([2, 3]).errorCode, 0);
  assert.deepEqual(
    [test.partition('t').replicas, test.partition('t').addingReplicas, test.partition('t').removingReplicas],
    [[2, 3, 1], [3], [1]],
  );
  const listed = test.do((controller) => controller.listPartitionReassignments({ topics: null, timeoutMs: 0 })).topics;
  assert.deepEqual(listed, [
    { name: 't', partitions: [{ partitionIndex: 0, replicas: [2, 3, 1], addingReplicas: [3], removingReplicas: [1] }] },
  ]);

  assert.equal(reassign(null).errorCode, 0);
  assert.deepEqual(
    [test.partition('t').replicas, test.partition('t').isr, test.partition('t').addingReplicas],
    [[2, 1], [1, 2], []],
  );

  reassign([2, 3]);
  assert.equal(alterIsr(test, [1, 2, 3]).errorCode, errors.NEW_LEADER_ELECTED.code);
  const { leader, replicas, isr, addingReplicas, removingReplicas } = test.partition('t');
  assert.deepEqual(
    { leader, replicas, isr, addingReplicas, removingReplicas },
    { leader: 2, replicas: [2, 3], isr: [2, 3], addingReplicas: [], removingReplicas: [] },
  );
  test.assertInvariants();
});

test('an unregistered broker is gone from every isr and elr', () => {
  const test = TestController.withBrokers(3);
  test.createTopicOn('t', [[1, 2, 3]], { 'min.insync.replicas': '3' });
  kill(test, 1);
  assert.deepEqual(test.partition('t').elr, [1]);
  test.do((controller, context) => controller.unregisterBroker({ brokerId: 1 }, context));
  assert.deepEqual([test.partition('t').isr, test.partition('t').elr], [[2, 3], []]);
  assert.equal(test.image.brokers.has(1), false);
});

const brokers = 4;
const broker = fc.integer({ min: 1, max: brokers });
const step = fc.oneof(
  fc.record({ start: broker, cleanly: fc.boolean() }),
  fc.record({ kill: broker }),
  fc.record({ stop: broker }),
  fc.record({
    create: fc.integer({ min: 1, max: 3 }),
    replicas: fc.integer({ min: 1, max: 3 }),
    minIsr: fc.constantFrom('1', '2'),
    unclean: fc.boolean(),
  }),
  fc.record({ isrOf: fc.nat(), keep: fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }) }),
  fc.record({ grow: fc.nat() }),
  fc.record({ reassign: fc.nat(), to: fc.uniqueArray(broker, { minLength: 1, maxLength: 3 }) }),
  fc.record({ elect: fc.constantFrom(0, 1) }),
  fc.record({ remove: fc.nat() }),
  fc.record({ minIsr: fc.constantFrom('1', '2', '3') }),
  fc.record({ passMs: fc.integer({ min: 1, max: 400_000 }) }),
);

test('whatever happens: leaders are in sync and alive, and the log tells the state', () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 5, maxLength: 40 }), fc.nat(), (steps, seed) => {
      const test = TestController.withBrokers(brokers, { seed, rack: (id) => `rack-${id % 2}` });
      test.createTopic('t', 2, 3);
      steps.forEach((each, at) => {
        perform(test, each, at);
        if (at % 5 === 0) test.assertInvariants();
      });
      test.assertInvariants();
    }),
    { numRuns: 80 },
  );
});

type Step = typeof step extends fc.Arbitrary<infer Value> ? Value : never;

function perform(test: TestController, step: Step, at: number): void {
  const isUp = (id: number) => test.image.brokers.get(id)?.fenced === false;
  const partitions = [...test.image.topics].flatMap((topic) =>
    [...topic.partitions()].map(([index]) => ({ topic: topic.name, index })),
  );
  const pick = (value: number) => partitions[value % partitions.length];
  if ('start' in step) {
    const id = step.start;
    if (!isUp(id)) test.startBroker(id, null, step.cleanly ? test.image.brokers.get(id)!.epoch : -1);
  } else if ('kill' in step) {
    if (isUp(step.kill)) kill(test, step.kill);
  } else if ('stop' in step) {
    for (let tries = 0; tries < 3 && isUp(step.stop); tries++) test.heartbeat(step.stop, { wantShutDown: true });
  } else if ('create' in step) {
    const configs = {
      'min.insync.replicas': step.minIsr,
      'unclean.leader.election.enable': String(step.unclean),
    };
    test.createTopic(`topic-${at}`, step.create, step.replicas, configs);
  } else if ('isrOf' in step) {
    const found = pick(step.isrOf);
    if (!found) return;
    const { leader, isr } = test.partition(found.topic, found.index);
    if (leader >= 0)
      alterIsr(
        test,
        isr.filter((id, place) => id === leader || step.keep[place]),
        found,
      );
  } else if ('grow' in step) {
    const found = pick(step.grow);
    if (!found) return;
    const { leader, replicas, isr } = test.partition(found.topic, found.index);
    const up = replicas.filter((id) => isr.includes(id) || isUp(id));
    if (leader >= 0) alterIsr(test, up, found);
  } else if ('reassign' in step) {
    const found = pick(step.reassign);
    const replicas = step.to;
    if (!found) return;
    const topics = [
      { name: found.topic, partitions: [{ partitionIndex: found.index, replicas: at % 3 === 0 ? null : replicas }] },
    ];
    test.do((controller) => controller.alterPartitionReassignments({ topics, timeoutMs: 0, allowReplicationFactorChange: true }));
  } else if ('elect' in step) {
    test.do((controller) => controller.electLeaders({ electionType: step.elect, topicPartitions: null, timeoutMs: 0 }));
  } else if ('remove' in step) {
    const found = pick(step.remove);
    const topics = found ? [{ name: found.topic, topicId: 'AAAAAAAAAAAAAAAAAAAAAA' }] : [];
    if (at % 4 === 0) test.do((controller) => controller.deleteTopics({ topics, topicNames: [], timeoutMs: 0 }));
  } else if ('minIsr' in step) {
    const configs = [{ name: 'min.insync.replicas', configOperation: 0, value: step.minIsr }];
    const resources = [{ resourceType: 4, resourceName: '', configs }];
    test.do((controller) => controller.incrementalAlterConfigs({ resources, validateOnly: false }));
  } else {
    test.nowMs += step.passMs;
    test.tick();
  }
}
