/** What a node has acknowledged is there after it starts again, whether it was stopped or killed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertNumbered, freshTopic, numbered } from './expectations.ts';
import { eventually } from './processes.ts';
import { againstEachTarget, type Bench } from './targets/against.ts';

againstEachTarget('restarting', declare, { 'broker.session.timeout.ms': '6000' });

function declare(bench: Bench): void {
  test('records, offsets, groups and configs outlive a clean stop', () => outlives(bench, 'stop'));
  test('records, offsets, groups and configs outlive kill -9', () => outlives(bench, 'kill'));

  test('an idempotent producer that is at work when the node is killed writes everything once and in order', async () => {
    const topic = await freshTopic(bench.client('java'), 'restart-idempotent');
    const count = 30_000;
    const producing = bench
      .client('confluent-python')
      .call('produce', { topic, records: numbered(count), idempotent: true }, 180_000);
    await eventually('some are written', async () => (await bench.client('java').call('offsets', { topic })).latest[0]! > 0);
    await bench.node.kill();
    await bench.node.start();
    await producing;
    assert.deepEqual(await bench.client('java').call('offsets', { topic }), { earliest: [0], latest: [count] });
    assertNumbered(await bench.client('java').call('read', { topic, partition: 0, start: 'earliest', count }), 0, count);
  });
}

async function outlives(bench: Bench, manner: 'stop' | 'kill'): Promise<void> {
  const java = bench.client('java');
  const python = bench.client('confluent-python');
  const topic = await freshTopic(java, `restart-${manner}`, 1, { 'retention.ms': '7200000', 'segment.bytes': '1048576' });
  const group = `restart-group-${manner}`;
  await java.call('produce', { topic, records: numbered(500), codec: 'lz4' });
  await python.call('join', { member: 'm', group, topics: [topic] });
  assert.equal((await python.call('poll', { member: 'm', count: 500 })).length, 500);
  await python.call('commit', { member: 'm' });
  await python.call('leave', { member: 'm' });
  await java.call('setTopicConfig', { topic, name: 'max.message.bytes', value: '2000000' });
  const earliest = manner === 'stop' ? 100 : 0; // where the log starts is noted once a minute, and at a clean stop
  if (earliest > 0) await java.call('deleteRecords', { topic, partition: 0, before: earliest });
  const before = await java.call('cluster', {});
  const topics = await java.call('topics', {});

  await bench.node[manner]();
  await bench.node.start();

  assert.deepEqual(await java.call('cluster', {}), before);
  assert.deepEqual(await java.call('topics', {}), topics);
  assert.deepEqual(await java.call('topicConfig', { topic, name: 'retention.ms' }), { value: '7200000', isDefault: false });
  assert.deepEqual(await java.call('topicConfig', { topic, name: 'max.message.bytes' }), { value: '2000000', isDefault: false });
  assert.deepEqual(await java.call('offsets', { topic }), { earliest: [earliest], latest: [500] });
  assertNumbered(
    await java.call('read', { topic, partition: 0, start: 'earliest', count: 500 - earliest }),
    earliest,
    500 - earliest,
  );
  assert.equal(await java.call('committed', { group, topic, partition: 0 }), 500);
  await java.call('produce', { topic, records: [{ partition: 0, key: 'after', value: 'the restart' }] });
  await java.call('join', { member: manner, group, topics: [topic] });
  const resumed = await java.call('poll', { member: manner, count: 1 });
  assert.deepEqual(
    resumed.map(({ offset, value }) => ({ offset, value })),
    [{ offset: 500, value: 'the restart' }],
  );
  await java.call('leave', { member: manner });
}
