/** What members of groups ask that were members in another generation, or epoch. */
import {
  ConsumerGroupDescribe,
  ConsumerGroupHeartbeat,
  DescribeGroups,
  errorName,
  Heartbeat,
  JoinGroup,
  OffsetCommit,
  OffsetFetch,
  ShareGroupDescribe,
  ShareGroupHeartbeat,
  StreamsGroupDescribe,
  StreamsGroupHeartbeat,
  SyncGroup,
  TxnOffsetCommit,
} from '@ottla/protocol';
import { type AskedNodes, coordinatorOf, errorCodeIn, until } from './asked-nodes.ts';
import { transactionalProducer } from './producer-refusals.ts';
import { epochRow, type Row, type Subject } from './refusal.ts';
import { movedTopic } from './topic.ts';

const transactionalId = 'refused-to-groups';
const consumerId = 'AAAAAAAAAAAAAAAAAAAAZQ';
const streamsId = 'AAAAAAAAAAAAAAAAAAAAZg';
const sharerId = 'AAAAAAAAAAAAAAAAAAAAZw';

type Beat<Answer> = (memberEpoch: number, more?: object) => Promise<Answer>;

/** A member of an epoch above 2: it changes what it subscribes to, and comes to rest. */
async function epochOf(
  nodes: AskedNodes,
  what: string,
  beat: Beat<{ errorCode: number; memberEpoch: number }>,
  joining: readonly object[],
): Promise<number> {
  let memberEpoch = 0;
  for (const change of joining) {
    const before = memberEpoch;
    const answer = await until(nodes, `${what} is heard`, async () => {
      const given = await beat(memberEpoch, change);
      if (errorName(given.errorCode) === 'COORDINATOR_LOAD_IN_PROGRESS') return undefined;
      if (given.errorCode !== 0) throw new Error(`${what}: ${errorName(given.errorCode)}`);
      return given;
    });
    memberEpoch = answer.memberEpoch;
    await until(nodes, `${what} has a later epoch`, async () => {
      if (memberEpoch > before) return true;
      ({ memberEpoch } = await beat(memberEpoch));
      return undefined;
    });
  }
  return memberEpoch;
}

export async function groupRefusals(nodes: AskedNodes): Promise<Subject> {
  const { name } = await movedTopic(nodes, 'refused-to-groups');
  const { name: other } = await movedTopic(nodes, 'refused-to-groups-too');
  const of = async (groupId: string) => ({ id: await coordinatorOf(nodes, 'group', groupId) });
  const [classic, consumer, share, streams] = [
    await of('refused-classic'),
    await of('refused-consumer'),
    await of('refused-share'),
    await of('refused-streams'),
  ];
  const producer = await transactionalProducer(nodes, transactionalId);

  const { memberId, generationId } = await classicMember(nodes, classic, 'refused-classic');
  const subscriptions = [[name], [name, other], [other], [name]];
  const beatConsumer = (memberEpoch: number, more: object = {}) =>
    nodes.ask(consumer, ConsumerGroupHeartbeat, 1, { groupId: 'refused-consumer', memberId: consumerId, memberEpoch, ...more });
  const consumerEpoch = await epochOf(
    ...([nodes, 'the consumer', beatConsumer] as const),
    subscriptions.map((subscribedTopicNames) => ({ subscribedTopicNames, rebalanceTimeoutMs: 300_000, topicPartitions: [] })),
  );
  const beatSharer = (memberEpoch: number, more: object = {}) =>
    nodes.ask(share, ShareGroupHeartbeat, 1, { groupId: 'refused-share', memberId: sharerId, memberEpoch, ...more });
  const sharerEpoch = await epochOf(
    ...([nodes, 'the sharer', beatSharer] as const),
    subscriptions.map((subscribedTopicNames) => ({ subscribedTopicNames })),
  );
  const beatStreams = (memberEpoch: number, more: object = {}) =>
    nodes.ask(streams, StreamsGroupHeartbeat, 0, {
      ...{ groupId: 'refused-streams', memberId: streamsId, memberEpoch, endpointInformationEpoch: -1, ...more },
    });
  const nothing = { sourceTopicRegex: [], stateChangelogTopics: [], repartitionSinkTopics: [], repartitionSourceTopics: [] };
  const subtopologies = [{ subtopologyId: '0', sourceTopics: [name], copartitionGroups: [], ...nothing }];
  const joining = {
    ...{ rebalanceTimeoutMs: 300_000, topology: { epoch: 0, subtopologies }, processId: 'process', clientTags: [] },
    ...{ activeTasks: [], standbyTasks: [], warmupTasks: [] },
  };
  const tags = (value: string) => ({ clientTags: [{ key: 'tag', value }] });
  const streamsEpoch = await epochOf(...([nodes, 'the streams member', beatStreams] as const), [
    joining,
    tags('a'),
    tags('b'),
    tags('c'),
  ]);

  const heldBy = {
    classic: { groupId: 'refused-classic', memberId },
    consumer: { groupId: 'refused-consumer', memberId: consumerId },
    streams: { groupId: 'refused-streams', memberId: streamsId },
  };
  const partitions = [{ partitionIndex: 0, committedOffset: 1, committedMetadata: '' }];
  const commit = (at: { id: number }, member: { groupId: string; memberId: string }, epoch: number, topic = other) =>
    nodes.ask(at, OffsetCommit, 9, { ...member, generationIdOrMemberEpoch: epoch, topics: [{ name: topic, partitions }] });
  const fetchOffsets = (at: { id: number }, member: { groupId: string; memberId: string }, memberEpoch: number) =>
    nodes.ask(at, OffsetFetch, 9, { groups: [{ ...member, memberEpoch, topics: [{ name, partitionIndexes: [0] }] }] });
  const commitInTransaction = (at: { id: number }, member: { groupId: string; memberId: string }, epoch: number) =>
    nodes.ask(at, TxnOffsetCommit, 5, {
      transactionalId,
      ...producer,
      ...member,
      generationId: epoch,
      topics: [{ name: other, partitions }],
    });

  const generations = { truth: generationId, older: 'ILLEGAL_GENERATION', newer: 'ILLEGAL_GENERATION' } as const;
  const fenced = { older: 'FENCED_MEMBER_EPOCH', newer: 'FENCED_MEMBER_EPOCH' } as const;
  const stale = { older: 'STALE_MEMBER_EPOCH', newer: 'STALE_MEMBER_EPOCH' } as const;
  const rows: Row[] = [
    epochRow({
      ...{ api: Heartbeat, field: 'generationId', ...generations },
      ask: (epoch) => nodes.ask(classic, Heartbeat, 4, { ...heldBy.classic, generationId: epoch }),
    }),
    epochRow({
      ...{ api: SyncGroup, field: 'generationId', ...generations },
      ask: (epoch) => nodes.ask(classic, SyncGroup, 5, { ...heldBy.classic, generationId: epoch, ...protocol, assignments: [] }),
    }),
    epochRow({
      ...{ api: OffsetCommit, field: 'generationIdOrMemberEpoch', note: 'classic', ...generations },
      ask: (epoch) => commit(classic, heldBy.classic, epoch),
    }),
    epochRow({
      ...{ api: TxnOffsetCommit, field: 'generationId', note: 'classic', ...generations },
      ask: (epoch) => commitInTransaction(classic, heldBy.classic, epoch),
    }),
    epochRow({
      ...{ api: ConsumerGroupHeartbeat, field: 'memberEpoch', truth: consumerEpoch, ...fenced },
      ask: (epoch) => beatConsumer(epoch),
    }),
    epochRow({
      ...{ api: OffsetCommit, field: 'generationIdOrMemberEpoch', note: 'consumer', truth: consumerEpoch, ...stale },
      ask: (epoch) => commit(consumer, heldBy.consumer, epoch),
    }),
    epochRow({
      ...{ api: OffsetFetch, field: 'groups.memberEpoch', note: 'consumer', truth: consumerEpoch, ...stale },
      ask: (epoch) => fetchOffsets(consumer, heldBy.consumer, epoch),
    }),
    epochRow({
      ...{ api: TxnOffsetCommit, field: 'generationId', note: 'consumer', truth: consumerEpoch },
      ...{ older: 'ILLEGAL_GENERATION', newer: 'ILLEGAL_GENERATION' },
      ask: (epoch) => commitInTransaction(consumer, heldBy.consumer, epoch),
    }),
    // The epoch before is one that a member may still be in, when an answer was lost; two before is not.
    epochRow({
      ...{ api: ShareGroupHeartbeat, field: 'memberEpoch', note: 'to come', truth: sharerEpoch, newer: 'FENCED_MEMBER_EPOCH' },
      ask: (epoch) => beatSharer(epoch),
    }),
    epochRow({
      ...{ api: ShareGroupHeartbeat, field: 'memberEpoch', note: 'past', truth: sharerEpoch - 1, older: 'FENCED_MEMBER_EPOCH' },
      ask: beatSharer,
      isAccepted: false,
    }),
    epochRow({
      ...{ api: StreamsGroupHeartbeat, field: 'memberEpoch', truth: streamsEpoch, ...fenced },
      ask: (epoch) => beatStreams(epoch),
    }),
    epochRow({
      ...{ api: OffsetCommit, field: 'generationIdOrMemberEpoch', note: 'streams', truth: streamsEpoch, ...stale },
      ask: (epoch) => commit(streams, heldBy.streams, epoch),
    }),
    epochRow({
      ...{ api: OffsetFetch, field: 'groups.memberEpoch', note: 'streams', truth: streamsEpoch, ...stale },
      ask: (epoch) => fetchOffsets(streams, heldBy.streams, epoch),
    }),
    epochRow({
      ...{ api: TxnOffsetCommit, field: 'generationId', note: 'streams', truth: streamsEpoch },
      ...{ older: 'ILLEGAL_GENERATION', newer: 'ILLEGAL_GENERATION' },
      ask: (epoch) => commitInTransaction(streams, heldBy.streams, epoch),
    }),
  ];
  return {
    rows,
    async picture() {
      const groupIds = Object.values(heldBy).map(({ groupId }) => groupId);
      const offsets = [];
      for (const groupId of groupIds)
        offsets.push(await nodes.ask(await of(groupId), OffsetFetch, 9, { groups: [{ groupId, topics: null }] }));
      return [
        await nodes.ask(classic, DescribeGroups, 5, { groups: ['refused-classic'] }),
        await nodes.ask(consumer, ConsumerGroupDescribe, 1, { groupIds: ['refused-consumer'] }),
        await nodes.ask(share, ShareGroupDescribe, 1, { groupIds: ['refused-share'] }),
        await nodes.ask(streams, StreamsGroupDescribe, 0, { groupIds: ['refused-streams'] }),
        offsets,
      ];
    },
  };
}

const protocol = { protocolType: 'probes', protocolName: 'one' };

/** The only member of its group, in its third generation. */
async function classicMember(
  nodes: AskedNodes,
  at: { id: number },
  groupId: string,
): Promise<{ memberId: string; generationId: number }> {
  let [memberId, generationId] = ['', -1];
  for (let times = 0; times < 3; times++) {
    const metadata = new Uint8Array([times]); // a leader that brings something new begins a new generation
    const joining = { groupId, sessionTimeoutMs: 300_000, rebalanceTimeoutMs: 300_000, protocolType: protocol.protocolType };
    await until(nodes, 'the member has joined', async () => {
      const protocols = [{ name: protocol.protocolName, metadata }];
      const answer = await nodes.ask(at, JoinGroup, 9, { ...joining, memberId, protocols });
      ({ memberId } = answer);
      if (answer.errorCode !== 0) return undefined;
      ({ generationId } = answer);
      return true;
    });
    const assignments = [{ memberId, assignment: new Uint8Array([9]) }];
    const synced = await nodes.ask(at, SyncGroup, 5, { groupId, memberId, generationId, ...protocol, assignments });
    if (errorCodeIn(synced) !== 0) throw new Error(`the group is not stable: ${errorName(errorCodeIn(synced))}`);
  }
  return { memberId, generationId };
}
