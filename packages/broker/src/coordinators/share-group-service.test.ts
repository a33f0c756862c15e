import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defaultGroupCoordinatorConfig, MemoryGroupTopics } from '@ottla/coordinator';
import { errors, type ReadShareGroupStateSummaryRequest, type Writable } from '@ottla/protocol';
import { World } from '@ottla/runtime';
import { MemorySharePersister } from '../sharing/memory-share-persister.ts';
import { GroupCoordinatorService } from './group-coordinator-service.ts';
import { MemoryCoordinatorLog } from './memory-coordinator-log.ts';
import { askEachSharePartition } from './share-partition-requests.ts';

const TOPIC_ID = 'AAAAAAAAAAAAAAAAAAAAAQ';

class WatchedPersister extends MemorySharePersister {
  readonly asked: number[] = [];
  override readSummary(request: Writable<ReadShareGroupStateSummaryRequest>) {
    for (const { partitions = [] } of request.topics ?? []) this.asked.push(...partitions.map(({ partition = 0 }) => partition));
    return super.readSummary(request);
  }
}

async function started() {
  const world = new World({ seed: 1 });
  const topics = new MemoryGroupTopics();
  topics.set('t', TOPIC_ID, 3);
  const persister = new WatchedPersister();
  const service = new GroupCoordinatorService({
    runtime: world.machine('broker').boot(),
    config: {
      group: defaultGroupCoordinatorConfig,
      partition: { appendLingerMs: -1, commitTimeoutMs: 5_000, compression: 'none', loadStepBytes: 4096 },
    },
    partitionCount: () => 1,
    log: () => new MemoryCoordinatorLog(),
    topics,
    verifyTransaction: () => Promise.resolve(undefined),
    configOf: () => assert.fail('no group here has configs'),
    isEnabled: () => true,
    createTopic: () => assert.fail('no topic is created here'),
    share: { persister, latestOffset: async () => 0 },
  });
  await world.runUntil(service.onPartitionElected(0, 0));
  return { world, service, persister };
}

test('only partitions that exist are asked of the share coordinator, each once', async () => {
  const { world, service, persister } = await started();
  const topics = [
    { topicName: 't', partitions: [1, 3, -1, 1, 2, 3] },
    { topicName: 't', partitions: [1, 0] },
    { topicName: 'other', partitions: [0, 0] },
  ];
  const { groups } = await world.runUntil(service.share.describeOffsets({ groups: [{ groupId: 'g', topics }] }));
  assert.deepEqual(persister.asked, [1, 2, 0]);
  const told = groups![0]!.topics!.map(({ topicName, topicId, partitions }) => ({
    topic: `${topicName} ${topicId}`,
    partitions: partitions!.map(({ partitionIndex, errorCode = 0 }) => [partitionIndex, errorCode]),
  }));
  const { code } = errors.UNKNOWN_TOPIC_OR_PARTITION;
  assert.deepEqual(told, [
    {
      topic: `t ${TOPIC_ID}`,
      partitions: [
        [1, 0],
        [2, 0],
        [0, 0],
        [3, code],
        [-1, code],
      ],
    },
    { topic: 'other undefined', partitions: [[0, 0]] },
  ]);
});

test('where nothing that is asked for exists, nobody is asked', async () => {
  const { world, service, persister } = await started();
  const topics = [{ topicName: 't', partitions: Array.from({ length: 10_000 }, (_, index) => index + 3) }];
  const { groups } = await world.runUntil(service.share.describeOffsets({ groups: [{ groupId: 'g', topics }] }));
  assert.equal(groups![0]!.topics![0]!.partitions!.length, 10_000);
  assert.deepEqual(persister.asked, []);
});

test('very many share partitions are asked about some hundred at a time', async () => {
  const world = new World({ seed: 1 });
  const numbers = Array.from({ length: 1_200 }, (_, partition) => ({ partition }));
  const topics = [
    { topicId: 'one', partitions: numbers },
    { topicId: 'other', partitions: numbers.slice(0, 2) },
  ];
  let underWay = 0;
  let most = 0;
  const asking = askEachSharePartition({ groupId: 'g', topics }, world.machine('node').boot(), async ({ topicId, partition }) => {
    most = Math.max(most, ++underWay);
    await Promise.resolve();
    underWay--;
    return `${topicId}-${partition}`;
  });
  const { results } = await world.runUntil(asking);
  assert.equal(most, 500);
  assert.deepEqual(
    results.map(({ topicId, partitions }) => [topicId, partitions.length, partitions[1]]),
    [
      ['one', 1_200, 'one-1'],
      ['other', 2, 'other-1'],
    ],
  );
});
