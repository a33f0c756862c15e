// ── messages: one descriptor per API, headers, records of the internal topics ──
export type { Api, Codec, UnknownTag, Writable } from './codec.ts';
// ── errors, ids, primitives ──
export {
  type ErrorDefinition,
  type ErrorName,
  errorCodeOf,
  errorName,
  errorOfCode,
  errors,
  KafkaError,
  ProtocolError,
  withoutStacks,
} from './errors.ts';
export {
  apiByKey,
  type RequestHead,
  readRequestHeader,
  readResponseHeader,
  requestHeaderVersion,
  responseHeaderVersion,
  writeRequestHeader,
  writeResponseHeader,
} from './headers.ts';
export * from './messages/index.ts';
export { MAX_ARRAY_LENGTH, MAX_ELEMENTS, MAX_TAGGED_FIELDS, Reader } from './reader.ts';
export {
  readGroupRecord,
  readMetadataRecord,
  readShareRecord,
  readTransactionRecord,
  type UnknownRecord,
  writeGroupRecordKey,
  writeGroupRecordValue,
  writeMetadataRecord,
  writeShareRecordKey,
  writeShareRecordValue,
  writeTransactionRecordKey,
  writeTransactionRecordValue,
} from './record-frame.ts';
// ── records: batches, compression, checksums, partitioning ──
export {
  BatchBuilder,
  type BatchOptions,
  buildBatch,
  recordBytesAtMost,
} from './records/batch-builder.ts';
export {
  BatchView,
  batchHeaderBytes,
  batchPrefixBytes,
  type ReadRecordsOptions,
  sequenceAfter,
  type TimestampType,
} from './records/batch-view.ts';
export { batchesOf, batchLengthAt, lengthOfWholeBatches } from './records/batches-of.ts';
export {
  type CompressionCodec,
  type CompressOptions,
  codecOfId,
  compress,
  compressionCodecs,
  type DecompressOptions,
  decompress,
  defaultMaxDecompressedBytes,
  idOfCodec,
} from './records/compression.ts';
export {
  buildControlBatch,
  type ControlBatch,
  type ControlRecord,
  type ControlRecordToWrite,
  type ControlRecordType,
  controlRecordKey,
  controlRecordTypeOf,
  controlRecordTypes,
  controlRecordValue,
  readControlRecord,
  type UnknownControlRecord,
} from './records/control-records.ts';
export { crc32, crc32c } from './records/crc32.ts';
export { groupMetadataHash, type HashedTopic, topicMetadataHash } from './records/group-metadata-hash.ts';
export { type InspectOptions, inspectRecords, type OffendingRecord, type RecordsInspection } from './records/inspect-records.ts';
export { readInt64, writeInt64 } from './records/int64.ts';
export { buildLegacyMessageSet, type LegacyMessageSet } from './records/legacy-message.ts';
export { inJavaHashOrder, javaStringHash, murmur2, partitionForGroup, partitionForKey } from './records/partition-hashes.ts';
export { recompressBatch } from './records/recompress-batch.ts';
export type { DecodedRecord, RecordHeader, RecordToWrite } from './records/record.ts';
export { RecordCursor, type RecordSectionContext } from './records/record-cursor.ts';
export { type WalkRules, walkRecords } from './records/walk-records.ts';
export { xxh3 } from './records/xxh3.ts';
export { xxh32 } from './records/xxh32.ts';
export * from './records-of/index.ts';
// ── SCRAM: a login's messages and what a server keeps of a password ──
export {
  type ScramCredential,
  type ScramMechanism,
  type ScramMechanismName,
  saltScramPassword,
  scramCredentialFromText,
  scramCredentialOfPassword,
  scramCredentialOfSaltedPassword,
  scramCredentialToText,
  scramMechanismOf,
  scramMechanisms,
} from './scram/scram-credential.ts';
export {
  parseScramClientFirst,
  type ScramChallenge,
  type ScramClientFinal,
  type ScramClientFirst,
  type ScramLogin,
  type ScramLoginRequest,
  scramClientFinal,
  scramClientFirst,
  scramServerError,
  scramServerFinal,
  scramServerFirst,
  verifyScramServerFinal,
} from './scram/scram-exchange.ts';
export { isUuid, type Uuid, uuidFromBytes, uuidToBytes, ZERO_UUID } from './uuid.ts';
export {
  readAssignment,
  readPrincipal,
  readSubscription,
  writeAssignment,
  writePrincipal,
  writeSubscription,
} from './versioned-bytes.ts';
export { Writer } from './writer.ts';
