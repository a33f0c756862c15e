/**
 * A topology laid over the topics of the cluster: how many tasks each subtopology has, and which internal topics are to be created first.
 */
import { inHashMapOrder } from './hash-map-order.ts';
import { type CountOf, decidePartitionCounts, IncorrectlyPartitioned, taskCountOf } from './partition-counts.ts';
import type { StreamsTopology, TopicInfo } from './streams-topology.ts';

export type ConfiguredTopology = {
  readonly epoch: number;
  /** In order of their ids; null while the topics do not allow to say. */
  readonly subtopologies: ReadonlyMap<string, ConfiguredSubtopology> | null;
  readonly internalTopicsToCreate: readonly InternalTopic[];
  /** Why there are no tasks yet; null when there can be. */
  readonly problem: TopologyProblem | null;
};

export type ConfiguredSubtopology = {
  readonly subtopologyId: string;
  readonly taskCount: number;
  readonly sourceTopics: readonly string[];
  readonly repartitionSinkTopics: readonly string[];
  readonly repartitionSourceTopics: readonly InternalTopic[];
  readonly stateChangelogTopics: readonly InternalTopic[];
};

export type InternalTopic = {
  readonly name: string;
  readonly partitions: number;
  /** 0: the cluster's default. */
  readonly replicationFactor: number;
  readonly topicConfigs: readonly { readonly key: string; readonly value: string }[];
};

export type TopologyProblem = {
  readonly status: 'MISSING_SOURCE_TOPICS' | 'INCORRECTLY_PARTITIONED_TOPICS' | 'MISSING_INTERNAL_TOPICS';
  readonly detail: string;
};

const TOPICS_NAMED = 3;

/** `existing`: the number of partitions of a topic of the cluster. Throws STREAMS_INVALID_TOPOLOGY for what no topics can mend. */
export function configureTopology(topology: StreamsTopology, existing: CountOf): ConfiguredTopology {
  const { epoch } = topology;
  const withProblem = (problem: TopologyProblem): ConfiguredTopology => ({
    epoch,
    subtopologies: null,
    internalTopicsToCreate: [],
    problem,
  });
  const sources = [...topology.subtopologies.values()].flatMap(({ sourceTopics }) => sourceTopics);
  const missing = [...new Set(sources)].filter((topic) => existing(topic) === undefined).sort();
  if (missing.length > 0) {
    return withProblem({ status: 'MISSING_SOURCE_TOPICS', detail: `Source topics ${summary(missing)} are missing.` });
  }
  try {
    const decided = decidePartitionCounts(topology, existing);
    const subtopologies = configureSubtopologies(topology, (topic) => existing(topic) ?? decided.get(topic), decided);
    const internalTopicsToCreate = missingInternalTopics(topology, subtopologies, existing);
    const names = internalTopicsToCreate.map(({ name }) => name);
    const problem = {
      status: 'MISSING_INTERNAL_TOPICS',
      detail: `Internal topics are missing: ${summary(names)}`,
    } as const;
    return { epoch, subtopologies, internalTopicsToCreate, problem: names.length > 0 ? problem : null };
  } catch (error) {
    if (!(error instanceof IncorrectlyPartitioned)) throw error;
    return withProblem({ status: 'INCORRECTLY_PARTITIONED_TOPICS', detail: error.message });
  }
}

function configureSubtopologies(
  topology: StreamsTopology,
  countOf: CountOf,
  decided: ReadonlyMap<string, number>,
): Map<string, ConfiguredSubtopology> {
  const internalTopic = ({ name, partitions, replicationFactor, topicConfigs }: TopicInfo): InternalTopic => {
    const byKey = new Map(topicConfigs.map((config) => [config.key, config]));
    return {
      name,
      partitions: partitions === 0 ? decided.get(name)! : partitions,
      replicationFactor,
      topicConfigs: inHashMapOrder(byKey.keys()).map((key) => byKey.get(key)!),
    };
  };
  const configured = new Map<string, ConfiguredSubtopology>();
  for (const subtopologyId of [...topology.subtopologies.keys()].sort()) {
    const subtopology = topology.subtopologies.get(subtopologyId)!;
    configured.set(subtopologyId, {
      subtopologyId,
      taskCount: taskCountOf(subtopology, countOf),
      sourceTopics: subtopology.sourceTopics,
      repartitionSinkTopics: subtopology.repartitionSinkTopics,
      repartitionSourceTopics: subtopology.repartitionSourceTopics.map(internalTopic),
      stateChangelogTopics: subtopology.stateChangelogTopics.map(internalTopic),
    });
  }
  return configured;
}

/** In the order in which Kafka names them. Throws IncorrectlyPartitioned if one exists otherwise than it should. */
function missingInternalTopics(
  topology: StreamsTopology,
  subtopologies: ReadonlyMap<string, ConfiguredSubtopology>,
  existing: CountOf,
): InternalTopic[] {
  const expected = new Map<string, InternalTopic>();
  for (const { repartitionSourceTopics, stateChangelogTopics } of subtopologies.values()) {
    for (const topic of [...repartitionSourceTopics, ...stateChangelogTopics]) expected.set(topic.name, topic);
  }
  const grownTo = expected.size;
  for (const name of topology.requiredTopics) {
    const found = existing(name);
    const topic = expected.get(name);
    if (found === undefined || topic === undefined) continue;
    expected.delete(name);
    if (found === topic.partitions) continue;
    throw new IncorrectlyPartitioned(
      `Existing topic ${name} has different number of partitions: expected ${topic.partitions}, found ${found}`,
    );
  }
  return inHashMapOrder(expected.keys(), { grownTo }).map((name) => expected.get(name)!);
}

function summary(topics: readonly string[]): string {
  const more = topics.length - TOPICS_NAMED;
  return topics.slice(0, TOPICS_NAMED).join(', ') + (more > 0 ? ` and ${more} additional topics` : '');
}
