/** Bugs that are planted in the quorum, to see that its simulation finds them: the command that does it joins two packages. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import process from 'node:process';
import { test } from 'node:test';
import { raftPlants } from '../packages/raft/src/testing/plants.ts';
import { plantedSources } from '../packages/testing/scripts/plant.ts';

const script = join(import.meta.dirname, '../scripts/simulate-raft.ts');

function simulateRaft(...options: string[]): { status: number | null; output: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, ...options], { encoding: 'utf8' });
  return { status, output: `${stdout}${stderr}` };
}

test('every bug that is planted in the quorum finds its place in the sources as they are', () => {
  assert.equal(new Set(raftPlants.map(({ name }) => name)).size, raftPlants.length);
  for (const plant of raftPlants) assert.ok(plantedSources(plant).size > 0);
});

test('the command says which seed found a bug, and fails for one that was not found', () => {
  const { status, output } = simulateRaft('--plants', '--only', 'votes-twice', '--at-most', '4');
  assert.match(output, /\(`votes-twice`\) \| \d+ \| 4 \| a broken promise: node 3 votes for /);
  assert.equal(status, 0);
  const missed = simulateRaft('--plants', '--only', 'votes-twice', '--at-most', '1');
  assert.match(missed.output, /NOT FOUND/);
  assert.equal(missed.status, 1);
});

test('the command tells how it is used, and what is wrong with how it was', () => {
  const help = simulateRaft('--help');
  assert.equal(help.status, 0);
  assert.match(help.output, /^npm run simulate-raft /);
  const unknown = simulateRaft('--seedz', '4');
  assert.equal(unknown.status, 2);
  assert.match(unknown.output, /^Unknown option '--seedz'\n\nnpm run simulate-raft /);
});
