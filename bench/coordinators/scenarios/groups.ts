import type { BenchNode } from '../../broker/bench-node.ts';
import { BenchTopic } from '../../broker/bench-topic.ts';
import { type Figures, type Goal, onWarmNodes, type Scenario } from '../../broker/scenario.ts';
import { setGroupConfig } from '../group-config.ts';
import type { GroupsResult } from '../load/classic-groups-load.ts';

const patienceMs = 400_000;
const goals: Readonly<Record<string, Goal>> = {
  'heartbeat broker CPU µs': { atMost: 1 },
  'all joined broker CPU s': { atMost: 1 },
  'all joined s': { atMost: 1 },
};

/** At the interval that clients have by themselves. */
function manyGroups(kind: 'classicGroups' | 'consumerGroups', name: string, groups: number, intervalMs: number): Scenario {
  let run = 0;
  return onWarmNodes({
    name: `${name} protocol: ${groups.toLocaleString('en')} groups of 10 members, heartbeats every ${intervalMs / 1000} s`,
    goals,
    length: 'long',
    async prepare(node) {
      const topicPartitions = 10;
      const topic = await BenchTopic.create(node, topicPartitions);
      const load = (groups: number, seconds: number): Promise<GroupsResult> =>
        node.load(
          kind,
          { prefix: `${kind}-${++run}`, groups, members: 10, topic: topic.name, topicPartitions, intervalMs, seconds },
          patienceMs,
        );
      await load(groups / 10, 1); // the code of a JVM is slow at first
      return {
        async measure() {
          const { join, beats } = await load(groups, 10);
          return {
            'all joined s': join.seconds,
            'all joined broker CPU s': join.brokerCpuSeconds,
            'heartbeat broker CPU µs': (beats.brokerCpuSeconds * 1e6) / beats.heartbeats,
            'heartbeats broker CPU s/minute': (beats.brokerCpuSeconds / beats.seconds) * 60,
            'heartbeat client CPU µs': (beats.clientCpuSeconds * 1e6) / beats.heartbeats,
            'heartbeat p50 ms': beats.p50Ms,
            'heartbeat p99 ms': beats.p99Ms,
          };
        },
        [Symbol.asyncDispose]: () => topic[Symbol.asyncDispose](),
      };
    },
  });
}

/** With heartbeats so often that most of the time is not spent waiting for the next one. */
const largeGroup: Scenario = onWarmNodes({
  name: 'consumer protocol: one group of 100 members, 200 partitions, heartbeats every 0.5 s',
  goals: {
    'stable after a join s': { atMost: 1 },
    'stable after a leave s': { atMost: 1 },
    'change broker CPU ms': { atMost: 1 },
  },
  length: 'long',
  async prepare(node) {
    const topicPartitions = 200;
    const topic = await BenchTopic.create(node, topicPartitions);
    return {
      measure: () => oneLargeGroup(node, topic, topicPartitions),
      [Symbol.asyncDispose]: () => topic[Symbol.asyncDispose](),
    };
  },
});

let largeGroups = 0;

async function oneLargeGroup(node: BenchNode, topic: BenchTopic, topicPartitions: number): Promise<Figures> {
  const groupId = `large-${++largeGroups}`;
  await setGroupConfig(node, groupId, 'consumer.heartbeat.interval.ms', '500');
  const load = { groupId, members: 100, topic: topic.name, topicPartitions, changes: 3 };
  const result = await node.load('largeGroup', load, patienceMs);
  return {
    'stable from nothing s': result.begin.seconds,
    'stable from nothing broker CPU s': result.begin.brokerCpuSeconds,
    'stable after a join s': result.joinSeconds,
    'stable after a leave s': result.leaveSeconds,
    'change broker CPU ms': result.brokerCpuSecondsPerChange * 1000,
  };
}

/** What a heartbeat costs depends little on how many groups there are, but they must all join first. */
export function groupScenarios({ isQuick }: { readonly isQuick: boolean }): readonly Scenario[] {
  const groups = isQuick ? 200 : 1000;
  return [
    manyGroups('classicGroups', 'classic', groups, 3000),
    manyGroups('consumerGroups', 'consumer', groups, 5000),
    largeGroup,
  ];
}
