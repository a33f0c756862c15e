/**
 * What follows one broker may be decided in several parts, and written in several batches. Only the first records may be committed: the same
 * controller goes on from them, or the next one does, and what caused the decision is still there.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type BrokerHeartbeatRequest, KafkaError } from '@ottla/protocol';
import fc from 'fast-check';
import { directory, TestController } from '../../test/test-controller.ts';
import { defaultFeatureLevels } from '../features/supported-features.ts';
import { isActive } from '../image/broker-registration.ts';
import { isOnlineDirectory } from '../image/directory-ids.ts';
import { directoryOf } from '../image/partition-state.ts';
import type { Controller } from './controller.ts';
import type { Decision, DecisionContext } from './decision.ts';

const brokers = [1, 2, 3];
const secondDirectory = (id: number): string => Buffer.from(`two-${id}`.padStart(16, 'd')).toString('base64url');
const settings = { nodeId: 9, leaderBalance: false, maxIdleIntervalMs: 0 };

type Cluster = {
  readonly assignments: number[][];
  /** In the order in which they went. */
  readonly fenced: number[];
  readonly minIsr: number;
  readonly isUnclean: boolean;
  readonly hasElr: boolean;
  readonly maxRecordsPerPart: number;
};

const aCluster = fc.record<Cluster>({
  assignments: fc.array(fc.shuffledSubarray(brokers, { minLength: 1 }), { minLength: 1, maxLength: 6 }),
  fenced: fc.shuffledSubarray(brokers, { maxLength: 2 }),
  minIsr: fc.constantFrom(1, 2),
  isUnclean: fc.boolean(),
  hasElr: fc.boolean(),
  maxRecordsPerPart: fc.constantFrom(1, 2, 100),
});

function started({ assignments, fenced, minIsr, isUnclean, hasElr, maxRecordsPerPart }: Cluster): TestController {
  const test = new TestController({ ...settings, maxRecordsPerPart });
  const levels = new Map(defaultFeatureLevels());
  if (!hasElr) levels.delete('eligible.leader.replicas.version');
  test.activate(levels);
  for (const id of brokers) {
    test.register(id, { logDirs: [directory(id), secondDirectory(id)] });
    test.heartbeat(id);
  }
  const configs = { 'min.insync.replicas': `${minIsr}`, 'unclean.leader.election.enable': `${isUnclean}` };
  for (const [at, replicas] of assignments.entries()) test.createTopicOn(`t${at}`, [replicas], configs);
  for (const id of brokers) place(test, id);
  for (const id of fenced) test.heartbeat(id, { wantFence: true });
  return test;
}

/** Every other topic is in the second directory. */
function place(test: TestController, brokerId: number): void {
  const topics = [...test.image.topics].map(({ id: topicId }) => ({ topicId, partitions: [{ partitionIndex: 0 }] }));
  const directories = [directory(brokerId), secondDirectory(brokerId)].map((id, second) => ({
    id,
    topics: topics.filter((_, at) => at % 2 === second),
  }));
  const { epoch: brokerEpoch } = test.image.brokers.get(brokerId)!;
  test.do((controller) => controller.assignReplicasToDirs({ brokerId, brokerEpoch, directories }));
}

/** What a broker does until what it wants is so. */
type Cause = {
  /** It may not be asked of every broker. */
  readonly isPossible?: (test: TestController, id: number) => boolean;
  readonly begin?: (test: TestController, id: number) => void;
  /** Undefined: time alone does it. */
  readonly ask?: (controller: Controller, context: DecisionContext, test: TestController, id: number) => Decision<unknown>;
  readonly isDone: (test: TestController, id: number) => boolean;
};

const registration = (test: TestController, id: number) => test.image.brokers.get(id);
const isFenced = (test: TestController, id: number): boolean => registration(test, id)!.fenced;

const heartbeat = (test: TestController, brokerId: number, fields: Partial<BrokerHeartbeatRequest>): BrokerHeartbeatRequest => ({
  brokerId,
  brokerEpoch: registration(test, brokerId)!.epoch,
  currentMetadataOffset: test.nextOffset - 1,
  wantFence: false,
  wantShutDown: false,
  offlineLogDirs: [],
  cordonedLogDirs: [],
  ...fields,
});
const beats =
  (fields: Partial<BrokerHeartbeatRequest>): Required<Cause>['ask'] =>
  (controller, context, test, id) =>
    controller.brokerHeartbeat(heartbeat(test, id, fields), context);

const nextIncarnation = Buffer.from('the next one'.padStart(16, 'i')).toString('base64url');
const registers = (isClean: boolean): Cause => ({
  begin: (test) => void (test.nowMs += 9_001),
  ask: (controller, context, test, brokerId) =>
    registration(test, brokerId)!.incarnationId === nextIncarnation
      ? controller.brokerHeartbeat(heartbeat(test, brokerId, {}), context)
      : controller.registerBroker(
          {
            brokerId,
            clusterId: 'vPeOCWypqUOSepEvx0cbog',
            incarnationId: nextIncarnation,
            listeners: [{ name: 'PLAINTEXT', host: 'localhost', port: 9000, securityProtocol: 0 }],
            features: registration(test, brokerId)!.features.map(({ name, minSupportedVersion, maxSupportedVersion }) => ({
              name,
              minSupportedVersion,
              maxSupportedVersion,
            })),
            rack: null,
            isMigratingZkBroker: false,
            logDirs: [directory(brokerId), secondDirectory(brokerId)],
            previousBrokerEpoch: isClean ? registration(test, brokerId)!.epoch : -1,
          },
          context,
        ),
  isDone: (test, id) => registration(test, id)!.incarnationId === nextIncarnation && !isFenced(test, id),
});

const causes: Record<string, Cause> = {
  'is silent': {
    isPossible: (test, id) => !isFenced(test, id),
    begin: (test) => void (test.nowMs += 9_001),
    isDone: isFenced,
  },
  'wants to be fenced': { isPossible: (test, id) => !isFenced(test, id), ask: beats({ wantFence: true }), isDone: isFenced },
  'shuts down': { isPossible: (test, id) => !isFenced(test, id), ask: beats({ wantShutDown: true }), isDone: isFenced },
  'comes back': {
    begin: (test, id) => void test.heartbeat(id, { wantFence: true }),
    ask: beats({}),
    isDone: (test, id) => !isFenced(test, id),
  },
  'loses a directory': {
    ask: (controller, context, test, id) =>
      controller.brokerHeartbeat(heartbeat(test, id, { offlineLogDirs: [directory(id)] }), context),
    isDone: (test, id) => !registration(test, id)!.directories.includes(directory(id)),
  },
  'registers after a clean stop': registers(true),
  'registers after a crash': registers(false),
  'is unregistered': {
    ask: (controller, context, _test, brokerId) => controller.unregisterBroker({ brokerId }, context),
    isDone: (test, id) => registration(test, id) === undefined,
  },
};

/** All others live on, and time passes. */
function goOn(test: TestController, id: number, { ask, isDone }: Cause): void {
  for (let round = 0; round < 12 && !isDone(test, id); round++) {
    test.nowMs += 1_000;
    for (const other of brokers) if (other !== id && !isFenced(test, other)) test.heartbeat(other);
    if (ask) askAgain(test, (controller, context) => ask(controller, context, test, id));
    passTime(test);
  }
  passTime(test);
}

function passTime(test: TestController): void {
  for (let ticks = 0; ticks < 10; ticks++) {
    test.nowMs += 10;
    test.tick();
  }
}

/** To another controller the broker that was before may be alive. */
function askAgain(test: TestController, ask: (controller: Controller, context: DecisionContext) => Decision<unknown>): void {
  try {
    for (let parts = 0; ; parts++) {
      const { records, isPartial } = ask(test.controller, test.context());
      test.commit(records);
      if (!isPartial) return;
      assert.ok(parts < 20, 'it comes to an end');
      test.tick();
    }
  } catch (error) {
    if (!(error instanceof KafkaError && error.name === 'DUPLICATE_BROKER_REGISTRATION')) throw error;
  }
}

function assertAllIsWell(test: TestController): void {
  test.assertInvariants();
  const { image } = test;
  for (const topic of image.topics) {
    const partition = topic.partition(0)!;
    const { leader, isr, elr } = partition;
    const where = `${topic.name}: ${JSON.stringify(partition)}`;
    const canLead = (id: number): boolean =>
      isActive(image.brokers.get(id)) && isOnlineDirectory(directoryOf(partition, id)!, image.brokers.get(id)!.directories);
    if (leader >= 0) {
      assert.ok(canLead(leader), `its leader may lead: ${where}`);
      for (const id of isr) assert.ok(isActive(image.brokers.get(id)), `who is gone is in no isr: ${where}`);
    } else {
      for (const id of isr.length > 0 ? isr : elr) assert.ok(!canLead(id), `who may lead leads: ${where}`);
    }
  }
}

for (const [name, cause] of Object.entries(causes)) {
  test(`what is decided when a broker ${name} may end after any record`, () => {
    const outcome = fc.record({
      cluster: aCluster,
      id: fc.constantFrom(...brokers),
      committed: fc.nat({ max: 50 }),
      isSucceeded: fc.boolean(),
    });
    let divided = 0;
    fc.assert(
      fc.property(outcome, ({ cluster, id, committed, isSucceeded }) => {
        const before = started(cluster);
        const { isPossible = () => true, begin, ask, isDone } = cause;
        if (!isPossible(before, id)) return;
        begin?.(before, id);
        for (const other of brokers) if (other !== id && !isFenced(before, other)) before.heartbeat(other);
        const decide = (): Decision<unknown> => {
          const decision = ask?.(before.controller, before.context(), before, id) ?? silence(before);
          assert.equal(decision.isDivisible, true);
          return decision;
        };
        let decision = decide();
        let left = committed;
        for (; decision.isPartial && decision.records.length < left; decision = decide()) {
          left -= decision.records.length;
          before.commit(decision.records);
        }
        const count = left % (decision.records.length + 1);
        if (left < committed || (count > 0 && count < decision.records.length)) divided++;
        before.commitFirst(count, decision.records);
        let after = before;
        if (isSucceeded) {
          after = new TestController({ ...settings, maxRecordsPerPart: cluster.maxRecordsPerPart });
          after.succeed(before);
        }
        goOn(after, id, cause);
        assert.ok(isDone(after, id));
        assertAllIsWell(after);
      }),
      { numRuns: 100 },
    );
    assert.ok(divided > 15, `${divided} decisions were divided`);
  });
}

const silence = (test: TestController): Decision<null> => ({
  records: test.controller.tick(test.context()).records,
  response: null,
  isDivisible: true,
});
