/** Producer ids are given out in blocks, each to one broker, none twice. */

import { type AllocateProducerIdsRequest, type AllocateProducerIdsResponse, KafkaError } from '@ottla/protocol';
import { producerIdsRecord } from '../records.ts';
import { type ControllerState, registeredBroker } from './controller-state.ts';
import type { Decision } from './decision.ts';

const blockSize = 1_000;

/** @throws STALE_BROKER_EPOCH */
export function allocateProducerIds(
  state: ControllerState,
  { brokerId, brokerEpoch }: AllocateProducerIdsRequest,
): Decision<AllocateProducerIdsResponse> {
  registeredBroker(state, brokerId, brokerEpoch);
  const start = state.image.producerIds.nextProducerId;
  if (start > Number.MAX_SAFE_INTEGER - blockSize) throw new KafkaError('UNKNOWN_SERVER_ERROR', 'Exhausted all producerIds');
  return {
    records: [producerIdsRecord(brokerId, brokerEpoch, start + blockSize)],
    response: { throttleTimeMs: 0, errorCode: 0, producerIdStart: start, producerIdLen: blockSize },
  };
}
