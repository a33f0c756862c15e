/**
 * `node test/cluster/mixed.ts STORY HOST GUEST [PROGRAMS RECORDS_PER_SECOND]`: one of the stories of mixed clusters, aloud. HOST and GUEST
 * are `kafka` or `ottla`.
 */
import process from 'node:process';
import type { TargetName } from '../interop/targets/node.ts';
import type { LoadProgram } from './load/load-settings.ts';
import { brokerJoinsAndLeaves, controllerJoinsLeadsAndLeaves, movesInPlace } from './mixed-stories.ts';

const stories = { broker: brokerJoinsAndLeaves, controller: controllerJoinsLeadsAndLeaves, 'in-place': movesInPlace };

const [name = '', host = 'kafka', guest = 'ottla', programs = 'ottla,java,librdkafka', rate = '1000'] = process.argv.slice(2);
if (!(name in stories)) {
  console.error(`a story is one of ${Object.keys(stories).join(', ')}`);
  process.exit(1);
}
const beganMs = performance.now();
await stories[name as keyof typeof stories]({
  ...{ host: host as TargetName, guest: guest as TargetName, seed: 1 },
  ...{ programs: programs.split(',') as LoadProgram[], recordsPerSecond: Number(rate) },
  report: (line) => console.log(`${((performance.now() - beganMs) / 1000).toFixed(0)} s: ${line}`),
});
process.exit(0);
