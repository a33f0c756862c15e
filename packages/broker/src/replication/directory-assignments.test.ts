import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AssignReplicasToDirsRequest } from '@ottla/protocol';
import { World } from '@ottla/runtime';
import type { ControllerChannel } from '../controller/controller-channel.ts';
import { RecordedLogs } from '../testing-node.ts';
import { DirectoryAssignments } from './directory-assignments.ts';

const topicId = 'AAAAAAAAAAAAAAAAAAAAAQ';

/** A controller that answers nothing until it is told to, and what it was asked: `directory: partitions`. */
function withController() {
  const world = new World({ seed: 1 });
  const { timers } = world.machine('broker').boot();
  const asked: string[][] = [];
  const answers: PromiseWithResolvers<unknown>[] = [];
  const send = (_api: unknown, { directories }: AssignReplicasToDirsRequest): Promise<unknown> => {
    asked.push(
      directories.map(
        ({ id, topics }) =>
          `${id}: ${topics.flatMap(({ partitions }) => partitions.map(({ partitionIndex }) => partitionIndex))}`,
      ),
    );
    const answer = Promise.withResolvers<unknown>();
    answers.push(answer);
    return answer.promise;
  };
  const controller = { send } as unknown as ControllerChannel;
  const assignments = new DirectoryAssignments({
    brokerId: 1,
    brokerEpoch: () => 7,
    controller,
    timers,
    logger: new RecordedLogs(),
  });
  return { world, asked, answers, assignments };
}

test('of two assignments of a replica that wait the later one is sent, and both are settled', async () => {
  const { world, asked, answers, assignments } = withController();
  const settled = [
    assignments.assign(topicId, 0, 'd2'),
    assignments.assign(topicId, 1, 'd2'),
    assignments.assign(topicId, 0, 'd1'),
  ];
  await world.advance(1);
  assert.deepEqual(asked, [['d2: 1', 'd1: 0']]);
  answers[0]!.resolve({ directories: [] });
  await world.runUntil(Promise.all(settled));
  await world.advance(5_000);
  assert.equal(asked.length, 1);
});

test('what the controller was not told is not told again once there is a later word about the replica', async () => {
  const { world, asked, answers, assignments } = withController();
  const settled = [assignments.assign(topicId, 0, 'd2'), assignments.assign(topicId, 1, 'd2')];
  await world.advance(1);
  settled.push(assignments.assign(topicId, 0, 'd1'));
  answers[0]!.reject(new Error('the controller is away'));
  await world.advance(5_000);
  assert.deepEqual(asked, [['d2: 0,1'], ['d2: 1', 'd1: 0']]);
  answers[1]!.resolve({ directories: [] });
  await world.runUntil(Promise.all(settled));
});
