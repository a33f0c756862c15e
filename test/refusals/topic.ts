import { AlterPartitionReassignments, CreateTopics, ElectLeaders, Metadata } from '@ottla/protocol';
import { type AskedNodes, until } from './asked-nodes.ts';

export type MovedTopic = {
  readonly name: string;
  readonly topicId: string;
  readonly leaderId: number;
  readonly leaderEpoch: number;
  readonly isr: readonly number[];
};

/** A topic of one partition whose leadership has moved, so that there are leader epochs that are past. */
export async function movedTopic(nodes: AskedNodes, name: string): Promise<MovedTopic> {
  const [first, second, third] = nodes.ids as [number, number, number];
  const assignments = [{ partitionIndex: 0, brokerIds: [second, first, third] }];
  const topic = { name, numPartitions: -1, replicationFactor: -1, assignments, configs: [{ name: 'retention.ms', value: '-1' }] };
  await until(nodes, `${name} is made`, async () => {
    const { topics } = await nodes.ask({ id: first }, CreateTopics, 7, { topics: [topic], timeoutMs: 30_000 });
    const topicAlreadyExists = 36;
    return [0, topicAlreadyExists].includes(topics[0]!.errorCode) ? true : undefined;
  });
  for (const [replicas, leader] of [
    [[first, second, third], first],
    [[second, first, third], second],
    [[first, second, third], first],
  ] as const) {
    const partitions = [{ partitionIndex: 0, replicas: [...replicas] }];
    await nodes.ask({ id: first }, AlterPartitionReassignments, 0, { topics: [{ name, partitions }], timeoutMs: 30_000 });
    await until(nodes, `${name} is led by ${leader}`, async () => {
      const topicPartitions = [{ topic: name, partitions: [0] }];
      await nodes.ask({ id: first }, ElectLeaders, 2, { electionType: 0, topicPartitions, timeoutMs: 30_000 });
      for (const id of nodes.ids) {
        const { leaderId, isr } = await describedTopic(nodes, id, name);
        if (leaderId !== leader || isr.length < 3) return undefined;
      }
      return true;
    });
  }
  return describedTopic(nodes, first, name);
}

/** As one node knows it. */
export async function describedTopic(nodes: AskedNodes, id: number, name: string): Promise<MovedTopic> {
  const { topics } = await nodes.ask({ id }, Metadata, 12, { topics: [{ name }], allowAutoTopicCreation: false });
  const { topicId, partitions } = topics[0]!;
  const { leaderId = -1, leaderEpoch = -1, isrNodes = [] } = partitions[0] ?? {};
  return { name, topicId, leaderId, leaderEpoch, isr: [...isrNodes].sort((one, other) => one - other) };
}
