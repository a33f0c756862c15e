import { test } from 'node:test';
import { runStory, storyOf } from './testing/raft-simulation.ts';

/** More with `npm run simulate-raft -- --seeds 10000`. */
const seeds = 200;

test(`in ${seeds} seeds of bad weather no quorum breaks a promise, and in the calm after it all agree`, () => {
  for (let seed = 1; seed <= seeds; seed++) {
    try {
      runStory(storyOf(seed));
    } catch (error) {
      throw new Error(`npm run simulate-raft -- --tell ${seed}`, { cause: error });
    }
  }
});
