import { SeededRandom } from '@ottla/runtime';
import { inventPlan, type Plan, type PlanOptions } from './plan.ts';

/** The plan of a seed. */
export function planOf(seed: number, options: PlanOptions = {}): Plan {
  return inventPlan(seed, new SeededRandom(`plan ${seed}`), options);
}
