import { setTimeout as sleep } from 'node:timers/promises';
import { BenchNode } from '../bench-node.ts';
import { memoryMiB } from '../process-usage.ts';
import type { Scenario } from '../scenario.ts';

/** On a formatted directory with nothing in it. What the first start fills (caches of code and of pages) is not counted. */
export const startScenarios: readonly Scenario[] = [
  {
    name: 'start cold, and idle memory',
    goals: { 'exec to first Metadata answer ms': { atMost: 0.1, ms: 200 }, 'idle memory MiB': { atMost: 0.25 } },
    length: 'short',
    async open(target) {
      const node = await BenchNode.start(target);
      return {
        async measure() {
          await node.stop();
          const startMs = await node.start();
          await sleep(settlingMs);
          return { 'exec to first Metadata answer ms': startMs, 'idle memory MiB': memoryMiB(node.pid).resident };
        },
        [Symbol.asyncDispose]: () => node[Symbol.asyncDispose](),
      };
    },
  },
];

/** Until a node has done what it puts off until after its start. */
const settlingMs = 2000;
