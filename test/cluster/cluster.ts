/**
 * `npm run cluster [-- --target ottla|kafka|both --seconds S --seed N …]`: a cluster under load and faults, and whether anything that
 * was acknowledged is lost, twice, out of order or torn. README.md tells the rest.
 */
import { closeSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { anomalies } from '@ottla/testing';
import { endWith, readOptions, wholeNumber } from '../../scripts/command-line.ts';
import { summary } from '../histories/run.ts';
import { installKafka } from '../interop/kafka/kafka.ts';
import { stopLeftovers } from '../interop/processes.ts';
import type { TargetName } from '../interop/targets/node.ts';
import { allClusterFaults, type ClusterFault, networkFaults, processFaults } from './cluster-faults.ts';
import type { NodePlan } from './cluster-node.ts';
import { runUnderFaults } from './fault-run.ts';
import { type LoadProgram, loadPrograms } from './load/load-settings.ts';
import { whyNoNamespaces } from './network.ts';
import { combined, hasty, ProcessCluster } from './process-cluster.ts';

const values = readOptions(
  {
    target: { type: 'string', default: 'both' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    seconds: { type: 'string', default: '90' },
    nodes: { type: 'string', default: '3' },
    isolated: { type: 'boolean', default: false },
    faults: { type: 'string' },
    programs: { type: 'string', default: loadPrograms.join() },
    'records-per-second': { type: 'string', default: '6500' },
    'no-histories': { type: 'boolean', default: false },
    out: { type: 'string', default: 'histories' },
  },
  `npm run cluster -- [options]: a cluster under load and faults, and whether anything that was acknowledged is lost, twice, out of order or torn

  --target NAME     ottla, kafka or both (both)
  --seed SEED       of the faults (another one each time)
  --seconds S       how long the load lasts (90)
  --nodes N         (3)
  --isolated        as many controllers apart from the brokers
  --faults A,B      of ${allClusterFaults.join(', ')}, or none (all that the machine allows)
  --programs A,B    of ${loadPrograms.join(', ')} (all)
  --records-per-second N   of all programs (6500)
  --no-histories    no random transactions beside the load
  --out DIRECTORY   where a run with findings leaves all of it (histories)`,
);

const why = whyNoNamespaces();
if (why !== undefined) console.log(`without faults of the network: ${why}`);
const possible = why === undefined ? [...processFaults, ...networkFaults] : processFaults;
const chosen = values.faults === 'none' ? [] : (values.faults?.split(',') ?? possible);
if (!chosen.every((name) => allClusterFaults.includes(name as ClusterFault)))
  endWith(`--faults are of ${allClusterFaults.join(', ')}, or none`);
const programs = values.programs.split(',');
if (!programs.every((name) => loadPrograms.includes(name as LoadProgram)))
  endWith(`--programs are of ${loadPrograms.join(', ')}`);
if (!['ottla', 'kafka', 'both'].includes(values.target)) endWith('--target is ottla, kafka or both');
const number = (name: 'seed' | 'seconds' | 'nodes' | 'records-per-second', least = 1): number =>
  wholeNumber(values[name], name, least);
const [seed, seconds, nodes, recordsPerSecond] = [
  number('seed', 0),
  number('seconds'),
  number('nodes'),
  number('records-per-second'),
];
await installKafka();
stopLeftovers();
const targets = (values.target === 'both' ? ['kafka', 'ottla'] : [values.target]) as TargetName[];
let isWell = true;
for (const target of targets) await runAndTell(target);
process.exit(isWell ? 0 : 1);

async function runAndTell(target: TargetName): Promise<void> {
  console.log(`${target}, seed ${seed}, ${nodes} nodes${values.isolated ? ', and as many controllers' : ''}`);
  const cluster = await ProcessCluster.create({ nodes: plan(target), properties: hasty });
  const kept = join(values.out, `cluster-${target}-${seed}`);
  let isSound = false;
  try {
    const { findings, history, figures, faults, notes } = await runUnderFaults(cluster, {
      ...{ seed, seconds, recordsPerSecond },
      faults: chosen as ClusterFault[],
      programs: programs as LoadProgram[],
      histories: !values['no-histories'],
      report: (line) => console.log(`  ${line}`),
    });
    const { committed, aborted, unknown } = figures.transactions;
    console.log(
      [
        `${figures.acknowledged} records acknowledged in ${figures.seconds.toFixed(0)} s: ${figures.acknowledgedPerSecond.toFixed(0)} a second`,
        `${committed} transactions committed, ${aborted} aborted, ${unknown} unknown; ${figures.transactionalRecords} records in them`,
        `${figures.readMeanwhile} records read meanwhile; the longest silences: ${figures.silences.map(({ ms, fromSecond }) => `${(ms / 1000).toFixed(1)} s from ${fromSecond} s`).join(', ')}`,
        `faults: ${[...faults].map(([name, count]) => `${count} × ${name}`).join(', ') || 'none'}`,
        ...(history.length > 0 ? [summary(history)] : []),
        `${figures.failures} records given up by their programs`,
      ]
        .map((line) => `  ${line}`)
        .join('\n'),
    );
    for (const [name, count] of findings.counts) console.log(`  FORBIDDEN ${count} × ${name}: ${anomalies[name].means}`);
    for (const example of findings.examples) console.log(`    ${example}`);
    isSound = findings.total === 0 && figures.failures === 0;
    if (isSound) console.log('  nothing that Kafka’s model forbids');
    else {
      mkdirSync(kept, { recursive: true });
      // Line by line: the history of half an hour is more than a string can hold.
      const file = openSync(join(kept, 'history.jsonl'), 'w');
      for (const event of history) writeSync(file, `${JSON.stringify(event)}\n`);
      closeSync(file);
      writeFileSync(join(kept, 'findings.txt'), [...findings.examples, ...notes].join('\n'));
    }
  } catch (error) {
    console.log(`  could not be carried through: ${error instanceof Error ? `${error.message} ${error.cause ?? ''}` : error}`);
  } finally {
    if (!isSound) {
      await cluster.stop().catch(() => {});
      cluster.keep(join(kept, 'nodes'));
      console.log(`  what is left is in ${kept}`);
    }
    await cluster.destroy();
  }
  isWell &&= isSound;
}

function plan(target: TargetName): NodePlan[] {
  if (!values.isolated) return combined(target, nodes);
  const ids = Array.from({ length: nodes }, (_, index) => index + 1);
  return [
    ...ids.map((id): NodePlan => ({ id, target, roles: 'controller' })),
    ...ids.map((id): NodePlan => ({ id: id + 100, target, roles: 'broker' })),
  ];
}
