/** Lives through the seeds that its parent names, with a planted bug if it is told to. */
import process from 'node:process';
import type { PlanOptions } from '../src/simulation/plan.ts';
import { plants } from '../src/simulation/plants.ts';
import { installPlant, plantNamed } from './plant.ts';

export type Order = { readonly seed: number; readonly shrinks: boolean; readonly options: PlanOptions };

export type Report = {
  readonly seed: number;
  readonly hash: string;
  readonly events: number;
  readonly virtualMs: number;
  /** What it took of the processor. */
  readonly cpuMs: number;
  readonly counts: Readonly<Record<string, number>>;
  readonly failure?: {
    readonly promise: string;
    readonly what: string;
    readonly plan: string;
    readonly story: readonly string[];
  };
};

const [plant] = process.argv.slice(2);
if (plant) installPlant(plantNamed(plant, plants));
const { planOf } = await import('../src/simulation/simulation.ts');
const { tellPlan } = await import('../src/simulation/plan.ts');
const { run } = await import('../src/simulation/run.ts');
const { shrink } = await import('../src/simulation/shrink.ts');

async function carryOut({ seed, shrinks, options }: Order): Promise<Report> {
  const plan = planOf(seed, options);
  const before = process.cpuUsage();
  const outcome = await run(plan);
  const { user, system } = process.cpuUsage(before);
  const cpuMs = (user + system) / 1_000;
  const { hash, events, virtualMs, counts, broken } = outcome;
  if (!broken) return { seed, hash, events, virtualMs, cpuMs, counts };
  const least = shrinks ? await shrink({ plan, outcome }) : { plan, outcome };
  const failure = {
    promise: least.outcome.broken!.promise,
    what: least.outcome.broken!.message,
    plan: tellPlan(least.plan),
    story: least.outcome.story,
  };
  return { seed, hash, events, virtualMs, cpuMs, counts, failure };
}

process.on('message', (order: Order) => {
  carryOut(order).then(
    (report) => process.send!(report),
    (error) => {
      console.error(`seed ${order.seed}:`, error);
      process.exit(1);
    },
  );
});
process.on('disconnect', () => process.exit(0));
