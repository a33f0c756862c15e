/**
 * How nodes of Kafka and Ottla share a cluster, step by step as docs/migrate.md tells it, with load running all the while. Each story
 * takes any two kinds, so that the same steps are tried between nodes of Kafka first.
 */
import assert from 'node:assert/strict';
import { FindCoordinator } from '@ottla/protocol';
import { eventually } from '../interop/processes.ts';
import type { TargetName } from '../interop/targets/node.ts';
import { ask } from './ask.ts';
import type { NodePlan } from './cluster-node.ts';
import { leaderBecomes } from './leader-becomes.ts';
import { JudgedLoad } from './load/judged-load.ts';
import type { LoadProgram } from './load/load-settings.ts';
import { Operator } from './operator.ts';
import { combined, hasty, ProcessCluster } from './process-cluster.ts';

export type Story = {
  /** The cluster's first nodes. */
  readonly host: TargetName;
  /** Who comes and goes. */
  readonly guest: TargetName;
  readonly seed: number;
  readonly programs: readonly LoadProgram[];
  readonly recordsPerSecond: number;
  readonly report: (line: string) => void;
};

/** A broker joins, replicates, leads, coordinates, is stopped and started, drained, and leaves. */
export async function brokerJoinsAndLeaves(story: Story): Promise<void> {
  const { host: target } = story;
  const hosts: NodePlan[] = [...combined(target, 1), { id: 2, target, roles: 'broker' }];
  await onCluster(story, hosts, async (cluster, operator, load) => {
    const { report } = story;
    const { java } = operator;
    const place = { topic: 'a-group-reads', partition: 0 };
    await java.call('createTopic', { topic: place.topic, partitions: 1 });
    await java.call('setGroupOffset', { group: 'some-group', ...place, offset: 0 });
    const guest = await cluster.add({ id: 3, target: story.guest, roles: 'broker' });
    await guest.start();
    await cluster.whole();
    report(`${guest} has joined`);
    await load.goesOn();

    await operator.moveEverythingTo(() => [3, 1, 2]);
    await operator.leads(guest);
    await cluster.whole();
    report(`${guest} leads everything`);
    await load.goesOn(2000);
    assert.equal(await coordinatorOf(cluster, 'some-group', 0), guest.id);
    assert.equal(await coordinatorOf(cluster, 'some-id', 1), guest.id);
    const values = ['a', 'b', 'c'];
    await java.call('produce', { topic: place.topic, records: values.map((value) => ({ key: null, value })) });
    await java.call('join', { member: 'm', group: 'some-group', topics: [place.topic] });
    await java.call('poll', { member: 'm', count: values.length });
    await java.call('commit', { member: 'm' });
    const records = [{ ...place, value: 'd' }];
    await java.call('transaction', { transactionalId: 'some-id', records, end: 'commit' } as never);
    report(`${guest} coordinates groups and transactions`);

    // A host goes and comes back: it follows the guest, and catches up.
    const other = cluster.node(2);
    await other.stop();
    await load.goesOn();
    await other.start();
    await cluster.whole();
    report(`${other} was away and has caught up from ${guest}`);

    // The guest shuts down as an operator stops it: others take over, and it comes back.
    await guest.stop();
    await load.goesOn();
    assert.notEqual(await coordinatorOf(cluster, 'some-group', 0), guest.id);
    await guest.start();
    await cluster.whole();
    report(`${guest} was away and has caught up`);

    await operator.moveEverythingTo((_, partition) => (partition % 2 === 0 ? [1, 2] : [2, 1]));
    await cluster.whole();
    await load.goesOn();
    await guest.stop();
    await operator.unregister(guest);
    report(`${guest} is drained and has left`);
    assert.equal(await java.call('committed', { group: 'some-group', ...place }), values.length);
    await load.goesOn();
  });
}

/** A controller joins, votes, leads and does a leader's work, hands over, and leaves. */
export async function controllerJoinsLeadsAndLeaves(story: Story): Promise<void> {
  await onCluster(story, combined(story.host, 2), async (cluster, operator, load) => {
    const { report } = story;
    // It asks to be elected sooner than others do.
    const properties = { 'controller.quorum.election.timeout.ms': '300', 'controller.quorum.election.backoff.max.ms': '300' };
    const guest = await cluster.add({ id: 3, target: story.guest, roles: 'controller', properties });
    await guest.start();
    await eventually('it follows', async () => (await cluster.quorum()).observers!.some(({ replicaId }) => replicaId === 3));
    await operator.tool('metadata-quorum', '--command-config', guest.propertiesFile, 'add-controller');
    await eventually('it is a voter', async () =>
      (await cluster.quorum()).currentVoters.some(({ replicaId }) => replicaId === 3),
    );
    report(`${guest} votes`);
    await load.goesOn();

    await leaderBecomes(cluster, guest);
    report(`${guest} leads the quorum`);
    await operator.java.call('createTopic', { topic: 'made-by-the-guest', partitions: 3 });
    await operator.java.call('produce', { topic: 'made-by-the-guest', records: [{ key: null, value: 'a' }] });
    // It sees to leaders and replicas while a broker goes and comes back.
    await cluster.node(1).stop();
    await load.goesOn();
    await cluster.node(1).start();
    await cluster.whole();
    assert.equal(await cluster.activeController(), guest.id);
    report(`${guest} has led while ${cluster.node(1)} was away`);

    await guest.stop();
    await eventually('another leads', async () => [1, 2].includes((await cluster.quorum()).leaderId));
    await operator.java.call('setTopicConfig', { topic: 'made-by-the-guest', name: 'retention.ms', value: '86400000' });
    await guest.start();
    await eventually('it follows again', async () => {
      const { leaderId, highWatermark, currentVoters } = await cluster.quorum();
      const own = currentVoters.find(({ replicaId }) => replicaId === guest.id);
      return leaderId !== guest.id && own !== undefined && own.logEndOffset >= highWatermark - 5;
    });
    report(`${guest} has handed over, and come back`);
    const voter = (await cluster.quorum()).currentVoters.find(({ replicaId }) => replicaId === guest.id)!;
    const which = ['--controller-id', String(guest.id), '--controller-directory-id', voter.replicaDirectoryId];
    await operator.tool('metadata-quorum', 'remove-controller', ...which);
    await eventually(
      'it votes no more',
      async () => !(await cluster.quorum()).currentVoters.some(({ replicaId }) => replicaId === 3),
    );
    await guest.stop();
    report(`${guest} has left`);
    await load.goesOn();
  });
}

/** Each node in turn is stopped, and goes on as the other kind on the same data; and so back. */
export async function movesInPlace(story: Story): Promise<void> {
  await onCluster(story, combined(story.host, 3), async (cluster, _, load) => {
    for (const target of [story.guest, story.host]) {
      for (const node of cluster.nodes) {
        await node.stop();
        node.become(target);
        await node.start();
        await cluster.whole();
        await load.goesOn();
        story.report(`${node} goes on`);
      }
    }
  });
}

async function onCluster(
  story: Story,
  nodes: readonly NodePlan[],
  tell: (cluster: ProcessCluster, operator: Operator, load: JudgedLoad) => Promise<void>,
): Promise<void> {
  const { seed, programs, recordsPerSecond, report } = story;
  const cluster = await ProcessCluster.create({ nodes, properties: hasty });
  const operator = new Operator(cluster);
  try {
    await using load = await JudgedLoad.start(cluster, { seed, programs, recordsPerSecond });
    await load.goesOn();
    await tell(cluster, operator, load);
    const { findings, figures } = await load.finish();
    report(`${figures.acknowledged} records acknowledged, ${figures.acknowledgedPerSecond.toFixed(0)} a second`);
    assert.deepEqual(findings.examples, []);
    assert.equal(figures.failures, 0);
  } catch (error) {
    report(`the ends of the nodes' logs:\n${cluster.nodes.map((node) => `${node}:\n${node.log.slice(-2000)}`).join('\n')}`);
    throw error;
  } finally {
    await operator.close();
    await cluster.destroy();
  }
}

/** The id of the broker that coordinates a group (0) or a transactional id (1). */
async function coordinatorOf(cluster: ProcessCluster, key: string, keyType: number): Promise<number> {
  const found = await eventually('a coordinator', async () => {
    const running = cluster.brokers.find(({ isRunning }) => isRunning)!;
    const { coordinators } = await ask(running.brokerAddress, FindCoordinator, 4, { keyType, coordinatorKeys: [key] });
    const [first] = coordinators;
    return first!.errorCode === 0 ? { id: first!.nodeId } : undefined;
  });
  return found.id;
}
