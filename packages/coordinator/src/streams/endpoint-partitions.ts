/** Which endpoint has which partitions: a member asks another for the state that it has not itself (interactive queries). */
import type { StreamsGroupHeartbeatResponse, Writable } from '@ottla/protocol';
import type { GroupTopics } from '../group-topics.ts';
import type { ConfiguredSubtopology } from './configure-topology.ts';
import { inHashMapOrder } from './hash-map-order.ts';
import { type StreamsMember, tasksHeld } from './streams-member.ts';
import type { Tasks } from './tasks.ts';

type EndpointPartitions = NonNullable<Writable<StreamsGroupHeartbeatResponse>['partitionsByUserEndpoint']>;
type TopicPartitions = NonNullable<EndpointPartitions[number]['activePartitions']>;

export function partitionsByUserEndpoint(
  members: readonly StreamsMember[],
  subtopologies: ReadonlyMap<string, ConfiguredSubtopology>,
  topics: GroupTopics,
): EndpointPartitions {
  return members.flatMap(({ userEndpoint, assigned }) => {
    if (userEndpoint === null) return [];
    const { active, standby } = tasksHeld(assigned);
    const activePartitions = partitionsOf(active, subtopologies, topics);
    return { userEndpoint, activePartitions, standbyPartitions: partitionsOf(standby, subtopologies, topics) };
  });
}

function partitionsOf(
  tasks: Tasks,
  subtopologies: ReadonlyMap<string, ConfiguredSubtopology>,
  topics: GroupTopics,
): TopicPartitions {
  return inHashMapOrder(tasks.keys()).flatMap((subtopologyId) => {
    const subtopology = subtopologies.get(subtopologyId);
    if (subtopology === undefined) return [];
    const sources = [...subtopology.sourceTopics, ...subtopology.repartitionSourceTopics.map(({ name }) => name)];
    const partitions = [...tasks.get(subtopologyId)!].sort((one, other) => one - other);
    return inHashMapOrder(sources).flatMap((topic) => {
      const found = topics.byName(topic);
      // A topic smaller than the largest of its subtopology has no partition for some tasks.
      return found === undefined ? [] : { topic, partitions: partitions.filter((at) => at < found.partitionCount) };
    });
  });
}
