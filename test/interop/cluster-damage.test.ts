/**
 * What operators fear, done to one node of a cluster while clients work: a flipped bit, an old copy of its directory, another cluster's
 * directory, somebody else with its id, deaths that nobody hears of, one start after the other. What was acknowledged is all there.
 */
import assert from 'node:assert/strict';
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { SeededRandom } from '@ottla/runtime';
import { faultsOfCluster } from '../cluster/cluster-faults.ts';
import { JudgedLoad, partitions, plainTopic } from '../cluster/load/judged-load.ts';
import { whyNoNamespaces } from '../cluster/network.ts';
import { combined, hasty, ProcessCluster } from '../cluster/process-cluster.ts';
import { eventually } from './processes.ts';
import { targets } from './targets/node.ts';

// Kafka takes them as well (INTEROP_TARGETS=kafka), but its nodes take long to start.
const target = targets.includes('ottla') ? 'ottla' : 'kafka';

describe(`damage to one node of a cluster of ${target}`, () => {
  let cluster: ProcessCluster;
  let load: JudgedLoad;
  before(async () => {
    cluster = await ProcessCluster.create({ nodes: combined(target, 3), properties: hasty });
    load = await JudgedLoad.start(cluster, { seed: 1, programs: ['ottla'], recordsPerSecond: 500 });
    await load.goesOn();
  });
  after(async () => {
    await load?.[Symbol.asyncDispose]();
    await cluster?.destroy();
  });

  const logOf = (node: number, partition: number): string =>
    join(cluster.node(node).dataDirectory, `${plainTopic}-${partition}`, '00000000000000000000.log');

  test('a flipped bit is found, and what lies behind it is fetched again', async () => {
    const node = cluster.node(3);
    await node.kill();
    const file = logOf(3, 0);
    const bytes = readFileSync(file);
    bytes[bytes.length >> 1]! ^= 0x10;
    writeFileSync(file, bytes);
    await node.start();
    await cluster.whole();
    await load.goesOn();
    const healed = readFileSync(file);
    const leading = readFileSync(logOf(await cluster.leaderOf(plainTopic, 0), 0));
    const length = Math.min(healed.length, leading.length, bytes.length);
    assert.ok(length > bytes.length >> 1);
    assert.ok(healed.subarray(0, length).equals(leading.subarray(0, length)), 'the replica is not like its leader');
  });

  test('a directory of yesterday catches up', async () => {
    const node = cluster.node(2);
    const copy = `${node.dataDirectory}-copy`;
    await node.stop();
    cpSync(node.dataDirectory, copy, { recursive: true });
    await node.start();
    await cluster.whole();
    await load.goesOn();
    await node.stop();
    rmSync(node.dataDirectory, { recursive: true });
    cpSync(copy, node.dataDirectory, { recursive: true });
    await node.start();
    await cluster.whole();
    await load.goesOn();
  });

  test('partitions that have vanished are filled by the others', async () => {
    const node = cluster.node(2);
    await node.stop();
    for (const name of [`${plainTopic}-0`, `${plainTopic}-1`]) rmSync(join(node.dataDirectory, name), { recursive: true });
    await node.start();
    await cluster.whole();
    await load.goesOn();
    assert.ok(readFileSync(logOf(2, 0)).length > 0);
  });

  test('a directory of another cluster is refused', async () => {
    const node = cluster.node(1);
    await node.stop();
    const file = join(node.dataDirectory, 'meta.properties');
    const own = readFileSync(file, 'utf8');
    writeFileSync(file, own.replace(/cluster\.id=.*/, 'cluster.id=AnotherClusterAAAAAAAAA'));
    node.launch();
    // A voter of another cluster is not heard by ours, and its broker never serves.
    await load.goesOn();
    const { currentVoters, leaderId } = await cluster.quorum();
    assert.equal(currentVoters.length, 3);
    assert.notEqual(leaderId, 1);
    await eventually('its log says why', () => /INCONSISTENT_CLUSTER_ID|InconsistentClusterId|the cluster id/.test(node.log));
    await node.kill();
    writeFileSync(file, own);
    await node.start();
    await cluster.whole();
  });

  test('somebody with the id of a broker that is alive stays outside', async () => {
    const known = await cluster.metadata();
    // Not of the active controller, who would be taken for itself.
    const id = (await cluster.activeController()) === 3 ? 2 : 3;
    const node = cluster.node(id);
    const intruder = await cluster.add({ id: 4, target, roles: 'broker', properties: { 'node.id': String(id) } });
    intruder.launch();
    await eventually('its log says why', () => !intruder.isRunning || /duplicate|id is in use/i.test(intruder.log));
    await load.goesOn();
    const { brokers } = await cluster.metadata();
    assert.deepEqual(
      brokers.find(({ nodeId }) => nodeId === id),
      known.brokers.find(({ nodeId }) => nodeId === id),
    );
    await intruder.kill();
    cluster.forget(intruder);
    assert.ok(node.isRunning);
    await cluster.whole();
  });

  test('one start after the other', async () => {
    const node = cluster.node(3);
    for (let times = 0; times < 8; times++) {
      await node.kill();
      node.launch();
      await sleep(100 * times); // ever a little further
    }
    await node.answers();
    await cluster.whole();
    await load.goesOn();
  });

  test('deaths that nobody hears of', { skip: whyNoNamespaces() ?? false }, async () => {
    const faults = faultsOfCluster(cluster, plainTopic, partitions);
    await faults['half-open'](new SeededRandom(1));
    await load.goesOn();
  });

  test('what was acknowledged is there', async () => {
    const { findings, figures } = await load.finish();
    assert.deepEqual(findings.examples, []);
    assert.equal(figures.failures, 0);
    await cluster.whole();
    for (let partition = 0; partition < partitions; partition++) {
      const [first, ...others] = [1, 2, 3].map((id) => readFileSync(logOf(id, partition)));
      for (const other of others) assert.ok(other.equals(first!), `replicas of ${plainTopic}-${partition} differ`);
    }
  });
});
