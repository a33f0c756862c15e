import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KafkaError } from '@ottla/protocol';
import { offsetCommitRecord } from './group-record.ts';
import { durableState, GroupWorld } from './group-world.ts';
import type { Answer } from './outcome.ts';
import { randomFrom } from './seeded-random.ts';

/**
 * Clients that behave as real ones do, mostly: they join, sync, beat, commit, leave, vanish, come back and retry, while appends fail
 * and the coordinator moves. Whatever happens, the coordinator keeps its promises; and once they calm down, the group settles.
 */
test('groups keep their promises under any mix of clients, failures and moves', () => {
  for (let seed = 1; seed <= 300; seed++) {
    try {
      run(seed);
    } catch (error) {
      throw new Error(`seed ${seed}: ${(error as Error).message}`, { cause: error });
    }
  }
});

type Client = {
  readonly name: string;
  readonly instanceId: string | null;
  readonly apiVersion: number;
  readonly topics: string[];
  memberId: string;
  generationId: number;
  join: number | null;
  sync: number | null;
  assignment: string | null;
};

function run(seed: number): void {
  const random = randomFrom(seed);
  const below = (bound: number): number => Math.floor(random() * bound);
  const world = new GroupWorld({ maxSize: below(4) === 0 ? 3 : 100 });
  const clients: Client[] = Array.from({ length: 2 + below(4) }, (_, index) => ({
    name: `c${index}`,
    instanceId: below(3) === 0 ? `i${index}` : null,
    apiVersion: [3, 5, 8, 9][below(4)]!,
    topics: below(2) === 0 ? ['t'] : ['t', 'u'],
    memberId: '',
    generationId: -1,
    join: null,
    sync: null,
    assignment: null,
  }));
  let lastGeneration = 0;
  const committed = new Map<string, number>();
  let nextOffset = 1;

  for (let step = 0; step < 150; step++) {
    const client = clients[below(clients.length)]!;
    const what = below(100);
    if (what < 45) act(client);
    else if (what < 60) world.pass(below(4_000));
    else if (what < 63) world.pass(below(70_000));
    else if (what < 73) commitOffset(client);
    else if (what < 77) world.leave([client.memberId || { groupInstanceId: client.instanceId }]);
    else if (what < 82) forget(client);
    else if (what < 86) world.appendError = new KafkaError('NOT_ENOUGH_REPLICAS');
    else if (what < 93) world.appendError = null;
    else if (what < 95) takeOver();
    else if (what < 97) transactionalCommit();
    else act(client);
    check();
  }

  world.appendError = null;
  for (let round = 0; round < 200 && !isSettled(); round++) {
    for (const client of clients) act(client);
    world.pass(1_000);
    check();
  }
  assert.ok(isSettled(), `the group did not settle: ${world.group().state}`);
  const fresh = world.reloaded();
  assert.deepEqual(durableState(fresh), durableState(world.coordinator));

  /** What the client would send next. */
  function act(client: Client): void {
    collect(client);
    if (client.join !== null || client.sync !== null) return;
    if (client.generationId < 0) {
      client.join = world.join(client.memberId, {
        apiVersion: client.apiVersion,
        clientId: client.name,
        topics: client.topics,
        groupInstanceId: client.instanceId,
        rebalanceTimeoutMs: 30_000,
      });
    } else if (client.assignment === null) {
      const isLeader = world.coordinator.groups.get('g') && world.group().isLeader(client.memberId);
      const members = isLeader ? [...world.group().members.keys()] : [];
      const generation = client.generationId;
      const assignments = Object.fromEntries(members.map((member) => [member, `${member}@${generation}`]));
      client.sync = world.sync(client.memberId, generation, assignments, { groupInstanceId: client.instanceId });
    } else {
      const answer = world.heartbeat(client.memberId, client.generationId, { groupInstanceId: client.instanceId });
      if (answer !== 'NONE') rejoin(client, answer);
    }
    collect(client);
  }

  function collect(client: Client): void {
    const joined = client.join === null ? undefined : world.answers.get(client.join);
    if (joined !== undefined) {
      client.join = null;
      afterJoin(client, joined);
    }
    const synced = client.sync === null ? undefined : world.answers.get(client.sync);
    if (synced !== undefined) {
      const error = world.errorOf(client.sync!)!;
      client.sync = null;
      if (error !== 'NONE') rejoin(client, error);
      else client.assignment = new TextDecoder().decode((synced as { assignment?: Uint8Array }).assignment ?? new Uint8Array());
    }
  }

  function afterJoin(client: Client, response: Answer['response']): void {
    const {
      errorCode = 0,
      memberId = '',
      generationId = -1,
    } = response as { errorCode?: number; memberId?: string; generationId?: number };
    if (errorCode === 79) client.memberId = memberId;
    else if (errorCode !== 0) client.memberId = errorCode === 25 ? '' : client.memberId;
    else {
      client.memberId = memberId;
      client.generationId = generationId;
      client.assignment = null;
    }
  }

  function rejoin(client: Client, error: string): void {
    client.generationId = -1;
    client.assignment = null;
    if (error === 'UNKNOWN_MEMBER_ID' || error === 'FENCED_INSTANCE_ID') client.memberId = '';
  }

  /** The client's process dies, and another takes its place. */
  function forget(client: Client): void {
    client.memberId = '';
    client.join = null;
    client.sync = null;
    rejoin(client, '');
  }

  /** The partition moves: whoever waited is told, and asks again. */
  function takeOver(): void {
    world.submit(world.coordinator.unload(world.moment));
    for (const client of clients) collect(client);
    world.takeOver();
    lastGeneration = 0;
  }

  function commitOffset(client: Client): void {
    const at = `t-${below(3)}`;
    const offset = nextOffset++;
    const answer = world.commit(
      { [at]: offset },
      { memberId: client.memberId, generationIdOrMemberEpoch: client.generationId, groupInstanceId: client.instanceId },
    );
    if (answer === 'NONE') committed.set(at, offset);
  }

  function transactionalCommit(): void {
    const producerId = 100 + below(3);
    const committing = {
      leaderEpoch: -1,
      metadata: '',
      commitTimestamp: 0,
      expireTimestamp: -1,
      topicId: 'AAAAAAAAAAAAAAAAAAAAAA',
    };
    const at = { groupId: 'txn', topic: 't', partition: below(2) };
    world.write(offsetCommitRecord(at, { ...committing, offset: nextOffset++, recordOffset: -1 }), producerId);
    if (world.appendError !== null) world.coordinator.assertInvariants();
  }

  function check(): void {
    world.coordinator.assertInvariants();
    const { groups } = world.coordinator;
    for (const [at, offset] of committed) assert.equal(world.fetched()[at], offset, `${at} was committed and answered`);
    if (!groups.has('g')) return;
    const group = world.group();
    assert.ok(group.generationId >= lastGeneration, 'a generation never runs backwards');
    lastGeneration = group.generationId;
    // Whoever believes to have an assignment of this generation has the one that its leader gave it.
    for (const client of clients) {
      if (client.assignment === null || client.generationId !== group.generationId || group.state !== 'Stable') continue;
      const member = group.members.get(client.memberId);
      if (member !== undefined) assert.equal(client.assignment, new TextDecoder().decode(member.assignment));
    }
    // Offsets survive a move at any moment.
    if (world.log.length % 16 === 0) assert.deepEqual(offsetsOf(world.reloaded()), offsetsOf(world.coordinator));
  }

  function isSettled(): boolean {
    if (!world.coordinator.groups.has('g')) return false;
    const group = world.group();
    const settled = clients.filter(
      ({ generationId, assignment }) => generationId === group.generationId && assignment !== null,
    ).length;
    return (
      group.state === 'Stable' && settled === group.members.size && settled === Math.min(clients.length, world.config.maxSize)
    );
  }
}

function offsetsOf(coordinator: GroupWorld['coordinator']): unknown {
  return [...coordinator.groups.keys()]
    .sort()
    .flatMap((groupId) =>
      [...coordinator.storedOffsets.ofGroup(groupId)].map(([topic, partitions]) => [groupId, topic, [...partitions].sort()]),
    );
}
