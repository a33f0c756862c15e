/**
 * What precedes every body.
 *
 *   request   int16 apiKey, int16 apiVersion, int32 correlationId, nullable string clientId (never compact),
 *             and in flexible versions a tagged section
 *   response  int32 correlationId, and in flexible versions a tagged section; never one for ApiVersions, whose answer a
 *             client must be able to read before it knows what the broker speaks
 */
import type { Api } from './codec.ts';
import { KafkaError } from './errors.ts';
import { ApiVersions, apis } from './messages/index.ts';
import type { Reader } from './reader.ts';
import type { Writer } from './writer.ts';

export interface RequestHead {
  readonly apiKey: number;
  readonly apiVersion: number;
  readonly correlationId: number;
  readonly clientId: string | null;
}

const byKey: (Api | undefined)[] = [];
for (const api of apis) byKey[api.apiKey] = api;

/** The API with this key, or undefined. */
export function apiByKey(apiKey: number): Api | undefined {
  return byKey[apiKey];
}

/** 2 where the version of the API is flexible, else 1. A version that the API does not have counts by its number. */
export function requestHeaderVersion(api: Api, apiVersion: number): 1 | 2 {
  return apiVersion >= api.flexibleVersion ? 2 : 1;
}

export function responseHeaderVersion(api: Api, apiVersion: number): 0 | 1 {
  return api !== ApiVersions && apiVersion >= api.flexibleVersion ? 1 : 0;
}

/** Leaves the reader at the body. Throws INVALID_REQUEST for a key that no API has: its header cannot be known. */
export function readRequestHeader(reader: Reader): RequestHead {
  const apiKey = reader.int16();
  const apiVersion = reader.int16();
  const api = byKey[apiKey];
  if (api === undefined) throw new KafkaError('INVALID_REQUEST', `no API has key ${apiKey}`);
  const correlationId = reader.int32();
  const clientId = reader.nullableString();
  if (apiVersion >= api.flexibleVersion) skipTags(reader);
  return { apiKey, apiVersion, correlationId, clientId };
}

export function writeRequestHeader(
  writer: Writer,
  api: Api,
  apiVersion: number,
  correlationId: number,
  clientId: string | null,
): void {
  writer.int16(api.apiKey);
  writer.int16(apiVersion);
  writer.int32(correlationId);
  writer.nullableString(clientId);
  if (apiVersion >= api.flexibleVersion) writer.uvarint(0);
}

/** Leaves the reader at the body; answers the correlation id. */
export function readResponseHeader(reader: Reader, api: Api, apiVersion: number): number {
  const correlationId = reader.int32();
  if (responseHeaderVersion(api, apiVersion) === 1) skipTags(reader);
  return correlationId;
}

export function writeResponseHeader(writer: Writer, api: Api, apiVersion: number, correlationId: number): void {
  writer.int32(correlationId);
  if (responseHeaderVersion(api, apiVersion) === 1) writer.uvarint(0);
}

function skipTags(reader: Reader): void {
  const count = reader.tagCount();
  for (let index = 0; index < count; index++) {
    reader.uvarint();
    reader.skip(reader.tagEnd() - reader.offset);
  }
}
