/** A table of scenarios as a command: its options, its output, its JSON. bench/README.md explains them. */

import { writeFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import process from 'node:process';
import { namesOf, readOptions, wholeNumber } from '../../scripts/command-line.ts';
import { installKafka, kafkaRelease } from '../../test/interop/kafka/kafka.ts';
import { run } from './run.ts';
import type { Comparison } from './samples.ts';
import type { Scenario } from './scenario.ts';
import { table, tableHead } from './table.ts';

export type CommandOptions = {
  /** As in `npm run bench NAME`. */
  readonly name: string;
  readonly scenarios: readonly Scenario[];
  /** Of the nodes that stay up, beside the defaults. */
  readonly properties?: Readonly<Record<string, string>>;
};

export async function runCommand({ name: command, scenarios, properties }: CommandOptions): Promise<void> {
  const options = readOptions(
    {
      only: { type: 'string', multiple: true },
      rounds: { type: 'string' },
      quick: { type: 'boolean', default: false },
      json: { type: 'string', default: `bench-${command}.json` },
      profile: { type: 'string' },
      target: { type: 'string', multiple: true, default: ['ottla', 'kafka'] },
      list: { type: 'boolean', default: false },
    },
    `npm run bench ${command} [-- --only WORDS --rounds N --quick --target ottla|kafka --json FILE --profile DIRECTORY --list]: bench/README.md`,
  );
  /** One whose name has all words of one --only; without any, all but the extra ones. */
  const isChosen = ({ name, isExtra }: Scenario): boolean => {
    if (!options.only) return !isExtra;
    return options.only.some((words) => words.split(/\s+/).every((word) => name.toLowerCase().includes(word.toLowerCase())));
  };
  const chosen = scenarios.filter(isChosen);
  if (options.list) {
    for (const { name, isExtra } of scenarios) console.log(`${name}${isExtra ? '   (only when asked for)' : ''}`);
    return;
  }

  const targets = namesOf(options.target, ['ottla', 'kafka'], 'target');
  if (targets.includes('kafka') || chosen.some(({ name }) => name.startsWith('java'))) await installKafka();
  const rounds = wholeNumber(options.rounds ?? (options.quick ? '2' : '5'), 'rounds', 1);
  const results: { scenario: string; comparisons: Comparison[] }[] = [];
  const skipped: string[] = [];
  const failed: string[] = [];
  const loadBefore = loadavg();
  console.log(
    `Ottla beside Apache Kafka ${kafkaRelease}: ${rounds} rounds, alternately; load average before ${loadBefore[0]!.toFixed(1)}`,
  );
  console.log(tableHead);
  try {
    await run(chosen, {
      properties,
      rounds,
      targets,
      profileDirectory: options.profile,
      onSkipped: ({ name }, missing) => {
        skipped.push(name);
        console.log(`${name}\n  skipped: there is no ${missing}`);
      },
      onFailed: ({ name }, error) => {
        failed.push(name);
        console.log(`${name}\n  FAILED, and has no figures: ${error.stack}`);
      },
      onDone: (samples, profiled) => {
        results.push({ scenario: samples.scenario.name, comparisons: samples.comparisons() });
        console.log(table(samples));
        for (const { where, share } of profiled) console.log(`      ${(share * 100).toFixed(1).padStart(5)} %  ${where}`);
      },
    });
  } finally {
    const machine = { cpus: cpus().length, model: cpus()[0]?.model, node: process.version, loadBefore, loadAfter: loadavg() };
    writeFileSync(
      options.json,
      JSON.stringify({ date: new Date().toISOString(), kafkaRelease, machine, rounds, results, skipped, failed }),
    );
  }
  const judged = results.flatMap(({ scenario, comparisons }) =>
    comparisons.filter(({ goal }) => goal !== undefined).map((comparison) => ({ scenario, ...comparison })),
  );
  const missed = judged.filter(({ met }) => !met);
  console.log(`goals met: ${judged.length - missed.length} of ${judged.length}${missed.length > 0 ? '; missed:' : ''}`);
  for (const { scenario, metric, ratio } of missed) console.log(`  ${ratio!.toFixed(2).padStart(7)}  ${metric}: ${scenario}`);
  if (failed.length > 0) {
    console.log(`failed: ${failed.join('; ')}`);
    process.exitCode = 1;
  }
  console.log(`the same as JSON: ${options.json}`);
}
