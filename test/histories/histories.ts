/**
 * `npm run histories [-- --target ottla|kafka|both --seed N --seconds S --runs N]`: random transactions, what their clients saw, and
 * whether Kafka's model allows it. README.md tells the rest.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { anomalies, anomalyCounts, isAllowed } from '@ottla/testing';
import { endWith, readOptions, wholeNumber } from '../../scripts/command-line.ts';
import { installKafka } from '../interop/kafka/kafka.ts';
import type { TargetName } from '../interop/targets/node.ts';
import { type Fault, nodeFaults } from './faults.ts';
import { runOnce, summary } from './run.ts';
import { type Plant, plants } from './workload.ts';

const values = readOptions(
  {
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
  `npm run histories -- [options]: random transactions under faults, and whether Kafka’s model allows what their clients saw

  --target NAME     ottla, kafka or both (both)
  --seed SEED       of what clients and faults decide (another one each time)
  --runs N          seeds one after the other (1)
  --seconds S       how long each takes (30)
  --writers N       (3)
  --partitions N    (3)
  --protocols A,B   what the groups speak: classic, consumer (both)
  --faults A,B      of ${nodeFaults.join(', ')}, or none (all)
  --plant NAME      clients with a bug, which must be found: ${plants.join(', ')}
  --keep            leaves the history also when nothing is wrong
  --out DIRECTORY   where (histories)`,
);
if (values.plant !== undefined && !plants.includes(values.plant as Plant)) endWith(`--plant is one of ${plants.join(', ')}`);
const oneOf = (name: 'target' | 'protocols' | 'faults', known: readonly string[]): string[] => {
  const chosen = values[name].split(',');
  const unknown = chosen.find((one) => !known.includes(one));
  if (unknown !== undefined) endWith(`--${name} knows ${known.join(', ')}, not ${JSON.stringify(unknown)}`);
  return chosen;
};
const [target] = oneOf('target', ['ottla', 'kafka', 'both']);
const protocols = oneOf('protocols', ['classic', 'consumer']) as ('classic' | 'consumer')[];
const faults = oneOf('faults', [...nodeFaults, 'none']).filter((name): name is Fault => name !== 'none');
const first = wholeNumber(values.seed, 'seed');
const runs = wholeNumber(values.runs, 'runs', 1);
const size = {
  seconds: wholeNumber(values.seconds, 'seconds', 1),
  writers: wholeNumber(values.writers, 'writers', 1),
  partitions: wholeNumber(values.partitions, 'partitions', 1),
};
await installKafka();
const targets = (target === 'both' ? ['kafka', 'ottla'] : [target]) as TargetName[];
let isWell = true;
for (let seed = first; seed < first + runs; seed++) {
  for (const target of targets) await runAndTell(target, seed);
}
process.exit(isWell ? 0 : 1);

async function runAndTell(target: TargetName, seed: number): Promise<void> {
  console.log(`${target}, seed ${seed}`);
  const file = join(values.out, `${target}-${seed}`);
  mkdirSync(values.out, { recursive: true });
  const { history, verdict } = await runOnce({
    ...{ target, seed, ...size, protocols, faults },
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
