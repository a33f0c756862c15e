import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defaultGroupCoordinatorConfig, MemoryGroupTopics } from '@ottla/coordinator';
import {
  BatchView,
  batchHeaderBytes,
  buildBatch,
  buildControlBatch,
  errorName,
  JoinGroup,
  KafkaError,
  LeaveGroup,
  OffsetCommit,
  type OffsetCommitRequest,
  OffsetFetch,
  Reader,
  SyncGroup,
  Writer,
  writeGroupRecordKey,
  writeGroupRecordValue,
  ZERO_UUID,
} from '@ottla/protocol';
import { World } from '@ottla/runtime';
import { MemorySharePersister } from '../sharing/memory-share-persister.ts';
import { GroupCoordinatorService } from './group-coordinator-service.ts';
import type { GroupRequestContext } from './group-partitions.ts';
import type { GroupServiceConfig } from './group-service-config.ts';
import { MemoryCoordinatorLog } from './memory-coordinator-log.ts';

const TOPIC_ID = 'AAAAAAAAAAAAAAAAAAAAAQ';
const v = (apiVersion: number): GroupRequestContext => ({ apiVersion, clientId: 'c', clientHost: '/127.0.0.1' });

function start(config: Partial<GroupServiceConfig['partition']> = {}) {
  const world = new World({ seed: 1 });
  const log = new MemoryCoordinatorLog();
  const topics = new MemoryGroupTopics();
  topics.set('t', TOPIC_ID, 3);
  const service = new GroupCoordinatorService({
    runtime: world.machine('broker').boot(),
    config: {
      group: defaultGroupCoordinatorConfig,
      partition: { appendLingerMs: -1, commitTimeoutMs: 5_000, compression: 'none', loadStepBytes: 4096, ...config },
    },
    partitionCount: () => 1,
    log: () => log,
    topics,
    verifyTransaction: () => Promise.resolve(undefined),
    configOf: () => assert.fail('no group here has configs'),
    isEnabled: () => true,
    createTopic: () => assert.fail('no topic is created here'),
    share: { persister: new MemorySharePersister(), latestOffset: async () => 0 },
  });
  return { world, log, service };
}

async function started(config: Partial<GroupServiceConfig['partition']> = {}) {
  const all = start(config);
  await all.world.runUntil(all.service.onPartitionElected(0, 0));
  return all;
}

function commitRequest(
  offset: number,
  { name = 't', topicId = ZERO_UUID, partitions = [0], groupId = 'g' } = {},
): OffsetCommitRequest {
  return {
    groupId,
    generationIdOrMemberEpoch: -1,
    memberId: '',
    groupInstanceId: null,
    retentionTimeMs: -1,
    topics: [
      {
        name,
        topicId,
        partitions: partitions.map((partitionIndex) => ({
          partitionIndex,
          committedOffset: offset,
          committedLeaderEpoch: -1,
          committedMetadata: 'm',
        })),
      },
    ],
  };
}

const fetchRequest = (topics: { name: string; partitionIndexes: number[] }[] | null, requireStable = false) => ({
  groupId: 'g',
  topics,
  groups: [],
  requireStable,
});

async function fetchedOffset(
  { world, service }: Awaited<ReturnType<typeof started>>,
  requireStable = false,
): Promise<number | undefined> {
  const request = fetchRequest([{ name: 't', partitionIndexes: [0] }], requireStable);
  const response = await world.runUntil(service.offsets.offsetFetch(request, v(7)));
  return response.topics![0]!.partitions![0]!.committedOffset;
}

const codesOf = (response: Awaited<ReturnType<GroupCoordinatorService['offsets']['offsetCommit']>>): string[] =>
  response.topics!.flatMap(({ partitions }) => partitions!.map(({ errorCode }) => errorName(errorCode!)));

/** Whether the promise is settled once everything that can happen now has happened. */
async function isSettled(world: World, promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  void promise.finally(() => void (settled = true));
  await world.advance(0);
  return settled;
}

test('before it leads, while it loads and after it resigned, a broker refuses', async () => {
  const { world, service } = start();
  assert.deepEqual(codesOf(await service.offsets.offsetCommit(commitRequest(1), v(8))), ['NOT_COORDINATOR']);
  const loading = service.onPartitionElected(0, 5);
  const beat = { groupId: 'g', generationId: 1, memberId: 'x', groupInstanceId: null };
  // The log is empty, and yet it is loaded in a step of its own.
  service.onPartitionResigned(0, 4);
  await world.runUntil(loading);
  assert.equal((await world.runUntil(service.classic.heartbeat(beat, v(4)))).errorCode, 25);
  service.onPartitionResigned(0, 5);
  assert.deepEqual(codesOf(await service.offsets.offsetCommit(commitRequest(1), v(8))), ['NOT_COORDINATOR']);
  service.shutdown();
  assert.deepEqual(codesOf(await service.offsets.offsetCommit(commitRequest(1), v(8))), ['COORDINATOR_NOT_AVAILABLE']);
});

test('a log of many batches is loaded in steps, and the members wait no longer than that', async () => {
  const first = await started();
  for (let offset = 0; offset < 500; offset++) {
    void first.service.offsets.offsetCommit(commitRequest(offset), v(8));
    await first.world.advance(0);
  }
  const { world, service, log } = start();
  log.batches.push(...first.log.batches);
  log.logEndOffset = log.highWatermark = first.log.logEndOffset;
  assert.equal(log.logEndOffset, 500);
  const loading = service.onPartitionElected(0, 1);
  assert.deepEqual(codesOf(await service.offsets.offsetCommit(commitRequest(1), v(8))), ['COORDINATOR_LOAD_IN_PROGRESS']);
  const beat = await service.classic.heartbeat({ groupId: 'g', generationId: 1, memberId: 'x', groupInstanceId: null }, v(4));
  assert.equal(beat.errorCode, 0, 'a heartbeat is let through');
  assert.equal((await service.listGroups({ statesFilter: [], typesFilter: [] }, v(5))).errorCode, 14);
  await world.runUntil(loading);
  assert.equal(await fetchedOffset({ world, service, log }), 499);
});

test('a flipped bit makes the groups of its partition unavailable: they are neither empty nor elsewhere', async () => {
  const first = await started();
  await first.world.runUntil(first.service.offsets.offsetCommit(commitRequest(7), v(8)));
  const written = Buffer.concat(first.log.batches);
  for (let at = batchHeaderBytes; at < written.length; at++) {
    const { world, log, service } = start();
    const flipped = Buffer.from(written);
    flipped[at]! ^= 1;
    log.append(flipped);
    await world.runUntil(service.onPartitionElected(0, 0));
    const { errorCode } = await world.runUntil(service.offsets.offsetFetch(fetchRequest(null), v(7)));
    assert.equal(errorName(errorCode!), 'NOT_COORDINATOR', `byte ${at}`);
  }
});

test('the records of one turn are one batch, written as a coordinator writes', async () => {
  const { world, log, service } = await started();
  const responses = Promise.all(
    [1, 2, 3].map((offset) => service.offsets.offsetCommit(commitRequest(offset, { partitions: [0, 1] }), v(8))),
  );
  assert.equal(log.batches.length, 0);
  for (const response of await world.runUntil(responses)) assert.deepEqual(codesOf(response), ['NONE', 'NONE']);
  assert.equal(log.batches.length, 1);
  const batch = new BatchView(log.batches[0]!);
  assert.equal(batch.recordsCount, 6);
  assert.deepEqual([batch.baseOffset, batch.producerId, batch.producerEpoch, batch.baseSequence], [0, -1, -1, 0]);
  assert.ok(batch.isCrcValid());
});

test('batches keep to the size that the partition takes, and one request that does not fit is refused alone', async () => {
  const { world, log, service } = await started();
  log.maxBatchBytes = 300;
  const responses = [1, 2, 3, 4].map((offset) => service.offsets.offsetCommit(commitRequest(offset), v(8)));
  const tooLarge = service.offsets.offsetCommit(commitRequest(9, { partitions: [0, 1, 2], groupId: 'a'.repeat(100) }), v(8));
  for (const response of await world.runUntil(Promise.all(responses))) assert.deepEqual(codesOf(response), ['NONE']);
  assert.deepEqual(codesOf(await world.runUntil(tooLarge)), Array(3).fill('UNKNOWN_SERVER_ERROR'));
  assert.ok(log.batches.length > 1);
  assert.ok(log.batches.every(({ length }) => length <= 300));
  assert.equal(log.logEndOffset, 4);
});

test('a commit is answered when the high watermark has passed it, and plain readers see it only then', async () => {
  const all = await started();
  const { world, log, service } = all;
  await world.runUntil(service.offsets.offsetCommit(commitRequest(1), v(8)));
  log.holdsCommits = true;
  const commit = service.offsets.offsetCommit(commitRequest(2), v(8));
  assert.equal(await isSettled(world, commit), false);
  assert.equal(await fetchedOffset(all), 1);
  const stable = service.offsets.offsetFetch(fetchRequest([{ name: 't', partitionIndexes: [0] }], true), v(7));
  assert.equal(await isSettled(world, stable), false, 'a stable fetch waits for what it saw');
  log.commit();
  assert.deepEqual(codesOf(await world.runUntil(commit)), ['NONE']);
  assert.equal((await world.runUntil(stable)).topics![0]!.partitions![0]!.committedOffset, 2);
  assert.equal(await fetchedOffset(all), 2);
});

test('a commit that takes too long is given up, and may take effect later', async () => {
  const all = await started();
  all.log.holdsCommits = true;
  const commit = all.service.offsets.offsetCommit(commitRequest(2), v(8));
  assert.deepEqual(codesOf(await all.world.runUntil(commit)), ['COORDINATOR_NOT_AVAILABLE']);
  assert.equal(await fetchedOffset(all), -1);
  all.log.commit();
  await all.world.advance(0);
  assert.equal(await fetchedOffset(all), 2);
});

test('an append that fails is undone whole, and the next one works', async () => {
  const all = await started();
  const { world, log, service } = all;
  await world.runUntil(service.offsets.offsetCommit(commitRequest(1), v(8)));
  for (const [thrown, told] of [
    [new KafkaError('NOT_ENOUGH_REPLICAS'), 'COORDINATOR_NOT_AVAILABLE'],
    [new KafkaError('NOT_LEADER_OR_FOLLOWER'), 'NOT_COORDINATOR'],
    [new Error('the disk is gone'), 'NOT_COORDINATOR'],
    [new KafkaError('RECORD_LIST_TOO_LARGE'), 'UNKNOWN_SERVER_ERROR'],
  ] as const) {
    log.appendError = thrown;
    const commits = Promise.all([
      service.offsets.offsetCommit(commitRequest(7), v(8)),
      service.offsets.offsetCommit(commitRequest(8, { groupId: 'h' }), v(8)),
    ]);
    for (const response of await world.runUntil(commits)) assert.deepEqual(codesOf(response), [told]);
    const { groups } = await world.runUntil(service.listGroups({ statesFilter: [], typesFilter: [] }, v(5)));
    assert.deepEqual(
      groups!.map(({ groupId }) => groupId),
      ['g'],
    );
  }
  log.appendError = null;
  assert.equal(await fetchedOffset(all, true), 1);
  await world.runUntil(service.offsets.offsetCommit(commitRequest(9), v(8)));
  assert.equal(await fetchedOffset(all), 9);
});

test('whoever waits when the partition goes is told to look for the coordinator', async () => {
  const { world, log, service } = await started();
  const join = service.classic.joinGroup(joinRequest(), v(3));
  await world.advance(0);
  log.holdsCommits = true;
  const commit = service.offsets.offsetCommit(commitRequest(1, { groupId: 'h' }), v(8));
  await world.advance(0);
  log.loseLeadership();
  assert.deepEqual(codesOf(await world.runUntil(commit)), ['NOT_COORDINATOR']);
  assert.equal(await isSettled(world, join), false);
  service.onPartitionResigned(0, 0);
  assert.equal(errorName((await world.runUntil(join)).errorCode!), 'NOT_COORDINATOR');
});

test('a group that rebalances goes on when its partition has a new epoch and the same leader', async () => {
  const { world, service, log } = await started();
  const joining = service.classic.joinGroup({ ...joinRequest(), memberId: '' }, v(3));
  await world.advance(100);
  await world.runUntil(service.onPartitionElected(0, 1, true));
  const joined = await world.runUntil(joining);
  assert.equal(joined.errorCode ?? 0, 0);
  assert.equal(joined.generationId, 1);
  assert.ok(log.logEndOffset > 0);
});

test('a coordinator that finds records of another in its log loads again', async () => {
  const all = await started();
  const { world, log, service } = all;
  await world.runUntil(service.offsets.offsetCommit(commitRequest(1), v(8)));
  log.append(
    buildBatch({
      baseOffset: 1,
      producerId: 5,
      producerEpoch: 0,
      baseSequence: 0,
      isTransactional: true,
      records: [offsetRecord(70)],
    }),
  );
  log.append(
    buildControlBatch({
      records: [{ type: 'commit', coordinatorEpoch: 0 }],
      timestamp: 0,
      baseOffset: 2,
      producerId: 5,
      producerEpoch: 0,
    }),
  );
  assert.deepEqual(codesOf(await world.runUntil(service.offsets.offsetCommit(commitRequest(2, { partitions: [1] }), v(8)))), [
    'NOT_COORDINATOR',
  ]);
  await world.advance(1);
  assert.equal(await fetchedOffset(all, true), 70);
});

test('a member goes through a whole generation, in every version of the requests', async () => {
  for (let version = JoinGroup.minVersion; version <= JoinGroup.maxVersion; version++) {
    const { world, service } = await started();
    const context = v(version);
    const joinAs = async (memberId: string) => {
      const request = { ...joinRequest(), memberId };
      const response = await world.runUntil(service.classic.joinGroup(request, context));
      return throughWire(JoinGroup.response, response, version);
    };
    let joined = await joinAs('');
    if (version >= 4) {
      assert.equal(errorName(joined.errorCode), 'MEMBER_ID_REQUIRED');
      joined = await joinAs(joined.memberId);
    }
    assert.equal(joined.errorCode, 0);
    assert.equal(joined.generationId, 1);
    assert.match(joined.memberId, /^c-[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    const { memberId } = joined;
    const assignments = [{ memberId, assignment: new Uint8Array([7]) }];
    const syncVersion = Math.min(version, SyncGroup.maxVersion);
    const names =
      syncVersion >= 5 ? { protocolType: 'consumer', protocolName: 'range' } : { protocolType: null, protocolName: null };
    const sync = { groupId: 'g', generationId: 1, memberId, groupInstanceId: null, assignments, ...names };
    const synced = throughWire(
      SyncGroup.response,
      await world.runUntil(service.classic.syncGroup(sync, v(syncVersion))),
      syncVersion,
    );
    assert.deepEqual([...synced.assignment], [7]);
    const leaveVersion = Math.min(version, LeaveGroup.maxVersion);
    const leave = { groupId: 'g', memberId, members: [{ memberId, groupInstanceId: null, reason: null }] };
    const left = throughWire(
      LeaveGroup.response,
      await world.runUntil(service.classic.leaveGroup(leave, v(leaveVersion))),
      leaveVersion,
    );
    assert.equal(left.errorCode, 0);
    const again = throughWire(
      LeaveGroup.response,
      await world.runUntil(service.classic.leaveGroup(leave, v(leaveVersion))),
      leaveVersion,
    );
    assert.equal(leaveVersion >= 3 ? again.members[0]!.errorCode : again.errorCode, 25);
  }
});

test('a join is refused for what the group must not even see', async () => {
  const { world, service } = await started();
  const join = async (fields: Partial<ReturnType<typeof joinRequest>>, version = 9): Promise<string> =>
    errorName((await world.runUntil(service.classic.joinGroup({ ...joinRequest(), ...fields }, v(version)))).errorCode!);
  assert.equal(await join({ groupId: '' }), 'INVALID_GROUP_ID');
  assert.equal(await join({ sessionTimeoutMs: 5_999 }), 'INVALID_SESSION_TIMEOUT');
  assert.equal(await join({ sessionTimeoutMs: 1_800_001 }), 'INVALID_SESSION_TIMEOUT');
  assert.equal(await join({ memberId: 'stranger' }), 'UNKNOWN_MEMBER_ID');
  // The id that is made of it would not fit into the records of the group.
  assert.equal(await join({ groupInstanceId: 'ö'.repeat(16_366) }), 'INVALID_REQUEST');
  const nameless = service.classic.joinGroup(joinRequest(), { ...v(3), clientId: 'x'.repeat(32_731) });
  assert.equal(errorName((await world.runUntil(nameless)).errorCode!), 'INVALID_REQUEST');
  const refused = await world.runUntil(
    service.classic.joinGroup({ ...joinRequest(), memberId: 'x', groupInstanceId: 'i' }, v(6)),
  );
  assert.doesNotThrow(() => throughWire(JoinGroup.response, refused, 6));
  const sync = {
    groupId: 'g',
    generationId: 1,
    memberId: 'x',
    groupInstanceId: null,
    assignments: [],
    protocolType: null,
    protocolName: null,
  };
  assert.equal(
    errorName((await world.runUntil(service.classic.syncGroup(sync, v(5)))).errorCode!),
    'INCONSISTENT_GROUP_PROTOCOL',
  );
});

test('commits and fetches speak of topics by name or by id, as their version does', async () => {
  const { world, service } = await started();
  const commit = async (request: OffsetCommitRequest, version: number) =>
    throughWire(OffsetCommit.response, await world.runUntil(service.offsets.offsetCommit(request, v(version))), version);
  const mixed = await commit(commitRequest(4, { partitions: [0, 9] }), 2);
  assert.equal(mixed.topics.length, 1);
  assert.deepEqual(codesOf(mixed), ['UNKNOWN_TOPIC_OR_PARTITION', 'NONE']);
  assert.deepEqual(codesOf(await commit(commitRequest(4, { name: 'nowhere' }), 9)), ['UNKNOWN_TOPIC_OR_PARTITION']);
  const byId = await commit(commitRequest(5, { name: '', topicId: TOPIC_ID, partitions: [1] }), 10);
  assert.equal(byId.topics[0]!.topicId, TOPIC_ID);
  assert.deepEqual(codesOf(byId), ['NONE']);
  assert.deepEqual(codesOf(await commit(commitRequest(5, { name: '', topicId: 'AAAAAAAAAAAAAAAAAAAAgg' }), 10)), [
    'UNKNOWN_TOPIC_ID',
  ]);

  for (let version = OffsetFetch.minVersion; version <= OffsetFetch.maxVersion; version++) {
    const partitionIndexes = [0, 1, 2];
    const topic = { name: version < 10 ? 't' : '', topicId: version < 10 ? ZERO_UUID : TOPIC_ID, partitionIndexes };
    const request = {
      ...fetchRequest([topic]),
      groups: ['g', 'other'].map((groupId) => ({ groupId, memberId: null, memberEpoch: -1, topics: [topic] })),
    };
    const response = throughWire(
      OffsetFetch.response,
      await world.runUntil(service.offsets.offsetFetch(request, v(version))),
      version,
    );
    const topics = version >= 8 ? response.groups[0]!.topics : response.topics;
    assert.deepEqual(
      topics[0]!.partitions.map(({ committedOffset }) => committedOffset),
      [4, 5, -1],
      `version ${version}`,
    );
    if (version >= 8)
      assert.deepEqual(
        response.groups[1]!.topics[0]!.partitions.map(({ committedOffset }) => committedOffset),
        [-1, -1, -1],
      );
    if (version < 2) continue;
    const everything = { ...fetchRequest(null), groups: [{ groupId: 'g', memberId: null, memberEpoch: -1, topics: null }] };
    const all = throughWire(
      OffsetFetch.response,
      await world.runUntil(service.offsets.offsetFetch(everything, v(version))),
      version,
    );
    const allTopics = version >= 8 ? all.groups[0]!.topics : all.topics;
    assert.deepEqual(
      allTopics[0]!.partitions.map(({ committedOffset }) => committedOffset),
      [4, 5],
    );
    if (version >= 10) assert.equal(all.groups[0]!.topics[0]!.topicId, TOPIC_ID);
  }
});

test('groups are listed, described, and deleted', async () => {
  const { world, service } = await started();
  await world.runUntil(service.offsets.offsetCommit(commitRequest(4), v(8)));
  const list = async (statesFilter: string[], typesFilter: string[]): Promise<string[]> => {
    const { groups } = await world.runUntil(service.listGroups({ statesFilter, typesFilter }, v(5)));
    return groups!.map(({ groupId, groupState, groupType }) => `${groupId} ${groupState} ${groupType}`);
  };
  assert.deepEqual(await list([], []), ['g Empty classic']);
  assert.deepEqual(await list([' EMPTY'], ['classic', 'consumer']), ['g Empty classic']);
  assert.deepEqual(await list(['stable'], []), []);
  assert.deepEqual(await list([], ['nonsense']), []);
  const request = { groups: ['g', 'x'], includeAuthorizedOperations: false };
  const described = await world.runUntil(service.classic.describeGroups(request, v(6)));
  assert.deepEqual(
    described.groups!.map(({ groupState, errorCode }) => `${groupState} ${errorName(errorCode ?? 0)}`),
    ['Empty NONE', 'Dead GROUP_ID_NOT_FOUND'],
  );
  const deleted = await world.runUntil(service.deleteGroups({ groupsNames: ['g', 'x'] }, v(2)));
  assert.deepEqual(
    deleted.results!.map(({ errorCode }) => errorName(errorCode!)),
    ['NONE', 'GROUP_ID_NOT_FOUND'],
  );
  assert.deepEqual(await list([], []), []);
});

test('sessions end and topics go without anybody asking', async () => {
  const all = await started();
  const { world, service } = all;
  await world.runUntil(service.offsets.offsetCommit(commitRequest(4, { groupId: 'g' }), v(8)));
  const joined = service.classic.joinGroup({ ...joinRequest(), groupId: 'members' }, v(3));
  const { memberId } = await world.runUntil(joined);
  await world.advance(60_000 + 10_000);
  const beat = { groupId: 'members', generationId: 1, memberId: memberId!, groupInstanceId: null };
  assert.equal(errorName((await world.runUntil(service.classic.heartbeat(beat, v(4)))).errorCode!), 'UNKNOWN_MEMBER_ID');
  await world.runUntil(service.onTopicsDeleted([{ name: 't', topicId: TOPIC_ID }]));
  assert.equal(await fetchedOffset(all), -1);
});

function joinRequest() {
  return {
    groupId: 'g',
    sessionTimeoutMs: 10_000,
    rebalanceTimeoutMs: 60_000,
    memberId: '',
    groupInstanceId: null as string | null,
    protocolType: 'consumer',
    protocols: [{ name: 'range', metadata: new Uint8Array([0, 0, 0, 0, 0, 0, 255, 255, 255, 255]) }],
    reason: null,
  };
}

function offsetRecord(offset: number): { key: Uint8Array; value: Uint8Array | null } {
  const key = { group: 'g', topic: 't', partition: 0 };
  const record = { type: 'OffsetCommit', version: 4, key, value: { offset, commitTimestamp: 0 } } as const;
  return { key: writeGroupRecordKey(record), value: writeGroupRecordValue(record) };
}

/** Written and read back in that version: what a client would see. */
function throughWire<T>(
  codec: { write(writer: Writer, message: never, version: number): void; read(reader: Reader, version: number): T },
  message: object,
  version: number,
): T {
  const writer = new Writer();
  codec.write(writer, message as never, version);
  return codec.read(new Reader(writer.bytes()), version);
}

const txnCommitRequest = (offset: number, { producerId = 9, producerEpoch = 1 } = {}) => ({
  transactionalId: 'a',
  groupId: 'g',
  producerId,
  producerEpoch,
  generationId: -1,
  memberId: '',
  groupInstanceId: null,
  topics: [
    {
      name: 't',
      partitions: [{ partitionIndex: 0, committedOffset: offset, committedLeaderEpoch: -1, committedMetadata: '' }],
    },
  ],
});

const marker = { producerId: 9, producerEpoch: 1, isCommit: true, coordinatorEpoch: 0, transactionVersion: 0 };

test('offsets of a transaction are a batch of its producer, behind what was decided before, and count with its marker', async () => {
  const all = await started();
  const { world, log, service } = all;
  const plain = service.offsets.offsetCommit(commitRequest(1), v(7));
  const transactional = service.offsets.txnOffsetCommit(txnCommitRequest(5), v(4));
  const answers = await world.runUntil(Promise.all([plain, transactional]));
  assert.deepEqual(answers.flatMap(codesOf), ['NONE', 'NONE']);
  assert.deepEqual(
    log.batches
      .map((bytes) => new BatchView(bytes))
      .map(({ producerId, producerEpoch, isTransactional }) => [producerId, producerEpoch, isTransactional]),
    [
      [-1, -1, false],
      [9, 1, true],
    ],
  );
  assert.equal(await fetchedOffset(all), 1);
  await world.runUntil(service.endTransaction(0, marker));
  const written = new BatchView(log.batches.at(-1)!);
  assert.deepEqual([written.isControl, written.producerId, written.baseOffset], [true, 9, 2]);
  assert.equal(await fetchedOffset(all), 5);
  // As whoever loads the partition finds it.
  const again = start();
  Object.assign(again.log, { batches: log.batches, logEndOffset: log.logEndOffset, highWatermark: log.highWatermark });
  await again.world.runUntil(again.service.onPartitionElected(0, 1));
  assert.equal(await fetchedOffset(again), 5);
});

test('what a transaction could not write waits for no marker', async () => {
  const all = await started();
  const { world, log, service } = all;
  log.appendError = new KafkaError('INVALID_TXN_STATE');
  const refused = await world.runUntil(service.offsets.txnOffsetCommit(txnCommitRequest(5), v(4)));
  assert.deepEqual(codesOf(refused), ['INVALID_TXN_STATE']);
  await assert.rejects(world.runUntil(service.endTransaction(0, marker)), { name: 'INVALID_TXN_STATE' });
  log.appendError = null;
  await world.runUntil(service.endTransaction(0, marker));
  assert.equal(await fetchedOffset(all, true), -1);
});
