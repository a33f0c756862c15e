/**
 * `npm run torture kill [-- --times 50 --producer ottla|librdkafka|java --seed 1 --rate 20000]`: kill -9 at random moments under
 * load, and what came of it. librdkafka needs kcat; java needs what `npm run interop` installs.
 */
import process from 'node:process';
import { parseArgs } from 'node:util';
import { isAsItShouldBe, tortureByKilling } from './kill-torture.ts';
import { type ProducerName, producers } from './load.ts';

const { values } = parseArgs({
  options: {
    times: { type: 'string', default: '50' },
    producer: { type: 'string', default: 'ottla' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    rate: { type: 'string', default: '20000' },
  },
});
if (!producers.includes(values.producer as ProducerName)) {
  console.error(`--producer is one of ${producers.join(', ')}`);
  process.exit(1);
}
console.log(`seed ${values.seed}`);
const figures = await tortureByKilling({
  times: Number(values.times),
  producer: values.producer as ProducerName,
  seed: Number(values.seed),
  partitions: 6,
  recordsPerSecond: Number(values.rate),
  valueBytes: 200,
  lifeMs: [200, 2500],
  report: (line) => console.log(line),
});
const { startsMs, failures, ...counts } = figures;
console.table(counts);
const of = (part: number) => Math.round(startsMs[Math.floor((startsMs.length - 1) * part)]!);
console.log(`starts: median ${of(0.5)} ms, p90 ${of(0.9)} ms, longest ${of(1)} ms`);
for (const failure of failures.slice(0, 5)) console.log(failure);
const isWell = isAsItShouldBe(counts) && failures.length === 0;
console.log(isWell ? 'nothing lost, nothing twice, nothing out of order' : 'NOT as it should be');
process.exit(isWell ? 0 : 1);
