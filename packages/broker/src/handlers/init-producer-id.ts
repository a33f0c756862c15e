import { InitProducerId, KafkaError } from '@ottla/protocol';
import { handler } from './handler.ts';

/** InitProducerId: an id under which a partition tells a producer's retries from new batches (KIP-98). */
export const initProducerId = handler(
  InitProducerId,
  async (request, { broker }) => {
    if (request.transactionalId !== null) {
      throw new KafkaError('INVALID_REQUEST', 'this release of Ottla has no transactions: leave transactional.id unset');
    }
    if ((request.producerEpoch === -1) !== (request.producerId === -1)) {
      throw new KafkaError('INVALID_REQUEST', 'producerId and producerEpoch must be given together, or neither');
    }
    return { errorCode: 0, producerId: await broker.producerIds.next(), producerEpoch: 0 };
  },
  ({ errorCode }) => ({ errorCode, producerId: -1, producerEpoch: -1 }),
);
