/** What happens to one partition and the disk under it: steps that can be printed, repeated and left out one by one. */
import type { CompressionCodec } from '@ottla/protocol';
import type { SeededRandom } from '@ottla/runtime';

export type DiskStep =
  | {
      readonly do: 'append';
      readonly sizes: readonly number[];
      readonly codec: CompressionCodec;
      /** -1: not idempotent. 1 to 3: idempotent. From 10: transactional. */
      readonly producerId: number;
      readonly epochStep: 0 | 1;
      readonly timeStepMs: number;
    }
  | { readonly do: 'endTransaction'; readonly producerId: number; readonly type: 'commit' | 'abort' }
  /** As a follower gets them: some batches at once, perhaps with a gap before each, as of a compacted leader. */
  | { readonly do: 'replicate'; readonly gaps: readonly number[]; readonly size: number; readonly epochStep: 0 | 1 }
  | { readonly do: 'truncate'; readonly share: number }
  | { readonly do: 'truncateFully'; readonly ahead: number }
  | { readonly do: 'roll' }
  | { readonly do: 'flush' }
  | { readonly do: 'flushLater' }
  | { readonly do: 'highWatermark'; readonly share: number }
  | { readonly do: 'deleteRecords'; readonly share: number }
  | { readonly do: 'tasks'; readonly ms: number }
  | { readonly do: 'retention' }
  | { readonly do: 'clean' }
  | { readonly do: 'releaseMemory' }
  | { readonly do: 'restart' }
  | { readonly do: 'kill' }
  | { readonly do: 'powerCut' }
  /** The power fails after so many file operations of the next step, or of the start that follows. */
  | { readonly do: 'powerCutDuring'; readonly operations: number };

export type DiskStory = {
  readonly seed: number;
  readonly cleanupPolicy: 'delete' | 'compact';
  readonly preallocate: boolean;
  readonly steps: readonly DiskStep[];
};

const codecs: readonly CompressionCodec[] = [
  ...Array.from({ length: 12 }, () => 'none' as const),
  'gzip',
  'zstd',
  'lz4',
  'snappy',
];

export function inventStory(seed: number, random: SeededRandom): DiskStory {
  const cleanupPolicy = random.chance(0.3) ? 'compact' : 'delete';
  const count = 5 + random.below(45);
  const steps = Array.from({ length: count }, () => inventStep(random));
  return { seed, cleanupPolicy, preallocate: random.chance(0.1), steps: [...steps, { do: 'powerCut' }] };
}

type Invention = readonly [weight: number, invent: (random: SeededRandom) => DiskStep];

const epochStep = (random: SeededRandom) => (random.chance(0.15) ? 1 : 0);

const inventions: readonly Invention[] = [
  [
    30,
    (random) => ({
      do: 'append',
      sizes: Array.from({ length: 1 + random.below(4) }, () => random.below(random.chance(0.1) ? 690 : 200)),
      codec: codecs[random.below(codecs.length)]!,
      producerId: [-1, -1, 1, 2, 3, 10, 10, 11][random.below(8)]!,
      epochStep: epochStep(random),
      timeStepMs: random.below(40) - 10,
    }),
  ],
  [8, (random) => ({ do: 'endTransaction', producerId: 10 + random.below(2), type: random.chance(0.5) ? 'commit' : 'abort' })],
  [
    5,
    (random) => ({
      do: 'replicate',
      gaps: Array.from({ length: 1 + random.below(4) }, () => (random.chance(0.3) ? 1 + random.below(5) : 0)),
      size: random.below(300),
      epochStep: epochStep(random),
    }),
  ],
  [3, (random) => ({ do: 'truncate', share: random.fraction() ** 0.3 })],
  [1, (random) => ({ do: 'truncateFully', ahead: random.below(10) })],
  [6, () => ({ do: 'roll' })],
  [5, () => ({ do: 'flush' })],
  [3, () => ({ do: 'flushLater' })],
  [3, (random) => ({ do: 'highWatermark', share: random.fraction() ** 0.5 })],
  [3, (random) => ({ do: 'deleteRecords', share: random.fraction() })],
  [8, (random) => ({ do: 'tasks', ms: [10, 1000, 6000, 70_000][random.below(4)]! })],
  [3, () => ({ do: 'retention' })],
  [5, () => ({ do: 'clean' })],
  [2, () => ({ do: 'releaseMemory' })],
  [2, () => ({ do: 'restart' })],
  [3, () => ({ do: 'kill' })],
  [3, () => ({ do: 'powerCut' })],
  [4, (random) => ({ do: 'powerCutDuring', operations: random.below(random.chance(0.5) ? 10 : 60) })],
];
const totalWeight = inventions.reduce((total, [weight]) => total + weight, 0);

function inventStep(random: SeededRandom): DiskStep {
  let at = random.below(totalWeight);
  for (const [weight, invent] of inventions) {
    if (at < weight) return invent(random);
    at -= weight;
  }
  throw new Error('unreachable');
}

/** One line a step, for a person to read. */
export function tellStory({ seed, cleanupPolicy, preallocate, steps }: DiskStory): string {
  return [
    `disk seed ${seed}: cleanup.policy=${cleanupPolicy}${preallocate ? ', preallocated' : ''}`,
    ...steps.map((step) => `  ${JSON.stringify(step)},`),
  ].join('\n');
}
