/**
 * `npm run simulate-raft -- --seeds 10000 [--first 1]`: quorums in bad weather, their promises looked at after every step. A seed that fails is
 * printed; `--tell SEED` prints its story. `--plant NAME` plants a bug; `--plants` plants each, and says which seed found it.
 */
import { fork } from 'node:child_process';
import process from 'node:process';
import { type RaftPlant, raftPlants } from '../packages/raft/src/testing/plants.ts';
import { chosenPlants, installPlant } from '../packages/testing/scripts/plant.ts';
import { readOptions, wholeNumber } from './command-line.ts';

const values = readOptions(
  {
    seeds: { type: 'string', default: '1000' },
    first: { type: 'string', default: '1' },
    failures: { type: 'string', default: '3' },
    tell: { type: 'string' },
    plant: { type: 'string' },
    plants: { type: 'boolean', default: false },
    only: { type: 'string' },
    'at-most': { type: 'string' },
  },
  `npm run simulate-raft -- [options]: quorums in bad weather, in virtual time

  --seeds N         how many (1000)
  --first SEED      from that one on (1)
  --failures N      ends after so many seeds that fail (3)
  --tell SEED       the story of one seed
  --plant NAME      with a planted bug
  --plants          plants each bug in turn, and says which seed found it; fails if one was not found
    --only A,B      only these
    --at-most N     in at most so many seeds each`,
);
const first = wholeNumber(values.first, 'first');
if (values.plant !== undefined) for (const plant of chosenPlants(values.plant, raftPlants)) installPlant(plant);

/** The first seed that found a planted bug, and what it found. */
type Found = { readonly seed: number; readonly what: string };

if (values.plants) process.exit(await findPlants());
// Only now: a plant that was installed is in what is imported from here on.
const { runStory, storyOf } = await import('../packages/raft/src/testing/raft-simulation.ts');
if (values.tell !== undefined) console.log(runStory(storyOf(wholeNumber(values.tell, 'tell')), console.log));
else process.exit(simulate());

function simulate(): number {
  const last = first + wholeNumber(values.seeds, 'seeds', 1) - 1;
  const mostFailures = wholeNumber(values.failures, 'failures', 1);
  const beganMs = performance.now();
  let [failures, done, steps, committed] = [0, 0, 0, 0];
  for (let seed = first; seed <= last && failures < mostFailures; seed++, done++) {
    try {
      const told = runStory(storyOf(seed));
      steps += told.steps;
      committed += told.committed;
    } catch (error) {
      failures++;
      const { message, stack } = error as Error;
      if (process.send) process.send({ seed, what: message.split('\n')[0]! } satisfies Found);
      else console.log(`seed ${seed}: ${stack}\n`);
    }
  }
  const seconds = (performance.now() - beganMs) / 1000;
  console.log(
    `${done} seeds from ${first} on, ${failures} failed, ${(done / seconds).toFixed(0)} seeds/s, ${steps} steps, ${committed} records committed`,
  );
  return failures > 0 ? 1 : 0;
}

/** Each bug must be found by one of its first seeds. */
async function findPlants(): Promise<number> {
  const chosen = chosenPlants(values.only, raftPlants);
  let missed = 0;
  console.log('| planted bug | found by seed | of at most | what it found |\n|---|---|---|---|');
  for (const plant of chosen) {
    const count = Math.min(plant.seeds, wholeNumber(values['at-most'] ?? String(plant.seeds), 'at-most', 1));
    const found = await find(plant, count);
    if (!found) missed++;
    console.log(`| ${plant.what} (\`${plant.name}\`) | ${found?.seed ?? 'NOT FOUND'} | ${count} | ${found?.what ?? ''} |`);
  }
  return missed > 0 ? 1 : 0;
}

/** In a process of its own, as a planted bug stays in it. */
function find({ name }: RaftPlant, count: number): Promise<Found | undefined> {
  const child = fork(import.meta.filename, [`--plant=${name}`, `--seeds=${count}`, `--first=${first}`, '--failures=1'], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  return new Promise((resolve, reject) => {
    let found: Found | undefined;
    child.on('message', (message: Found) => (found = message));
    child.on('exit', (code) => {
      if (found || code === 0) resolve(found);
      else reject(new Error(`the process with the plant ${name} ended with ${code}`));
    });
  });
}
