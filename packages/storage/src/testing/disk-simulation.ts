/** Many stories from seeds, and the shortest that still fails. */
import { SeededRandom } from '@ottla/runtime';
import { liveThrough } from './disk-life.ts';
import { type DiskStory, inventStory } from './disk-story.ts';

export type DiskFailure = { readonly story: DiskStory; readonly error: unknown };

export const storyOf = (seed: number): DiskStory => inventStory(seed, new SeededRandom(`story ${seed}`));

/** Undefined when every promise was kept. */
export async function failureOf(story: DiskStory): Promise<unknown> {
  try {
    await liveThrough(story);
    return undefined;
  } catch (error) {
    return error;
  }
}

/** What the disk does depends on everything before, so a shorter story gets several disks to fail on. */
const disksTried = 12;

/** Leaves out what the failure does not need. */
export async function shrink({ story, error }: DiskFailure): Promise<DiskFailure> {
  let best: DiskFailure = { story, error };
  for (let size = Math.ceil(story.steps.length / 2); size >= 1; ) {
    let isShorter = false;
    for (let start = 0; start < best.story.steps.length; ) {
      const steps = best.story.steps.toSpliced(start, size);
      const shorter = await failingWith(best.story, steps);
      if (shorter) {
        best = shorter;
        isShorter = true;
      } else start += size;
    }
    if (size > 1) size = Math.floor(size / 2);
    else if (!isShorter) break;
  }
  return best;
}

async function failingWith(story: DiskStory, steps: DiskStory['steps']): Promise<DiskFailure | undefined> {
  for (let disk = 0; disk < disksTried; disk++) {
    const shorter = { ...story, steps, seed: disk === 0 ? story.seed : disk };
    const error = await failureOf(shorter);
    if (error !== undefined) return { story: shorter, error };
  }
  return undefined;
}
