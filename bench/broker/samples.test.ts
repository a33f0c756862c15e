import assert from 'node:assert';
import { test } from 'node:test';
import { Samples } from './samples.ts';
import type { Scenario } from './scenario.ts';
import { table } from './table.ts';

const scenario: Scenario = {
  name: 'sample',
  length: 'short',
  goals: { 'throughput MB/s': { atLeast: 2 }, 'start ms': { atMost: 0.1, ms: 200 } },
  open: () => Promise.reject(new Error('not run')),
};

test('medians are compared, and goals judged by their ratio', () => {
  const samples = new Samples(scenario);
  for (const value of [30, 10, 20]) samples.add('ottla', { 'throughput MB/s': value });
  for (const value of [10, 11, 9]) samples.add('kafka', { 'throughput MB/s': value });
  const [comparison] = samples.comparisons();
  assert.deepEqual(comparison!.ottla, { least: 10, median: 20, most: 30 });
  assert.equal(comparison!.ratio, 2);
  assert.equal(comparison!.met, true);
  assert.match(table(samples), /throughput MB\/s +20 \(10\.\.30\) +10 \(9\.\.11\) +2\.00 {2}>= 2 met/);
});

test('of an even number of values the median lies between the two in the middle', () => {
  const samples = new Samples(scenario);
  for (const value of [1, 4, 2, 9]) samples.add('ottla', { 'throughput MB/s': value });
  assert.equal(samples.comparisons()[0]!.ottla?.median, 3);
});

test('a goal may bound the time itself too', () => {
  const samples = new Samples(scenario);
  samples.add('ottla', { 'start ms': 250 });
  samples.add('kafka', { 'start ms': 3000 });
  assert.equal(samples.comparisons()[0]!.met, false);
});

test('without the rival there is no ratio and no judgement', () => {
  const samples = new Samples(scenario);
  samples.add('ottla', { 'throughput MB/s': 20 });
  assert.equal(samples.comparisons()[0]!.met, undefined);
  assert.match(table(samples), /20 \(20\.\.20\)$/);
});
