/** What zombies ask: producers whose transactional id has another epoch by now. */
import {
  AddOffsetsToTxn,
  AddPartitionsToTxn,
  DescribeProducers,
  DescribeTransactions,
  EndTxn,
  errorName,
  InitProducerId,
  ListOffsets,
  OffsetFetch,
  Produce,
  TxnOffsetCommit,
  WriteTxnMarkers,
} from '@ottla/protocol';
import { batch } from '../interop/same-answers/scenarios/batches.ts';
import { type AskedNodes, coordinatorOf, errorCodeIn, until } from './asked-nodes.ts';
import { epochRow, type Row, type Subject } from './refusal.ts';
import { movedTopic } from './topic.ts';

const groupId = 'refused-to-producers';
const transactionalId = 'refused';
const passing: ReadonlySet<string> = new Set([
  'CONCURRENT_TRANSACTIONS',
  'COORDINATOR_LOAD_IN_PROGRESS',
  'NOT_COORDINATOR',
  'COORDINATOR_NOT_AVAILABLE',
]);

/** What is still being done is waited for. */
export function settled<Answer>(nodes: AskedNodes, ask: () => Promise<Answer>): Promise<Answer> {
  return until(nodes, 'nothing is in the way of a transaction', async () => {
    const answer = await ask();
    return passing.has(errorName(errorCodeIn(answer))) ? undefined : answer;
  });
}

export type Producer = { readonly producerId: number; readonly producerEpoch: number };

/** Initialized so often that there are epochs that are past. */
export async function transactionalProducer(nodes: AskedNodes, id: string): Promise<Producer> {
  const at = { id: await coordinatorOf(nodes, 'transaction', id) };
  const init = () =>
    settled(nodes, () => nodes.ask(at, InitProducerId, 4, { transactionalId: id, transactionTimeoutMs: 600_000 }));
  await init();
  await init();
  const { errorCode, producerId, producerEpoch } = await init();
  if (errorCode !== 0) throw new Error(`${id} is not initialized: ${errorName(errorCode)}`);
  return { producerId, producerEpoch };
}

export async function producerRefusals(nodes: AskedNodes): Promise<Subject> {
  const { name, topicId, leaderId } = await movedTopic(nodes, 'refused-to-producers');
  const { producerId, producerEpoch } = await transactionalProducer(nodes, transactionalId);
  const leader = { id: leaderId };
  const transactions = { id: await coordinatorOf(nodes, 'transaction', transactionalId) };
  const group = { id: await coordinatorOf(nodes, 'group', groupId) };

  const addPartitions = (epoch: number) =>
    nodes.ask(transactions, AddPartitionsToTxn, 3, {
      ...{ v3AndBelowTransactionalId: transactionalId, v3AndBelowProducerId: producerId, v3AndBelowProducerEpoch: epoch },
      v3AndBelowTopics: [{ name, partitions: [0] }],
    });
  const verify = (epoch: number) => {
    const topics = [{ name, partitions: [0] }];
    return nodes.ask(transactions, AddPartitionsToTxn, 4, {
      transactions: [{ transactionalId, producerId, producerEpoch: epoch, verifyOnly: true, topics }],
    });
  };
  const addOffsets = (epoch: number) =>
    nodes.ask(transactions, AddOffsetsToTxn, 3, { transactionalId, producerId, producerEpoch: epoch, groupId });
  const commitOffsets = (epoch: number, version: number) =>
    nodes.ask(group, TxnOffsetCommit, version, {
      ...{ transactionalId, groupId, producerId, producerEpoch: epoch, memberId: '' },
      topics: [{ name, partitions: [{ partitionIndex: 0, committedOffset: 1, committedMetadata: '' }] }],
    });
  const produce = (epoch: number, version: number, baseSequence: number) => {
    const records = batch(['x'], { producerId, producerEpoch: epoch, baseSequence, isTransactional: true });
    const topicData = [{ name, topicId, partitionData: [{ index: 0, records }] }];
    return nodes.ask(leader, Produce, version, { transactionalId, acks: -1, timeoutMs: 30_000, topicData });
  };
  const end = (epoch: number) =>
    nodes.ask(transactions, EndTxn, 4, { transactionalId, producerId, producerEpoch: epoch, committed: true });
  // While a transaction is open, whoever has its producer id ends it, whatever its epoch.
  const idle = 'refused-idle';
  const idling = { ...(await transactionalProducer(nodes, idle)), transactionalId: idle, transactionTimeoutMs: 600_000 };
  const idlers = { id: await coordinatorOf(nodes, 'transaction', idle) };
  const init = (epoch: number) => nodes.ask(idlers, InitProducerId, 4, { ...idling, producerEpoch: epoch });

  // A producer without transactions, which counts its epochs itself, and whose transactions somebody once ended.
  const idempotent = { id: 987_654, epoch: 3, coordinatorEpoch: 5 };
  const produceIdempotent = (epoch: number, baseSequence: number) => {
    const records = batch(['y'], { producerId: idempotent.id, producerEpoch: epoch, baseSequence });
    return nodes.ask(leader, Produce, 12, {
      ...{ transactionalId: null, acks: -1, timeoutMs: 30_000 },
      topicData: [{ name, partitionData: [{ index: 0, records }] }],
    });
  };
  const mark = (epoch: number, coordinatorEpoch: number) =>
    nodes.ask(leader, WriteTxnMarkers, 1, {
      markers: [
        {
          ...{ producerId: idempotent.id, producerEpoch: epoch, transactionResult: false, coordinatorEpoch },
          topics: [{ name, partitionIndexes: [0] }],
        },
      ],
    });

  const prepared = [
    await settled(nodes, () => addPartitions(producerEpoch)),
    await settled(nodes, () => addOffsets(producerEpoch)),
    await produce(producerEpoch, 11, 0),
    await settled(nodes, () => commitOffsets(producerEpoch, 3)),
    await produceIdempotent(idempotent.epoch, 0),
    await mark(idempotent.epoch, idempotent.coordinatorEpoch),
  ].map((answer) => errorName(errorCodeIn(answer)));
  if (prepared.some((error) => error !== 'NONE')) throw new Error(`the transaction does not begin: ${prepared}`);

  const truth = producerEpoch;
  const fenced = { truth, older: 'PRODUCER_FENCED', newer: 'PRODUCER_FENCED' } as const;
  const invalid = { truth, older: 'INVALID_PRODUCER_EPOCH', newer: 'INVALID_PRODUCER_EPOCH' } as const;
  const rows: Row[] = [
    epochRow({ api: AddPartitionsToTxn, field: 'v3AndBelowProducerEpoch', ...fenced, ask: addPartitions }),
    epochRow({ api: AddPartitionsToTxn, field: 'transactions.producerEpoch', note: 'a broker asks', ...fenced, ask: verify }),
    epochRow({ api: AddOffsetsToTxn, field: 'producerEpoch', ...fenced, ask: addOffsets }),
    epochRow({
      ...{ api: TxnOffsetCommit, field: 'producerEpoch', note: 'v3', ...invalid, ask: (epoch) => commitOffsets(epoch, 3) },
    }),
    epochRow({
      ...{ api: TxnOffsetCommit, field: 'producerEpoch', note: 'v5', ...invalid, ask: (epoch) => commitOffsets(epoch, 5) },
    }),
    epochRow({ api: Produce, field: 'records.producerEpoch', note: 'v11', ...invalid, ask: (epoch) => produce(epoch, 11, 1) }),
    epochRow({ api: Produce, field: 'records.producerEpoch', note: 'v13', ...invalid, ask: (epoch) => produce(epoch, 13, 2) }),
    // An idempotent producer begins an epoch by itself: any that is to come is its next one.
    epochRow({
      ...{ api: Produce, field: 'records.producerEpoch', note: 'idempotent', truth: idempotent.epoch },
      ...{ older: 'INVALID_PRODUCER_EPOCH', ask: (epoch) => produceIdempotent(epoch, 1) },
    }),
    // Who ends a transaction for its producer does so with an epoch to come, or as a coordinator that has just begun.
    epochRow({
      ...{ api: WriteTxnMarkers, field: 'markers.producerEpoch', truth: idempotent.epoch, older: 'INVALID_PRODUCER_EPOCH' },
      ask: (epoch) => mark(epoch, idempotent.coordinatorEpoch),
    }),
    epochRow({
      ...{ api: WriteTxnMarkers, field: 'markers.coordinatorEpoch', truth: idempotent.coordinatorEpoch },
      ...{ older: 'TRANSACTION_COORDINATOR_FENCED', ask: (epoch) => mark(idempotent.epoch, epoch) },
    }),
    epochRow({ api: EndTxn, field: 'producerEpoch', ...fenced, ask: end }),
    epochRow({ api: InitProducerId, field: 'producerEpoch', ...fenced, truth: idling.producerEpoch, ask: init }),
  ];
  return {
    rows,
    async picture() {
      const endOf = (isolationLevel: number) =>
        nodes.ask(leader, ListOffsets, 7, {
          ...{ replicaId: -1, isolationLevel },
          topics: [{ name, partitions: [{ partitionIndex: 0, currentLeaderEpoch: -1, timestamp: -1 }] }],
        });
      return [
        await endOf(0),
        await endOf(1),
        await nodes.ask(leader, DescribeProducers, 0, { topics: [{ name, partitionIndexes: [0] }] }),
        await nodes.ask(transactions, DescribeTransactions, 0, { transactionalIds: [transactionalId] }),
        await nodes.ask(idlers, DescribeTransactions, 0, { transactionalIds: [idle] }),
        await nodes.ask(group, OffsetFetch, 9, { groups: [{ groupId, topics: null }], requireStable: true }),
      ];
    },
  };
}
