/**
 * `npm run simulate -- --seeds 1000 [--first 1]`: whole clusters that live through what happens to clusters, in virtual time. A seed that
 * breaks a promise is made shorter and told. `--seed S` tells the story of one; `--plant NAME` plants a bug; `--plants` plants each, or
 * those of `--only NAME,NAME`.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { join } from 'node:path';
import process from 'node:process';
import { endWith, readOptions, wholeNumber } from '../../../scripts/command-line.ts';
import { type PlanOptions, shapes } from '../src/simulation/plan.ts';
import { plants } from '../src/simulation/plants.ts';
import { clusterPromises } from '../src/simulation/promises/index.ts';
import { chosenPlants } from './plant.ts';
import type { Order, Report } from './simulate-worker.ts';

const values = readOptions(
  {
    seeds: { type: 'string', default: '100' },
    first: { type: 'string', default: '1' },
    seed: { type: 'string' },
    shape: { type: 'string' },
    plant: { type: 'string' },
    plants: { type: 'boolean', default: false },
    only: { type: 'string' },
    'at-most': { type: 'string' },
    promises: { type: 'boolean', default: false },
    failures: { type: 'string', default: '3' },
    workers: { type: 'string', default: '2' },
    'no-shrink': { type: 'boolean', default: false },
    story: { type: 'string', default: '60' },
  },
  `npm run simulate -- [options]: clusters that live through faults, in virtual time

  --seeds N         how many (100)
  --first SEED      from that one on (1)
  --failures N      ends after so many seeds that fail (3)
  --workers N       processes that share the seeds (2)
  --seed SEED       one, and the hash of all that happened
  --shape NAME      one kind of cluster: ${Object.keys(shapes).join(', ')}
  --no-shrink       does not look for the shortest story that fails
  --story LINES     how much is told of a story that fails (60)
  --plant NAME      with a planted bug
  --plants          plants each bug in turn, and says which seed found it; fails if one was not found
    --only A,B      only these
    --at-most N     in at most so many seeds each
  --promises        what is watched over`,
);
const number = (name: 'seeds' | 'first' | 'failures' | 'workers' | 'story', least = 1): number =>
  wholeNumber(values[name], name, least);
if (values.shape !== undefined && !Object.hasOwn(shapes, values.shape))
  endWith(`--shape is one of ${Object.keys(shapes).join(', ')}`);
const options: PlanOptions = values.shape === undefined ? {} : { shape: values.shape };

if (values.plant !== undefined) chosenPlants(values.plant, plants);

type Batch = {
  readonly first: number;
  readonly count: number;
  readonly plant?: string | undefined;
  readonly mostFailures: number;
  readonly shrinks: boolean;
  readonly onReport: (report: Report) => void;
};

/** Gives seeds to workers until all are done, or enough have failed. Returns how many were done. */
async function live({ first, count, plant, mostFailures, shrinks, onReport }: Batch): Promise<number> {
  let [next, done, failures] = [first, 0, 0];
  const worker = async (): Promise<void> => {
    const child = fork(join(import.meta.dirname, 'simulate-worker.ts'), plant === undefined ? [] : [plant], {
      execArgv: ['--max-semi-space-size=32'],
    });
    while (next < first + count && failures < mostFailures) {
      const report = await ask(child, { seed: next++, shrinks, options });
      done++;
      if (report.failure) failures++;
      onReport(report);
    }
    child.disconnect();
  };
  await Promise.all(Array.from({ length: Math.min(number('workers'), count) }, worker));
  return done;
}

function ask(child: ChildProcess, order: Order): Promise<Report> {
  return new Promise((resolve, reject) => {
    const ended = (code: number | null): void => reject(new Error(`a worker ended with ${code} at seed ${order.seed}`));
    child.once('exit', ended);
    child.once('message', (report: Report) => {
      child.off('exit', ended);
      resolve(report);
    });
    child.send(order);
  });
}

function tell({ seed, failure }: Report): void {
  if (!failure) return;
  console.log(`\nseed ${seed} breaks ${failure.promise}: ${failure.what}\n`);
  console.log(failure.plan);
  console.log(failure.story.slice(-number('story')).join('\n'));
}

async function simulate(): Promise<number> {
  const single = values.seed !== undefined;
  const beganMs = performance.now();
  let [failures, virtualMs, cpuMs, events] = [0, 0, 0, 0];
  const broken = new Map<string, number[]>();
  const done = await live({
    first: values.seed === undefined ? number('first', 0) : wholeNumber(values.seed, 'seed'),
    count: single ? 1 : number('seeds'),
    plant: values.plant,
    mostFailures: number('failures'),
    shrinks: !values['no-shrink'],
    onReport: (report) => {
      virtualMs += report.virtualMs;
      cpuMs += report.cpuMs;
      events += report.events;
      tell(report);
      if (single)
        console.log(`seed ${report.seed}: trace ${report.hash}, ${report.events} events, ${JSON.stringify(report.counts)}`);
      if (!report.failure) return;
      failures++;
      broken.set(report.failure.promise, [...(broken.get(report.failure.promise) ?? []), report.seed]);
    },
  });
  const minutes = (performance.now() - beganMs) / 60_000;
  for (const [promise, seeds] of broken) console.log(`${promise}: seeds ${seeds.join(', ')}`);
  console.log(
    `\n${done} seeds, ${failures} failed; ${clusterPromises.length} promises; ${(virtualMs / 3_600_000).toFixed(1)} hours of virtual time, ` +
      `${events} events; ${(done / minutes).toFixed(0)} seeds a minute, each ${(cpuMs / done).toFixed(0)} ms of the processor`,
  );
  return failures > 0 ? 1 : 0;
}

/** Each bug must be found by one of its first seeds. */
async function findPlants(): Promise<number> {
  const chosen = chosenPlants(values.only, plants);
  let missed = 0;
  console.log('| planted bug | found by seed | of at most | by the promise |\n|---|---|---|---|');
  for (const plant of chosen) {
    let found: Report | undefined;
    const count = Math.min(plant.seeds, wholeNumber(values['at-most'] ?? String(plant.seeds), 'at-most', 1));
    await live({
      first: number('first', 0),
      count,
      plant: plant.name,
      mostFailures: 1,
      shrinks: false,
      onReport: (report) => {
        if (report.failure && (!found || report.seed < found.seed)) found = report;
      },
    });
    if (!found) missed++;
    console.log(
      `| ${plant.what} (\`${plant.name}\`) | ${found?.seed ?? 'NOT FOUND'} | ${count} | ${found?.failure?.promise ?? ''} |`,
    );
  }
  return missed > 0 ? 1 : 0;
}

if (values.promises) {
  for (const { name, says } of clusterPromises) console.log(`${name}: ${says}`);
} else process.exit(values.plants ? await findPlants() : await simulate());
