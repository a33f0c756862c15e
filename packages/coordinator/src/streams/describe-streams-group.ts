/** A streams group as StreamsGroupDescribe shows it. */
import type { StreamsGroupDescribeResponse, Writable } from '@ottla/protocol';
import type { ConfiguredTopology } from './configure-topology.ts';
import { type StreamsMember, tasksHeld } from './streams-member.ts';
import type { StreamsTopology } from './streams-topology.ts';
import { NO_TASKS, type TaskAssignment, taskIdsOf } from './tasks.ts';

type DescribedGroup = NonNullable<Writable<StreamsGroupDescribeResponse>['groups']>[number];
type DescribedMember = NonNullable<DescribedGroup['members']>[number];
type DescribedTopology = NonNullable<DescribedGroup['topology']>;
type DescribedTopic = NonNullable<NonNullable<DescribedTopology['subtopologies']>[number]['stateChangelogTopics']>[number];
type Assignment = NonNullable<DescribedMember['assignment']>;

/** With the partition counts of internal topics once these are there; until then as the application says, 0 for those left open. */
export function describeTopology(topology: StreamsTopology, configured: ConfiguredTopology | null): DescribedTopology {
  if (configured === null || configured.problem !== null || configured.subtopologies === null) {
    const subtopologies = [...topology.subtopologies.values()].sort((one, other) =>
      one.subtopologyId < other.subtopologyId ? -1 : 1,
    );
    return {
      epoch: topology.epoch,
      subtopologies: subtopologies.map((subtopology) => ({
        subtopologyId: subtopology.subtopologyId,
        sourceTopics: subtopology.sourceTopics.toSorted(),
        repartitionSinkTopics: subtopology.repartitionSinkTopics.toSorted(),
        stateChangelogTopics: byName(subtopology.stateChangelogTopics),
        repartitionSourceTopics: byName(subtopology.repartitionSourceTopics),
      })),
    };
  }
  return {
    epoch: configured.epoch,
    subtopologies: [...configured.subtopologies.values()].map((subtopology) => ({
      subtopologyId: subtopology.subtopologyId,
      sourceTopics: [...new Set(subtopology.sourceTopics)].sort(),
      repartitionSinkTopics: [...new Set(subtopology.repartitionSinkTopics)].sort(),
      stateChangelogTopics: byName(subtopology.stateChangelogTopics),
      repartitionSourceTopics: byName(subtopology.repartitionSourceTopics),
    })),
  };
}

export function describeMember(member: StreamsMember, target: TaskAssignment = NO_TASKS): DescribedMember {
  const { memberId, memberEpoch, instanceId, rackId, clientId, clientHost, topologyEpoch, processId, userEndpoint } = member;
  return {
    ...{ memberId, memberEpoch, instanceId, rackId, clientId, clientHost, topologyEpoch, processId, userEndpoint },
    clientTags: [...member.clientTags].map(([key, value]) => ({ key, value })),
    assignment: describeTasks(tasksHeld(member.assigned)),
    targetAssignment: describeTasks(target),
  };
}

function describeTasks({ active, standby, warmup }: TaskAssignment): Assignment {
  return { activeTasks: taskIdsOf(active), standbyTasks: taskIdsOf(standby), warmupTasks: taskIdsOf(warmup) };
}

function byName(topics: readonly DescribedTopic[]): DescribedTopic[] {
  return topics.toSorted((one, other) => (one.name! < other.name! ? -1 : 1));
}
