import assert from 'node:assert/strict';
import { test } from 'node:test';
import { errors, Metadata } from '@ottla/protocol';
import { World } from '@ottla/runtime';
import { withDefaults } from '../client-config.ts';
import { serveScripted } from '../testing/scripted-broker.ts';
import { Cluster } from './cluster.ts';

/** A client that knows broker1, and what that one, and those that it names, answer to Metadata. */
async function clusterOf(answers: Record<string, () => object>): Promise<{ world: World; cluster: Cluster }> {
  const world = new World({ seed: 1, wires: { minLatencyMs: 1, maxLatencyMs: 5 } });
  for (const [host, answer] of Object.entries(answers)) {
    await serveScripted(world, host, (api) => {
      assert.equal(api, Metadata);
      return answer();
    });
  }
  const config = withDefaults({ bootstrapServers: 'broker1:9092', runtime: world.machine('client').boot() }, {});
  return { world, cluster: new Cluster(config, { client: 'tester', createsTopics: false }) };
}

const at = (...hosts: string[]) => ({ brokers: hosts.map((host, index) => ({ nodeId: index + 1, host, port: 9092 })) });

test('a broker that is no longer where it was is looked up again', async () => {
  let hosts = ['broker1', 'old'];
  const { world, cluster } = await clusterOf({ broker1: () => at(...hosts), new: () => at(...hosts) });
  await world.runUntil(cluster.refreshMetadata());
  hosts = ['broker1', 'new'];
  const connection = await world.runUntil(cluster.retry(10_000, () => cluster.connectionTo(2)));
  assert.equal(connection.address.host, 'new');
  await world.runUntil(cluster.close());
});

test('who is told to begin again from the bootstrap servers does, and fails nothing for it', async () => {
  let refusals = 0;
  const refuse = () => (refusals++ === 0 ? { errorCode: errors.REBOOTSTRAP_REQUIRED.code } : at('broker1'));
  const { world, cluster } = await clusterOf({ broker1: refuse });
  await assert.rejects(world.runUntil(cluster.refreshMetadata()), { name: 'NETWORK_EXCEPTION' });
  await world.runUntil(cluster.retry(10_000, () => cluster.refreshMetadata()));
  assert.deepEqual([...cluster.metadata.nodes.keys()], [1]);
  await world.runUntil(cluster.close());
});
