import { SeededRandom } from '@ottla/runtime';
import { inventPlan, type Plan, type PlanOptions } from './plan.ts';
import { withRareScene } from './rare-scenes.ts';

/** The plan of a seed. */
export function planOf(seed: number, options: PlanOptions = {}): Plan {
  const plan = inventPlan(seed, new SeededRandom(`plan ${seed}`), options);
  return withRareScene(plan, new SeededRandom(`rare scene ${seed}`));
}
