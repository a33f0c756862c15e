import { InitProducerId, KafkaError } from '@ottla/protocol';
import { handler } from './handler.ts';
import { fencedByVersion } from './transactions.ts';

const FIRST_VERSION_WITH_FENCED = 4;

/**
 * InitProducerId: an id under which a partition tells a producer's retries from new batches (KIP-98); with a transactional id, from its coordinator,
 * who fences whoever had it before.
 * v3 the producer says who it was, to go on after an error (KIP-360); v4 PRODUCER_FENCED
 */
export const initProducerId = handler(
  InitProducerId,
  async ({ transactionalId, transactionTimeoutMs, producerId, producerEpoch }, { broker, apiVersion }) => {
    if ((producerEpoch === -1) !== (producerId === -1)) {
      throw new KafkaError('INVALID_REQUEST', 'producerId and producerEpoch must be given together, or neither');
    }
    if (transactionalId === null) return { errorCode: 0, producerId: await broker.producerIds.next(), producerEpoch: 0 };
    try {
      const expected = producerId === -1 ? undefined : { producerId, producerEpoch };
      const request = { transactionalId, timeoutMs: transactionTimeoutMs, expected };
      return { errorCode: 0, ...(await broker.transactions.initProducerId(request)) };
    } catch (error) {
      if (!(error instanceof KafkaError)) throw error;
      return { ...NO_PRODUCER, errorCode: fencedByVersion(error, apiVersion, FIRST_VERSION_WITH_FENCED).errorCode };
    }
  },
  ({ errorCode }) => ({ ...NO_PRODUCER, errorCode }),
);

const NO_PRODUCER = { producerId: -1, producerEpoch: -1 };
