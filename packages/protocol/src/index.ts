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
} from './errors.ts';
export { MAX_ARRAY_LENGTH, MAX_TAGGED_FIELDS, Reader } from './reader.ts';
export { isUuid, type Uuid, uuidFromBytes, uuidToBytes, ZERO_UUID } from './uuid.ts';
export { Writer } from './writer.ts';
