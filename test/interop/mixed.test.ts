/** Clusters of Kafka's and Ottla's nodes together, with load running (test/cluster/mixed-stories.ts); docs/migrate.md tells the same steps. */
import assert from 'node:assert/strict';
import { after, before, describe, type TestContext, test } from 'node:test';
import { guestOfBothRoles, guestsOfOneRole, Scene, type Story } from '../cluster/mixed-stories.ts';
import { targets } from './targets/node.ts';

const both = targets.includes('kafka') && targets.includes('ottla');

tell('guests of Ottla in a cluster of Kafka', guestsOfOneRole({ host: 'kafka', guest: 'ottla' }));
tell('a guest of Kafka in a cluster of Ottla', guestOfBothRoles({ host: 'ottla', guest: 'kafka' }));

function tell(name: string, story: Story): void {
  describe(name, { skip: both ? false : 'needs both targets' }, () => {
    let scene: Scene;
    let failed: string | undefined;
    before(async () => {
      scene = await Scene.create(story, { seed: 1, programs: ['ottla', 'java'], recordsPerSecond: 1000 });
    });
    after(() => scene?.close());

    /** A chapter begins where the one before has ended. */
    const chapter = (title: string, tell: (t: TestContext) => Promise<void>) =>
      test(title, async (t) => {
        if (failed !== undefined) return t.skip(`the story has ended with: ${failed}`);
        try {
          await tell(t);
        } catch (error) {
          failed = title;
          for (const node of scene.cluster.nodes) t.diagnostic(`the end of the log of ${node}:\n${node.log.slice(-2000)}`);
          throw error;
        }
      });

    for (const { title, tell } of story.chapters) chapter(title, () => tell(scene));
    chapter('what was acknowledged is there, and groups have missed nothing', async (t) => {
      const { findings, figures, notes } = await scene.load.finish();
      t.diagnostic(JSON.stringify(figures));
      assert.deepEqual(findings.examples, []);
      assert.equal(figures.failures, 0, notes.join('\n'));
      assert.ok(figures.transactions.committed > 0 && figures.groups.commits > 0);
    });
  });
}
