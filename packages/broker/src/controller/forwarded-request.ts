import {
  type Api,
  apiByKey,
  DefaultPrincipalData,
  type EnvelopeRequest,
  KafkaError,
  Reader,
  type RequestHead,
  readRequestHeader,
  readResponseHeader,
  type Writable,
  Writer,
  writeRequestHeader,
  writeResponseHeader,
} from '@ottla/protocol';
import type { ClientRequest } from './controller-channel.ts';

/** A client's request in the envelope in which a broker takes it to the controller (KIP-590). */
export type ForwardedRequest = {
  readonly header: RequestHead;
  readonly api: Api;
  /** Of the request's body. */
  readonly body: Uint8Array;
  readonly clientHost: string;
};

/** Those that brokers may bring for their clients. */
const forwardable: ReadonlySet<string> = new Set([
  'AddRaftVoter',
  'AlterClientQuotas',
  'AlterConfigs',
  'AlterPartitionReassignments',
  'AlterUserScramCredentials',
  'CreateAcls',
  'CreateDelegationToken',
  'CreatePartitions',
  'CreateTopics',
  'DeleteAcls',
  'DeleteTopics',
  'DescribeQuorum',
  'ElectLeaders',
  'ExpireDelegationToken',
  'IncrementalAlterConfigs',
  'ListPartitionReassignments',
  'RemoveRaftVoter',
  'RenewDelegationToken',
  'UnregisterBroker',
  'UpdateFeatures',
]);

export const isForwardable = (api: Pick<Api, 'name'>): boolean => forwardable.has(api.name);

/** Nobody logs in yet, so all that comes in is from this one. */
const anonymous = { type: 'User', name: 'ANONYMOUS', tokenAuthenticated: false };

export function envelopeOf<Request>(
  api: Api<Request, object>,
  request: Request,
  { apiVersion, correlationId, clientId, connection }: ClientRequest,
): Writable<EnvelopeRequest> {
  const writer = new Writer();
  writeRequestHeader(writer, api as unknown as Api, apiVersion, correlationId, clientId);
  api.request.write(writer, request as Writable<Request>, apiVersion);
  return {
    requestData: writer.bytes(),
    requestPrincipal: principalBytes(),
    clientHostAddress: addressBytes(connection.remote.host),
  };
}

/** What the controller answered. Throws ProtocolError when that is no answer to this request. */
export function responseIn<Response>(api: Api<never, Response>, bytes: Uint8Array, client: ClientRequest): Response {
  const reader = new Reader(bytes);
  const correlationId = readResponseHeader(reader, api as unknown as Api, client.apiVersion);
  if (correlationId !== client.correlationId)
    throw new Error(`the controller answered request ${correlationId} instead of ${client.correlationId}`);
  return api.response.read(reader, client.apiVersion);
}

/** Throws PRINCIPAL_DESERIALIZATION_FAILURE, INVALID_REQUEST. */
export function openEnvelope({ requestData, requestPrincipal, clientHostAddress }: EnvelopeRequest): ForwardedRequest {
  requirePrincipal(requestPrincipal);
  const clientHost = hostOf(clientHostAddress);
  const reader = new Reader(requestData);
  const header = headerIn(reader);
  const api = apiByKey(header.apiKey);
  if (!api || !isForwardable(api))
    throw new KafkaError('INVALID_REQUEST', `API ${api?.name ?? header.apiKey} is not enabled or is not eligible for forwarding`);
  return { header, api, body: requestData.subarray(reader.offset), clientHost };
}

export function forwardedResponse(api: Api, { apiVersion, correlationId }: RequestHead, response: Writable<object>): Uint8Array {
  const writer = new Writer();
  writeResponseHeader(writer, api, apiVersion, correlationId);
  api.response.write(writer, response, apiVersion);
  return writer.bytes();
}

function headerIn(reader: Reader): RequestHead {
  try {
    return readRequestHeader(reader);
  } catch (error) {
    throw new KafkaError('INVALID_REQUEST', 'Failed to parse request header from envelope', { cause: error });
  }
}

/** As Kafka's DefaultKafkaPrincipalBuilder: the version, then the message. */
function principalBytes(): Uint8Array {
  const writer = new Writer();
  writer.int16(DefaultPrincipalData.maxVersion);
  DefaultPrincipalData.write(writer, anonymous, DefaultPrincipalData.maxVersion);
  return writer.bytes();
}

function requirePrincipal(bytes: Uint8Array | null): void {
  try {
    const reader = new Reader(bytes ?? new Uint8Array(0));
    DefaultPrincipalData.read(reader, reader.int16());
  } catch (error) {
    const text = 'Failed to deserialize client principal from envelope';
    throw new KafkaError('PRINCIPAL_DESERIALIZATION_FAILURE', text, { cause: error });
  }
}

/** Four bytes or sixteen. A simulated machine has a name instead. */
function addressBytes(host: string): Uint8Array {
  const dotted = host.startsWith('::ffff:') ? host.slice('::ffff:'.length) : host;
  if (/^\d{1,3}(\.\d{1,3}){3}$/.test(dotted)) return Uint8Array.from(dotted.split('.').map(Number));
  if (!host.includes(':')) return Uint8Array.of(127, 0, 0, 1);
  const [head = '', tail] = host.split('%')[0]!.split('::');
  const groups = (text: string): number[] => (text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16)));
  const before = groups(head);
  const after = tail === undefined ? [] : groups(tail);
  const all = [...before, ...new Array<number>(Math.max(0, 8 - before.length - after.length)).fill(0), ...after];
  return Uint8Array.from(all.flatMap((group) => [group >> 8, group & 0xff]));
}

function hostOf(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join('.');
  if (bytes.length !== 16) throw new KafkaError('INVALID_REQUEST', 'Failed to parse client address from envelope');
  const groups = Array.from({ length: 8 }, (_, index) => ((bytes[2 * index]! << 8) | bytes[2 * index + 1]!).toString(16));
  return groups.join(':');
}
