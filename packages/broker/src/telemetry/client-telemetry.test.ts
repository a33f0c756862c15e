import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { ApiVersions, errorName, GetTelemetrySubscriptions, PushTelemetry, ZERO_UUID } from '@ottla/protocol';
import { TestNode } from '../testing-node.ts';
import type { OtlpMetricsData } from './otlp-metrics.ts';

const CLIENT_METRICS = 16;
const settings = { 'ottla.telemetry.directory': '/metrics' };

const pushed = (): Uint8Array => {
  const vectors = readFileSync(new URL('../../vectors/otlp-metrics.jsonl', import.meta.url), 'utf8')
    .trim()
    .split('\n');
  return Buffer.from((JSON.parse(vectors.at(-1)!) as { bytes: string }).bytes, 'base64');
};

async function advertised(node: TestNode): Promise<number[]> {
  const client = await node.client();
  const { apiKeys } = await client.ask(ApiVersions, { clientSoftwareName: 'test', clientSoftwareVersion: '1' });
  return apiKeys.map(({ apiKey }) => apiKey).filter((key) => key === 71 || key === 72);
}

const linesOf = (node: TestNode): OtlpMetricsData[] =>
  Buffer.from(node.machine.files.readFile('/metrics/client-metrics.jsonl'))
    .toString()
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as OtlpMetricsData);

test('metrics that clients are asked for are pushed into a file', async () => {
  const node = await TestNode.start({ settings });
  assert.deepEqual(await advertised(node), [71, 72]);
  const client = await node.client();
  const none = await client.ask(GetTelemetrySubscriptions, { clientInstanceId: ZERO_UUID });
  assert.deepEqual([none.requestedMetrics, none.pushIntervalMs], [[], 300_000]);

  const subscription = { type: CLIENT_METRICS, name: 'all' };
  assert.equal(await client.configure(subscription, { metrics: '*', 'interval.ms': '1000', match: 'client_id=te.t' }), 'NONE');
  const { clientInstanceId } = none;
  const asked = await client.ask(GetTelemetrySubscriptions, { clientInstanceId });
  assert.deepEqual([asked.errorCode, asked.clientInstanceId, asked.requestedMetrics], [0, clientInstanceId, ['*']]);
  const push = async (request: object) => {
    const { errorCode } = await client.ask(PushTelemetry, { clientInstanceId, subscriptionId: asked.subscriptionId, ...request });
    return errorName(errorCode);
  };
  await node.advance(10);
  assert.equal(await push({ metrics: pushed() }), 'NONE');
  assert.equal(await push({ metrics: pushed() }), 'THROTTLING_QUOTA_EXCEEDED');
  await node.advance(1000);
  assert.equal(await push({ metrics: pushed(), subscriptionId: 1 }), 'UNKNOWN_SUBSCRIPTION_ID');
  await node.advance(1000);
  assert.equal(await push({ metrics: new Uint8Array([1, 2, 3]) }), 'INVALID_RECORD');
  assert.equal(await push({ metrics: pushed(), terminating: true }), 'NONE');
  const lines = linesOf(node);
  assert.equal(lines.length, 2);
  const attributes = Object.fromEntries(
    lines[0]!.resourceMetrics![0]!.resource!.attributes!.map(({ key, value }) => [key, value!['stringValue']]),
  );
  assert.deepEqual(attributes, {
    client_instance_id: clientInstanceId,
    client_id: 'test',
    client_software_name: 'test',
    client_software_version: '1',
    client_source_address: attributes['client_source_address'],
    client_source_port: attributes['client_source_port'],
  });
  await node.restart();
  assert.deepEqual((await (await node.client()).ask(GetTelemetrySubscriptions, { clientInstanceId })).requestedMetrics, ['*']);
  assert.deepEqual(node.logs.at('error'), []);
  await node.stop();
});

test('a node that has nowhere to put them asks for none', async () => {
  const node = await TestNode.start();
  assert.deepEqual(await advertised(node), []);
  await node.stop();
});

test('a pattern that the engine cannot run is refused, and the metrics do not lie among the logs', async () => {
  const node = await TestNode.start({ settings });
  const client = await node.client();
  const subscription = { type: CLIENT_METRICS, name: 'some' };
  for (const match of ['client_id=(?=a)', 'client_id=(a)\\1', 'client_id=', 'client_id=((a{100}){100}){100}'])
    assert.equal(await client.configure(subscription, { match }), 'INVALID_CONFIG', match);
  await node.stop();
  await assert.rejects(node.start({ 'ottla.telemetry.directory': '/data/metrics' }), /log directory/);
});
