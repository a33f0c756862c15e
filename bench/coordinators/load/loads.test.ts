import assert from 'node:assert';
import { test } from 'node:test';
import { startKafka } from '@ottla/testing';
import { BenchTopic } from '../../broker/bench-topic.ts';
import { produceLoad } from '../../broker/load/produce-load.ts';
import { setGroupConfig } from '../group-config.ts';
import { classicGroupsLoad } from './classic-groups-load.ts';
import { consumerGroupsLoad } from './consumer-groups-load.ts';
import { exactlyOnceLoad } from './exactly-once-load.ts';
import { largeGroupLoad } from './large-group-load.ts';
import { shareLoad } from './share-load.ts';
import { transactionsLoad } from './transactions-load.ts';

async function broker(topicPartitions: number) {
  const kafka = await startKafka({
    settings: { 'group.consumer.assignment.interval.ms': '0', 'group.consumer.min.heartbeat.interval.ms': '100' },
  });
  const bootstrap = kafka.bootstrapServers;
  const topic = await BenchTopic.create({ bootstrap }, topicPartitions);
  return {
    ...{ bootstrap, port: Number(bootstrap.split(':')[1]), topic },
    async [Symbol.asyncDispose]() {
      await topic[Symbol.asyncDispose]();
      await kafka[Symbol.asyncDispose]();
    },
  };
}

const groups = { prefix: 'g', groups: 3, members: 4, topicPartitions: 4, intervalMs: 100, seconds: 0.5 };

for (const [protocol, load] of Object.entries({ classic: classicGroupsLoad, consumer: consumerGroupsLoad })) {
  test(`members of groups of the ${protocol} protocol join, and all of them beat in time`, async () => {
    await using node = await broker(groups.topicPartitions);
    const { beats } = await load({ ...groups, port: node.port, topic: node.topic.name });
    assert.equal(beats.heartbeats, 60);
  });
}

test('a group is stable again after one more joins, and after it leaves', async () => {
  await using node = await broker(10);
  await setGroupConfig(node, 'g', 'consumer.heartbeat.interval.ms', '100');
  const load = { port: node.port, groupId: 'g', members: 2, topic: node.topic.name, topicPartitions: 10, changes: 1 };
  const { joinSeconds, leaveSeconds } = await largeGroupLoad(load);
  assert.ok(joinSeconds > 0 && leaveSeconds > 0);
});

test('what transactions write is all there, with a marker for each', async () => {
  await using node = await broker(3);
  const { topicId, partitions } = node.topic;
  const { committed, transactions } = await transactionsLoad({
    ...{ port: node.port, prefix: 'id', producers: 4, topicId, partitions, recordsEach: 2, recordBytes: 50, seconds: 0.3 },
    warmSeconds: 0.1,
  });
  assert.ok(transactions > 0 && committed > transactions);
  await node.topic.assertStored(committed * 3);
});

test('a saturating producer commits again and again, and begins where it ended', async () => {
  await using node = await broker(2);
  const { topicId, partitions } = node.topic;
  const result = await exactlyOnceLoad({
    ...{ port: node.port, topicId, partitions, transactionalId: 'id', transactionMs: 20, seconds: 0.3, warmSeconds: 0.1 },
    ...{ recordBytes: 100, batchBytes: 1000, codec: 'none', inFlight: 5 },
  });
  assert.ok(result.transactions > 1 && result.records > 0);
  await node.topic.assertStored(result.offsetsTaken);
});

test('members of a share group accept each record once', async () => {
  await using node = await broker(2);
  const { topicId, partitions, name } = node.topic;
  const { recordsAcknowledged: records } = await produceLoad({
    ...{ port: node.port, topicId, partitions, spread: 'one partition a request', connections: 1, inFlight: 2 },
    ...{ acks: -1, recordBytes: 100, batchBytes: 1000, codec: 'none', requests: 100, warmRequests: 2, maxSeconds: 30 },
  });
  await setGroupConfig(node, 'g', 'share.auto.offset.reset', 'earliest');
  const load = { port: node.port, groupId: 'g', members: 2, topic: name, topicId, partitions, records, maxSeconds: 30 };
  const { accepted, redelivered } = await shareLoad(load);
  assert.deepEqual({ accepted, redelivered }, { accepted: records, redelivered: 0 });
});
