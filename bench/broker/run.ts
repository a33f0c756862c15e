import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TargetName } from '../../test/interop/targets/node.ts';
import { costliest, Profiler } from './cpu-profile.ts';
import { Samples } from './samples.ts';
import type { Scenario, Subject } from './scenario.ts';
import { WarmNodes } from './warm-nodes.ts';

export type RunOptions = {
  readonly rounds: number;
  /** A scenario that is for another one only is left out. */
  readonly targets: readonly TargetName[];
  /** Where profiles of Ottla go, of one more round of each scenario that runs on warm nodes. */
  readonly profileDirectory?: string;
  readonly onSkipped: (scenario: Scenario, missing: string) => void;
  readonly onDone: (samples: Samples, profiled: readonly { readonly where: string; readonly share: number }[]) => void;
};

const longRounds = 3;

/** Runs scenarios one after the other; in each, the two targets alternately. */
export async function run(scenarios: readonly Scenario[], options: RunOptions): Promise<void> {
  await using nodes = new WarmNodes(options.targets, { inspected: options.profileDirectory !== undefined });
  for (const scenario of scenarios) {
    const missing = scenario.missing?.();
    if (missing !== undefined) {
      options.onSkipped(scenario, missing);
      continue;
    }
    const { length } = scenario;
    const targets = options.targets.filter((target) => scenario.targets?.includes(target) ?? true);
    if (targets.length === 0) continue;
    await using stack = new AsyncDisposableStack();
    const subjects = new Map<TargetName, Subject>();
    for (const target of targets) subjects.set(target, stack.use(await scenario.open(target, nodes)));

    const samples = new Samples(scenario);
    const rounds = length === 'short' ? options.rounds : Math.min(options.rounds, longRounds);
    for (let round = 0; round < rounds; round++) {
      // Who goes first has the page cache and the disk to itself, so they take turns in that too.
      for (const target of round % 2 === 0 ? targets : targets.toReversed()) {
        samples.add(target, await subjects.get(target)!.measure());
      }
    }
    const profiled =
      options.profileDirectory === undefined ? [] : await profile(scenario, subjects.get('ottla')!, nodes, options);
    options.onDone(samples, profiled);
  }
}

async function profile({ name }: Scenario, subject: Subject, nodes: WarmNodes, { profileDirectory }: RunOptions) {
  const node = nodes.started().find(({ target }) => target === 'ottla');
  if (node?.inspectorPort === undefined) return [];
  const profiler = await Profiler.connect(node.inspectorPort);
  node.profiler = profiler;
  await subject.measure();
  node.profiler = undefined;
  profiler.close();
  if (!profiler.last) return []; // the scenario has nodes of its own
  mkdirSync(profileDirectory!, { recursive: true });
  writeFileSync(join(profileDirectory!, `${name.replaceAll(/[^\w=]+/g, '-')}.cpuprofile`), JSON.stringify(profiler.last));
  return costliest(profiler.last, 12);
}
