/** A short run of test/cluster: three nodes under load and under faults, and nothing that was acknowledged is lost, twice, or torn. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { processFaults } from '../cluster/cluster-faults.ts';
import { runUnderFaults } from '../cluster/fault-run.ts';
import { whyNoNamespaces } from '../cluster/network.ts';
import { combined, hasty, ProcessCluster } from '../cluster/process-cluster.ts';
import { targets } from './targets/node.ts';

describe('a cluster under load and faults', {
  skip: targets.includes('ottla') ? false : 'Kafka’s is a command: npm run cluster',
}, () => {
  test('keeps what it acknowledged', async (t) => {
    const why = whyNoNamespaces();
    if (why !== undefined) t.diagnostic(`without faults of the network: ${why}`);
    const cluster = await ProcessCluster.create({ nodes: combined('ottla', 3), properties: hasty });
    try {
      const { findings, figures } = await runUnderFaults(cluster, {
        seed: 1,
        seconds: 25,
        faults: why === undefined ? ['kill-leader', 'kill-controller', 'one-way', 'partition'] : processFaults,
        programs: ['ottla', 'java', 'librdkafka'],
        recordsPerSecond: 2000,
        histories: true,
        report: (line) => t.diagnostic(line),
      });
      t.diagnostic(`${figures.acknowledged} records acknowledged, ${figures.acknowledgedPerSecond.toFixed(0)} a second`);
      assert.deepEqual(findings.examples, []);
      assert.equal(figures.failures, 0);
      assert.ok(figures.acknowledged > 0);
    } finally {
      await cluster.destroy();
    }
  });
});
