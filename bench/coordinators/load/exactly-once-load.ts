/** The cheap saturating producer, whose batches belong to transactions that are committed one after the other. */

import { Latencies } from '../../broker/load/latencies.ts';
import { failingAtOnce, startMeter, type Usage } from '../../broker/load/meter.ts';
import { ProduceLane } from '../../broker/load/produce-lane.ts';
import { type ProduceLoad, produceResult } from '../../broker/load/produce-load.ts';
import { batch, commit, initialize, produce } from './transactions-load.ts';
import { findCoordinator, Wire } from './wire.ts';

export type ExactlyOnceLoad = Pick<
  ProduceLoad,
  'port' | 'brokerPid' | 'topicId' | 'partitions' | 'recordBytes' | 'batchBytes' | 'codec' | 'inFlight'
> & {
  readonly transactionalId: string;
  readonly transactionMs: number;
  readonly seconds: number;
  readonly warmSeconds: number;
};

export type ExactlyOnceResult = Usage & {
  readonly records: number;
  readonly batchBytes: number;
  readonly transactions: number;
  /** Until the first batch of a transaction is written, and until its end is decided. */
  readonly beginP50Ms: number;
  readonly commitP50Ms: number;
  /** What ListOffsets must come to: records and markers of all transactions, those of the warming included. */
  readonly offsetsTaken: number;
};

export function exactlyOnceLoad(load: ExactlyOnceLoad): Promise<ExactlyOnceResult> {
  return failingAtOnce(async (failed) => {
    const { transactionalId, topicId, partitions, transactionMs } = load;
    const wire = await Wire.open(load.port, failed);
    const lane = await ProduceLane.open(
      {
        ...load,
        ...{ acks: -1, connections: 1, spread: 'all partitions a request', transactionalId },
        ...{ requests: 0, warmRequests: 0, maxSeconds: 0 },
      },
      0,
      failed,
    );
    await findCoordinator(wire, 'transaction', transactionalId);
    let producer = await initialize(wire, transactionalId);
    const every = Array.from({ length: partitions }, (_, partition) => partition);
    const begins = new Latencies();
    const commits = new Latencies();
    let transactions = 0;
    const run = async (seconds: number): Promise<void> => {
      const untilMs = performance.now() + seconds * 1000;
      while (performance.now() < untilMs) {
        const beganMs = performance.now();
        const endMs = beganMs + transactionMs;
        // One small batch makes the partitions part of the transaction, and is asked again while the last one is still being ended.
        await produce(wire, transactionalId, topicId, every, batch(producer, 1, load.recordBytes, 0), () => {});
        begins.record(performance.now() - beganMs);
        lane.frames.setProducer(producer.producerId, producer.producerEpoch, 1);
        await lane.sendAsFastAsAnswered(Number.MAX_SAFE_INTEGER, endMs);
        const commitBeganMs = performance.now();
        producer = await commit(wire, transactionalId, producer, () => {});
        commits.record(performance.now() - commitBeganMs);
        transactions++;
      }
    };
    await run(load.warmSeconds);
    for (const latencies of [lane.latencies, begins, commits]) latencies.clear();
    const before = transactions;
    const elapsed = startMeter(load.brokerPid);
    await run(load.seconds);
    const usage = elapsed();
    lane.close();
    wire.close();
    const { records, batchBytes, recordsAcknowledged } = produceResult([lane], usage);
    // A transaction takes two more offsets in each partition: its first small batch, and its marker.
    const offsetsTaken = recordsAcknowledged + 2 * transactions * partitions;
    const [beginP50Ms, commitP50Ms] = [begins.quantileMs(0.5), commits.quantileMs(0.5)];
    return { ...usage, records, batchBytes, transactions: transactions - before, beginP50Ms, commitP50Ms, offsetsTaken };
  });
}
