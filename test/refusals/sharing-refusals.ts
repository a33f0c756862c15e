/** What is asked of the leaders of shared partitions, and of the coordinator that keeps their state. */
import {
  InitializeShareGroupState,
  Produce,
  ReadShareGroupState,
  ReadShareGroupStateSummary,
  ShareAcknowledge,
  ShareFetch,
  ShareGroupHeartbeat,
  WriteShareGroupState,
} from '@ottla/protocol';
import { batch } from '../interop/same-answers/scenarios/batches.ts';
import { type AskedNodes, coordinatorOf, errorCodeIn, until } from './asked-nodes.ts';
import { epochRow, type Row, type Subject } from './refusal.ts';
import { movedTopic } from './topic.ts';

const groupId = 'refused-sharing';
const memberId = 'AAAAAAAAAAAAAAAAAAAAaA';

export async function sharingRefusals(nodes: AskedNodes): Promise<Subject> {
  const { name, topicId, leaderId } = await movedTopic(nodes, 'refused-sharing');
  const leader = { id: leaderId };
  const group = { id: await coordinatorOf(nodes, 'group', groupId) };
  await until(nodes, 'the partition is shared', async () => {
    const answer = await nodes.ask(group, ShareGroupHeartbeat, 1, {
      groupId,
      memberId,
      memberEpoch: 0,
      subscribedTopicNames: [name],
    });
    return answer.assignment?.topicPartitions.some(({ partitions }) => partitions.length > 0) ? true : undefined;
  });
  await nodes.ask(leader, Produce, 13, {
    ...{ acks: -1, timeoutMs: 30_000 },
    topicData: [{ topicId, partitionData: [{ index: 0, records: batch(['a']) }] }],
  });

  const shared = (acknowledgementBatches: { firstOffset: number; lastOffset: number; acknowledgeTypes: number[] }[] = []) => [
    { topicId, partitions: [{ partitionIndex: 0, acknowledgementBatches }] },
  ];
  const fetch = (shareSessionEpoch: number) =>
    nodes.ask(leader, ShareFetch, 1, {
      ...{ groupId, memberId, shareSessionEpoch, maxWaitMs: 0, minBytes: 0, maxBytes: 1 << 20, maxRecords: 10, batchSize: 10 },
      topics: shared(),
    });
  const acknowledge = (shareSessionEpoch: number) =>
    nodes.ask(leader, ShareAcknowledge, 1, { groupId, memberId, shareSessionEpoch, topics: shared() });
  let sessionEpoch = 0;
  await until(nodes, 'the session stands', async () => {
    const answer = await fetch(sessionEpoch);
    if (errorCodeIn(answer) === 0) sessionEpoch++;
    return sessionEpoch > 3 ? true : undefined;
  });

  // Of a partition in a group that nobody is in: only what is written to it here is there.
  const stateOf = 'refused-state';
  const coordinator = { id: await coordinatorOf(nodes, 'share', `${stateOf}:${topicId}:0`) };
  const state = { stateEpoch: 5, leaderEpoch: 5 };
  const of = (partition: object) =>
    ({ groupId: stateOf, topics: [{ topicId, partitions: [{ partition: 0, ...partition }] }] }) as never;
  const initialize = (stateEpoch: number) =>
    nodes.ask(coordinator, InitializeShareGroupState, 0, of({ stateEpoch, startOffset: 10 }));
  const write = (changes: object = {}) =>
    nodes.ask(
      coordinator,
      WriteShareGroupState,
      1,
      of({ ...state, startOffset: 10, deliveryCompleteCount: 1, stateBatches: [], ...changes }),
    );
  const read = (leaderEpoch: number) => nodes.ask(coordinator, ReadShareGroupState, 0, of({ leaderEpoch }));
  const summary = (leaderEpoch: number) => nodes.ask(coordinator, ReadShareGroupStateSummary, 1, of({ leaderEpoch }));
  await until(nodes, 'the state stands', async () => (errorCodeIn(await initialize(state.stateEpoch)) === 0 ? true : undefined));
  await until(nodes, 'the state is written', async () => (errorCodeIn(await write()) === 0 ? true : undefined));

  const sessions = { truth: sessionEpoch, older: 'INVALID_SHARE_SESSION_EPOCH', newer: 'INVALID_SHARE_SESSION_EPOCH' } as const;
  // Whoever has a leader epoch to come leads by now, and is the first to say so.
  const rows: Row[] = [
    epochRow({ api: ShareAcknowledge, field: 'shareSessionEpoch', ...sessions, isAccepted: false, ask: acknowledge }),
    epochRow({ api: ShareFetch, field: 'shareSessionEpoch', ...sessions, ask: fetch }),
    epochRow({
      ...{ api: InitializeShareGroupState, field: 'topics.partitions.stateEpoch', truth: state.stateEpoch },
      ...{ older: 'FENCED_STATE_EPOCH', ask: initialize },
    }),
    epochRow({
      ...{ api: WriteShareGroupState, field: 'topics.partitions.stateEpoch', truth: state.stateEpoch },
      ...{ older: 'FENCED_STATE_EPOCH', ask: (stateEpoch) => write({ stateEpoch }) },
    }),
    epochRow({
      ...{ api: WriteShareGroupState, field: 'topics.partitions.leaderEpoch', truth: state.leaderEpoch },
      ...{ older: 'FENCED_LEADER_EPOCH', ask: (leaderEpoch) => write({ leaderEpoch }) },
    }),
    epochRow({
      ...{ api: ReadShareGroupState, field: 'topics.partitions.leaderEpoch', truth: state.leaderEpoch },
      ...{ older: 'FENCED_LEADER_EPOCH', ask: read },
    }),
  ];
  return {
    rows,
    async picture() {
      return [await read(state.leaderEpoch), await summary(state.leaderEpoch)];
    },
  };
}
