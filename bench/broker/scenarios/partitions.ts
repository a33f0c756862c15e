import assert from 'node:assert';
import { BenchNode } from '../bench-node.ts';
import { createManyTopics, untilEveryLeaderServes, writeToEach } from '../many-partitions.ts';
import { cpuSeconds, memoryMiB, openFiles } from '../process-usage.ts';
import type { Scenario } from '../scenario.ts';

const createTopics: Scenario = {
  name: 'partitions: 1,000 topics created in one request',
  goals: { 'until every leader serves s': { atMost: 0.3 } },
  length: 'long',
  open: async (target) => ({
    async measure() {
      await using node = await BenchNode.start(target);
      const few = await createManyTopics(node, { prefix: 'warm', topics: 20, partitions: 1 });
      await untilEveryLeaderServes(node, few);
      const cpuBefore = cpuSeconds(node.pid);
      const beganMs = performance.now();
      const topics = await createManyTopics(node, { prefix: 'many', topics: 1000, partitions: 1 });
      const answeredMs = performance.now();
      await untilEveryLeaderServes(node, topics);
      return {
        'until answered s': (answeredMs - beganMs) / 1000,
        'until every leader serves s': (performance.now() - beganMs) / 1000,
        'broker CPU s': cpuSeconds(node.pid) - cpuBefore,
      };
    },
    [Symbol.asyncDispose]: async () => {},
  }),
};

const topics = 10;

/** Each partition has records, and some newer than the last clean stop when the node is killed. */
function restart(partitions: number, only?: Pick<Scenario, 'isExtra' | 'targets'>): Scenario {
  return {
    name: `partitions: restart with ${partitions.toLocaleString('en')}`,
    goals: { 'start after a clean stop s': { atMost: 0.2 }, 'start after SIGKILL s': { atMost: 0.2 } },
    length: 'long',
    ...only,
    async open(target) {
      const node = await BenchNode.start(target);
      const beganMs = performance.now();
      const made = await createManyTopics(node, { prefix: 'many', topics, partitions: partitions / topics });
      await untilEveryLeaderServes(node, made);
      const createdS = (performance.now() - beganMs) / 1000;
      let written = await writeToEach(node, made, 3);
      const startAgain = async (): Promise<{ seconds: number; cpu: number }> => {
        const beganMs = performance.now();
        await node.start();
        assert.equal(await untilEveryLeaderServes(node, made), written, 'records there after the restart');
        return { seconds: (performance.now() - beganMs) / 1000, cpu: cpuSeconds(node.pid) };
      };
      return {
        async measure() {
          await node.stop();
          const clean = await startAgain();
          const memory = memoryMiB(node.pid).resident;
          const files = openFiles(node.pid);
          written += await writeToEach(node, made, 2);
          await node.kill();
          const killed = await startAgain();
          return {
            'created s': createdS,
            'start after a clean stop s': clean.seconds,
            'start after a clean stop CPU s': clean.cpu,
            'start after SIGKILL s': killed.seconds,
            'start after SIGKILL CPU s': killed.cpu,
            'memory after a clean stop MiB': memory,
            'open files after a clean stop': files,
          };
        },
        [Symbol.asyncDispose]: () => node[Symbol.asyncDispose](),
      };
    },
  };
}

export const partitionScenarios: readonly Scenario[] = [
  createTopics,
  restart(1000),
  restart(2000),
  restart(10_000, { isExtra: true, targets: ['ottla'] }),
];
