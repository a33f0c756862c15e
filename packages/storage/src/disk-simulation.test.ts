import assert from 'node:assert/strict';
import { test } from 'node:test';
import { failureOf, shrink, storyOf } from './testing/disk-simulation.ts';
import { type DiskStep, type DiskStory, tellStory } from './testing/disk-story.ts';

const patienceMs = 8_000;

async function assertHolds(story: DiskStory): Promise<void> {
  const error = await failureOf(story);
  if (error === undefined) return;
  const shrunk = await shrink({ story, error });
  assert.fail(`${tellStory(shrunk.story)}\n${shrunk.error instanceof Error ? shrunk.error.stack : shrunk.error}`);
}

const append = (sizes: number[], more: Partial<DiskStep & { do: 'append' }> = {}): DiskStep => ({
  ...{ do: 'append', sizes, codec: 'none', producerId: -1, epochStep: 0, timeStepMs: 20 },
  ...more,
});
const powerCut: DiskStep = { do: 'powerCut' };

/** What seeds have found, in few steps. */
const once: Readonly<Record<string, Omit<DiskStory, 'seed'>>> = {
  'the end of a segment was lost, and the next one served on behind a gap': {
    ...{ cleanupPolicy: 'delete', preallocate: false },
    steps: [append([13, 191, 140]), { do: 'roll' }, append([20]), powerCut],
  },
  'a truncation was undone by a power loss, in part': {
    ...{ cleanupPolicy: 'delete', preallocate: false },
    steps: [append([182, 52]), { do: 'flush' }, { do: 'truncate', share: 0.7 }, append([182]), powerCut],
  },
  'an index of which the name was lost kept the node from starting': {
    ...{ cleanupPolicy: 'compact', preallocate: false },
    steps: [append([136]), { do: 'roll' }, powerCut],
  },
  'indexes were rebuilt from segments that had not been recovered yet': {
    ...{ cleanupPolicy: 'compact', preallocate: false },
    steps: [append([110]), append([200]), { do: 'roll' }, append([149, 188], { producerId: 11 }), powerCut],
  },
  'the last entry of a time index was not durable when a clean stop vouched for it': {
    ...{ cleanupPolicy: 'delete', preallocate: false },
    steps: [append([17, 43, 167]), { do: 'flushLater' }, { do: 'flush' }, { do: 'roll' }, { do: 'restart' }, powerCut],
  },
  'producers came back from before a log began anew': {
    ...{ cleanupPolicy: 'compact', preallocate: false },
    steps: [append([195, 86], { producerId: 2 }), { do: 'restart' }, { do: 'truncateFully', ahead: 9 }, powerCut],
  },
  'the directory of a log that was made just before a kill was never durable': {
    ...{ cleanupPolicy: 'delete', preallocate: false },
    steps: [append([85, 145, 106]), { do: 'kill' }, { do: 'flush' }, powerCut],
  },
  'a log that began anew lost power before its producers were forgotten': {
    ...{ cleanupPolicy: 'delete', preallocate: false },
    steps: [
      append([119], { producerId: 3 }),
      { do: 'flush' },
      { do: 'powerCutDuring', operations: 19 },
      { do: 'truncateFully', ahead: 7 },
    ],
  },
  'a transaction index that recovery had made anew was not durable, and a second power loss took it': {
    ...{ cleanupPolicy: 'delete', preallocate: false },
    steps: [
      append([121, 156], { producerId: 10 }),
      { do: 'endTransaction', producerId: 10, type: 'abort' },
      { do: 'flush' },
      { do: 'tasks', ms: 70_000 },
      { do: 'roll' },
      powerCut,
      append([20]),
      powerCut,
    ],
  },
  'the first append after a restart was taken for damage of an empty index, and indexed twice': {
    ...{ cleanupPolicy: 'delete', preallocate: false },
    steps: [
      ...[
        { do: 'truncateFully', ahead: 9 } as const,
        { do: 'restart' } as const,
        append([224]),
        append([164]),
        append([13, 192]),
      ],
      ...[{ do: 'roll' } as const, append([131]), { do: 'restart' } as const, append([20]), powerCut],
    ],
  },
  'a cleaning began before the snapshot of producers at the last roll was durable': {
    ...{ cleanupPolicy: 'compact', preallocate: false },
    steps: [
      append([121, 156], { producerId: 10 }),
      { do: 'endTransaction', producerId: 10, type: 'abort' },
      ...[
        { do: 'flush' } as const,
        { do: 'roll' } as const,
        append([123, 154], { producerId: 10 }),
        { do: 'clean' } as const,
        powerCut,
      ],
    ],
  },
  'a flush that began before a roll vouched for what the roll cut off': {
    ...{ cleanupPolicy: 'delete', preallocate: true },
    steps: [append([205]), { do: 'flushLater' }, { do: 'roll' }, { do: 'tasks', ms: 70_000 }, powerCut],
  },
  'a log start behind a cut inside a batch was not believed after a clean stop': {
    ...{ cleanupPolicy: 'delete', preallocate: false },
    steps: [
      ...[append([29, 101, 3, 40]), append([189, 180, 108, 58]), append([60, 5]), { do: 'retention' } as const],
      ...[{ do: 'truncate', share: 0.76 } as const, { do: 'deleteRecords', share: 0.814 } as const, { do: 'restart' } as const],
    ],
  },
  'a recovery that lost power left segments behind a cut': {
    ...{ cleanupPolicy: 'delete', preallocate: false },
    steps: [append([900]), append([900]), { do: 'roll' }, append([900]), { do: 'roll' }, append([9]), powerCut, powerCut],
  },
};

for (const [what, story] of Object.entries(once)) {
  test(`not again: ${what}`, async () => {
    for (let seed = 1; seed <= 12; seed++) await assertHolds({ ...story, seed });
  });
}

test('a log is an array under everything that happens to it, power cuts included', async () => {
  const beganMs = performance.now();
  for (let seed = 1; seed <= 300 && performance.now() - beganMs < patienceMs; seed++) await assertHolds(storyOf(seed));
});
