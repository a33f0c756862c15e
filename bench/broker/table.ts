import type { Comparison, Samples, Spread } from './samples.ts';
import type { Goal } from './scenario.ts';

/** Median (least..most) of both, the ratio of the medians, and the goal where there is one. */
export function table(samples: Samples): string {
  return [samples.scenario.name, ...samples.comparisons().map((comparison) => row(cells(comparison)))].join('\n');
}

export const tableHead = row({ metric: '', ottla: 'Ottla', kafka: 'Kafka', ratio: 'ratio', goal: 'goal' });

type Cells = Readonly<Record<'metric' | 'ottla' | 'kafka' | 'ratio' | 'goal', string>>;

function row({ metric, ottla, kafka, ratio, goal }: Cells): string {
  return `  ${metric.padEnd(34)}${ottla.padStart(36)}${kafka.padStart(36)}${ratio.padStart(9)}  ${goal}`.trimEnd();
}

function cells({ metric, ottla, kafka, ratio, goal, met }: Comparison): Cells {
  return {
    metric,
    ottla: ottla ? shown(ottla) : '',
    kafka: kafka ? shown(kafka) : '',
    ratio: ratio === undefined ? '' : ratio.toFixed(2),
    goal: goal ? `${goalText(goal)} ${met ? 'met' : 'MISSED'}` : '',
  };
}

function goalText(goal: Goal): string {
  if ('atLeast' in goal) return `>= ${goal.atLeast}`;
  return `<= ${goal.atMost}${goal.ms === undefined ? '' : ` and ${goal.ms} ms`}`;
}

function shown({ least, median, most }: Spread): string {
  return `${digits(median)} (${digits(least)}..${digits(most)})`;
}

/** Three digits that mean something, and no exponent. */
function digits(value: number): string {
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString('en');
  return String(Number(value.toPrecision(3)));
}
