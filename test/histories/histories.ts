/**
 * `npm run histories [-- --target ottla|kafka|both --seed N --seconds S --runs N]`: random transactions, what their clients saw, and
 * whether Kafka's model allows it. README.md tells the rest.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { anomalies, anomalyCounts, isAllowed } from '@ottla/testing';
import { installKafka } from '../interop/kafka/kafka.ts';
import type { TargetName } from '../interop/targets/node.ts';
import { type Fault, nodeFaults } from './faults.ts';
import { runOnce, summary } from './run.ts';
import { type Plant, plants } from './workload.ts';

const { values } = parseArgs({
  options: {
    target: { type: 'string', default: 'both' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    seconds: { type: 'string', default: '30' },
    runs: { type: 'string', default: '1' },
    writers: { type: 'string', default: '3' },
    partitions: { type: 'string', default: '3' },
    protocols: { type: 'string', default: 'classic,consumer' },
    faults: { type: 'string', default: nodeFaults.join(',') },
    plant: { type: 'string' },
    keep: { type: 'boolean', default: false },
    out: { type: 'string', default: 'histories' },
  },
});
if (values.plant !== undefined && !plants.includes(values.plant as Plant)) {
  console.error(`--plant is one of ${plants.join(', ')}`);
  process.exit(1);
}
installKafka();
const targets = (values.target === 'both' ? ['kafka', 'ottla'] : [values.target]) as TargetName[];
let isWell = true;
for (let seed = Number(values.seed); seed < Number(values.seed) + Number(values.runs); seed++) {
  for (const target of targets) await runAndTell(target, seed);
}
process.exit(isWell ? 0 : 1);

async function runAndTell(target: TargetName, seed: number): Promise<void> {
  console.log(`${target}, seed ${seed}`);
  const file = join(values.out, `${target}-${seed}`);
  mkdirSync(values.out, { recursive: true });
  const { history, verdict } = await runOnce({
    ...{ target, seed, seconds: Number(values.seconds), writers: Number(values.writers), partitions: Number(values.partitions) },
    protocols: values.protocols.split(',') as ('classic' | 'consumer')[],
    faults: values.faults.split(',').filter((name): name is Fault => nodeFaults.includes(name as Fault)),
    plant: values.plant as Plant | undefined,
    keepNodeIn: `${file}.node`,
    report: (line) => console.log(`  ${line}`),
  });
  console.log(`  ${summary(history)}`);
  for (const [name, count] of anomalyCounts(verdict.all)) {
    console.log(
      `  ${isAllowed(name) ? 'allowed  ' : 'FORBIDDEN'} ${String(count).padStart(6)} × ${name}: ${anomalies[name].means}`,
    );
  }
  const byName = Map.groupBy(verdict.forbidden, ({ name }) => name);
  for (const [name, found] of byName) for (const { what } of found.slice(0, 3)) console.log(`    ${name}: ${what}`);
  if (verdict.forbidden.length === 0) console.log('  nothing that Kafka’s model forbids');
  else isWell = false;
  if (verdict.forbidden.length === 0 && !values.keep) return;
  writeFileSync(`${file}.history.jsonl`, history.map((event) => `${JSON.stringify(event)}\n`).join(''));
  writeFileSync(`${file}.anomalies.jsonl`, verdict.forbidden.map((anomaly) => `${JSON.stringify(anomaly)}\n`).join(''));
  console.log(`  the history, what is wrong with it, and the node if so: ${file}.*`);
}
