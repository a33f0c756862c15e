/** Clusters of Kafka's and Ottla's nodes together, with load running (test/cluster/mixed-stories.ts); docs/migrate.md tells the same steps. */
import { describe, test } from 'node:test';
import { brokerJoinsAndLeaves, controllerJoinsLeadsAndLeaves, movesInPlace, type Story } from '../cluster/mixed-stories.ts';
import { type TargetName, targets } from './targets/node.ts';

const both = targets.includes('kafka') && targets.includes('ottla');

describe('mixed clusters', { skip: both ? false : 'needs both targets' }, () => {
  tell('a broker of Ottla joins Kafka, leads, coordinates, is drained and leaves', brokerJoinsAndLeaves, 'kafka', 'ottla');
  tell('a broker of Kafka joins Ottla, leads, coordinates, is drained and leaves', brokerJoinsAndLeaves, 'ottla', 'kafka');
  tell('a controller of Ottla votes, leads and hands over among those of Kafka', controllerJoinsLeadsAndLeaves, 'kafka', 'ottla');
  tell('a controller of Kafka votes, leads and hands over among those of Ottla', controllerJoinsLeadsAndLeaves, 'ottla', 'kafka');
  tell('nodes of Kafka go on as Ottla on the same data, and back, one by one', movesInPlace, 'kafka', 'ottla');
});

function tell(what: string, story: (story: Story) => Promise<void>, host: TargetName, guest: TargetName): void {
  test(what, async (t) => {
    const report = (line: string) => t.diagnostic(line);
    await story({ host, guest, seed: 1, programs: ['ottla', 'java'], recordsPerSecond: 500, report });
  });
}
