/**
 * Values that travel as opaque bytes inside other messages: int16 version, body.
 *
 *   the subscription and assignment of a consumer in JoinGroup and SyncGroup
 *   the principal of a forwarded request in Envelope
 */
import type { Codec, Writable } from './codec.ts';
import { KafkaError } from './errors.ts';
import { Reader } from './reader.ts';
import { ConsumerProtocolAssignment, ConsumerProtocolSubscription, DefaultPrincipalData } from './records-of/index.ts';
import { Writer } from './writer.ts';

export function readSubscription(bytes: Uint8Array): ConsumerProtocolSubscription {
  return readUpToKnown(ConsumerProtocolSubscription, bytes);
}

export function writeSubscription(subscription: Writable<ConsumerProtocolSubscription>, version: number): Uint8Array {
  return writeVersioned(ConsumerProtocolSubscription, subscription, version);
}

export function readAssignment(bytes: Uint8Array): ConsumerProtocolAssignment {
  return readUpToKnown(ConsumerProtocolAssignment, bytes);
}

export function writeAssignment(assignment: Writable<ConsumerProtocolAssignment>, version: number): Uint8Array {
  return writeVersioned(ConsumerProtocolAssignment, assignment, version);
}

export function readPrincipal(bytes: Uint8Array): DefaultPrincipalData {
  const reader = new Reader(bytes);
  return DefaultPrincipalData.read(reader, reader.int16());
}

export function writePrincipal(principal: Writable<DefaultPrincipalData>): Uint8Array {
  return writeVersioned(DefaultPrincipalData, principal, DefaultPrincipalData.maxVersion);
}

/** Later versions of the consumer protocol only append fields, so what is newer is read as the newest known one. */
function readUpToKnown<T>(codec: Codec<T>, bytes: Uint8Array): T {
  const reader = new Reader(bytes);
  const version = reader.int16();
  if (version < codec.minVersion) throw new KafkaError('UNSUPPORTED_VERSION', `${codec.name} has no version ${version}`);
  return codec.read(reader, Math.min(version, codec.maxVersion));
}

function writeVersioned<T>(codec: Codec<T>, value: Writable<T>, version: number): Uint8Array {
  const writer = new Writer(128);
  writer.int16(version);
  codec.write(writer, value, version);
  return writer.bytes();
}
