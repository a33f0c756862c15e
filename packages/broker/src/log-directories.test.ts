import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseBrokerConfig } from '@ottla/metadata';
import { DescribeLogDirs } from '@ottla/protocol';
import { MemoryFiles, nodeRuntime, silentLogger } from '@ottla/runtime';
import { formatDirectories, formatForDevelopment, withOwnQuorum } from './format.ts';
import { BrokerServer } from './server.ts';
import { TestNode, testSettings } from './testing-node.ts';

const threeDirectories = { 'log.dirs': '/a,/b', 'metadata.log.dir': '/meta' };

test('partitions are spread over log.dirs, and the metadata log has its own directory', async () => {
  const node = await TestNode.start({ settings: threeDirectories });
  const client = await node.client();
  assert.equal(await client.createTopic('orders', {}, { partitions: 4 }), 'NONE');
  for (let partition = 0; partition < 4; partition++) await client.produce('orders', [`${partition}`], { partition });
  const ofOrders = (path: string) => node.list(path).filter((name) => name.startsWith('orders-'));
  assert.deepEqual([ofOrders('/a').length, ofOrders('/b').length, ofOrders('/meta').length], [2, 2, 0]);
  assert.ok(node.list('/meta').includes('__cluster_metadata-0'));
  assert.ok(!node.list('/a').includes('__cluster_metadata-0'));
  const { results } = await client.ask(DescribeLogDirs, { topics: null });
  assert.deepEqual(
    results.map(({ logDir, topics }) => [logDir, topics.flatMap(({ partitions }) => partitions).length]),
    [
      ['/a', 2],
      ['/b', 2],
    ],
  );
  await node.restart();
  const after = await node.client();
  for (let partition = 0; partition < 4; partition++)
    assert.deepEqual(await after.fetch('orders', { partition }), [`${partition}`]);
  await node.stop();
});

test('a metadata directory that another node has is refused, also when it holds nothing else', async () => {
  const runtime = { ...nodeRuntime({ logger: silentLogger }), files: new MemoryFiles() };
  const settings = (directory: string) =>
    withOwnQuorum({
      ...testSettings,
      listeners: 'PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:0',
      'controller.quorum.bootstrap.servers': '',
      'log.dirs': directory,
      'metadata.log.dir': '/meta',
    });
  formatForDevelopment(runtime, settings('/a'));
  const first = await BrokerServer.start({ runtime, properties: settings('/a') });
  const { config, properties } = parseBrokerConfig(settings('/b'));
  const { files, random } = runtime;
  const { clusterId } = first;
  formatDirectories({ files, random, nowMs: 0, config, properties, clusterId, standalone: true, ignoreFormatted: true });
  await assert.rejects(BrokerServer.start({ runtime, properties: settings('/b') }), /another node is using \/meta/);
  await first.stop();
  const second = await BrokerServer.start({ runtime, properties: settings('/b') });
  await second.stop();
});

test('a log directory of another cluster is refused', async () => {
  const node = await TestNode.start({ settings: { 'log.dirs': '/a' } });
  const { clusterId } = node.server;
  await node.stop();
  const other = { ...testSettings, 'log.dirs': '/b' };
  formatForDevelopment(node.machine.boot(), other);
  await assert.rejects(node.start({ 'log.dirs': '/a,/b' }), new RegExp(`/b belongs to cluster .*, not ${clusterId}`));
  await node.start({ 'log.dirs': '/a' });
  await node.stop();
});
