import type { TargetName } from '../../test/interop/targets/node.ts';
import type { BenchNode } from './bench-node.ts';
import { forgetPeakMemory, memoryMiB } from './process-usage.ts';
import type { WarmNodes } from './warm-nodes.ts';

/** What one measurement gave: values by metric. The unit is the metric's last word. */
export type Figures = Readonly<Record<string, number>>;

/** For the ratio of the medians, Ottla's over Kafka's; `ms` bounds Ottla's median itself. */
export type Goal = { readonly atLeast: number } | { readonly atMost: number; readonly ms?: number };

/** One target, made ready to be measured again and again. */
export type Subject = AsyncDisposable & {
  measure(): Promise<Figures>;
  /** The node that is loaded, if it is one of those that stay up. */
  readonly warmNode?: BenchNode;
};

export type Scenario = {
  /** Words to find it by. */
  readonly name: string;
  /** What the ratio of a metric should be. */
  readonly goals?: Readonly<Record<string, Goal>>;
  /** A short one has as many rounds as asked for, a long one at most three. */
  readonly length: 'short' | 'long';
  /** Left out unless it is asked for by its words. */
  readonly isExtra?: boolean;
  /** Default both. */
  readonly targets?: readonly TargetName[];
  /** The program that it needs and that is not there, if so. */
  missing?(): string | undefined;
  open(target: TargetName, nodes: WarmNodes): Promise<Subject>;
};

/** A scenario on the nodes that stay up and are warm: what `prepare` returns measures once. Their peak memory is one of the figures. */
export function onWarmNodes({ prepare, goals, ...scenario }: OnWarmNodes): Scenario {
  return {
    ...scenario,
    goals: { ...goals, [peakMemory]: { atMost: 0.25 } },
    async open(target, nodes) {
      const node = await nodes.get(target);
      const prepared = await prepare(node, nodes);
      const subject = typeof prepared === 'function' ? { measure: prepared, [Symbol.asyncDispose]: async () => {} } : prepared;
      return {
        warmNode: node,
        async measure() {
          forgetPeakMemory(node.pid);
          const figures = await subject.measure();
          return { ...figures, [peakMemory]: memoryMiB(node.pid).peak };
        },
        [Symbol.asyncDispose]: () => subject[Symbol.asyncDispose](),
      };
    },
  };
}

type OnWarmNodes = Omit<Scenario, 'open'> & {
  prepare(node: BenchNode, nodes: WarmNodes): Promise<Subject | (() => Promise<Figures>)>;
};

const peakMemory = 'peak memory MiB';
