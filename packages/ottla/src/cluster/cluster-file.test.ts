import assert from 'node:assert/strict';
import { test } from 'node:test';
import { freePorts } from '@ottla/broker';
import { memoryRuntime } from '@ottla/runtime';
import { newClusterFile, readClusterFile, writeClusterFile } from './cluster-file.ts';

const host = '127.0.0.1';

test('what a cluster is remembered by is read as it was written', async () => {
  const runtime = memoryRuntime({ seed: 1 });
  const { files } = runtime;
  files.makeDirectory('data');
  assert.equal(readClusterFile(files, 'data'), undefined);
  const file = await newClusterFile(runtime, { nodes: 5, firstPort: 9092, host });
  assert.deepEqual(
    file.controllers.map(({ port }) => port),
    [9192, 9193, 9194],
  );
  assert.equal(new Set(file.controllers.map(({ directoryId }) => directoryId)).size, 3);
  writeClusterFile(files, 'data', file);
  assert.deepEqual(readClusterFile(files, 'data'), file);
});

test('a file that is none is refused with its path', () => {
  const { files } = memoryRuntime({ seed: 1 });
  files.makeDirectory('data');
  for (const text of ['', '{', '{}', '{"version":2}', '{"version":1,"clusterId":"x","controllers":[],"nodes":3}']) {
    files.writeFileDurably('data/cluster.json', text);
    assert.throws(() => readClusterFile(files, 'data'), /data\/cluster\.json/);
  }
});

test('ports that are taken are passed over', async () => {
  const { network } = memoryRuntime({ seed: 1 });
  const taken = await network.listen({ host, port: 9193 }, () => {});
  assert.deepEqual(await freePorts(network, { host, count: 3, from: 9192 }), [9192, 9194, 9195]);
  await taken.close();
  assert.deepEqual(await freePorts(network, { host, count: 2, from: 9192 }), [9192, 9193]);
  assert.equal(new Set(await freePorts(network, { host, count: 4, from: 0 })).size, 4);
});
