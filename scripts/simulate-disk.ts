/**
 * `npm run simulate-disk -- --seeds 10000 [--first 1]`: logs that live through truncation, retention, compaction, kills and power cuts on a
 * disk that forgets what was not synced, beside an array. A story that fails is shrunk and printed.
 */
import process from 'node:process';
import { failureOf, shrink, storyOf } from '../packages/storage/src/testing/disk-simulation.ts';
import { tellStory } from '../packages/storage/src/testing/disk-story.ts';
import { readOptions, wholeNumber } from './command-line.ts';

const values = readOptions(
  {
    seeds: { type: 'string', default: '1000' },
    first: { type: 'string', default: '1' },
    failures: { type: 'string', default: '3' },
  },
  `npm run simulate-disk -- [options]: logs on a disk that loses power, in virtual time

  --seeds N         how many (1000)
  --first SEED      from that one on (1)
  --failures N      ends after so many seeds that fail (3)`,
);
const first = wholeNumber(values.first, 'first');
const last = first + wholeNumber(values.seeds, 'seeds', 1) - 1;
const mostFailures = wholeNumber(values.failures, 'failures', 1);
const beganMs = performance.now();
let failures = 0;
let done = 0;
for (let seed = first; seed <= last && failures < mostFailures; seed++, done++) {
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
