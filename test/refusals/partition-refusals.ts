/** What clients and followers ask the leader of a partition. */
import { DescribeProducers, Fetch, ListOffsets, OffsetForLeaderEpoch, Produce } from '@ottla/protocol';
import { batch } from '../interop/same-answers/scenarios/batches.ts';
import { type AskedNodes, errorCodeIn, until } from './asked-nodes.ts';
import { metadataRecords, recordsOf } from './metadata-log.ts';
import { quorumOf } from './quorum-refusals.ts';
import { epochRow, type Row, type Subject } from './refusal.ts';
import { describedTopic, movedTopic } from './topic.ts';

export async function partitionRefusals(nodes: AskedNodes): Promise<Subject> {
  const topic = await movedTopic(nodes, 'refused-by-leader');
  const { topicId, leaderId, leaderEpoch } = topic;
  const leader = { id: leaderId };
  const followerId = nodes.ids.find((id) => id !== leaderId)!;
  const partitionData = [{ index: 0, records: batch(['a', 'b', 'c']) }];
  await until(nodes, 'records are written', async () => {
    const written = await nodes.ask(leader, Produce, 13, {
      acks: -1,
      timeoutMs: 30_000,
      topicData: [{ topicId, partitionData }],
    });
    return errorCodeIn(written) === 0 ? true : undefined;
  });
  const log = await metadataRecords(nodes, await quorumOf(nodes));
  const { brokerEpoch } = recordsOf(log, 'RegisterBrokerRecord').findLast(({ value }) => value.brokerId === followerId)!.value;
  const end = 3;

  const fetch = (around: object, partition: object = {}) =>
    nodes.ask(leader, Fetch, 16, {
      ...{ maxWaitMs: 0, minBytes: 0, maxBytes: 1 << 20, sessionEpoch: -1, ...around },
      topics: [{ topicId, partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1 << 20, ...partition }] }],
    });
  const listOffsets = (timestamp: number, currentLeaderEpoch: number) =>
    nodes.ask(leader, ListOffsets, 7, {
      ...{ replicaId: -1, isolationLevel: 0 },
      topics: [{ name: topic.name, partitions: [{ partitionIndex: 0, currentLeaderEpoch, timestamp }] }],
    });

  let { sessionId } = await fetch({ sessionEpoch: 0 });
  await fetch({ sessionId, sessionEpoch: 1 });
  await fetch({ sessionId, sessionEpoch: 2 });
  const inSession = async (sessionEpoch: number) => {
    const answer = await fetch({ sessionId, sessionEpoch });
    sessionId = answer.sessionId || sessionId;
    return answer;
  };
  const asFollower = { replicaState: { replicaId: followerId, replicaEpoch: brokerEpoch } };
  const leaderEpochs = { truth: leaderEpoch, older: 'FENCED_LEADER_EPOCH', newer: 'UNKNOWN_LEADER_EPOCH' } as const;

  const rows: Row[] = [
    epochRow({
      ...{ api: Fetch, field: 'topics.partitions.currentLeaderEpoch', note: 'of a consumer', ...leaderEpochs },
      ask: (currentLeaderEpoch) => fetch({}, { currentLeaderEpoch }),
    }),
    epochRow({
      ...{ api: Fetch, field: 'topics.partitions.currentLeaderEpoch', note: 'of a follower', ...leaderEpochs },
      ask: (currentLeaderEpoch) => fetch(asFollower, { fetchOffset: end, currentLeaderEpoch }),
    }),
    // Of a follower that is registered anew the leader may hear before it does of the registration.
    epochRow({
      ...{ api: Fetch, field: 'replicaState.replicaEpoch', truth: brokerEpoch, older: 'NOT_LEADER_OR_FOLLOWER' },
      ask: (replicaEpoch) =>
        fetch({ replicaState: { replicaId: followerId, replicaEpoch } }, { fetchOffset: end, currentLeaderEpoch: leaderEpoch }),
    }),
    epochRow({
      ...{ api: Fetch, field: 'sessionEpoch', truth: 3, ask: inSession },
      ...{ older: 'INVALID_FETCH_SESSION_EPOCH', newer: 'INVALID_FETCH_SESSION_EPOCH' },
    }),
    epochRow({
      ...{ api: ListOffsets, field: 'topics.partitions.currentLeaderEpoch', ...leaderEpochs },
      ask: (epoch) => listOffsets(-1, epoch),
    }),
    epochRow({
      ...{ api: OffsetForLeaderEpoch, field: 'topics.partitions.currentLeaderEpoch', ...leaderEpochs },
      ask: (currentLeaderEpoch) =>
        nodes.ask(leader, OffsetForLeaderEpoch, 4, {
          ...{ replicaId: -1 },
          topics: [{ topic: topic.name, partitions: [{ partition: 0, currentLeaderEpoch, leaderEpoch: 0 }] }],
        }),
    }),
  ];
  return {
    rows,
    async picture() {
      return [
        await listOffsets(-1, -1),
        await listOffsets(-2, -1),
        await nodes.ask(leader, DescribeProducers, 0, { topics: [{ name: topic.name, partitionIndexes: [0] }] }),
        await describedTopic(nodes, leaderId, topic.name),
      ];
    },
  };
}
