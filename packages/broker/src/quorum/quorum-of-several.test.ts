import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { KafkaError, ZERO_UUID } from '@ottla/protocol';
import { defaultMetadataLogConfig } from './metadata-log-config.ts';
import { snapshotName } from './snapshot-files.ts';
import { level, type QuorumNode, TestQuorum } from './testing-quorum.ts';

const isNotController = (error: unknown) => error instanceof KafkaError && error.name === 'NOT_CONTROLLER';

describe('three controllers and two brokers', () => {
  test('elect a leader, and everybody hears what it commits', async () => {
    const quorum = await TestQuorum.start({ seed: 1, observers: 2 });
    const leader = await quorum.untilLed();
    assert.ok(leader.isVoter);
    for (let value = 1; value <= 20; value++) await quorum.append(level(value));
    await quorum.untilCaughtUp();
    for (const { listener, quorum: each, failures } of quorum.nodes.values()) {
      assert.deepEqual(
        listener.values,
        Array.from({ length: 20 }, (_, index) => index + 1),
      );
      assert.equal(each.leaderAndEpoch.leaderId, leader.id);
      assert.deepEqual(each.leaderEndpoint(), { nodeId: leader.id, host: `node${leader.id}`, port: 9093 });
      assert.deepEqual(failures, []);
    }
    const { voters, observers } = leader.quorum.describe();
    assert.deepEqual(voters.map(({ replicaId }) => replicaId).sort(), [1, 2, 3]);
    assert.deepEqual(observers.map(({ replicaId }) => replicaId).sort(), [101, 102]);
  });

  test('do without a leader that crashed, and take it back as a follower', async () => {
    const quorum = await TestQuorum.start({ seed: 2, observers: 2 });
    const first = await quorum.untilLed();
    await quorum.append(level(1));
    const pending = first.quorum.append([level(2)]);
    pending.catch(() => {});
    first.crash();
    const second = await quorum.untilLed();
    assert.notEqual(second.id, first.id);
    await quorum.append(level(3));
    await first.start();
    await quorum.append(level(4));
    await quorum.untilCaughtUp();
    assert.equal(quorum.leader, second);
    for (const { listener } of quorum.up)
      assert.deepEqual(
        listener.values.filter((value) => value !== 2),
        [1, 3, 4],
      );
  });

  test('what a leader had not written yet when it lost the lead is written all the same', async () => {
    const quorum = await TestQuorum.start({ seed: 9 });
    const leader = await quorum.untilLed();
    await quorum.append(level(1));
    await quorum.untilCaughtUp();
    const { voters } = leader.quorum.describe();
    const candidate = voters.find(({ replicaId }) => replicaId !== leader.id)!;
    const lost = assert.rejects(leader.quorum.append([level(2)]), isNotController);
    const vote = {
      ...{ partitionIndex: 0, replicaEpoch: leader.quorum.leaderAndEpoch.leaderEpoch + 1, replicaId: candidate.replicaId },
      ...{ replicaDirectoryId: candidate.replicaDirectoryId, voterDirectoryId: ZERO_UUID },
      ...{ lastOffsetEpoch: 0, lastOffset: 0, preVote: false },
    };
    const topics = [{ topicName: '__cluster_metadata', partitions: [vote] }];
    const request = { clusterId: null, voterId: leader.id, topics };
    await leader.quorum.handle('vote', request, { version: 2, listenerName: 'CONTROLLER' });
    assert.equal(leader.quorum.isLeader, false);
    await lost;
    await quorum.untilLed();
    await quorum.append(level(3));
    await quorum.untilCaughtUp();
    assert.deepEqual(leader.failures, []);
  });

  test('a leader that is cut off commits nothing, and gives up what it had appended', async () => {
    const quorum = await TestQuorum.start({ seed: 3, observers: 1 });
    const first = await quorum.untilLed();
    await quorum.append(level(1));
    await quorum.untilCaughtUp();
    for (const { id } of quorum.up) if (id !== first.id) quorum.world.wires.cut(`node${first.id}`, `node${id}`);
    const lost = assert.rejects(first.quorum.append([level(99)]), isNotController);
    await quorum.until('another leads', () => quorum.leader !== undefined && quorum.leader !== first);
    const second = await quorum.untilLed();
    await quorum.append(level(2));
    await quorum.world.runUntil(lost);
    assert.equal(first.quorum.isLeader, false);
    quorum.world.wires.heal();
    await quorum.untilCaughtUp();
    assert.ok(second.quorum.isLeader);
    for (const { listener } of quorum.up) assert.deepEqual(listener.values, [1, 2]);
  });

  test('hand the lead over when the leader stops in order', async () => {
    const quorum = await TestQuorum.start({ seed: 4 });
    const first = await quorum.untilLed();
    await quorum.append(level(1));
    const began = quorum.world.time.nowMs;
    await quorum.world.runUntil(first.stop());
    await quorum.untilLed();
    assert.ok(quorum.world.time.nowMs - began < 1_000, `took ${quorum.world.time.nowMs - began} ms`);
    await quorum.append(level(2));
  });

  test('of a static quorum keep the older form of everything', async () => {
    const quorum = await TestQuorum.start({ seed: 5, observers: 1, isStatic: true });
    const leader = await quorum.untilLed();
    await quorum.append(level(1));
    await quorum.untilCaughtUp();
    assert.equal(leader.quorum.kRaftVersion, 0);
    const state = new TextDecoder().decode(leader.machine.files.readFile(`${leader.metadataDirectory}/quorum-state`));
    assert.match(state, /"currentVoters":\[\{"voterId":1\},\{"voterId":2\},\{"voterId":3\}\],"data_version":0/);
    leader.crash();
    await quorum.untilLed();
    await quorum.append(level(2));
    await leader.start();
    await quorum.untilCaughtUp();
  });
});

const smallLogs = {
  ...defaultMetadataLogConfig,
  segmentBytes: 1000,
  snapshotBytes: 2000,
  retentionBytes: 3000,
  deleteDelayMs: 1000,
};

describe('snapshots', () => {
  test('bring up a node whose log begins too early, voter or broker', async () => {
    const quorum = await TestQuorum.start({ seed: 6, observers: 1, options: { config: smallLogs, fetchSnapshotMaxBytes: 100 } });
    const leader = await quorum.untilLed();
    await quorum.append(level(1));
    await quorum.untilCaughtUp();
    const late = quorum.up.find(({ id, isVoter }) => isVoter && id !== leader.id)!;
    const broker = quorum.node(101);
    late.kill();
    broker.kill();
    for (let value = 2; value <= 200; value++) await quorum.append(level(value), level(value, `name${value % 7}`));
    await late.start();
    await broker.start();
    await quorum.untilCaughtUp();
    for (const { listener, failures, machine, metadataDirectory } of [late, broker]) {
      assert.ok(listener.snapshots.length >= 1);
      assert.equal(listener.levels.get('test'), 200);
      assert.equal(listener.levels.size, 8);
      assert.deepEqual(failures, []);
      assert.ok(!machine.files.list(metadataDirectory).some((name) => name.endsWith('.part')));
    }
    // They write snapshots of their own, and what they have is enough to start from.
    late.kill();
    await late.start();
    for (let value = 201; value <= 260; value++) await quorum.append(level(value));
    await quorum.untilCaughtUp();
    assert.equal(late.listener.levels.get('test'), 260);
    leader.crash();
    await quorum.untilLed();
    await quorum.append(level(300));
    await quorum.untilCaughtUp();
  });

  for (const [which, tail] of [
    ['shorter', 3],
    ['longer', 200],
  ] as const) {
    test(`take the place of what a former leader had appended, be it ${which} than they are`, async () => {
      const quorum = await TestQuorum.start({ seed: 7, options: { config: smallLogs } });
      const former = await quorum.untilLed();
      await quorum.append(level(1));
      await quorum.untilCaughtUp();
      for (const { id } of quorum.up) if (id !== former.id) quorum.world.wires.cut(`node${former.id}`, `node${id}`);
      const lost = Array.from({ length: tail }, (_, index) =>
        assert.rejects(former.quorum.append([level(10_000 + index)]), isNotController),
      );
      await quorum.until('another leads', () => quorum.leader !== undefined && quorum.leader !== former);
      const next = await quorum.untilLed();
      for (let value = 2; value <= 50; value++) await quorum.append(level(value), level(value, `name${value % 7}`));
      await quorum.world.runUntil(Promise.all(lost));
      quorum.world.wires.heal();
      await quorum.untilCaughtUp();
      assert.equal(former.listener.snapshots.length, 1);
      // Over where the lost ones lay.
      for (let value = 51; value <= 200; value++) await quorum.append(level(value));
      await quorum.untilCaughtUp();
      assert.ok(former.listener.values.every((value) => value < 10_000));
      assert.deepEqual(former.listener.levels, next.listener.levels);
    });
  }

  test('of the leader take the place of those that this node has: when it leads, it gives them to nobody', async () => {
    const config = { ...smallLogs, snapshotBytes: 1_000_000 };
    const quorum = await TestQuorum.start({ seed: 8, observers: 1, options: { config } });
    const former = await quorum.untilLed();
    const write = ({ quorum: each, listener }: QuorumNode) => quorum.world.runUntil(each.writeSnapshot(listener.toSnapshot()));
    await quorum.append(level(1));
    await write(former);
    former.crash();
    const next = await quorum.untilLed();
    const third = quorum.up.find((node) => node.isVoter && node !== next)!;
    for (let value = 2; value <= 100; value++) await quorum.append(level(value));
    await quorum.untilCaughtUp();
    const newest = await write(next);
    await former.start();
    await quorum.untilCaughtUp();
    assert.deepEqual(former.listener.snapshots.map(({ endOffset }) => endOffset).at(-1), newest.endOffset);
    const snapshotsOf = ({ machine, metadataDirectory }: QuorumNode) =>
      machine.files.list(metadataDirectory).filter((name) => name.endsWith('.checkpoint'));
    assert.deepEqual(snapshotsOf(former), [snapshotName(newest)]);
    former.kill();
    await former.start();
    third.kill();
    await quorum.append(level(101));
    await quorum.untilCaughtUp();
    next.crash();
    const broker = quorum.node(101);
    broker.kill();
    broker.machine.files.removeDirectory(broker.metadataDirectory);
    await third.start();
    assert.equal(await quorum.untilLed(), former);
    await broker.start();
    await quorum.untilCaughtUp();
    assert.equal(broker.listener.snapshots.length, 1);
  });
});
