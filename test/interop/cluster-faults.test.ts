/** Short runs of test/cluster: three nodes under load and under faults, and nothing that was acknowledged is lost, twice, or torn. */
import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import type { ClusterFault, FaultyCluster } from '../cluster/cluster-faults.ts';
import { CommandCluster } from '../cluster/command-cluster.ts';
import { runUnderFaults } from '../cluster/fault-run.ts';
import { whyNoNamespaces } from '../cluster/network.ts';
import { combined, hasty, ProcessCluster } from '../cluster/process-cluster.ts';
import { targets } from './targets/node.ts';

describe('a cluster under load and faults keeps what it acknowledged', {
  skip: targets.includes('ottla') ? false : 'Kafka’s is a command: npm run cluster',
}, () => {
  test('as `ottla start --nodes 3` runs it, when nodes are killed and restarted', async (t) => {
    const cluster = await CommandCluster.create(3);
    try {
      await judge(t, cluster, {
        faults: ['kill-leader', 'kill-follower', 'kill-controller', 'rolling-restart'],
        histories: false,
      });
    } finally {
      await cluster.destroy();
    }
  });

  test('when the network breaks', { skip: whyNoNamespaces() ?? false }, async (t) => {
    const cluster = await ProcessCluster.create({ nodes: combined('ottla', 3), properties: hasty });
    try {
      await judge(t, cluster, { faults: ['partition', 'one-way', 'latency'], histories: true });
    } finally {
      await cluster.destroy();
    }
  });
});

type Judged = { readonly faults: readonly ClusterFault[]; readonly histories: boolean };

async function judge(t: TestContext, cluster: FaultyCluster, { faults, histories }: Judged): Promise<void> {
  const { findings, figures } = await runUnderFaults(cluster, {
    ...{ seed: 1, seconds: undefined, faults, histories, everyMs: [300, 1500] },
    ...{ programs: ['ottla', 'java', 'librdkafka'], recordsPerSecond: 2000 },
    report: (line) => t.diagnostic(line),
  });
  t.diagnostic(`${figures.acknowledged} records acknowledged, ${figures.acknowledgedPerSecond.toFixed(0)} a second`);
  assert.deepEqual(findings.examples, []);
  assert.equal(figures.failures, 0);
  assert.ok(figures.acknowledged > 0);
}
