import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseBrokerConfig } from '@ottla/metadata';
import { memoryRuntime } from '@ottla/runtime';
import { randomUuid, storageInfo } from './format.ts';
import { formatLocalNode, type LocalClusterOptions, localCluster, localControllerCount } from './local-cluster.ts';

const runtime = memoryRuntime({ seed: 1 });
const controllers = [9192, 9193, 9194].map((port) => ({ port, directoryId: randomUuid(runtime.random) }));

function cluster(settings: Record<string, string>, nodes = 3) {
  const clientPorts = Array.from({ length: nodes }, (_, index) => 9092 + index);
  const options: LocalClusterOptions = { settings, clientPorts, controllers: controllers.slice(0, localControllerCount(nodes)) };
  return localCluster(options);
}

test('each node has its id, ports and directories, and all know the controllers', () => {
  const { nodes, initialControllers } = cluster(
    {
      listeners: 'PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:0',
      'controller.listener.names': 'CONTROLLER',
      'log.dirs': 'a, b',
      'broker.rack': 'r%i',
    },
    4,
  );
  assert.deepEqual(nodes[1], {
    nodeId: 2,
    isController: true,
    properties: {
      'process.roles': 'broker,controller',
      'node.id': '2',
      listeners: 'PLAINTEXT://127.0.0.1:9093,CONTROLLER://127.0.0.1:9193',
      'controller.listener.names': 'CONTROLLER',
      'controller.quorum.bootstrap.servers': '127.0.0.1:9192,127.0.0.1:9193,127.0.0.1:9194',
      'log.dirs': 'a/node2,b/node2',
      'broker.rack': 'r2',
    },
  });
  assert.equal(nodes[3]!.properties['process.roles'], 'broker');
  assert.equal(nodes[3]!.properties['listeners'], 'PLAINTEXT://127.0.0.1:9095');
  assert.match(initialControllers, /^1@127\.0\.0\.1:9192:.{22},2@127\.0\.0\.1:9193:.{22},3@127\.0\.0\.1:9194:.{22}$/);
});

test('two nodes have one controller: with two the loss of either would stop both', () => {
  assert.deepEqual(
    cluster({ 'log.dirs': 'a' }, 2).nodes.map(({ isController }) => isController),
    [true, false],
  );
});

test('further listeners and advertised ones count their ports from the first node', () => {
  const { nodes } = cluster({
    listeners: 'IN://0.0.0.0:9092,OUT://0.0.0.0:9192,CTL://:9292',
    'advertised.listeners': 'IN://here:9092,OUT://there:443,CTL://here:1',
    'controller.listener.names': 'CTL',
    'log.dirs': 'a',
  });
  assert.equal(nodes[2]!.properties['listeners'], 'IN://0.0.0.0:9094,OUT://0.0.0.0:9194,CTL://:9194');
  assert.equal(nodes[2]!.properties['advertised.listeners'], 'IN://here:9094,OUT://there:445');
  assert.equal(nodes[2]!.properties['controller.quorum.bootstrap.servers'], 'localhost:9192,localhost:9193,localhost:9194');
});

test('settings that all nodes would share by mistake are refused', () => {
  assert.throws(() => cluster({ 'controller.quorum.voters': '1@a:1' }), /take controller\.quorum\.voters out/);
  assert.throws(() => cluster({ listeners: 'A://:9092,B://:0' }), /listener B:\/\/:0 needs a port/);
});

test('new nodes are formatted for one cluster, and a controller that has lost its metadata log is not', () => {
  const clusterId = randomUuid(runtime.random);
  const { nodes, initialControllers } = cluster({ 'log.dirs': 'data' }, 4);
  const format = (known: number): void => {
    for (const node of nodes)
      formatLocalNode(runtime, node, { clusterId, initialControllers, isKnown: (nodeId) => nodeId <= known });
  };
  format(0);
  for (const { nodeId, isController, properties } of nodes) {
    const { lines, hasProblems } = storageInfo(runtime.files, parseBrokerConfig(properties).config);
    assert.equal(hasProblems, false);
    const directoryId = isController ? `directory.id=${controllers[nodeId - 1]!.directoryId}, ` : '';
    assert.ok(lines.some((line) => line.includes(directoryId) && line.includes(`node.id=${nodeId},`)));
    const snapshot = `data/node${nodeId}/__cluster_metadata-0/00000000000000000000-0000000000.checkpoint`;
    assert.equal(runtime.files.stat(snapshot) !== undefined, isController);
  }
  format(4);
  runtime.files.removeDirectory('data/node4');
  format(4);
  runtime.files.removeDirectory('data/node2');
  assert.throws(() => format(4), /the metadata log of node 2 in data\/node2 is gone/);
});
