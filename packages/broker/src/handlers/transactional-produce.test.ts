import assert from 'node:assert/strict';
import { test } from 'node:test';
import { buildBatch, type ProduceRequest, type ProduceResponse, ZERO_UUID } from '@ottla/protocol';
import { TransactionVerifier } from '../transactions/transaction-verifier.ts';
import { type RequestContext, TurnAnswer } from './handler.ts';
import { produceInTransaction } from './transactional-produce.ts';

function requestOf(producerId: number): ProduceRequest {
  const records = buildBatch({
    records: [{ key: null, value: null, timestamp: 0 }],
    codec: 'none',
    baseOffset: 0,
    producerId,
    producerEpoch: 0,
    baseSequence: 0,
    isTransactional: true,
  });
  const topic = { name: 't', topicId: ZERO_UUID, partitionData: [{ index: 0, records }] };
  return { transactionalId: `tx-${producerId}`, acks: -1, timeoutMs: 1_000, topicData: [topic] } as ProduceRequest;
}

test('whoever was verified learns of its own append, also when another comes at the same moment', async () => {
  const happened: string[] = [];
  const verified = Promise.withResolvers<void>();
  const verifier = new TransactionVerifier({
    addPartitions: () => verified.promise,
    verifyPartitions: async () => [],
    untilComplete: async () => undefined,
  });
  const partition = { isLeader: true, log: { startVerification: () => Symbol('guard') } };
  const broker = {
    verifier,
    produceTurn: { commit: () => happened.push('written') },
    partitions: { get: () => partition },
    metadata: {},
    config: { get: (name: string) => name.endsWith('.enable') || 100 },
    runtime: { clock: { monotonicMs: () => 0 } },
  };
  const context = { broker, apiVersion: 12 } as unknown as RequestContext;
  class Told extends TurnAnswer<ProduceResponse> {
    readonly #who: string;
    constructor(who: string) {
      super();
      this.#who = who;
    }
    override finish(): null {
      happened.push(`${this.#who} is told`);
      return null;
    }
  }
  const answers = [1, 2].map((producerId) =>
    produceInTransaction(requestOf(producerId), context, ({ transactionalId }) => {
      happened.push(`${transactionalId} appends`);
      return new Told(transactionalId!);
    }),
  );
  verified.resolve();
  await Promise.all(answers);
  assert.deepEqual(happened, ['tx-1 appends', 'written', 'tx-1 is told', 'tx-2 appends', 'written', 'tx-2 is told']);
});
