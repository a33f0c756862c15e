import { acceptConnections } from '@ottla/network';
import {
  type Api,
  ApiVersions,
  apis,
  Reader,
  readRequestHeader,
  type Writable,
  Writer,
  writeResponseHeader,
} from '@ottla/protocol';
import type { Machine, World } from '@ottla/runtime';

const apiKeys = apis.map(({ apiKey, minVersion, maxVersion }) => ({ apiKey, minVersion, maxVersion }));

/** On a machine of its own, "broker1:9092" say, a broker that says what the test has it say. */
export async function serveScripted(
  world: World,
  host: string,
  answer: (api: Api, request: object, version: number) => object,
): Promise<Machine> {
  const machine = world.machine(host);
  const serving = acceptConnections({
    ...machine.boot(),
    address: { host, port: 9092 },
    listenerName: 'PLAINTEXT',
    onRequest: async (frame) => {
      const reader = new Reader(frame);
      const { apiKey, apiVersion, correlationId } = readRequestHeader(reader);
      const api = apis.find((candidate) => candidate.apiKey === apiKey)! as Api;
      const isHandshake = (api as object) === ApiVersions;
      const response = isHandshake ? { apiKeys } : answer(api, api.request.read(reader, apiVersion), apiVersion);
      const writer = new Writer();
      writeResponseHeader(writer, api, apiVersion, correlationId);
      api.response.write(writer, response as Writable<object>, apiVersion);
      return writer.chunks();
    },
  });
  await world.runUntil(serving);
  return machine;
}
