/** A share group across brokers: the leader of its partition, its coordinator, the keeper of its state and its dead letters are on different ones. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  buildBatch,
  DescribeShareGroupOffsets,
  FindCoordinator,
  Produce,
  ShareGroupHeartbeat,
  type ShareGroupHeartbeatResponse,
} from '@ottla/protocol';
import { SharingMember } from './sharing/sharing-member.ts';
import { TestCluster } from './testing-cluster.ts';
import { ClusterClient } from './testing-cluster-producer.ts';

const GROUP_CONFIGS = 32;
const settings = {
  'default.replication.factor': '3',
  'min.insync.replicas': '2',
  'offsets.topic.replication.factor': '3',
  'offsets.topic.num.partitions': '3',
  'share.coordinator.state.topic.num.partitions': '3',
  'share.coordinator.state.topic.replication.factor': '3',
  'share.coordinator.state.topic.min.isr': '2',
  'group.share.assignment.interval.ms': '0',
  'group.share.max.session.timeout.ms': '60000',
  'group.share.session.timeout.ms': '60000',
  'broker.session.timeout.ms': '3000',
  'broker.heartbeat.interval.ms': '500',
  'replica.lag.time.max.ms': '4000',
  'request.timeout.ms': '5000',
};

class Scene {
  readonly cluster: TestCluster;
  readonly client: ClusterClient;
  groupId = 'nobody';
  topicId = '';
  dlq = '';
  memberId = 'jDOBMtMXTpyEHrs-2bQtaQ';
  memberEpoch = 0;
  #session: SharingMember | undefined;

  constructor(cluster: TestCluster) {
    this.cluster = cluster;
    this.client = new ClusterClient(cluster);
  }

  static async start(seed: number): Promise<Scene> {
    const cluster = await TestCluster.start({ brokers: 3, controllers: 1, seed, settings });
    const scene = new Scene(cluster);
    assert.equal(await cluster.createTopic(1, 'orders', { partitions: 1, replicas: 3 }), 'NONE');
    scene.topicId = await (await cluster.client(1)).topicId('orders');
    await scene.#findBrokers();
    const about = { type: GROUP_CONFIGS, name: scene.groupId };
    const configs = {
      'share.auto.offset.reset': 'earliest',
      'errors.deadletterqueue.topic.name': scene.dlq,
      'errors.deadletterqueue.copy.record.enable': 'true',
    };
    assert.equal(await (await cluster.client(1)).configure(about, configs), 'NONE');
    return scene;
  }

  leader = (): Promise<number> => this.client.leaderOf('orders');
  groupCoordinator = (): Promise<number> => this.client.coordinatorOf('group', this.groupId);
  keeper = async (): Promise<number> => {
    const request = { keyType: 2, coordinatorKeys: [`${this.groupId}:${this.topicId}:0`] };
    const [up] = this.cluster.brokers.filter(({ isServing }) => isServing);
    return (await this.cluster.ask(up!.id, FindCoordinator, request, 6)).coordinators[0]!.nodeId;
  };

  /** A group whose coordinator and keeper are not the leader, and a topic for its dead letters that is led elsewhere as well. */
  async #findBrokers(): Promise<void> {
    const { cluster } = this;
    await cluster.waitFor('there are coordinators', async () => (await this.groupCoordinator()) > 0 && (await this.keeper()) > 0);
    const leader = await this.leader();
    for (let number = 0; number < 1_000; number++) {
      this.groupId = `sharers-${number}`;
      const three = new Set([leader, await this.groupCoordinator(), await this.keeper()]);
      if (three.size === 3) break;
    }
    for (let number = 0; ; number++) {
      this.dlq = `dlq.${number}`;
      const configs = { 'errors.deadletterqueue.group.enable': 'true' };
      assert.equal(await cluster.createTopic(1, this.dlq, { partitions: 1, replicas: 3 }, configs), 'NONE');
      let led = -1;
      await cluster.waitFor('it is led', async () => (led = await this.client.leaderOf(this.dlq)) >= 0);
      if (led !== leader) return;
    }
  }

  async beat(): Promise<ShareGroupHeartbeatResponse> {
    const { groupId, memberId, memberEpoch } = this;
    const subscribedTopicNames = memberEpoch === 0 ? ['orders'] : null;
    const request = { groupId, memberId, memberEpoch, subscribedTopicNames, rackId: null };
    const { error, answer } = await this.client.ask(
      this.groupCoordinator,
      ShareGroupHeartbeat,
      1,
      request,
      ({ errorCode }) => errorCode,
    );
    assert.equal(error, 'NONE');
    this.memberEpoch = answer!.memberEpoch;
    return answer!;
  }

  async join(): Promise<void> {
    await this.cluster.waitFor('the partition is assigned', async () => {
      const { assignment } = await this.beat();
      return (assignment?.topicPartitions ?? []).some(({ partitions }) => partitions.length === 1);
    });
  }

  async produce(...values: string[]): Promise<void> {
    const records = new Uint8Array(buildBatch({ records: values.map((value) => ({ timestamp: 1, value: Buffer.from(value) })) }));
    const topicData = [{ name: 'orders', partitionData: [{ index: 0, records }] }];
    const { error } = await this.client.ask(
      this.leader,
      Produce,
      12,
      { transactionalId: null, acks: -1, timeoutMs: 5_000, topicData },
      ({ responses }) => responses[0]!.partitionResponses[0]!.errorCode,
    );
    assert.equal(error, 'NONE');
  }

  /** A new session, with whoever leads the partition now. */
  async openSession(): Promise<SharingMember> {
    const { cluster, groupId, memberId } = this;
    await cluster.waitFor('there is a leader', async () => (await this.leader()) > 0);
    this.#session = new SharingMember(await cluster.client(await this.leader()), 'orders', { groupId, memberId });
    return this.#session;
  }

  /** The records that come next, once there are any. */
  async fetched(): Promise<readonly string[]> {
    let records: readonly string[] = [];
    await this.cluster.waitFor('records come', async () => {
      ({ records } = await this.#session!.fetch());
      return records.length > 0;
    });
    return records;
  }

  /** Start offset and lag, as the group's coordinator tells them. */
  async offsets(): Promise<{ startOffset: number; lag: number }> {
    const groups = [{ groupId: this.groupId, topics: null }];
    const { error, answer } = await this.client.ask(
      this.groupCoordinator,
      DescribeShareGroupOffsets,
      1,
      { groups },
      (given) => given.groups[0]!.errorCode || (given.groups[0]!.topics[0]?.partitions[0]?.errorCode ?? 0),
    );
    assert.equal(error, 'NONE');
    const { startOffset, lag } = answer!.groups[0]!.topics[0]!.partitions[0]!;
    return { startOffset, lag };
  }

  async deadLetters(): Promise<string[]> {
    return (await this.cluster.client(await this.client.leaderOf(this.dlq))).fetch(this.dlq);
  }
}

test('records are shared while state, group and dead letters are kept by other brokers', async () => {
  const scene = await Scene.start(1);
  await scene.join();
  await scene.produce('a', 'b', 'c', 'd');
  const session = await scene.openSession();
  assert.deepEqual(await scene.fetched(), ['a #1', 'b #1', 'c #1', 'd #1']);
  assert.equal(await session.acknowledge([{ first: 0, last: 3, types: [1, 2, 3, 1] }]), 'NONE');
  await scene.cluster.waitFor('the rejected one is a dead letter', async () => (await scene.deadLetters()).length > 0);
  assert.deepEqual(await scene.deadLetters(), ['c']);
  assert.deepEqual(await scene.fetched(), ['b #2']);
  assert.equal(await session.acknowledge([{ first: 1, last: 1, types: [1] }]), 'NONE');
  await scene.produce('e');
  assert.deepEqual(await scene.fetched(), ['e #1']);
  assert.equal(await session.acknowledge([{ first: 4, last: 4, types: [2] }]), 'NONE');
  assert.deepEqual(await scene.offsets(), { startOffset: 4, lag: 1 });
  assert.deepEqual(scene.cluster.errors(), []);
});

const names = { leader: 'leader', keeper: 'keeper of its state', groupCoordinator: 'group’s coordinator' };

for (const part of ['leader', 'keeper', 'groupCoordinator'] as const) {
  test(`what was acknowledged stays so when the ${names[part]} is killed`, async () => {
    const scene = await Scene.start(2);
    await scene.join();
    await scene.produce('a', 'b', 'c');
    let session = await scene.openSession();
    await scene.fetched();
    assert.equal(await session.acknowledge([{ first: 0, last: 2, types: [1, 2, 1] }]), 'NONE');
    const killed = await scene[part]();
    scene.cluster.node(killed).kill();
    if (part === 'leader') {
      await scene.cluster.waitFor('there is another leader', async () => ![killed, -1].includes(await scene.leader()));
      session = await scene.openSession();
    }
    const again = await scene.fetched();
    assert.deepEqual(again, ['b #2']);
    assert.equal(await session.acknowledge([{ first: 1, last: 1, types: [1] }]), 'NONE');
    await scene.produce('d', 'e');
    assert.deepEqual(await scene.fetched(), ['d #1', 'e #1']);
    assert.equal(await session.acknowledge([{ first: 3, last: 4, types: [1, 2] }]), 'NONE');
    assert.ok((await scene.beat()).memberEpoch > 0, 'the member is still known');
    // Where they begin is kept with the change after; what lies behind and is done with is counted.
    assert.deepEqual(await scene.offsets(), { startOffset: 3, lag: 1 });
  });
}
