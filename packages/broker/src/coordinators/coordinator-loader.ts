import { type BatchView, batchesOf, KafkaError, readControlRecord } from '@ottla/protocol';
import { type Logger, nextTurn, type Timers } from '@ottla/runtime';
import type { CoordinatorLog } from './coordinator-log.ts';
import type { CoordinatorMachine, RecordCodec } from './coordinator-machine.ts';

/**
 * Replays a partition from its start to its end, a piece at a time: in between, the broker does its other work. Returns the number
 * of records; stops early once `isCancelled`. Rejects with CORRUPT_MESSAGE, and what reading and decoding throws.
 */
export async function loadMachine<Record>(
  machine: Pick<CoordinatorMachine<Record, never>, 'replay' | 'replayTransactionEnd' | 'skipTo' | 'commitTo'>,
  log: CoordinatorLog,
  { codec, timers, logger, stepBytes, isCancelled }: LoadOptions<Record>,
): Promise<number> {
  let records = 0;
  machine.commitTo(log.highWatermark);
  let offset = log.logStartOffset;
  machine.skipTo(offset);
  while (offset < log.logEndOffset && !isCancelled()) {
    const bytes = await log.read(offset, stepBytes);
    let isAdvancing = false;
    for (const batch of batchesOf(bytes)) {
      // A read may begin with the batch that `offset` is in the middle of.
      if (batch.nextOffset <= offset) continue;
      // After a clean stop nobody has looked: a flipped bit would be the committed offset of some group.
      batch.ensureCrc();
      records += replayBatch(batch, offset);
      offset = batch.nextOffset;
      isAdvancing = true;
    }
    if (!isAdvancing)
      throw new KafkaError('CORRUPT_MESSAGE', `no batch at offset ${offset}, and the log ends at ${log.logEndOffset}`);
    await nextTurn(timers);
  }
  machine.skipTo(offset);
  machine.commitTo(log.highWatermark);
  return records;

  function replayBatch(batch: BatchView, startOffset: number): number {
    let count = 0;
    for (const record of batch.records()) {
      if (record.offset < startOffset) continue;
      count++;
      if (batch.isControl) {
        const control = readControlRecord(record);
        if (control.type === 'commit' || control.type === 'abort') {
          machine.replayTransactionEnd(batch.producerId, control.type === 'commit', record.offset);
        }
        continue;
      }
      if (record.key === null) {
        logger.warn('a coordinator record without a key was skipped', { offset: record.offset });
        continue;
      }
      const decoded = codec.decode(record.key, record.value);
      if (decoded === null) logger.warn('a coordinator record of an unknown type was skipped', { offset: record.offset });
      // Only a transactional batch waits for a marker; an idempotent producer's id means nothing here.
      else machine.replay(decoded, { offset: record.offset, producerId: batch.isTransactional ? batch.producerId : -1 });
    }
    return count;
  }
}

export type LoadOptions<Record> = {
  readonly codec: RecordCodec<Record>;
  readonly timers: Timers;
  readonly logger: Logger;
  /** How much is read and replayed at a time. */
  readonly stepBytes: number;
  readonly isCancelled: () => boolean;
};
