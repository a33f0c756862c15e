/** Many transactional producers at once: each sends a batch, commits, and begins again. */
import { BatchBuilder, EndTxn, InitProducerId, Produce, type Uuid } from '@ottla/protocol';
import { Latencies } from '../../broker/load/latencies.ts';
import { failingAtOnce, startMeter, type Usage } from '../../broker/load/meter.ts';
import { payload } from '../../broker/load/payload.ts';
import { findCoordinator, passingErrors, Wire } from './wire.ts';

export type TransactionsLoad = {
  readonly port: number;
  readonly brokerPid?: number;
  readonly prefix: string;
  readonly producers: number;
  readonly topicId: Uuid;
  readonly partitions: number;
  readonly recordsEach: number;
  readonly recordBytes: number;
  readonly seconds: number;
  /** Before what counts. */
  readonly warmSeconds: number;
};

export type TransactionsResult = Usage & {
  readonly transactions: number;
  /** All of them, those of the warming included. */
  readonly committed: number;
  readonly commitP50Ms: number;
  readonly commitP99Ms: number;
  readonly transactionP50Ms: number;
  readonly transactionP99Ms: number;
  /** Requests that were asked again, as the transaction before was still being ended. */
  readonly retries: number;
};

export const initVersion = 5;
export const endVersion = 5;
export const produceVersion = 13;

export type Producer = { readonly producerId: number; readonly producerEpoch: number };

export function transactionsLoad(load: TransactionsLoad): Promise<TransactionsResult> {
  return failingAtOnce(async (failed) => {
    const wires = await Wire.openMany(load.port, load.producers, failed);
    await findCoordinator(wires[0]!, 'transaction', load.prefix);
    const commits = new Latencies();
    const whole = new Latencies();
    let committed = 0;
    let retries = 0;
    let isOver = false;
    const initialized: Producer[] = [];
    // A few at a time, so that starting is not what overloads the broker.
    for (let index = 0; index < wires.length; index += 20) {
      const some = wires.slice(index, index + 20);
      initialized.push(...(await Promise.all(some.map((wire, at) => initialize(wire, `${load.prefix}-${index + at}`)))));
    }
    const lives = wires.map(async (wire, index) => {
      const transactionalId = `${load.prefix}-${index}`;
      let producer = initialized[index]!;
      for (let turn = index; !isOver; turn++) {
        const beganMs = performance.now();
        const records = batch(producer, load.recordsEach, load.recordBytes, 0);
        const partition = turn % load.partitions;
        await produce(wire, transactionalId, load.topicId, [partition], records, () => retries++);
        const commitBeganMs = performance.now();
        producer = await commit(wire, transactionalId, producer, () => retries++);
        const nowMs = performance.now();
        commits.record(nowMs - commitBeganMs);
        whole.record(nowMs - beganMs);
        committed++;
      }
    });
    const ended = Promise.all(lives);
    ended.catch(failed);
    await pause(load.warmSeconds);
    commits.clear();
    whole.clear();
    retries = 0;
    const before = committed;
    const elapsed = startMeter(load.brokerPid);
    await pause(load.seconds);
    const usage = elapsed();
    const transactions = committed - before;
    const figures = {
      ...{ commitP50Ms: commits.quantileMs(0.5), commitP99Ms: commits.quantileMs(0.99) },
      ...{ transactionP50Ms: whole.quantileMs(0.5), transactionP99Ms: whole.quantileMs(0.99), retries },
    };
    isOver = true;
    await ended;
    for (const wire of wires) wire.close();
    return { ...usage, transactions, committed, ...figures };
  });
}

export async function initialize(wire: Wire, transactionalId: string): Promise<Producer> {
  const { producerId, producerEpoch } = await wire.askUntilDone(
    InitProducerId,
    initVersion,
    { transactionalId, transactionTimeoutMs: 60_000, producerId: -1, producerEpoch: -1 },
    { errorOf: ({ errorCode }) => errorCode, passing: passingErrors },
  );
  return { producerId: Number(producerId), producerEpoch };
}

export function batch({ producerId, producerEpoch }: Producer, count: number, recordBytes: number, baseSequence: number): Buffer {
  const builder = new BatchBuilder({ producerId, producerEpoch, baseSequence, isTransactional: true });
  const now = Date.now();
  for (let index = 0; index < count; index++) builder.append(now, null, payload(recordBytes, index));
  return Buffer.from(builder.build());
}

/** The same batch to each of the partitions, which become part of the transaction by it. */
export async function produce(
  wire: Wire,
  transactionalId: string,
  topicId: Uuid,
  partitions: readonly number[],
  records: Buffer,
  onRetry: () => void,
): Promise<void> {
  const topicData = [{ topicId, partitionData: partitions.map((index) => ({ index, records })) }];
  const request = { transactionalId, acks: -1, timeoutMs: 30_000, topicData };
  await wire.askUntilDone(Produce, produceVersion, request, {
    errorOf: ({ responses }) => {
      const codes = responses.flatMap(({ partitionResponses }) => partitionResponses.map(({ errorCode }) => errorCode));
      return codes.find((code) => code !== 0) ?? 0;
    },
    passing: passingErrors,
    onRetry,
  });
}

/** Gives the producer's next epoch. */
export async function commit(wire: Wire, transactionalId: string, producer: Producer, onRetry: () => void): Promise<Producer> {
  const { producerId, producerEpoch } = await wire.askUntilDone(
    EndTxn,
    endVersion,
    { transactionalId, ...producer, committed: true },
    { errorOf: ({ errorCode }) => errorCode, passing: passingErrors, onRetry },
  );
  return { producerId: Number(producerId), producerEpoch };
}

const pause = (seconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, seconds * 1000));
