import assert from 'node:assert';
import { test } from 'node:test';
import type { AnomalyName } from './anomalies.ts';
import { checkHistory } from './check-history.ts';
import { type ModelBug, modelHistory } from './model-kafka.ts';

const seeds = Array.from({ length: 60 }, (_, seed) => seed);

test('histories of a Kafka without bugs have nothing that is forbidden', () => {
  for (const seed of seeds) assert.deepEqual(checkHistory(modelHistory(seed)).forbidden, [], `seed ${seed}`);
});

const shownBy: Record<ModelBug, readonly AnomalyName[]> = {
  'no last stable offset': ['precommitted-read', 'G1a'],
  'abort markers lost': ['G1a'],
  'half a commit': ['lost-write', 'torn-transaction'],
  'records lost': ['lost-write'],
  'records written twice': ['duplicate'],
  'no fencing': ['unfenced-zombie'],
  'offsets outside the transaction': ['processed-never', 'lost-offsets'],
  'records skipped': ['poll-skip'],
  'places fall back': ['nonmonotonic-poll'],
};

for (const [bug, names] of Object.entries(shownBy) as [ModelBug, readonly AnomalyName[]][]) {
  test(`a Kafka with a bug, ${bug}, is found out by ${names.join(' and ')}, in most of its histories`, () => {
    const verdicts = seeds.map((seed) => checkHistory(modelHistory(seed, bug)).forbidden);
    for (const name of names)
      assert.ok(
        verdicts.some((found) => found.some((anomaly) => anomaly.name === name)),
        name,
      );
    const caught = verdicts.filter(({ length }) => length > 0).length;
    assert.ok(caught > seeds.length / 2, `${caught} of ${seeds.length}`);
  });
}
