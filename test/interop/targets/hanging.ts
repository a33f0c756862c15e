/**
 * A hanging transaction: a partition has it open, and no coordinator knows of it, as happened before brokers asked the coordinator.
 * So the node must run with transaction.partition.verification.enable=false.
 */
import assert from 'node:assert/strict';
import { InitProducerId, Produce } from '@ottla/protocol';
import { Probe } from '../same-answers/probe.ts';
import { batch } from '../same-answers/scenarios/batches.ts';

export async function hang(
  node: ConstructorParameters<typeof Probe>[0],
  topic: string,
  partition: number,
  transactionalId: string,
): Promise<void> {
  const probe = new Probe(node);
  try {
    const asked = { transactionalId, transactionTimeoutMs: 60_000 };
    const given = await probe.ask('an id', InitProducerId, 4, asked, { quiet: true });
    assert.equal(given!.errorCode, 0);
    const { producerId, producerEpoch } = given!;
    const written = batch(['hangs'], { producerId, producerEpoch, baseSequence: 0, isTransactional: true });
    const topicData = [{ name: topic, partitionData: [{ index: partition, records: written }] }];
    const answer = await probe.ask(
      'open',
      Produce,
      11,
      { transactionalId, acks: -1, timeoutMs: 5000, topicData },
      { quiet: true },
    );
    assert.equal(answer!.responses[0]!.partitionResponses[0]!.errorCode, 0);
  } finally {
    probe.closeAll();
  }
}
