import type { TargetName } from '../../test/interop/targets/node.ts';
import type { Figures, Goal, Scenario } from './scenario.ts';

/** All that one scenario gave: the values of each metric, in the order of the rounds. */
export class Samples {
  readonly scenario: Scenario;
  readonly #values = new Map<string, Record<TargetName, number[]>>();

  constructor(scenario: Scenario) {
    this.scenario = scenario;
  }

  add(target: TargetName, figures: Figures): void {
    for (const [metric, value] of Object.entries(figures)) {
      let values = this.#values.get(metric);
      if (!values) this.#values.set(metric, (values = { ottla: [], kafka: [] }));
      values[target].push(value);
    }
  }

  comparisons(): Comparison[] {
    return [...this.#values].map(([metric, values]) => compare(metric, values, this.scenario.goals?.[metric]));
  }
}

export type Spread = { readonly least: number; readonly median: number; readonly most: number };

export type Comparison = {
  readonly metric: string;
  /** Absent where it was not measured, and with it the ratio and the goal. */
  readonly ottla?: Spread;
  readonly kafka?: Spread;
  readonly values: Readonly<Record<TargetName, readonly number[]>>;
  readonly ratio?: number;
  readonly goal?: Goal;
  readonly met?: boolean;
};

function compare(metric: string, values: Record<TargetName, number[]>, goal: Goal | undefined): Comparison {
  const ottla = values.ottla.length > 0 ? spread(values.ottla) : undefined;
  const kafka = values.kafka.length > 0 ? spread(values.kafka) : undefined;
  if (!ottla || !kafka) return { metric, ottla, kafka, values };
  const ratio = ottla.median / kafka.median;
  return { metric, ottla, kafka, values, ratio, ...(goal && { goal, met: isMet(goal, ratio, ottla.median) }) };
}

function isMet(goal: Goal, ratio: number, median: number): boolean {
  if ('atLeast' in goal) return ratio >= goal.atLeast;
  return ratio <= goal.atMost && median <= (goal.ms ?? Number.POSITIVE_INFINITY);
}

function spread(values: readonly number[]): Spread {
  const sorted = [...values].sort((one, other) => one - other);
  const [below, above] = [sorted[(sorted.length - 1) >> 1]!, sorted[sorted.length >> 1]!];
  return { least: sorted[0]!, median: (below + above) / 2, most: sorted.at(-1)! };
}
