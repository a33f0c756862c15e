import assert from 'node:assert/strict';
import { test } from 'node:test';
import { textOfKey } from '@ottla/coordinator';
import {
  errors,
  ListOffsets,
  type ListOffsetsRequest,
  partitionForGroup,
  WriteShareGroupState,
  type WriteShareGroupStateRequest,
} from '@ottla/protocol';
import { World } from '@ottla/runtime';
import { FakeBrokers } from '../testing-brokers.ts';
import { LatestOffsets } from './latest-offsets.ts';
import { PatientSharePersister } from './patient-share-persister.ts';
import { ShareCoordinatorRoutes, type ShareCoordinators } from './share-coordinator-routes.ts';

const PARTITIONS = 4;
const TOPIC_ID = 'f3qa2q0ZQ5mZy1tJcKn0_A';
const groupOn = (partition: number): string =>
  Array.from({ length: 200 }, (_, number) => `group-${number}`).find(
    (groupId) => partitionForGroup(textOfKey({ groupId, topicId: TOPIC_ID, partition: 0 }), PARTITIONS) === partition,
  )!;
const [here, there] = [groupOn(0), groupOn(1)];

/** This broker keeps what hashes to partition 0 of the share state, broker 2 what hashes to partition 1. */
function cluster() {
  const brokers = new FakeBrokers();
  const local: string[] = [];
  const leaders = [1, 2, -1, -1];
  const world = new World({ seed: 1 });
  const written = (groupId: string) => {
    local.push(groupId);
    return { results: [{ topicId: TOPIC_ID, partitions: [{ partition: 0, errorCode: 0, errorMessage: null }] }] };
  };
  const coordinators = new ShareCoordinatorRoutes({
    local: { write: async ({ groupId }) => written(groupId) } as Partial<ShareCoordinators> as ShareCoordinators,
    partitionCount: () => PARTITIONS,
    leaderOf: (partition) => leaders[partition],
    brokers,
  });
  const runtime = world.machine('node').boot();
  const persister = new PatientSharePersister({ coordinators, ensureTopic: () => undefined, runtime });
  const write = async (groupId: string, startOffset: number) => {
    const partitions = [{ partition: 0, stateEpoch: 1, leaderEpoch: 2, startOffset, stateBatches: [] }];
    const { results } = await persister.write({ groupId, topics: [{ topicId: TOPIC_ID, partitions }] });
    return results[0]!.partitions[0]!.errorCode;
  };
  return { brokers, local, leaders, world, persister, write };
}

const accepting =
  (seen: string[], errorCode = 0) =>
  ({ groupId, topics }: WriteShareGroupStateRequest) => {
    seen.push(`${groupId} from ${topics[0]!.partitions[0]!.startOffset}`);
    return { results: [{ topicId: TOPIC_ID, partitions: [{ partition: 0, errorCode, errorMessage: null }] }] };
  };

test('the state of a share partition is kept by the broker that its key hashes to', async () => {
  const { brokers, local, world, write } = cluster();
  const seen: string[] = [];
  brokers.answer(2, WriteShareGroupState, accepting(seen));
  assert.deepEqual(await world.runUntil(Promise.all([write(here, 1), write(there, 2)])), [0, 0]);
  assert.deepEqual([local, seen], [[here], [`${there} from 2`]]);
});

test('what could not be kept is asked again in its order, until another coordinator is there', async () => {
  const { brokers, leaders, world, write } = cluster();
  const both = [write(there, 1), write(there, 2)];
  await world.advance(100);
  assert.ok(brokers.asked.length > 1, 'asked in vain');
  const [two, three]: string[][] = [[], []];
  brokers.answer(2, WriteShareGroupState, accepting(two!, errors.NOT_COORDINATOR.code));
  brokers.answer(3, WriteShareGroupState, accepting(three!));
  await world.advance(200);
  leaders[1] = -1;
  await world.advance(500);
  leaders[1] = 3;
  assert.deepEqual(await world.runUntil(Promise.all(both)), [0, 0]);
  assert.ok(two!.length > 0 && two!.every((what) => what === `${there} from 1`));
  assert.deepEqual(three, [`${there} from 1`, `${there} from 2`]);
});

test('whoever waits too long for a coordinator is told', async () => {
  const { world, write, persister } = cluster();
  assert.equal(await world.runUntil(write(there, 1)), errors.COORDINATOR_NOT_AVAILABLE.code);
  const topics = [{ topicId: TOPIC_ID, partitions: [{ partition: 0, leaderEpoch: 1 }] }];
  const { results } = await world.runUntil(persister.read({ groupId: groupOn(2), topics }));
  assert.equal(results[0]!.partitions[0]!.errorCode, errors.COORDINATOR_NOT_AVAILABLE.code);
});

test('what waits in line behind a coordinator that is away fails with what is before it', async () => {
  const { brokers, world, write } = cluster();
  const told: number[] = [];
  const all = Array.from({ length: 10 }, async (_, startOffset) => {
    assert.equal(await write(there, startOffset), errors.COORDINATOR_NOT_AVAILABLE.code);
    told.push(startOffset);
    assert.ok(world.time.nowMs <= 21_000, `${startOffset} was told after ${world.time.nowMs} ms`);
  });
  await world.runUntil(Promise.all(all));
  assert.deepEqual(told, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  const seen: string[] = [];
  brokers.answer(2, WriteShareGroupState, accepting(seen));
  assert.equal(await world.runUntil(write(there, 10)), 0);
});

test('what has waited long behind what was kept in the end is asked all the same', async () => {
  const { brokers, world, write } = cluster();
  const both = [write(there, 1), write(there, 2)];
  await world.advance(19_500);
  const seen: string[] = [];
  brokers.answer(2, WriteShareGroupState, accepting(seen));
  assert.deepEqual(await world.runUntil(Promise.all(both)), [0, 0]);
  assert.deepEqual(seen, [`${there} from 1`, `${there} from 2`]);
});

test('where partitions end is asked of their leaders, many at once', async () => {
  const brokers = new FakeBrokers();
  const leaders: Record<string, number> = { 'a-0': 1, 'a-1': 2, 'a-2': 2, 'a-3': -1, 'a-4': 3 };
  const latest = new LatestOffsets({
    local: (topic, partition) => {
      if (leaders[`${topic}-${partition}`] !== 1) throw new Error('not led here');
      return 10;
    },
    leaderOf: (topic, partition) => leaders[`${topic}-${partition}`],
    brokers,
  });
  brokers.answer(2, ListOffsets, ({ topics }: ListOffsetsRequest) => ({
    throttleTimeMs: 0,
    topics: topics.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map(({ partitionIndex }) => ({
        partitionIndex,
        errorCode: partitionIndex === 2 ? errors.NOT_LEADER_OR_FOLLOWER.code : 0,
        timestamp: -1,
        offset: 20,
        leaderEpoch: 0,
        oldStyleOffsets: [],
      })),
    })),
  }));
  const found = await Promise.allSettled([0, 1, 2, 3, 4].map((partition) => latest.of('a', partition)));
  assert.deepEqual(
    found.map((each) => (each.status === 'fulfilled' ? each.value : (each.reason as Error).message)),
    [10, 20, 'broker 2 does not say where a-2 ends', 'not led here', 'broker 3 is gone'],
  );
  assert.deepEqual(brokers.asked, ['2 ListOffsets', '3 ListOffsets']);
});
