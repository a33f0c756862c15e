/**
 * `node test/cluster/mixed.ts STORY HOST GUEST [PROGRAMS RECORDS_PER_SECOND]`: one of the stories of mixed clusters, aloud. HOST and GUEST
 * are `kafka` or `ottla`.
 */
import process from 'node:process';
import type { TargetName } from '../interop/targets/node.ts';
import type { LoadProgram } from './load/load-settings.ts';
import { guestOfBothRoles, guestsOfOneRole, Scene } from './mixed-stories.ts';

const stories = { 'one-role': guestsOfOneRole, 'both-roles': guestOfBothRoles };

const [name = '', host = 'kafka', guest = 'ottla', programs = 'ottla,java,librdkafka', rate = '1000'] = process.argv.slice(2);
if (!(name in stories)) {
  console.error(`a story is one of ${Object.keys(stories).join(', ')}`);
  process.exit(1);
}
const beganMs = performance.now();
const tell = (line: string) => console.log(`${((performance.now() - beganMs) / 1000).toFixed(0)} s: ${line}`);
const story = stories[name as keyof typeof stories]({ host: host as TargetName, guest: guest as TargetName });
const scene = await Scene.create(story, {
  ...{ seed: 1, programs: programs.split(',') as LoadProgram[], recordsPerSecond: Number(rate) },
});
tell('the cluster is under load');
try {
  for (const chapter of story.chapters) {
    await chapter.tell(scene);
    tell(chapter.title);
  }
  const { findings, figures, notes } = await scene.load.finish();
  tell('all is read');
  console.log(figures, findings.examples, notes);
  process.exitCode = findings.total === 0 && figures.failures === 0 ? 0 : 1;
} catch (error) {
  for (const node of scene.cluster.nodes) console.log(`${node}:\n${node.log.slice(-3000)}`);
  console.error(error);
  process.exitCode = 1;
} finally {
  await scene.close();
}
process.exit();
