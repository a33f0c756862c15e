/**
 * `npm run simulate-raft -- --seeds 10000 [--first 1]`: quorums in bad weather, their promises looked at after every step. A seed that fails is
 * printed; `--tell SEED` prints its story.
 */
import process from 'node:process';
import { parseArgs } from 'node:util';
import { runStory, storyOf } from './raft-simulation.ts';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '1000' },
    first: { type: 'string', default: '1' },
    failures: { type: 'string', default: '3' },
    tell: { type: 'string' },
  },
});

if (values.tell !== undefined) {
  console.log(runStory(storyOf(Number(values.tell)), console.log));
  process.exit();
}
const first = Number(values.first);
const last = first + Number(values.seeds) - 1;
const beganMs = performance.now();
let [failures, done, steps, committed] = [0, 0, 0, 0];
for (let seed = first; seed <= last && failures < Number(values.failures); seed++, done++) {
  try {
    const told = runStory(storyOf(seed));
    steps += told.steps;
    committed += told.committed;
  } catch (error) {
    failures++;
    console.log(`seed ${seed}: ${(error as Error).stack}\n`);
  }
}
const seconds = (performance.now() - beganMs) / 1000;
console.log(
  `${done} seeds from ${first} on, ${failures} failed, ${(done / seconds).toFixed(0)} seeds/s, ${steps} steps, ${committed} records committed`,
);
process.exit(failures > 0 ? 1 : 0);
