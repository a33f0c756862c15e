/**
 * `npm run torture kill [-- --times 50 --producer ottla|librdkafka|java --seed 1 --rate 20000]`: kill -9 at random moments under
 * load, and what came of it. librdkafka needs kcat; java needs what `npm run interop` installs.
 */
import process from 'node:process';
import { endWith, readOptions, wholeNumber } from '../../scripts/command-line.ts';
import { isAsItShouldBe, tortureByKilling } from './kill-torture.ts';
import { type ProducerName, producers } from './load.ts';

const values = readOptions(
  {
    times: { type: 'string', default: '50' },
    producer: { type: 'string', default: 'ottla' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    rate: { type: 'string', default: '20000' },
  },
  `npm run torture kill -- [options]: a node that is killed under load, on one directory

  --times N         how often (50)
  --producer NAME   ${producers.join(', ')} (ottla)
  --seed SEED       of the moments at which it is killed (another one each time)
  --rate N          records a second (20000)`,
);
if (!producers.includes(values.producer as ProducerName)) endWith(`--producer is one of ${producers.join(', ')}`);
console.log(`seed ${values.seed}`);
const figures = await tortureByKilling({
  times: wholeNumber(values.times, 'times', 1),
  producer: values.producer as ProducerName,
  seed: wholeNumber(values.seed, 'seed'),
  partitions: 6,
  recordsPerSecond: wholeNumber(values.rate, 'rate', 1),
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
