import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type Api,
  apiByKey,
  CreateTopics,
  DescribeQuorum,
  Envelope,
  type EnvelopeRequest,
  errorName,
  KafkaError,
  Metadata,
  type Writable,
} from '@ottla/protocol';
import { TestCluster } from '../testing-cluster.ts';
import { envelopeOf, forwardedResponse, openEnvelope, responseIn } from './forwarded-request.ts';

const client = (host: string, apiVersion = 7) => ({
  apiVersion,
  correlationId: 77,
  clientId: 'admin',
  connection: { remote: { host, port: 1 } },
});

const createTopics = (name: string, validateOnly = false) => ({
  topics: [{ name, numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] }],
  timeoutMs: 1_000,
  validateOnly,
});

test('what is put in an envelope comes out: request, header, and where the client is', () => {
  for (const [host, shown] of [
    ['192.168.1.20', '192.168.1.20'],
    ['::ffff:10.0.0.1', '10.0.0.1'],
    ['2001:db8::7:1', '2001:db8:0:0:0:0:7:1'],
    ['::1', '0:0:0:0:0:0:0:1'],
  ] as const) {
    const envelope = envelopeOf(CreateTopics as unknown as Api<object, object>, createTopics('orders'), client(host));
    const { api, header, clientHost } = openEnvelope(envelope as EnvelopeRequest);
    assert.equal(api, apiByKey(CreateTopics.apiKey));
    assert.deepEqual([header.apiVersion, header.correlationId, header.clientId, clientHost], [7, 77, 'admin', shown]);
    const bytes = forwardedResponse(api, header, { topics: [{ name: 'orders', errorCode: 36 }] });
    assert.equal(
      responseIn(CreateTopics as unknown as Api<never, { topics: { errorCode: number }[] }>, bytes, client(host)).topics[0]!
        .errorCode,
      36,
    );
  }
});

test('an envelope that makes no sense is refused', () => {
  const good = envelopeOf(
    CreateTopics as unknown as Api<object, object>,
    createTopics('orders'),
    client('10.0.0.1'),
  ) as EnvelopeRequest;
  const refused = (envelope: Partial<EnvelopeRequest>, name: string) =>
    assert.throws(
      () => openEnvelope({ ...good, ...envelope }),
      (error) => error instanceof KafkaError && error.name === name,
    );
  refused({ requestPrincipal: null }, 'PRINCIPAL_DESERIALIZATION_FAILURE');
  refused({ requestPrincipal: Uint8Array.of(0, 9, 1) }, 'PRINCIPAL_DESERIALIZATION_FAILURE');
  refused({ clientHostAddress: Uint8Array.of(1, 2, 3) }, 'INVALID_REQUEST');
  refused({ requestData: Uint8Array.of(0) }, 'INVALID_REQUEST');
  const inside = (api: object, request: object, version: number) =>
    (envelopeOf(api as Api<object, object>, request, client('10.0.0.1', version)) as EnvelopeRequest).requestData;
  refused({ requestData: inside(Envelope, good, 0) }, 'INVALID_REQUEST');
  refused({ requestData: inside(Metadata, { topics: null }, 12) }, 'INVALID_REQUEST');
});

test('the active controller opens envelopes, and any other one says that it is not the active controller', async () => {
  const cluster = await TestCluster.start({ combined: 3 });
  const active = await cluster.newController();
  const other = [1, 2, 3].find((id) => id !== active)!;
  const ask = async (id: number, envelope: Writable<EnvelopeRequest>) => {
    const { errorCode, responseData } = await (await cluster.client(id, 9093)).ask(Envelope, envelope);
    return { error: errorName(errorCode), responseData };
  };
  const envelope = envelopeOf(CreateTopics as unknown as Api<object, object>, createTopics('orders'), client('10.0.0.1'));
  const answered = await ask(active, envelope);
  assert.equal(answered.error, 'NONE');
  const created = responseIn(
    CreateTopics as unknown as Api<never, { topics: { errorCode: number }[] }>,
    answered.responseData!,
    client('10.0.0.1'),
  );
  assert.equal(created.topics[0]!.errorCode, 0);
  assert.deepEqual(await ask(other, envelope), { error: 'NOT_CONTROLLER', responseData: null });
  const topics = [{ topicName: '__cluster_metadata', partitions: [{ partitionIndex: 0 }] }];
  const quorum = envelopeOf(DescribeQuorum as unknown as Api<object, object>, { topics }, client('10.0.0.1', 2));
  assert.equal((await ask(active, quorum)).error, 'NONE');
  assert.equal((await ask(other, quorum)).error, 'NOT_CONTROLLER');
  const nested = envelopeOf(Envelope as unknown as Api<object, object>, envelope as object, client('10.0.0.1', 0));
  assert.deepEqual(await ask(active, nested), { error: 'INVALID_REQUEST', responseData: null });
  // A broker brings it to the active controller, and hands back what that answers.
  const described = await cluster.ask(other, DescribeQuorum, { topics });
  assert.equal(described.topics[0]!.partitions[0]!.leaderId, active);
  assert.equal(described.topics[0]!.partitions[0]!.currentVoters.length, 3);
  await cluster.stopAll();
  assert.deepEqual(cluster.errors(), []);
});
