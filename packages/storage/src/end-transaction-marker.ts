/**
 * The record of a control batch that ends a transaction:
 *
 *   key    int16 version, int16 type: 0 abort, 1 commit
 *   value  int16 version, int32 coordinator epoch
 */
import { type BatchView, KafkaError } from '@ottla/protocol';

export type EndTransactionMarker = {
  readonly type: 'abort' | 'commit';
  readonly coordinatorEpoch: number;
  readonly timestamp: number;
};

/**
 * Undefined for an empty batch: the cleaner removed the marker with its transaction. Throws INVALID_RECORD for any other
 * control record, because only markers carry a producer id.
 */
export function readEndTransactionMarker(batch: BatchView): EndTransactionMarker | undefined {
  for (const { key, value, timestamp } of batch.records()) {
    if (!key || key.length < 4) throw new KafkaError('INVALID_RECORD', 'a control record has no type in its key');
    const type = new DataView(key.buffer, key.byteOffset, key.byteLength).getInt16(2);
    if (type !== 0 && type !== 1)
      throw new KafkaError('INVALID_RECORD', `control record type ${type} does not end a transaction`);
    if (!value || value.length < 6) throw new KafkaError('INVALID_RECORD', 'a transaction marker has no coordinator epoch');
    const coordinatorEpoch = new DataView(value.buffer, value.byteOffset, value.byteLength).getInt32(2);
    return { type: type === 0 ? 'abort' : 'commit', coordinatorEpoch, timestamp };
  }
  return undefined;
}
