import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  type Api,
  ApiVersions,
  type ApiVersionsResponse,
  apis,
  KafkaError,
  Metadata,
  Produce,
  Reader,
  readRequestHeader,
  type Writable,
  Writer,
  writeResponseHeader,
} from '@ottla/protocol';
import { memoryRuntime, nodeRuntime, type Runtime, sleep } from '@ottla/runtime';
import { acceptConnections, BrokerConnection, type BrokerConnectionOptions, type RequestHandler } from './index.ts';

const worlds: Record<string, (body: (runtime: Runtime) => Promise<void>) => Promise<void>> = {
  'over TCP': (body) => body(nodeRuntime()),
  'over a simulated network': (body) => {
    const runtime = memoryRuntime({ seed: 1, wires: { fragmentation: 0.3 } });
    return runtime.runUntil(body(runtime));
  },
};

type Asked = { api: Api; version: number; correlationId: number; clientId: string | null; request: object };
type Answer = object | null | Promise<object | null>;

const allApis: ApiVersionsResponse['apiKeys'] = apis.map(({ apiKey, minVersion, maxVersion }) => ({
  apiKey,
  minVersion,
  maxVersion,
}));

/** A broker that speaks `apiKeys`, and answers ApiVersions by Kafka's rule. */
function broker(runtime: Runtime, answer: (asked: Asked) => Answer, apiKeys = allApis) {
  const asked: Asked[] = [];
  const onRequest: RequestHandler = async (frame) => {
    const reader = new Reader(frame);
    const { apiKey, apiVersion: version, correlationId, clientId } = readRequestHeader(reader);
    const api = apis.find((candidate) => candidate.apiKey === apiKey)! as Api;
    const own = apiKeys.find((candidate) => candidate.apiKey === apiKey)!;
    if ((api as object) === ApiVersions && version > own.maxVersion) {
      asked.push({ api, version, correlationId, clientId, request: {} });
      return respond(api, 0, correlationId, { errorCode: 35, apiKeys: [own] });
    }
    const question = { api, version, correlationId, clientId, request: api.request.read(reader, version) };
    asked.push(question);
    const response = (api as object) === ApiVersions ? { apiKeys } : await answer(question);
    return response && respond(api, version, correlationId, response);
  };
  const address = { host: '127.0.0.1', port: 0 };
  return acceptConnections({ ...runtime, address, listenerName: 'PLAINTEXT', onRequest }).then((server) => ({ server, asked }));
}

function respond(api: Api, version: number, correlationId: number, response: Writable<object>): Uint8Array[] {
  const writer = new Writer();
  writeResponseHeader(writer, api, version, correlationId);
  api.response.write(writer, response, version);
  return writer.chunks();
}

function connect(
  runtime: Runtime,
  server: { address: { host: string; port: number } },
  options: Partial<BrokerConnectionOptions> = {},
) {
  return BrokerConnection.connect({ ...runtime, address: server.address, clientId: 'tester', ...options });
}

const fails = (name: string) => (error: unknown) => error instanceof KafkaError && error.name === name;

for (const [where, run] of Object.entries(worlds)) {
  describe(`a client ${where}`, () => {
    test('agrees on versions, and asks in the highest that both speak', () =>
      run(async (runtime) => {
        const apiKeys = allApis.map((range) => (range.apiKey === Metadata.apiKey ? { ...range, maxVersion: 9 } : range));
        const { server, asked } = await broker(runtime, () => ({ clusterId: 'here' }), apiKeys);
        const connection = await connect(runtime, server, { clientSoftware: { name: 'test-client', version: '1.2' } });
        assert.deepEqual(asked[0]!.request, { clientSoftwareName: 'test-client', clientSoftwareVersion: '1.2' });
        assert.equal(connection.versionFor(Metadata), 9);
        assert.equal(connection.versionFor(Metadata, { max: 7 }), 7);
        assert.throws(() => connection.versionFor(Metadata, { min: 10 }), fails('UNSUPPORTED_VERSION'));
        const response = await connection.send(Metadata, { topics: null });
        assert.equal(response.clusterId, 'here');
        const { version, clientId } = asked[1]!;
        assert.deepEqual({ version, clientId }, { version: 9, clientId: 'tester' });
        await connection.close();
        await server.close();
      }));

    test('falls back to the ApiVersions that an older broker speaks', () =>
      run(async (runtime) => {
        const apiKeys = [{ apiKey: ApiVersions.apiKey, minVersion: 0, maxVersion: 2 }];
        const { server, asked } = await broker(runtime, () => null, apiKeys);
        const connection = await connect(runtime, server);
        assert.deepEqual(
          asked.map(({ version }) => version),
          [ApiVersions.maxVersion, 2],
        );
        assert.equal(connection.offers(Metadata as Api), false);
        await assert.rejects(connection.send(Metadata, {}), fails('UNSUPPORTED_VERSION'));
        await connection.close();
        await server.close();
      }));

    test('pipelines, and matches answers to requests', () =>
      run(async (runtime) => {
        const { server } = await broker(runtime, async ({ correlationId }) => {
          await sleep(runtime.timers, correlationId % 3);
          return { clusterId: `answer ${correlationId}` };
        });
        const connection = await connect(runtime, server);
        const answers = Promise.all(Array.from({ length: 10 }, () => connection.send(Metadata, {})));
        assert.equal(connection.requestsInFlight, 10);
        assert.deepEqual(
          (await answers).map(({ clusterId }) => clusterId),
          Array.from({ length: 10 }, (_, index) => `answer ${index + 1}`),
        );
        assert.equal(connection.requestsInFlight, 0);
        await connection.close();
        await server.close();
      }));

    test('sends requests that have no answer', () =>
      run(async (runtime) => {
        const { server, asked } = await broker(runtime, ({ api }) => (api.apiKey === Produce.apiKey ? null : {}));
        const connection = await connect(runtime, server);
        await connection.sendNoResponse(Produce, { acks: 0, timeoutMs: 1, topicData: [] });
        await connection.send(Metadata, {});
        assert.deepEqual(
          asked.map(({ api }) => api.name),
          ['ApiVersions', 'Produce', 'Metadata'],
        );
        const last = connection.sendNoResponse(Produce, { acks: 0, timeoutMs: 1, topicData: [] });
        await connection.close();
        await last;
        while (asked.length < 4) await sleep(runtime.timers, 1);
        await assert.rejects(connection.sendNoResponse(Produce, {}), fails('NETWORK_EXCEPTION'));
        await server.close();
      }));

    test('rejects what is pending when the broker goes away', () =>
      run(async (runtime) => {
        let closes = 0;
        const { server, asked } = await broker(runtime, () => new Promise(() => {}));
        const connection = await connect(runtime, server, { onClose: () => closes++ });
        const pending = [connection.send(Metadata, {}), connection.send(Metadata, {})];
        const settled = Promise.allSettled(pending);
        while (asked.length < 3) await sleep(runtime.timers, 1);
        await server.close(0);
        for (const outcome of await settled)
          assert.ok(outcome.status === 'rejected' && fails('NETWORK_EXCEPTION')(outcome.reason));
        await assert.rejects(connection.send(Metadata, {}), fails('NETWORK_EXCEPTION'));
        assert.deepEqual([connection.closed, closes], [true, 1]);
      }));

    test('a request that is not answered in time closes the connection', () =>
      run(async (runtime) => {
        const { server } = await broker(runtime, () => new Promise(() => {}));
        const connection = await connect(runtime, server, { requestTimeoutMs: 10_000 });
        const startMs = runtime.clock.monotonicMs();
        const [long, short] = await Promise.allSettled([
          connection.send(Metadata, {}),
          connection.send(Metadata, {}, { timeoutMs: 30 }),
        ]);
        assert.ok(short.status === 'rejected' && fails('REQUEST_TIMED_OUT')(short.reason));
        assert.ok(long.status === 'rejected' && fails('NETWORK_EXCEPTION')(long.reason));
        assert.ok(runtime.clock.monotonicMs() - startMs < 5000);
        await server.close();
      }));

    test('closing with grace waits for the answers in flight', () =>
      run(async (runtime) => {
        const { server } = await broker(runtime, async () => {
          await sleep(runtime.timers, 20);
          return { clusterId: 'late' };
        });
        const connection = await connect(runtime, server);
        const pending = connection.send(Metadata, {});
        const closing = connection.close(1000);
        await assert.rejects(connection.send(Metadata, {}), fails('NETWORK_EXCEPTION'));
        assert.equal((await pending).clusterId, 'late');
        await closing;
        await server.close();
      }));

    test('gives up on a server that says nothing, or nonsense', () =>
      run(async (runtime) => {
        const address = { host: '127.0.0.1', port: 0 };
        const nonsense = [
          '',
          '00000000',
          '7fffffff00',
          'ffffffff',
          '0000000400000005',
          '0000000600000000ffff',
          '000000080000000000000010',
        ];
        for (const answer of nonsense) {
          const listener = await runtime.network.listen(address, (socket) => {
            socket.onData = () => void socket.write([Buffer.from(answer, 'hex')]);
          });
          await assert.rejects(connect(runtime, listener, { connectTimeoutMs: 50, maxResponseBytes: 1000 }), Error);
          await listener.close();
        }
      }));

    test('an answer that nobody asked for closes the connection', () =>
      run(async (runtime) => {
        const { server } = await broker(runtime, () => ({}));
        let why: Error | undefined;
        const connection = await connect(runtime, server, { onClose: (error) => (why = error) });
        await connection.sendNoResponse(Metadata, {});
        while (!connection.closed) await sleep(runtime.timers, 1);
        assert.match(String(why), /nothing was asked/);
        await server.close();
      }));
  });
}
