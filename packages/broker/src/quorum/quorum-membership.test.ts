import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { errorName } from '@ottla/protocol';
import { MetadataQuorum } from './metadata-quorum.ts';
import { directoryIdOf, hostOf, level, type QuorumNode, TestQuorum } from './testing-quorum.ts';

const clusterId = 'test-cluster-of-quorums';
const voterIds = ({ quorum }: QuorumNode) =>
  quorum
    .describe()
    .voters.map(({ replicaId }) => replicaId)
    .sort();

/** The directory id that `format` drew. */
function directoryOf({ machine }: QuorumNode): string {
  const properties = new TextDecoder().decode(machine.files.readFile('/data/meta.properties'));
  return /^directory\.id=(.*)$/m.exec(properties)![1]!;
}

function addition(node: QuorumNode) {
  const listeners = [{ name: 'CONTROLLER', host: hostOf(node.id), port: 9093 }];
  return { clusterId, timeoutMs: 30_000, voterId: node.id, voterDirectoryId: directoryOf(node), listeners };
}

describe('voters of a dynamic quorum', () => {
  test('are added when they have caught up, vote from then on, and can be removed, the leader too', async () => {
    const quorum = await TestQuorum.start({ seed: 1, joining: 1, observers: 1 });
    const leader = await quorum.untilLed();
    for (let value = 1; value <= 5; value++) await quorum.append(level(value));
    await quorum.untilCaughtUp();
    assert.deepEqual(voterIds(leader), [1, 2, 3]);
    const joining = quorum.node(4);
    const added = await quorum.ask(leader.id, 'addRaftVoter', addition(joining));
    assert.equal(errorName(added.errorCode), 'NONE', added.errorMessage ?? '');
    assert.deepEqual(voterIds(leader), [1, 2, 3, 4]);
    const again = await quorum.ask(leader.id, 'addRaftVoter', addition(joining));
    assert.equal(errorName(again.errorCode), 'DUPLICATE_VOTER');

    const removed = await quorum.ask(leader.id, 'removeRaftVoter', {
      clusterId,
      voterId: leader.id,
      voterDirectoryId: directoryIdOf(leader.id),
    });
    assert.equal(errorName(removed.errorCode), 'NONE', removed.errorMessage ?? '');
    await quorum.until('another leads', () => quorum.leader !== undefined && quorum.leader !== leader);
    const next = await quorum.untilLed();
    assert.deepEqual(
      voterIds(next),
      [1, 2, 3, 4].filter((id) => id !== leader.id),
    );
    await quorum.append(level(6));
    // Two of the three that are left are enough, whoever they are.
    const other = quorum.up.find(({ id }) => id < 100 && id !== leader.id && id !== next.id && id !== 4)!;
    other.crash();
    await quorum.append(level(7));
    await quorum.untilCaughtUp();
    for (const { listener } of quorum.up) assert.deepEqual(listener.values, [1, 2, 3, 4, 5, 6, 7]);
  });

  test('grow from one that has led for long, without a change of the leader', async () => {
    const quorum = await TestQuorum.start({ seed: 6, voters: 1, joining: 2 });
    const leader = await quorum.untilLed();
    await quorum.append(level(1));
    const { leaderEpoch } = leader.quorum.leaderAndEpoch;
    for (const id of [2, 3]) {
      await quorum.world.advance(30_000);
      const added = await quorum.ask(leader.id, 'addRaftVoter', addition(quorum.node(id)));
      assert.equal(errorName(added.errorCode), 'NONE', added.errorMessage ?? '');
      await quorum.append(level(id));
    }
    await quorum.world.advance(30_000);
    assert.deepEqual(leader.quorum.leaderAndEpoch, { leaderId: leader.id, leaderEpoch });
    assert.deepEqual(voterIds(leader), [1, 2, 3]);
  });

  test('are what the log says after a restart, and after a snapshot', async () => {
    const quorum = await TestQuorum.start({ seed: 2, joining: 1 });
    const leader = await quorum.untilLed();
    await quorum.append(level(1));
    await quorum.untilCaughtUp();
    assert.equal((await quorum.ask(leader.id, 'addRaftVoter', addition(quorum.node(4)))).errorCode, 0);
    await quorum.untilCaughtUp();
    for (const { quorum: each, listener } of quorum.up) await quorum.world.runUntil(each.writeSnapshot(listener.toSnapshot()));
    for (const node of quorum.up) node.kill();
    for (const node of quorum.nodes.values()) await node.start();
    const next = await quorum.untilLed();
    await quorum.append(level(2));
    await quorum.untilCaughtUp();
    assert.deepEqual(voterIds(next), [1, 2, 3, 4]);
  });

  test('add themselves with controller.quorum.auto.join.enable', async () => {
    const quorum = await TestQuorum.start({
      seed: 3,
      voters: 1,
      joining: 2,
      settings: { 'controller.quorum.auto.join.enable': 'true' },
    });
    await quorum.untilLed();
    await quorum.until('three voters', () => quorum.leader !== undefined && voterIds(quorum.leader).length === 3);
    await quorum.append(level(1));
    await quorum.untilCaughtUp();
    quorum.leader!.crash();
    await quorum.untilLed();
    await quorum.append(level(2));
  });

  test('are kept in the log once a static quorum has gone over to that', async () => {
    const quorum = await TestQuorum.start({ seed: 5, isStatic: true, observers: 1 });
    const leader = await quorum.untilLed();
    await quorum.append(level(1));
    await quorum.until('all voters have said that they are ready', () => {
      try {
        leader.quorum.upgradeKRaftVersion(1, true);
        return true;
      } catch (error) {
        assert.equal((error as Error).name, 'INVALID_UPDATE_VERSION');
        return false;
      }
    });
    assert.equal(leader.quorum.kRaftVersion, 0);
    leader.quorum.upgradeKRaftVersion(1, false);
    await quorum.append(level(2));
    await quorum.untilCaughtUp();
    for (const { quorum: each } of quorum.up) assert.equal(each.kRaftVersion, 1);
    assert.throws(() => leader.quorum.upgradeKRaftVersion(0, false), { name: 'INVALID_UPDATE_VERSION' });
    for (const node of quorum.up) node.kill();
    for (const node of quorum.nodes.values()) await node.start();
    const next = await quorum.untilLed();
    await quorum.append(level(3));
    await quorum.untilCaughtUp();
    assert.equal(next.quorum.kRaftVersion, 1);
    const state = new TextDecoder().decode(next.machine.files.readFile(`${next.metadataDirectory}/quorum-state`));
    assert.match(state, /"data_version":1/);
  });

  test('with another directory than the record says are no voters: they neither vote nor lead', async () => {
    const quorum = await TestQuorum.start({ seed: 4 });
    const leader = await quorum.untilLed();
    await quorum.append(level(1));
    await quorum.untilCaughtUp();
    const wiped = quorum.up.find((node) => node !== leader)!;
    wiped.kill();
    wiped.machine.files.removeDirectory('/data');
    wiped.format(undefined);
    await wiped.start();
    await quorum.append(level(2));
    await quorum.untilCaughtUp();
    assert.deepEqual(wiped.listener.values, [1, 2]);
    leader.crash();
    // One voter of three is left.
    await quorum.world.advance(20_000);
    assert.equal(quorum.leader, undefined);
    await leader.start();
    await quorum.untilLed();
  });
});

test('a node with the id of the active controller is told which id that is, and stops; the controller goes on', async () => {
  for (const isController of [false, true]) {
    const quorum = await TestQuorum.start({ seed: 2 });
    const leader = await quorum.untilLed();
    const runtime = quorum.world.machine('newcomer').boot();
    runtime.files.makeDirectory('/data');
    const failures: unknown[] = [];
    const opened = MetadataQuorum.open({
      ...{ runtime, directory: '/data', directoryId: directoryIdOf(9), clusterId, nodeId: leader.id, isController },
      controllerEndpoints: isController ? [{ name: 'CONTROLLER', host: 'newcomer', port: 9093 }] : [],
      controllerListenerName: 'CONTROLLER',
      bootstrapServers: [1, 2, 3].map((id) => ({ host: hostOf(id), port: 9093 })),
      onFailure: (error) => failures.push(error),
    });
    await quorum.world.runUntil(opened);
    await quorum.until('it has stopped', () => failures.length > 0);
    const { leaderEpoch } = leader.quorum.leaderAndEpoch;
    assert.equal(
      String(failures[0]),
      `DUPLICATE_BROKER_REGISTRATION: another node at ${hostOf(leader.id)}:9093 has the id of this one and leads epoch ${leaderEpoch} of the quorum: ` +
        `change node.id=${leader.id} to a number that no other node has, and format a directory for it`,
    );
    await quorum.append(level(1));
    await quorum.untilCaughtUp();
    assert.equal(quorum.leader, leader);
  }
});

test('a static quorum becomes a dynamic one once every voter has said what its directory is', async () => {
  const quorum = await TestQuorum.start({ seed: 5, isStatic: true, observers: 1 });
  const leader = await quorum.untilLed();
  await quorum.append(level(1));
  const upgrade = (validateOnly: boolean) => leader.quorum.upgradeKRaftVersion(1, validateOnly);
  assert.throws(() => upgrade(false), /have not said that they support it/);
  const isPossible = (): boolean => {
    try {
      upgrade(true);
      return true;
    } catch {
      return false;
    }
  };
  await quorum.until('every voter has told', isPossible);
  assert.equal(leader.quorum.kRaftVersion, 0);
  upgrade(false);
  await quorum.append(level(2));
  await quorum.untilCaughtUp();
  for (const node of quorum.up) {
    assert.equal(node.quorum.kRaftVersion, 1);
    for (const { replicaId, replicaDirectoryId } of node.quorum.describe().voters)
      assert.equal(replicaDirectoryId, directoryOf(quorum.node(replicaId)));
  }
  const [other] = quorum.up.filter(({ id }) => id < 100 && id !== leader.id);
  const removal = { clusterId, voterId: other!.id, voterDirectoryId: directoryOf(other!) };
  assert.equal((await quorum.ask(leader.id, 'removeRaftVoter', removal)).errorCode, 0);
});
