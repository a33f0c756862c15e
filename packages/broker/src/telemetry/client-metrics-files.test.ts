import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { MemoryFiles } from '@ottla/runtime';
import { RecordedLogs } from '../testing-node.ts';
import { ClientMetricsFiles } from './client-metrics-files.ts';
import { clientMetricsLine } from './client-metrics-line.ts';
import type { OtlpMetricsData } from './otlp-metrics.ts';

const client = {
  client_instance_id: 'f3qa2q0ZQ5mZy1tJcKn0_A',
  client_id: 'payments-1',
  client_software_name: 'unknown',
  client_software_version: 'unknown',
  client_source_address: '10.0.0.7',
  client_source_port: null,
};

test('a push of a Java producer is one line: one resource, which says whose it is', () => {
  const vectors = readFileSync(new URL('../../vectors/otlp-metrics.jsonl', import.meta.url), 'utf8')
    .trim()
    .split('\n');
  const { bytes, json } = JSON.parse(vectors.at(-1)!) as { bytes: string; json: OtlpMetricsData };
  const line = clientMetricsLine(Buffer.from(bytes, 'base64'), client);
  assert.ok(line.endsWith('\n') && !line.slice(0, -1).includes('\n'));
  const { resourceMetrics } = JSON.parse(line) as OtlpMetricsData;
  const metrics = json.resourceMetrics!.flatMap(({ scopeMetrics }) => scopeMetrics!.flatMap((scope) => scope.metrics!));
  assert.ok(metrics.length > 20);
  const attributes = [
    { key: 'client_instance_id', value: { stringValue: 'f3qa2q0ZQ5mZy1tJcKn0_A' } },
    { key: 'client_id', value: { stringValue: 'payments-1' } },
    { key: 'client_software_name', value: { stringValue: 'unknown' } },
    { key: 'client_software_version', value: { stringValue: 'unknown' } },
    { key: 'client_source_address', value: { stringValue: '10.0.0.7' } },
  ];
  assert.deepEqual(resourceMetrics, [{ resource: { attributes }, scopeMetrics: [{ metrics }] }]);
});

test('resources that differ stay apart, and keep what they say of themselves', () => {
  // resourceMetrics { resource { attributes [{ key "client_id" }] } }, resourceMetrics { schemaUrl "u" }, resourceMetrics { schemaUrl "u" }
  const bytes = Buffer.from('0a0f0a0d0a0b0a09636c69656e745f69640a031a01750a031a0175', 'hex');
  const { resourceMetrics } = JSON.parse(clientMetricsLine(bytes, client)) as OtlpMetricsData;
  assert.deepEqual(
    resourceMetrics!.map(({ resource, schemaUrl }) => [resource!.attributes!.map(({ key }) => key), schemaUrl]),
    [
      [
        ['client_id', 'client_instance_id', 'client_software_name', 'client_software_version', 'client_source_address'],
        undefined,
      ],
      [['client_instance_id', 'client_id', 'client_software_name', 'client_software_version', 'client_source_address'], 'u'],
    ],
  );
});

function setUp({ maxFileBytes = 20, maxFiles = 3 } = {}) {
  const disk = { isFull: false };
  const files = new MemoryFiles({ fault: ({ kind }) => (disk.isFull && kind === 'write' ? 'ENOSPC' : undefined) });
  const logger = new RecordedLogs();
  const open = () => new ClientMetricsFiles({ files, logger, directory: '/metrics', maxFileBytes, maxFiles });
  const read = (name: string) => Buffer.from(files.readFile(`/metrics/${name}`)).toString();
  return { disk, files, logger, open, read };
}

test('files stay bounded, in number and size', () => {
  const { files, open, read } = setUp();
  const metrics = open();
  for (let index = 0; index < 10; index++) metrics.append(`line ${index}.\n`);
  assert.deepEqual(files.list('/metrics'), ['client-metrics.1.jsonl', 'client-metrics.2.jsonl', 'client-metrics.jsonl']);
  assert.equal(read('client-metrics.jsonl'), 'line 8.\nline 9.\n');
  assert.equal(read('client-metrics.1.jsonl'), 'line 6.\nline 7.\n');
  assert.equal(read('client-metrics.2.jsonl'), 'line 4.\nline 5.\n');
});

test('one file is enough', () => {
  const { files, open, read } = setUp({ maxFiles: 1 });
  const metrics = open();
  for (let index = 0; index < 5; index++) metrics.append(`line ${index}.\n`);
  assert.deepEqual(files.list('/metrics'), ['client-metrics.jsonl']);
  assert.equal(read('client-metrics.jsonl'), 'line 4.\n');
});

test('a restart goes on behind the last whole line', () => {
  const { files, open, read } = setUp();
  open().append('line 0.\n');
  const file = files.open('/metrics/client-metrics.jsonl', 'update');
  file.write(Buffer.from('lin'), file.size());
  open().append('line 1.\n');
  assert.equal(read('client-metrics.jsonl'), 'line 0.\nline 1.\n');
});

test('a line that is larger than a file is dropped', () => {
  const { logger, open, read } = setUp();
  const metrics = open();
  metrics.append(`${'x'.repeat(20)}\n`);
  metrics.append('line 1.\n');
  assert.equal(read('client-metrics.jsonl'), 'line 1.\n');
  assert.equal(logger.at('warn').length, 1);
});

test('what cannot be written is dropped, and told once', () => {
  const { disk, logger, open, read } = setUp();
  const metrics = open();
  metrics.append('line 0.\n');
  disk.isFull = true;
  for (let index = 0; index < 5; index++) metrics.append('lost.\n');
  disk.isFull = false;
  metrics.append('line 1.\n');
  assert.equal(read('client-metrics.jsonl'), 'line 0.\nline 1.\n');
  assert.deepEqual(
    logger.lines.map(({ level, fields }) => [level, fields['dropped']]),
    [
      ['warn', undefined],
      ['info', 5],
    ],
  );
});
