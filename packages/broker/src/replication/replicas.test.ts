import assert from 'node:assert/strict';
import { test } from 'node:test';
import { configResource } from '@ottla/metadata';
import { DeleteRecords, errorName, errors, ListOffsets } from '@ottla/protocol';
import { TestReplicas } from '../testing-replicas.ts';

test('what is acknowledged with acks=all is on every replica of the isr, and consumers see it', async () => {
  const cluster = await TestReplicas.start();
  await cluster.createTopic('t', [1, 2, 3]);
  const client = await cluster.client(1);
  assert.equal(await client.produce('t', ['a', 'b']), 0);
  for (const id of [1, 2, 3]) assert.deepEqual(cluster.broker(id).values('t'), ['a', 'b']);
  assert.deepEqual(await client.fetch('t'), ['a', 'b']);
  assert.equal(cluster.broker(1).partition('t').highWatermark, 2);
  await cluster.advance(1_000);
  assert.equal(cluster.broker(2).partition('t').highWatermark, 2);
});

test('who falls behind leaves the isr, and comes back when it has caught up', async () => {
  const cluster = await TestReplicas.start();
  await cluster.createTopic('t', [1, 2, 3]);
  const client = await cluster.client(1);
  await client.produce('t', ['a']);
  cluster.world.wires.cut('broker1', 'broker3');
  const waiting = client.produceLater('t', ['b'], { timeoutMs: 120_000 });
  await cluster.advance(10_000);
  assert.equal(cluster.broker(1).partition('t').highWatermark, 1);
  await cluster.until('the isr shrinks', () => cluster.state('t').isr.length === 2);
  assert.deepEqual([...cluster.state('t').isr].sort(), [1, 2]);
  assert.equal(await cluster.run(waiting), 1);
  cluster.world.wires.heal();
  await cluster.until('the isr expands', () => cluster.state('t').isr.length === 3);
  assert.deepEqual(cluster.broker(3).values('t'), ['a', 'b']);
});

test('below min.insync.replicas nothing is acknowledged, and the high watermark stays', async () => {
  const cluster = await TestReplicas.start({ brokers: 2 });
  await cluster.createTopic('t', [1, 2], { 'min.insync.replicas': '2' });
  const client = await cluster.client(1);
  assert.equal(await client.produce('t', ['a']), 0);
  cluster.world.wires.cut('broker1', 'broker2');
  const waiting = client.produceLater('t', ['b'], { timeoutMs: 120_000 });
  await cluster.until('the isr shrinks', () => cluster.state('t').isr.length === 1);
  await cluster.advance(100);
  assert.equal(await client.produce('t', ['c']), 'NOT_ENOUGH_REPLICAS');
  assert.equal(await client.produce('t', ['c'], { acks: 1 }), 2);
  assert.equal(cluster.broker(1).partition('t').highWatermark, 1);
  assert.deepEqual(await client.fetch('t'), ['a']);
  assert.equal(await cluster.run(waiting), 'REQUEST_TIMED_OUT');
  cluster.world.wires.heal();
  await cluster.until('the isr expands', () => cluster.state('t').isr.length === 2);
  await cluster.until('all is committed', () => cluster.broker(1).partition('t').highWatermark === 3);
  assert.deepEqual(await client.fetch('t'), ['a', 'b', 'c']);
});

test('a follower that has what the new leader has not cuts it off', async () => {
  const cluster = await TestReplicas.start();
  await cluster.createTopic('t', [1, 2, 3]);
  const client = await cluster.client(1);
  await client.produce('t', ['a']);
  cluster.world.wires.cut('broker1', 'broker2');
  cluster.world.wires.cut('broker1', 'broker3');
  assert.equal(await client.produce('t', ['lost'], { acks: 1 }), 1);
  cluster.broker(1).isDeaf = true;
  cluster.fence(1);
  await cluster.until('another leads', () => cluster.state('t').leader !== 1);
  const { leader } = cluster.state('t');
  const other = await cluster.client(leader);
  await cluster.advance(100);
  assert.equal(await other.produce('t', ['b', 'c']), 1);
  // The old leader does not know yet: what it takes is never acknowledged by all.
  const waiting = client.produceLater('t', ['never'], { timeoutMs: 300_000 });
  await cluster.advance(1_000);
  cluster.broker(1).isDeaf = false;
  cluster.world.wires.heal();
  cluster.broker(1).hear();
  assert.equal(await cluster.run(waiting), 'NOT_LEADER_OR_FOLLOWER');
  await cluster.until('it follows', () => cluster.broker(1).values('t').includes('c'));
  assert.deepEqual(cluster.broker(1).values('t'), ['a', 'b', 'c']);
});

test('a leader that lost its power comes back as a follower, without what was not acknowledged', async () => {
  const cluster = await TestReplicas.start();
  await cluster.createTopic('t', [1, 2, 3], { 'min.insync.replicas': '2' });
  const client = await cluster.client(1);
  for (let at = 0; at < 10; at++) assert.equal(await client.produce('t', [`${at}`]), at);
  cluster.broker(1).crash();
  cluster.fence(1);
  await cluster.until('another leads', () => cluster.state('t').leader > 1);
  const other = await cluster.client(cluster.state('t').leader);
  await cluster.advance(100);
  assert.equal(await other.produce('t', ['x']), 10);
  await cluster.broker(1).start();
  await cluster.until('it is back in the isr', () => cluster.state('t').isr.length === 3);
  const expected = [...Array.from({ length: 10 }, (_, at) => `${at}`), 'x'];
  for (const id of [1, 2, 3]) assert.deepEqual(cluster.broker(id).values('t'), expected);
});

test('deleted records are gone on every replica before DeleteRecords is answered', async () => {
  const cluster = await TestReplicas.start();
  await cluster.createTopic('t', [1, 2, 3]);
  const client = await cluster.client(1);
  for (let at = 0; at < 4; at++) await client.produce('t', [`${at}`]);
  const deletion = { topics: [{ name: 't', partitions: [{ partitionIndex: 0, offset: 2 }] }], timeoutMs: 10_000 };
  const { topics } = await client.ask(DeleteRecords, deletion);
  assert.deepEqual(topics[0]!.partitions[0], { partitionIndex: 0, lowWatermark: 2, errorCode: 0 });
  for (const id of [1, 2, 3]) assert.equal(cluster.broker(id).partition('t').log.logStartOffset, 2);

  cluster.world.wires.cut('broker1', 'broker3');
  deletion.topics[0]!.partitions[0]!.offset = 3;
  const late = await client.ask(DeleteRecords, deletion);
  assert.deepEqual(late.topics[0]!.partitions[0], {
    partitionIndex: 0,
    lowWatermark: 2,
    errorCode: errors.REQUEST_TIMED_OUT.code,
  });
  // Of a broker that is gone nobody waits for.
  cluster.fence(3);
  const rest = await client.ask(DeleteRecords, deletion);
  assert.deepEqual(rest.topics[0]!.partitions[0], { partitionIndex: 0, lowWatermark: 3, errorCode: 0 });
});

test('requests that came too late wait no longer, however long the isr stays as it is', async () => {
  const cluster = await TestReplicas.start();
  await cluster.createTopic('t', [1, 2, 3]);
  const client = await cluster.client(1);
  for (let at = 0; at < 4; at++) await client.produce('t', [`${at}`]);
  const partition = cluster.broker(1).partition('t');
  // A follower hangs, and nobody can take it out of the isr.
  cluster.world.wires.cut('broker1', 'broker3');
  cluster.broker(1).isDeaf = true;
  const deletion = { topics: [{ name: 't', partitions: [{ partitionIndex: 0, offset: 2 }] }], timeoutMs: 5_000 };
  const answers = Promise.all([
    ...Array.from({ length: 5 }, () => client.produceLater('t', ['x'], { timeoutMs: 5_000 })),
    client.later(DeleteRecords, deletion).then(({ topics }) => errorName(topics[0]!.partitions[0]!.errorCode)),
  ]);
  await cluster.advance(2_000);
  assert.ok(partition.watcherCount >= 6);
  assert.deepEqual(await cluster.run(answers), new Array(6).fill('REQUEST_TIMED_OUT'));
  // The fetch of the other follower.
  assert.ok(partition.watcherCount <= 1, `${partition.watcherCount} wait`);
});

test('a leader that leads on in a new epoch acknowledges what it took in the one before', async () => {
  const cluster = await TestReplicas.start();
  await cluster.createTopic('t', [1, 2, 3]);
  const client = await cluster.client(1);
  await client.produce('t', ['a']);
  const { leaderEpoch } = cluster.state('t');
  cluster.world.wires.cut('broker1', 'broker2');
  const waiting = client.produceLater('t', ['b'], { timeoutMs: 60_000 });
  await cluster.advance(100);
  cluster.reassign('t', [1, 2]);
  await cluster.advance(100);
  const partition = cluster.broker(1).partition('t');
  assert.deepEqual([partition.leaderEpoch, partition.isLeader, partition.highWatermark], [leaderEpoch + 1, true, 1]);
  cluster.world.wires.heal();
  assert.equal(await cluster.run(waiting), 1);
  assert.deepEqual(cluster.broker(2).values('t'), ['a', 'b']);
});

test('a leader that may have followed another since acknowledges nothing that it took before', async () => {
  const cluster = await TestReplicas.start();
  await cluster.createTopic('t', [1, 2]);
  const client = await cluster.client(1);
  await client.produce('t', ['a']);
  cluster.world.wires.cut('broker1', 'broker2');
  const waiting = client.produceLater('t', ['b'], { timeoutMs: 60_000 });
  await cluster.advance(100);
  // It hears only of the last of two epochs.
  const { leaderEpoch, partitionEpoch, replicas, isr } = cluster.state('t');
  const state = { leader: 1, leaderEpoch: leaderEpoch + 2, partitionEpoch: partitionEpoch + 2, replicas, isr };
  const partition = cluster.broker(1).partition('t');
  partition.updateState(state);
  assert.equal(await cluster.run(waiting), 'NOT_LEADER_OR_FOLLOWER');
  // Nor does it count on what the others had: the one in between may have cut their logs, too.
  assert.equal(partition.leading!.replica(2)!.logEndOffset, -1);
});

test('a follower whose leader has deleted all that it lacks starts over where the leader begins', async () => {
  const cluster = await TestReplicas.start({ brokers: 2 });
  await cluster.createTopic('t', [1, 2]);
  const client = await cluster.client(1);
  await client.produce('t', ['0']);
  cluster.broker(2).kill();
  cluster.fence(2);
  await cluster.advance(50);
  for (let at = 1; at < 5; at++) await client.produce('t', [`${at}`]);
  const deletion = { topics: [{ name: 't', partitions: [{ partitionIndex: 0, offset: 3 }] }], timeoutMs: 10_000 };
  await client.ask(DeleteRecords, deletion);
  await cluster.broker(2).start();
  await cluster.until('it is in sync', () => cluster.state('t').isr.length === 2);
  assert.equal(cluster.broker(2).partition('t').log.logStartOffset, 3);
  assert.deepEqual(cluster.broker(2).values('t'), ['3', '4']);
});

test('after an unclean election the others cut what the new leader never had', async () => {
  const cluster = await TestReplicas.start({ brokers: 2 });
  await cluster.createTopic('t', [1, 2], { 'unclean.leader.election.enable': 'true' });
  const client = await cluster.client(1);
  await client.produce('t', ['a']);
  cluster.broker(2).kill();
  cluster.fence(2);
  await cluster.until('1 is alone', () => cluster.state('t').isr.length === 1);
  await cluster.advance(50);
  await client.produce('t', ['b', 'c']);
  cluster.broker(1).kill();
  cluster.fence(1);
  await cluster.broker(2).start();
  cluster.decide((controller, context) =>
    controller.electLeaders(
      { electionType: 1, topicPartitions: [{ topic: 't', partitions: [0] }], timeoutMs: 1000 } as never,
      context,
    ),
  );
  await cluster.until('2 leads', () => cluster.state('t').leader === 2);
  await cluster.advance(50);
  const other = await cluster.client(2);
  assert.equal(await other.produce('t', ['x']), 1);
  await cluster.broker(1).start();
  await cluster.until('1 is in sync', () => cluster.state('t').isr.length === 2);
  for (const id of [1, 2]) assert.deepEqual(cluster.broker(id).values('t'), ['a', 'x']);
  assert.equal(cluster.state('t').leaderRecoveryState, 0);
});

test('a reassignment moves a replica, whose log is deleted where it was', async () => {
  const cluster = await TestReplicas.start();
  await cluster.createTopic('t', [1, 2]);
  const client = await cluster.client(1);
  for (let at = 0; at < 5; at++) await client.produce('t', [`${at}`]);
  cluster.reassign('t', [3, 2]);
  await cluster.until('it is done', () => cluster.state('t').replicas.length === 2);
  await cluster.until('the leader has moved', () => [2, 3].includes(cluster.state('t').leader));
  await cluster.advance(1_000);
  assert.equal(cluster.broker(1).partition('t'), undefined);
  assert.equal(cluster.broker(1).parts.logManager.get('t', 0), undefined);
  for (const id of [2, 3]) assert.deepEqual(cluster.broker(id).values('t'), ['0', '1', '2', '3', '4']);
  assert.equal(await client.fetch('t'), 'NOT_LEADER_OR_FOLLOWER');
});

test('throttled replicas are fetched slowly, and those in sync as fast as ever', async () => {
  const cluster = await TestReplicas.start();
  await cluster.createTopic('t', [1, 2], {
    'leader.replication.throttled.replicas': '0:1',
    'follower.replication.throttled.replicas': '0:3',
    'max.message.bytes': '1000000',
  });
  const client = await cluster.client(1);
  const value = 'x'.repeat(500_000);
  for (let at = 0; at < 6; at++) await client.produce('t', [value]);
  cluster.configure(configResource.broker, '', { 'leader.replication.throttled.rate': '100000' });
  await cluster.advance(50);
  cluster.reassign('t', [1, 2, 3]);
  await cluster.advance(5_000);
  const copied = cluster.broker(3).partition('t').log.logEndOffset;
  assert.ok(copied >= 1 && copied < 6, `${copied} batches of 500 kB in 5 s at 100 kB/s`);
  assert.equal(await client.produce('t', [value]), 6);
  assert.equal(cluster.broker(2).partition('t').log.logEndOffset, 7);
  cluster.configure(configResource.broker, '', { 'leader.replication.throttled.rate': '100000000' });
  await cluster.until('it is done', () => cluster.state('t').isr.length === 3);
});

test('a follower’s own throttle holds back what it fetches', async () => {
  const cluster = await TestReplicas.start();
  await cluster.createTopic('t', [1, 2], { 'follower.replication.throttled.replicas': '*', 'max.message.bytes': '1000000' });
  const client = await cluster.client(1);
  for (let at = 0; at < 6; at++) await client.produce('t', ['x'.repeat(500_000)]);
  cluster.configure(configResource.broker, '3', { 'follower.replication.throttled.rate': '100000' });
  await cluster.advance(50);
  cluster.reassign('t', [1, 2, 3]);
  await cluster.advance(5_000);
  const copied = cluster.broker(3).partition('t').log.logEndOffset;
  assert.ok(copied >= 1 && copied < 6, `${copied} batches`);
  await cluster.until('it is done', () => cluster.state('t').isr.length === 3);
});

test('a consumer is sent to the replica in its rack, which serves what it knows to be committed', async () => {
  const settings = { 'replica.selector.class': 'org.apache.kafka.common.replica.RackAwareReplicaSelector' };
  const cluster = await TestReplicas.start({ settings, rackOf: (id) => `rack${id}` });
  await cluster.createTopic('t', [1, 2, 3]);
  const client = await cluster.client(1);
  await client.produce('t', ['a', 'b']);
  const preferred = async (rackId: string) =>
    (await client.fetchAnswer('t', { rackId })).responses[0]!.partitions[0]!.preferredReadReplica;
  assert.deepEqual(
    [await preferred('rack1'), await preferred('rack2'), await preferred('rack3'), await preferred('rack4'), await preferred('')],
    [-1, 2, 3, -1, -1],
  );
  assert.deepEqual(await client.fetch('t', { rackId: 'rack3' }), []);
  const near = await cluster.client(3);
  // The follower learns of the high watermark with its next fetch.
  await cluster.advance(1_000);
  assert.deepEqual(await near.fetch('t', { rackId: 'rack3' }), ['a', 'b']);
  await client.produce('t', ['c'], { acks: 1 });
  assert.equal(await near.fetch('t', { rackId: 'rack3', offset: 100 }), 'OFFSET_OUT_OF_RANGE');
});

test('records that are damaged on their way are not taken, and fetched again', async () => {
  const cluster = await TestReplicas.start({ brokers: 2 });
  await cluster.createTopic('t', [1, 2]);
  const client = await cluster.client(1);
  await client.produce('t', ['good']);
  const { log } = cluster.broker(2).partition('t');
  const append = log.append.bind(log);
  let damaged = 0;
  log.append = (records, options) => {
    if (damaged++ > 0) return append(records, options);
    const copy = records.slice();
    copy[copy.length - 1]! ^= 1;
    return append(copy, options);
  };
  assert.equal(await client.produce('t', ['again']), 1);
  assert.deepEqual(cluster.broker(2).values('t'), ['good', 'again']);
  assert.deepEqual(cluster.logs.at('error'), [
    'records that came from the leader are damaged: they are not taken, and fetched again',
  ]);
});

test('a new leader does not say where the log ends before it knows that all that was there is committed', async () => {
  const cluster = await TestReplicas.start();
  await cluster.createTopic('t', [1, 2, 3]);
  const client = await cluster.client(1);
  await client.produce('t', ['a']);
  // Its followers get no further, and nobody hears that the last record was committed.
  const other = await cluster.client(2);
  cluster.broker(1).kill();
  cluster.fence(1);
  cluster.world.wires.cut('broker2', 'broker3');
  await cluster.until('2 leads', () => cluster.state('t').leader === 2);
  await cluster.advance(20);
  const latest = async () => {
    const partitions = [{ partitionIndex: 0, timestamp: -1, currentLeaderEpoch: -1 }];
    const { topics } = await other.ask(ListOffsets, { replicaId: -1, topics: [{ name: 't', partitions }] });
    const { errorCode, offset } = topics[0]!.partitions[0]!;
    return [errorName(errorCode), offset];
  };
  assert.equal(cluster.broker(2).partition('t').highWatermark, 0);
  assert.deepEqual(await latest(), ['OFFSET_NOT_AVAILABLE', -1]);
  cluster.world.wires.heal();
  await cluster.advance(3_000);
  assert.deepEqual(await latest(), ['NONE', 1]);
});

test('a flipped bit that no crc covers, in the epoch of a batch, costs a follower only what it fetches again', async () => {
  const cluster = await TestReplicas.start({ brokers: 2 });
  await cluster.createTopic('t', [1, 2]);
  const client = await cluster.client(1);
  for (const value of ['a', 'b', 'c']) await client.produce('t', [value]);
  cluster.broker(2).kill();
  cluster.fence(2);
  const { files } = cluster.broker(2).machine;
  const [directory] = ['/data/a/t-0', '/data/b/t-0'].filter((path) => files.stat(path));
  const path = `${directory}/00000000000000000000.log`;
  const batchBytes = files.stat(path)!.size / 3;
  const file = files.open(path, 'update');
  const epochAt = batchBytes + 12;
  const bytes = new Uint8Array(4);
  file.read(bytes, epochAt);
  bytes[1]! ^= 1;
  file.write(bytes, epochAt);
  file.close();
  await cluster.broker(2).start();
  await cluster.until('it is back', () => cluster.state('t').isr.length === 2);
  assert.deepEqual(cluster.broker(2).values('t'), ['a', 'b', 'c']);
  assert.equal(cluster.broker(2).partition('t').log.latestEpoch, 0);
});

test('a damaged batch of a leader does not spread, and the leader says so', async () => {
  const cluster = await TestReplicas.start({ brokers: 2 });
  await cluster.createTopic('t', [1, 2]);
  const client = await cluster.client(1);
  await client.produce('t', ['good']);
  const { log } = cluster.broker(1).partition('t');
  const read = log.read.bind(log);
  log.read = (request) => {
    const found = read(request);
    if (request.startOffset !== 1 || found.records.length === 0) return found;
    const records = found.records.slice();
    records[records.length - 1]! ^= 1;
    return { ...found, records };
  };
  assert.equal(await client.produce('t', ['bad'], { timeoutMs: 20_000 }), 'REQUEST_TIMED_OUT');
  assert.deepEqual(cluster.broker(2).values('t'), ['good']);
  assert.deepEqual(cluster.logs.at('error'), [
    'records that came from the leader are damaged: they are not taken, and fetched again',
    'a batch in the log of a leader is damaged, and its followers do not take it: let an intact replica lead',
  ]);
  log.read = read;
  await cluster.until('it heals', () => cluster.broker(2).values('t').length === 2);
});

test('a follower moves to another log directory while it follows', async () => {
  const cluster = await TestReplicas.start();
  await cluster.createTopic('t', [1, 2, 3]);
  const client = await cluster.client(1);
  for (let at = 0; at < 5; at++) await client.produce('t', [`${at}`]);
  const before = cluster.broker(3).partition('t').log.directory;
  const target = before.startsWith('/data/a') ? '/data/b' : '/data/a';
  cluster.broker(3).parts.moves.move('t', 0, target);
  for (let at = 5; at < 10; at++) await client.produce('t', [`${at}`]);
  await cluster.until('it has moved', () => cluster.broker(3).partition('t').log.directory.startsWith(target));
  await client.produce('t', ['10']);
  assert.equal(cluster.broker(3).values('t').length, 11);
});
