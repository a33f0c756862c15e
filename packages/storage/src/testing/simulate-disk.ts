/**
 * `npm run simulate-disk -- --seeds 10000 [--first 1]`: logs that live through truncation, retention, compaction, kills and power cuts on a
 * disk that forgets what was not synced, beside an array. A story that fails is shrunk and printed.
 */
import process from 'node:process';
import { parseArgs } from 'node:util';
import { failureOf, shrink, storyOf } from './disk-simulation.ts';
import { tellStory } from './disk-story.ts';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '1000' },
    first: { type: 'string', default: '1' },
    failures: { type: 'string', default: '3' },
  },
});
const first = Number(values.first);
const last = first + Number(values.seeds) - 1;
const beganMs = performance.now();
let failures = 0;
let done = 0;
for (let seed = first; seed <= last && failures < Number(values.failures); seed++, done++) {
  const story = storyOf(seed);
  const error = await failureOf(story);
  if (error === undefined) continue;
  failures++;
  const shrunk = await shrink({ story, error });
  console.log(`\nseed ${seed} fails; what is left of its story:\n${tellStory(shrunk.story)}`);
  console.log(shrunk.error);
}
const seconds = (performance.now() - beganMs) / 1000;
console.log(`\n${done} seeds from ${first} on, ${failures} failed, ${(done / seconds).toFixed(0)} seeds/s`);
process.exit(failures > 0 ? 1 : 0);
