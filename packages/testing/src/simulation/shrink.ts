/** The shortest plan that still breaks a promise. */
import type { Plan } from './plan.ts';
import type { Outcome, RunOptions } from './run.ts';
import { run } from './run.ts';

export type Failure = { readonly plan: Plan; readonly outcome: Outcome };

export type ShrinkOptions = RunOptions & {
  /** How many runs it may take. */
  readonly runs?: number;
};

/** Leaves out what the failure does not need: steps, clients, time. It may come to break another promise. */
export async function shrink(failure: Failure, { runs = 60, ...options }: ShrinkOptions = {}): Promise<Failure> {
  let best = failure;
  let left = runs;
  const holds = async (plan: Plan): Promise<boolean> => {
    if (left-- <= 0) return false;
    const outcome = await run(plan, options);
    if (!outcome.broken) return false;
    best = { plan, outcome };
    return true;
  };
  for (let isShorter = true; isShorter && left > 0; ) {
    isShorter = false;
    for (const part of ['steps', 'clients'] as const) {
      for (let size = Math.ceil(best.plan[part].length / 2); size >= 1; size = Math.floor(size / 2)) {
        for (let start = 0; start < best.plan[part].length; ) {
          const rest = (best.plan[part] as readonly unknown[]).toSpliced(start, size);
          if (await holds({ ...best.plan, [part]: rest } as Plan)) isShorter = true;
          else start += size;
        }
      }
    }
    const lastMs = best.plan.steps.at(-1)?.atMs ?? 0;
    const workMs = Math.max(lastMs + 500, Math.floor(best.plan.workMs / 2));
    if (workMs < best.plan.workMs && (await holds({ ...best.plan, workMs }))) isShorter = true;
  }
  return best;
}
