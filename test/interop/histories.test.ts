/** A short history of random transactions (test/histories) has nothing that Kafka's model forbids, and a bug of the clients is found. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { anomalyCounts } from '@ottla/testing';
import { type RunOptions, runOnce, summary } from '../histories/run.ts';
import { targets } from './targets/node.ts';

const short: Omit<RunOptions, 'target' | 'faults' | 'report'> = {
  ...{ seed: 1, seconds: 12, writers: 3, partitions: 3, protocols: ['classic', 'consumer'] },
};

for (const target of targets) {
  test(`transactions under faults against ${target} have no anomaly that is forbidden`, async (t) => {
    // Kafka itself loses markers when its only node is killed: test/histories/README.md.
    const faults = [target === 'kafka' ? 'pause' : 'kill'] as const;
    const { history, verdict } = await runOnce({ ...short, target, faults, report: (line) => t.diagnostic(line) });
    t.diagnostic(summary(history));
    assert.deepEqual(verdict.forbidden, []);
    assert.ok(history.some((event) => event.type === 'transaction' && event.outcome === 'committed'));
  });

  test(`readers of ${target} that only say they read what is committed are found out`, async () => {
    const { verdict } = await runOnce({
      ...{ ...short, seconds: 8, protocols: ['classic'], target, faults: [], plant: 'read-uncommitted', report: () => {} },
    });
    const found = anomalyCounts(verdict.forbidden);
    assert.ok((found.get('G1a') ?? 0) + (found.get('precommitted-read') ?? 0) > 0, String([...found.keys()]));
  });
}
