/**
 * How nodes of Kafka and Ottla share a cluster, step by step as docs/migrate.md tells it, with load running all the while. Each story
 * takes any two kinds, so that the same steps can be tried between nodes of Kafka first.
 */
import assert from 'node:assert/strict';
import { FindCoordinator } from '@ottla/protocol';
import { eventually } from '../interop/processes.ts';
import type { TargetName } from '../interop/targets/node.ts';
import { ask } from './ask.ts';
import type { ClusterNode, NodePlan, Properties } from './cluster-node.ts';
import { JudgedLoad, type JudgedLoadOptions } from './load/judged-load.ts';
import { Operator } from './operator.ts';
import { combined, hasty, ProcessCluster } from './process-cluster.ts';

/** Who is there first, and who comes. */
export type Parties = { readonly host: TargetName; readonly guest: TargetName };

export type Story = { readonly hosts: readonly NodePlan[]; readonly chapters: readonly Chapter[] };

export type Chapter = { readonly title: string; readonly tell: (scene: Scene) => Promise<void> };

/** Hears of the leader's silence later than others do, who then let it be elected. */
const elected: Properties = {
  'controller.quorum.fetch.timeout.ms': '2700',
  'controller.quorum.election.timeout.ms': '500',
  'controller.quorum.election.backoff.max.ms': '300',
};

/** A broker and a controller of the other kind join, each a node of its own, and the first nodes become that kind and go back. */
export function guestsOfOneRole({ host, guest: target }: Parties): Story {
  const broker = 3;
  const controller = 4;
  return {
    hosts: combined(host, 2),
    chapters: [
      {
        title: `a broker of ${target} joins ${host}, replicates, and leads everything`,
        async tell(scene) {
          await scene.join({ id: broker, target, roles: 'broker' });
          await scene.leadsEverything(broker);
        },
      },
      { title: 'it coordinates groups and transactions', tell: (scene) => scene.coordinates(broker) },
      { title: 'it is restarted: others take over, and it catches up', tell: (scene) => scene.isRestarted(broker) },
      {
        title: `a controller of ${target} joins, and votes`,
        async tell(scene) {
          await scene.join({ id: controller, target, roles: 'controller', properties: elected });
          await scene.votes(controller);
        },
      },
      { title: 'it leads the quorum', tell: (scene) => scene.leadsQuorum(controller) },
      {
        title: `nodes of ${host} go on as ${target} on their data, and back, one by one`,
        async tell(scene) {
          for (const kind of [target, host]) for (const id of [1, 2]) await scene.becomes(id, kind);
        },
      },
      { title: `the controller of ${target} hands over to ${host}, and follows`, tell: (scene) => scene.handsOver(controller) },
      { title: 'the controller is removed, and leaves', tell: (scene) => scene.leavesQuorum(controller) },
      { title: 'the broker is drained, and leaves', tell: (scene) => scene.isDrained(broker) },
    ],
  };
}

/** A node of the other kind joins as broker and controller at once. */
export function guestOfBothRoles({ host, guest: target }: Parties): Story {
  const guest = 3;
  return {
    hosts: combined(host, 2),
    chapters: [
      {
        title: `a broker of ${target} joins ${host}, replicates, and leads everything`,
        async tell(scene) {
          await scene.join({ id: guest, target, roles: 'broker,controller', properties: elected });
          await scene.leadsEverything(guest);
        },
      },
      { title: 'it coordinates groups and transactions', tell: (scene) => scene.coordinates(guest) },
      { title: 'it votes as a controller', tell: (scene) => scene.votes(guest) },
      {
        title: `it leads the quorum, and sees to leaders while a broker of ${host} is away`,
        async tell(scene) {
          await scene.leadsQuorum(guest);
          await scene.isRestarted(1);
        },
      },
      { title: `it hands over everything to ${host}, and comes back`, tell: (scene) => scene.handsOver(guest) },
      { title: 'it is no voter any more', tell: (scene) => scene.leavesQuorum(guest) },
      { title: 'it is drained, and leaves', tell: (scene) => scene.isDrained(guest) },
    ],
  };
}

const place = { topic: 'a-group-reads', partition: 0 };
const values = ['a', 'b', 'c'];

/** A cluster under load, its operator, and the steps that stories are made of. */
export class Scene {
  readonly cluster: ProcessCluster;
  readonly load: JudgedLoad;
  readonly #operator: Operator;

  private constructor(cluster: ProcessCluster, operator: Operator, load: JudgedLoad) {
    this.cluster = cluster;
    this.#operator = operator;
    this.load = load;
  }

  static async create({ hosts }: Story, options: JudgedLoadOptions): Promise<Scene> {
    const cluster = await ProcessCluster.create({ nodes: hosts, properties: hasty });
    const operator = new Operator(cluster);
    try {
      const load = await JudgedLoad.start(cluster, { ...options, groups: true });
      const scene = new Scene(cluster, operator, load);
      await operator.java.call('createTopic', { topic: place.topic, partitions: 1 });
      await operator.java.call('setGroupOffset', { group: 'some-group', ...place, offset: 0 });
      await load.goesOn();
      return scene;
    } catch (error) {
      await operator.close();
      await cluster.destroy();
      throw error;
    }
  }

  async join(plan: NodePlan): Promise<void> {
    const guest = await this.cluster.add(plan);
    await guest.start();
    await this.cluster.whole();
    await this.load.goesOn();
  }

  async leadsEverything(id: number): Promise<void> {
    await this.#operator.moveEverythingTo(() => [id, 1, 2]);
    await this.#operator.leads(this.cluster.node(id));
    await this.cluster.whole();
    await this.load.goesOn(2000);
  }

  async coordinates(id: number): Promise<void> {
    const { java } = this.#operator;
    assert.equal(await this.#coordinatorOf('some-group', 0), id);
    assert.equal(await this.#coordinatorOf('some-id', 1), id);
    await java.call('produce', { topic: place.topic, records: values.map((value) => ({ key: null, value })) });
    await java.call('join', { member: 'm', group: 'some-group', topics: [place.topic] });
    await java.call('poll', { member: 'm', count: values.length });
    await java.call('commit', { member: 'm' });
    const records = [{ ...place, value: 'd' }];
    await java.call('transaction', { transactionalId: 'some-id', records, end: 'commit' } as never);
    await this.load.goesOn();
  }

  /** As an operator does it: others take over, and it comes back and catches up. */
  async isRestarted(id: number): Promise<void> {
    const node = this.cluster.node(id);
    await node.stop();
    await this.load.goesOn();
    assert.notEqual(await this.#coordinatorOf('some-group', 0), id);
    await node.start();
    await this.cluster.whole();
    await this.load.goesOn();
  }

  async votes(id: number): Promise<void> {
    const isSeen = async () => (await this.cluster.quorum()).observers!.some(({ replicaId }) => replicaId === id);
    await eventually(`${id} follows`, isSeen);
    await this.#operator.tool('metadata-quorum', '--command-config', this.cluster.node(id).propertiesFile, 'add-controller');
    await eventually(`${id} is a voter`, async () => (await this.#voter(id)) !== undefined);
    await this.load.goesOn();
  }

  /**
   * It is elected, as leaders that are not it hang until another is. Where the other host is always a little faster, a leader stops as it should,
   * and names the guest, which has more of the log than the host that hangs, first among its successors.
   */
  async leadsQuorum(id: number): Promise<void> {
    for (let attempt = 1; (await this.cluster.activeController()) !== id; attempt++) {
      assert.ok(attempt <= 8, `${id} is never elected`);
      const leader = this.cluster.node(await this.cluster.activeController());
      if (attempt <= 1) await this.#isElectedWhileHanging(leader);
      else await this.#handsOverTo(id, leader);
    }
    await this.cluster.whole();
    const { java } = this.#operator;
    await java.call('createTopic', { topic: 'made-by-the-guest', partitions: 3 });
    await java.call('produce', { topic: 'made-by-the-guest', records: [{ key: null, value: 'a' }] });
    await this.load.goesOn();
  }

  async #isElectedWhileHanging(leader: ClusterNode): Promise<void> {
    leader.pause();
    const another = async () => (await this.cluster.quorum()).leaderId !== leader.id;
    await eventually('another leads', another).finally(() => leader.resume());
  }

  async #handsOverTo(id: number, leader: ClusterNode): Promise<void> {
    const other = this.cluster.nodes.find((node) => node.isController && node.id !== id && node !== leader)!;
    other.pause();
    try {
      await eventually(`${id} has more of the log than ${other}`, async () => {
        const { currentVoters } = await this.cluster.quorum();
        const endOf = (wanted: number) => currentVoters.find(({ replicaId }) => replicaId === wanted)!.logEndOffset;
        return endOf(id) > endOf(other.id);
      });
      await leader.stop();
    } finally {
      other.resume();
    }
    await leader.start();
    await this.cluster.whole();
  }

  /** Stopped as one kind, it goes on as the other on the same data. */
  async becomes(id: number, target: TargetName): Promise<void> {
    const node = this.cluster.node(id);
    await node.stop();
    node.become(target);
    await node.start();
    await this.cluster.whole();
    await this.load.goesOn();
  }

  /** It leads the quorum and is stopped; when it comes back it follows whoever leads by then. */
  async handsOver(id: number): Promise<void> {
    const node = this.cluster.node(id);
    assert.equal(await this.cluster.activeController(), id);
    await node.stop();
    await eventually('another leads', async () => [1, 2].includes((await this.cluster.quorum()).leaderId));
    const change = { topic: 'made-by-the-guest', name: 'retention.ms', value: '86400000' };
    await this.#operator.java.call('setTopicConfig', change);
    await this.load.goesOn();
    await node.start();
    await eventually('it follows', async () => {
      const { highWatermark, currentVoters } = await this.cluster.quorum();
      return currentVoters.some(({ replicaId, logEndOffset }) => replicaId === id && logEndOffset >= highWatermark);
    });
    await this.cluster.whole();
    assert.notEqual(await this.cluster.activeController(), id);
  }

  async leavesQuorum(id: number): Promise<void> {
    const { replicaDirectoryId } = (await this.#voter(id))!;
    const which = ['--controller-id', String(id), '--controller-directory-id', replicaDirectoryId];
    await this.#operator.tool('metadata-quorum', 'remove-controller', ...which);
    await eventually(`${id} votes no more`, async () => (await this.#voter(id)) === undefined);
    const node = this.cluster.node(id);
    if (!node.isBroker) await node.stop();
    await this.load.goesOn();
  }

  async isDrained(id: number): Promise<void> {
    const node = this.cluster.node(id);
    await this.#operator.moveEverythingTo((_, partition) => (partition % 2 === 0 ? [1, 2] : [2, 1]));
    await this.cluster.whole();
    await node.stop();
    await this.#operator.unregister(node);
    await this.cluster.whole();
    assert.equal(await this.#operator.java.call('committed', { group: 'some-group', ...place }), values.length);
    await this.load.goesOn();
  }

  async close(): Promise<void> {
    await this.load[Symbol.asyncDispose]();
    await this.#operator.close();
    await this.cluster.destroy();
  }

  async #voter(id: number) {
    return (await this.cluster.quorum()).currentVoters.find(({ replicaId }) => replicaId === id);
  }

  /** The id of the broker that coordinates a group (0) or a transactional id (1). */
  async #coordinatorOf(key: string, keyType: number): Promise<number> {
    const found = await eventually('a coordinator', async () => {
      const running = this.cluster.brokers.find(({ isRunning }) => isRunning)!;
      const { coordinators } = await ask(running.brokerAddress, FindCoordinator, 4, { keyType, coordinatorKeys: [key] });
      const [first] = coordinators;
      return first!.errorCode === 0 ? { id: first!.nodeId } : undefined;
    });
    return found.id;
  }
}
