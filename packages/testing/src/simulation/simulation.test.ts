import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import process from 'node:process';
import { test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { SeededRandom } from '@ottla/runtime';
import { plantedSources } from '../../scripts/plant.ts';
import { type Happening, inventPlan, type Plan, type Step, tellPlan } from './plan.ts';
import { plants } from './plants.ts';
import { promise } from './promises/cluster-promise.ts';
import { clusterPromises } from './promises/index.ts';
import { run } from './run.ts';
import { shrink } from './shrink.ts';
import { planOf } from './simulation.ts';

const script = join(import.meta.dirname, '../../scripts/simulate.ts');

function simulate(...options: string[]): { status: number | null; output: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, ...options], { encoding: 'utf8' });
  return { status, output: `${stdout}${stderr}` };
}

async function assertHolds(plan: Plan): Promise<void> {
  const { broken, story } = await run(plan);
  assert.equal(broken, undefined, `${tellPlan(plan)}\n${story.join('\n')}`);
}

test('a few seeds keep every promise: one node, and clusters', async () => {
  await assertHolds(planOf(1, { shape: 'single' }));
  for (const shape of ['combined', 'isolated']) await assertHolds(planOf(1, { shape }));
});

test('the same seed makes the same things happen, also in another process', async () => {
  const { hash, events } = await run(planOf(7, { shape: 'single' }));
  const { output } = simulate('--seed', '7', '--shape', 'single');
  assert.ok(output.includes(`trace ${hash}, ${events} events`), output);
});

test('the command tells how it is used, and what is wrong with how it was', () => {
  const help = simulate('--help');
  assert.equal(help.status, 0);
  assert.match(help.output, /^npm run simulate [\s\S]*--at-most/);
  const mistakes = [
    [['--seedz', '4'], /^Unknown option '--seedz'\n\nnpm run simulate /],
    [['--seeds', 'many'], /^--seeds is a whole number from 1 on, not "many"$/m],
    [['--shape', 'round'], /^--shape is one of single, combined/],
    [['--plants', '--only', 'no-such'], /^there is no plant no-such; there are dedupe-off, /],
  ] as const;
  for (const [options, says] of mistakes) {
    const { status, output } = simulate(...options);
    assert.equal(status, 2);
    assert.match(output, says);
  }
});

test('the same seed makes the same things happen to a cluster', async () => {
  const [first, second] = [await run(planOf(7, { shape: 'combined' })), await run(planOf(7, { shape: 'combined' }))];
  assert.deepEqual([second.hash, second.events], [first.hash, first.events]);
});

test('a plan is the same for the same seed', () => {
  assert.deepEqual(planOf(5), planOf(5));
  assert.notDeepEqual(planOf(5), planOf(6));
});

test('few plans have a rare scene, and the others are as if there were none', () => {
  const scenes = new Map<string, number>();
  for (let seed = 1; seed <= 300; seed++) {
    const [plan, usual] = [planOf(seed), inventPlan(seed, new SeededRandom(`plan ${seed}`))];
    if (isDeepStrictEqual(plan, usual)) continue;
    const steps = [...new Set(plan.steps.map((step) => step.do))].sort().join();
    scenes.set(steps, (scenes.get(steps) ?? 0) + 1);
  }
  assert.deepEqual([...scenes.keys()].sort(), ['cut,latency,powerCut', 'isolate,kill', 'latency']);
  for (const [scene, count] of scenes) assert.ok(count >= 5 && count <= 30, `${scene}: ${count} of 300`);
});

test('seeds invent every kind of step, and a node lives through all of them', async () => {
  const kinds = new Map<string, Happening>();
  for (let seed = 1; seed <= 400; seed++) {
    for (const { atMs: _, ...step } of planOf(seed, { shape: 'single' }).steps) kinds.set(step.do, step);
  }
  assert.ok(kinds.size >= 26, [...kinds.keys()].join());
  const steps = [...kinds.values()].map((step, index): Step => ({ ...step, atMs: 200 * index }));
  await assertHolds({ ...planOf(1, { shape: 'single' }), steps, workMs: 200 * steps.length });
});

test('nobody is killed, nor has a full disk, while a node that lost power has yet to catch up', async () => {
  const plan: Plan = {
    ...planOf(1, { shape: 'combined' }),
    clients: [{ name: 'modern1', kind: 'modernGroup', everyMs: 150, group: 'moderns' }],
    steps: [
      { atMs: 600, do: 'powerCut', node: 3, downMs: 1_000 },
      { atMs: 700, do: 'kill', node: 2, downMs: 100 },
      { atMs: 800, do: 'fullDisk', node: 1, forMs: 100 },
      { atMs: 900, do: 'killAll', downMs: 100 },
      { atMs: 2_900, do: 'killAll', downMs: 100 },
    ],
    workMs: 3_500,
    finale: [],
  };
  const { broken, story } = await run(plan);
  assert.equal(broken, undefined, story.join('\n'));
  assert.equal(story.filter((line) => line.includes('is spared: node 3 has not caught up yet')).length, 3, story.join('\n'));
  assert.ok(
    story.some((line) => line.endsWith('3 nodes are down')),
    story.join('\n'),
  );
});

test('no machine loses power while another one has a full disk, whose node may end', async () => {
  const plan: Plan = {
    ...planOf(1, { shape: 'combined' }),
    clients: [{ name: 'producer1', kind: 'producer', everyMs: 85 }],
    steps: [
      { atMs: 300, do: 'fullDisk', node: 2, forMs: 900 },
      { atMs: 400, do: 'powerCut', node: 3, downMs: 50 },
    ],
    workMs: 2_000,
    finale: [],
  };
  const { broken, story } = await run(plan);
  assert.equal(broken, undefined, story.join('\n'));
  assert.ok(
    story.some((line) => line.endsWith('is spared: node 2 has not caught up yet')),
    story.join('\n'),
  );
});

test('a replica that was taken away and comes back begins anew', async () => {
  const reassign = { do: 'reassign', topic: 'one', partition: 0 } as const;
  await assertHolds({
    ...planOf(1, { shape: 'large' }),
    topics: [{ name: 'one', partitions: 1, configs: { 'min.insync.replicas': '2' } }],
    clients: [{ name: 'producer1', kind: 'producer', everyMs: 50 }],
    steps: [
      { atMs: 400, ...reassign, pick: 0.51 },
      { atMs: 800, ...reassign, pick: 0.67 },
    ],
    workMs: 1_200,
    finale: [],
  });
});

test('every promise has a name of its own and says what it is', () => {
  assert.ok(clusterPromises.length >= 30, `${clusterPromises.length} promises`);
  assert.equal(new Set(clusterPromises.map(({ name }) => name)).size, clusterPromises.length);
  for (const { says } of clusterPromises) assert.ok(says.length > 20, says);
});

test('every planted bug finds its place in the sources as they are', () => {
  assert.equal(new Set(plants.map(({ name }) => name)).size, plants.length);
  for (const plant of plants) assert.ok(plantedSources(plant).size > 0);
});

test('a promise that is broken is told with what little it needs', async () => {
  const nobodyIsKilled = promise('nobodyIsKilled', 'no node is ever down after it was up', (broken) => {
    const seen = new Set<number>();
    return {
      look({ cluster }) {
        for (const { id, state } of cluster.nodes) {
          if (state === 'up') seen.add(id);
          else if (seen.has(id)) broken(`node ${id} is ${state}`);
        }
      },
    };
  });
  const plan: Plan = {
    ...planOf(1, { shape: 'single' }),
    steps: [
      { atMs: 100, do: 'slowDisk', node: 1, syncMs: 50, forMs: 100 },
      { atMs: 300, do: 'kill', node: 1, downMs: 100 },
      { atMs: 900, do: 'jumpClock', node: 1, ms: 1000 },
    ],
  };
  const outcome = await run(plan, { promises: [nobodyIsKilled] });
  assert.equal(outcome.broken?.promise, 'nobodyIsKilled');
  const least = await shrink({ plan, outcome }, { promises: [nobodyIsKilled] });
  assert.deepEqual(
    least.plan.steps.map((step) => step.do),
    ['kill'],
  );
  assert.deepEqual(least.plan.clients, []);
  assert.match(least.outcome.story.at(-1)!, /BROKEN nobodyIsKilled/);
});
