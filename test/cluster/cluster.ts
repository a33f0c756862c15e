/**
 * `npm run cluster [-- --target ottla|kafka|both --seconds S --seed N …]`: a cluster under load and faults, and whether anything that
 * was acknowledged is lost, twice, out of order or torn. README.md tells the rest.
 */
import { closeSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { anomalies } from '@ottla/testing';
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

const { values } = parseArgs({
  options: {
    target: { type: 'string', default: 'both' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    seconds: { type: 'string', default: '90' },
    nodes: { type: 'string', default: '3' },
    /** Controllers apart from brokers. */
    isolated: { type: 'boolean', default: false },
    faults: { type: 'string' },
    programs: { type: 'string', default: loadPrograms.join() },
    'records-per-second': { type: 'string', default: '6500' },
    'no-histories': { type: 'boolean', default: false },
    out: { type: 'string', default: 'histories' },
  },
});

const why = whyNoNamespaces();
if (why !== undefined) console.log(`without faults of the network: ${why}`);
const possible = why === undefined ? [...processFaults, ...networkFaults] : processFaults;
const chosen = values.faults === 'none' ? [] : (values.faults?.split(',') ?? possible);
for (const name of chosen) {
  if (allClusterFaults.includes(name as ClusterFault)) continue;
  console.error(`--faults are of ${allClusterFaults.join(', ')}, or none`);
  process.exit(1);
}
installKafka();
stopLeftovers();
const targets = (values.target === 'both' ? ['kafka', 'ottla'] : [values.target]) as TargetName[];
let isWell = true;
for (const target of targets) await runAndTell(target);
process.exit(isWell ? 0 : 1);

async function runAndTell(target: TargetName): Promise<void> {
  const seed = Number(values.seed);
  console.log(`${target}, seed ${seed}, ${values.nodes} nodes${values.isolated ? ', and as many controllers' : ''}`);
  const cluster = await ProcessCluster.create({ nodes: plan(target), properties: hasty });
  const kept = join(values.out, `cluster-${target}-${seed}`);
  let isSound = false;
  try {
    const { findings, history, figures, faults, notes } = await runUnderFaults(cluster, {
      seed,
      seconds: Number(values.seconds),
      faults: chosen as ClusterFault[],
      programs: values.programs.split(',') as LoadProgram[],
      recordsPerSecond: Number(values['records-per-second']),
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
  const count = Number(values.nodes);
  if (!values.isolated) return combined(target, count);
  const ids = Array.from({ length: count }, (_, index) => index + 1);
  return [
    ...ids.map((id): NodePlan => ({ id, target, roles: 'controller' })),
    ...ids.map((id): NodePlan => ({ id: id + 100, target, roles: 'broker' })),
  ];
}
