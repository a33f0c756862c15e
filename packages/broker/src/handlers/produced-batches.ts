/**
 * What can be said of produced records before anybody looks for their partition. Only the first bytes of a batch are read:
 * all magics have their size at 8 and their magic at 16; see docs on the record batch in @ottla/protocol.
 */
import { KafkaError, type ProduceRequest } from '@ottla/protocol';

const LENGTH_AT = 8;
const MAGIC_AT = 16;
const ATTRIBUTES_LOW_BYTE_AT = 22;
const BYTES_BEFORE_LENGTH_COUNTS = 12;
const BYTES_UP_TO_MAGIC = 17;
/** The shortest record of any magic. */
const MIN_RECORD_BYTES = 14;
const CURRENT_MAGIC = 2;
const TRANSACTIONAL = 0x10;
const CODEC_MASK = 0x07;
const ZSTD = 4;
const FIRST_VERSION_WITH_ZSTD = 7;

/** Whether any partition's records begin with a transactional batch. Throws CORRUPT_MESSAGE. */
export function hasTransactionalBatch({ topicData }: ProduceRequest): boolean {
  for (const { partitionData } of topicData) {
    for (const { records } of partitionData) {
      if (records === null || batchBytesAt(records, 0) === 0) continue;
      if (isTransactional(records)) return true;
    }
  }
  return false;
}

/** Of a whole batch. */
export function isTransactional(records: Uint8Array): boolean {
  return records[MAGIC_AT]! === CURRENT_MAGIC && (records[ATTRIBUTES_LOW_BYTE_AT]! & TRANSACTIONAL) !== 0;
}

/** A producer sends exactly one batch, of the current magic. Throws INVALID_RECORD, UNSUPPORTED_COMPRESSION_TYPE, CORRUPT_MESSAGE. */
export function requireOneBatch(records: Uint8Array, apiVersion: number): void {
  const length = batchBytesAt(records, 0);
  if (length === 0) throw new KafkaError('INVALID_RECORD', 'the records of a partition must be one whole batch');
  if (records[MAGIC_AT] !== CURRENT_MAGIC)
    throw new KafkaError('INVALID_RECORD', `a batch of magic ${records[MAGIC_AT]} is too old`);
  if (
    apiVersion < FIRST_VERSION_WITH_ZSTD &&
    length > ATTRIBUTES_LOW_BYTE_AT &&
    (records[ATTRIBUTES_LOW_BYTE_AT]! & CODEC_MASK) === ZSTD
  )
    throw new KafkaError('UNSUPPORTED_COMPRESSION_TYPE', `zstd is not for clients that produce in version ${apiVersion}`);
  if (batchBytesAt(records, length) > 0) throw new KafkaError('INVALID_RECORD', 'the records of a partition must be one batch');
}

/** The bytes of the whole batch at this position; 0 when it is cut short. Throws CORRUPT_MESSAGE. */
function batchBytesAt(records: Uint8Array, position: number): number {
  const left = records.length - position;
  if (left < BYTES_BEFORE_LENGTH_COUNTS) return 0;
  const size = new DataView(records.buffer, records.byteOffset + position, left).getInt32(LENGTH_AT);
  if (size < MIN_RECORD_BYTES)
    throw new KafkaError('CORRUPT_MESSAGE', `Record size ${size} is less than the minimum record overhead (${MIN_RECORD_BYTES})`);
  if (left < BYTES_UP_TO_MAGIC) return 0;
  const magic = (records[position + MAGIC_AT]! << 24) >> 24;
  if (magic < 0 || magic > CURRENT_MAGIC) throw new KafkaError('CORRUPT_MESSAGE', `Invalid magic found in record: ${magic}`);
  const length = BYTES_BEFORE_LENGTH_COUNTS + size;
  return length > left ? 0 : length;
}
