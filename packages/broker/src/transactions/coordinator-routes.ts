import type { ProducerIdAndEpoch, TransactionPartitions } from '@ottla/coordinator';
import {
  AddPartitionsToTxn,
  type AddPartitionsToTxnRequest,
  type AddPartitionsToTxnResponse,
  errorOfCode,
  errors,
  KafkaError,
  partitionForGroup,
  type Writable,
} from '@ottla/protocol';
import { sleep, type Timers } from '@ottla/runtime';
import { type BrokerPeers, outOfReach } from '../peers/broker-peers.ts';
import { RequestBatchers } from '../peers/request-batchers.ts';
import type { TransactionCoordinators } from './transaction-verifier.ts';

export type CoordinatorRoutesOptions = {
  /** Of the transactional ids that this broker coordinates. */
  readonly local: TransactionCoordinators;
  /** Of `__transaction_state`; undefined until it exists. */
  readonly partitionCount: () => number | undefined;
  /** Of a partition of `__transaction_state`. -1: it has no leader; undefined: there is no such partition. */
  readonly leaderOf: (partition: number) => number | undefined;
  readonly brokers: Pick<BrokerPeers, 'nodeId' | 'to'>;
  readonly timers: Timers;
};

type Asked = NonNullable<Writable<AddPartitionsToTxnRequest>['transactions']>[number] & { readonly transactionalId: string };
type Results = AddPartitionsToTxnResponse['resultsByTransaction'][number]['topicResults'];

/** Between brokers, with many transactions in a request. */
const FIRST_VERSION_BETWEEN_BROKERS = 4;
const TRANSACTIONS_IN_A_REQUEST = 1_000;

/**
 * The coordinators of transactional ids: this broker, or others, who are asked about many transactions in one request. Rejects with what the
 * coordinator says; with COORDINATOR_NOT_AVAILABLE when nobody knows one, and NETWORK_EXCEPTION when it did not answer.
 */
export class CoordinatorRoutes implements TransactionCoordinators {
  readonly #options: CoordinatorRoutesOptions;
  readonly #batchers: RequestBatchers<Asked, Results>;

  constructor(options: CoordinatorRoutesOptions) {
    this.#options = options;
    this.#batchers = new RequestBatchers({
      send: (coordinator, transactions) => this.#send(coordinator, transactions),
      maxInFlight: 1,
      maxItems: TRANSACTIONS_IN_A_REQUEST,
      keyOf: ({ transactionalId }) => transactionalId,
    });
  }

  async addPartitions(request: Parameters<TransactionCoordinators['addPartitions']>[0]): Promise<void> {
    const { transactionalId, producerId, producerEpoch, partitions } = request;
    const coordinator = this.#coordinatorOf(transactionalId);
    if (coordinator === this.#options.brokers.nodeId) return this.#options.local.addPartitions(request);
    const asked = { transactionalId, producerId, producerEpoch, verifyOnly: false, topics: topicsOf(partitions) };
    for (const { errorCode } of flat(await this.#ask(coordinator, asked))) {
      // Something else is wrong with one of the others.
      if (errorCode === errors.OPERATION_NOT_ATTEMPTED.code) continue;
      throwIfRefused(errorCode, asked);
    }
  }

  async verifyPartitions(
    transactionalId: string,
    producer: ProducerIdAndEpoch,
    partitions: TransactionPartitions,
  ): Promise<{ topic: string; partition: number; isAdded: boolean }[]> {
    const coordinator = this.#coordinatorOf(transactionalId);
    if (coordinator === this.#options.brokers.nodeId)
      return this.#options.local.verifyPartitions(transactionalId, producer, partitions);
    const asked = { transactionalId, ...producer, verifyOnly: true, topics: topicsOf(partitions) };
    return flat(await this.#ask(coordinator, asked)).map(({ topic, partition, errorCode }) => {
      const isAdded = errorCode !== errors.TRANSACTION_ABORTABLE.code;
      if (isAdded && errorCode !== errors.OPERATION_NOT_ATTEMPTED.code) throwIfRefused(errorCode, asked);
      return { topic, partition, isAdded };
    });
  }

  /** Another broker does not say when: it is asked again after the time. */
  untilComplete(transactionalId: string, atMostMs: number): Promise<void> {
    const isHere = this.#leaderFor(transactionalId) === this.#options.brokers.nodeId;
    return isHere ? this.#options.local.untilComplete(transactionalId, atMostMs) : sleep(this.#options.timers, atMostMs);
  }

  #leaderFor(transactionalId: string): number | undefined {
    const count = this.#options.partitionCount();
    return count === undefined ? undefined : this.#options.leaderOf(partitionForGroup(transactionalId, count));
  }

  #coordinatorOf(transactionalId: string): number {
    const leader = this.#leaderFor(transactionalId) ?? -1;
    if (leader >= 0) return leader;
    throw new KafkaError('COORDINATOR_NOT_AVAILABLE', `nobody coordinates the transactional id ${transactionalId} at the moment`);
  }

  async #ask(coordinator: number, asked: Asked): Promise<Results> {
    try {
      return await this.#batchers.ask(coordinator, asked);
    } catch (error) {
      if (error instanceof KafkaError && outOfReach.has(error.name))
        throw new KafkaError('NETWORK_EXCEPTION', error.message, { cause: error });
      throw error;
    }
  }

  async #send(coordinator: number, transactions: readonly Asked[]): Promise<Results[]> {
    const request = { transactions: [...transactions] };
    const options = { minVersion: FIRST_VERSION_BETWEEN_BROKERS };
    const answer = await this.#options.brokers.to(coordinator).send(AddPartitionsToTxn, request, options);
    const refusal = errorOfCode(answer.errorCode, `broker ${coordinator} does not say what is part of a transaction`);
    if (refusal) throw refusal;
    const results = new Map(
      answer.resultsByTransaction.map(({ transactionalId, topicResults }) => [transactionalId, topicResults]),
    );
    return transactions.map(({ transactionalId }) => results.get(transactionalId) ?? []);
  }
}

function topicsOf(partitions: TransactionPartitions): NonNullable<Asked['topics']> {
  return [...partitions].map(([name, indexes]) => ({ name, partitions: [...indexes] }));
}

/** Throws UNKNOWN_SERVER_ERROR when the answer says nothing. */
function flat(results: Results): { topic: string; partition: number; errorCode: number }[] {
  const all = results.flatMap(({ name, resultsByPartition }) =>
    resultsByPartition.map(({ partitionIndex, partitionErrorCode }) => ({
      topic: name,
      partition: partitionIndex,
      errorCode: partitionErrorCode,
    })),
  );
  if (all.length > 0) return all;
  throw new KafkaError('UNKNOWN_SERVER_ERROR', 'the coordinator has not answered for the transaction');
}

function throwIfRefused(errorCode: number, { transactionalId }: Asked): void {
  const refusal = errorOfCode(errorCode, `the coordinator of ${transactionalId} has refused its partitions`);
  if (refusal) throw refusal;
}
