import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TargetName } from '../../test/interop/targets/node.ts';
import { type Cost, costliest, Profiler } from './cpu-profile.ts';
import { Samples } from './samples.ts';
import type { Scenario, Subject } from './scenario.ts';
import { WarmNodes } from './warm-nodes.ts';

export type RunOptions = {
  readonly rounds: number;
  /** A scenario that is for another one only is left out. */
  readonly targets: readonly TargetName[];
  /** Of the nodes that stay up, beside the defaults. */
  readonly properties?: Readonly<Record<string, string>>;
  /** Where profiles of Ottla go, of one more round of each scenario that runs on warm nodes. */
  readonly profileDirectory?: string;
  readonly onSkipped: (scenario: Scenario, missing: string) => void;
  /** The run goes on with the next scenario, on new nodes. */
  readonly onFailed: (scenario: Scenario, error: Error) => void;
  readonly onDone: (samples: Samples, profiled: readonly Cost[]) => void;
};

const longRounds = 3;

/** Runs scenarios one after the other; in each, the two targets alternately. */
export async function run(scenarios: readonly Scenario[], options: RunOptions): Promise<void> {
  await using nodes = new WarmNodes(options.targets, {
    inspected: options.profileDirectory !== undefined,
    properties: options.properties,
  });
  for (const scenario of scenarios) {
    const missing = scenario.missing?.();
    if (missing !== undefined) {
      options.onSkipped(scenario, missing);
      continue;
    }
    try {
      await runOne(scenario, nodes, options);
    } catch (error) {
      options.onFailed(scenario, error as Error);
      await nodes[Symbol.asyncDispose]();
    }
  }
}

async function runOne(scenario: Scenario, nodes: WarmNodes, options: RunOptions): Promise<void> {
  const targets = options.targets.filter((target) => scenario.targets?.includes(target) ?? true);
  if (targets.length === 0) return;
  await using stack = new AsyncDisposableStack();
  const subjects = new Map<TargetName, Subject>();
  for (const target of targets) subjects.set(target, stack.use(await scenario.open(target, nodes)));

  const samples = new Samples(scenario);
  const rounds = scenario.length === 'short' ? options.rounds : Math.min(options.rounds, longRounds);
  for (let round = 0; round < rounds; round++) {
    // Who goes first has the page cache and the disk to itself, so they take turns in that too.
    for (const target of round % 2 === 0 ? targets : targets.toReversed()) {
      samples.add(target, await subjects.get(target)!.measure());
    }
  }
  options.onDone(samples, await profile(scenario, subjects.get('ottla'), options.profileDirectory));
}

/** Measures once more, with the profiler on, what runs on a warm Ottla. */
async function profile({ name }: Scenario, subject: Subject | undefined, directory: string | undefined): Promise<Cost[]> {
  const node = subject?.warmNode;
  if (directory === undefined || node?.inspectorPort === undefined) return [];
  const profiler = await Profiler.connect(node.inspectorPort);
  node.profiler = profiler;
  try {
    await subject!.measure();
  } finally {
    node.profiler = undefined;
    profiler.close();
  }
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, `${name.replaceAll(/[^\w=]+/g, '-')}.cpuprofile`), JSON.stringify(profiler.last));
  return costliest(profiler.last!, 12);
}
