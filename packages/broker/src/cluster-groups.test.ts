/** A group whose coordinator's partition is reassigned while a member waits for the others: to the leader that it has, or to another. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  AlterPartitionReassignments,
  errorName,
  JoinGroup,
  type JoinGroupResponse,
  ListPartitionReassignments,
  SyncGroup,
} from '@ottla/protocol';
import { TestCluster } from './testing-cluster.ts';
import { ClusterClient } from './testing-cluster-producer.ts';
import type { TestClient } from './testing-node.ts';

const GROUP = 'readers';
const OFFSETS = '__consumer_offsets';
const settings = { 'offsets.topic.replication.factor': '2', 'offsets.topic.num.partitions': '1' };

const joinRequest = (memberId: string) => ({
  groupId: GROUP,
  memberId,
  sessionTimeoutMs: 30_000,
  rebalanceTimeoutMs: 60_000,
  protocolType: 'consumer',
  protocols: [{ name: 'range', metadata: Buffer.alloc(0) }],
});

/** A member of the classic protocol, on a connection of its own: the requests of one wait for each other. */
class Member {
  readonly id: string;
  readonly #client: TestClient;

  private constructor(id: string, client: TestClient) {
    this.id = id;
    this.#client = client;
  }

  static async of(cluster: TestCluster, coordinator: number, known?: Member): Promise<Member> {
    const client = await cluster.connect(coordinator);
    return new Member(known?.id ?? (await client.ask(JoinGroup, joinRequest(''))).memberId, client);
  }

  /** Pending for as long as the group waits for others. */
  join(): { readonly answer: Promise<JoinGroupResponse> } {
    return { answer: this.#client.later(JoinGroup, joinRequest(this.id)) };
  }

  /** As the leader, which gives each member its own id as assignment, or as one of the others. */
  async sync({ generationId, members }: JoinGroupResponse): Promise<string> {
    const assignments = members.map(({ memberId }) => ({ memberId, assignment: Buffer.from(memberId) }));
    const request = {
      groupId: GROUP,
      generationId,
      memberId: this.id,
      assignments,
      protocolType: 'consumer',
      protocolName: 'range',
    };
    const { errorCode, assignment } = await this.#client.ask(SyncGroup, request);
    return errorCode === 0 ? Buffer.from(assignment).toString() : errorName(errorCode);
  }
}

/** A stable group of one member, and a second member that has joined and waits for the first to join anew. */
async function oneWaits() {
  const cluster = await TestCluster.start({ brokers: 3, controllers: 1, settings });
  await cluster.waitFor('all brokers are there', async () => (await cluster.liveBrokers(1)).length === 3);
  const client = new ClusterClient(cluster);
  let coordinator = -1;
  await cluster.waitFor('there is a coordinator', async () => (coordinator = await client.coordinatorOf('group', GROUP)) > 0);
  const { replicas } = await cluster.partition(coordinator, OFFSETS);
  const first = await Member.of(cluster, coordinator);
  const joined = await cluster.run(first.join().answer);
  assert.equal(await first.sync(joined), first.id);
  const second = await Member.of(cluster, coordinator);
  const waiting = second.join();
  const isWaiting = async () => (await Promise.race([waiting.answer, cluster.advance(3_000)])) === undefined;
  assert.ok(await isWaiting());

  const reassign = async (to: readonly number[]): Promise<void> => {
    const topics = [{ name: OFFSETS, partitions: [{ partitionIndex: 0, replicas: [...to] }] }];
    const { responses } = await cluster.ask(coordinator, AlterPartitionReassignments, { topics, timeoutMs: 10_000 });
    assert.equal(errorName(responses[0]!.partitions[0]!.errorCode), 'NONE');
    await cluster.waitFor('it is reassigned', async () => {
      const { topics: underWay } = await cluster.ask(coordinator, ListPartitionReassignments, { topics: null, timeoutMs: 1_000 });
      return underWay.length === 0 && (await cluster.partition(coordinator, OFFSETS)).replicas.join() === to.join();
    });
  };
  return {
    cluster,
    client,
    coordinator,
    follower: replicas.find((id) => id !== coordinator)!,
    third: [1, 2, 3].find((id) => !replicas.includes(id))!,
    generationId: joined.generationId,
    first,
    second,
    waiting,
    isWaiting,
    reassign,
  };
}

/** Both are of one generation, and each gets what the leader among them has for it. */
async function assertOneGeneration(
  cluster: TestCluster,
  generationId: number,
  members: readonly [Member, { readonly answer: Promise<JoinGroupResponse> }][],
): Promise<void> {
  const joined: [Member, JoinGroupResponse][] = [];
  for (const [member, { answer }] of members) joined.push([member, await cluster.run(answer)]);
  const told = joined.map(([, { errorCode, generationId: given }]) => ({ error: errorName(errorCode), generationId: given }));
  assert.deepEqual(
    told,
    members.map(() => ({ error: 'NONE', generationId })),
  );
  // The leader first: the others' requests are answered when it has said who gets what.
  joined.sort(([a], [b]) => Number(joined[0]![1].leader === b.id) - Number(joined[0]![1].leader === a.id));
  for (const [member, response] of joined) assert.equal(await member.sync(response), member.id);
}

test('a member that waits for its group goes on waiting while the coordinator’s partition gets another follower', async () => {
  const { cluster, coordinator, third, generationId, first, second, waiting, isWaiting, reassign } = await oneWaits();
  await reassign([coordinator, third]);
  assert.equal((await cluster.partition(coordinator, OFFSETS)).leader, coordinator);
  assert.ok(await isWaiting());
  await assertOneGeneration(cluster, generationId + 1, [
    [first, first.join()],
    [second, waiting],
  ]);
  assert.deepEqual(cluster.errors(), []);
});

test('a member that waits for its group is told at once that its coordinator is another one, and joins there', async () => {
  const { cluster, client, follower, third, generationId, first, second, waiting, reassign } = await oneWaits();
  await reassign([third, follower]);
  assert.equal(errorName((await cluster.run(waiting.answer)).errorCode), 'NOT_COORDINATOR');
  let next = -1;
  await cluster.waitFor('the group has another coordinator', async () => {
    next = await client.coordinatorOf('group', GROUP);
    return next === third || next === follower;
  });
  const [firstThere, secondThere] = [await Member.of(cluster, next, first), await Member.of(cluster, next, second)];
  // Of the first one only: the second one's joining was never written, and whoever asks with an id that is not known is to begin anew.
  const refused = await cluster.run(secondThere.join().answer);
  assert.equal(errorName(refused.errorCode), 'UNKNOWN_MEMBER_ID');
  const anew = await Member.of(cluster, next);
  const joining = anew.join();
  await cluster.advance(100);
  await assertOneGeneration(cluster, generationId + 1, [
    [firstThere, firstThere.join()],
    [anew, joining],
  ]);
  assert.deepEqual(cluster.errors(), []);
});
