/**
 * How many partitions the internal topics of a streams application are to have. A repartition topic has as many as its author says, or
 * else as many as the largest topic that is read by whoever writes it; topics of a copartition group agree, as they are joined
 * partition by partition; a changelog has one for each task.
 */
import { KafkaError } from '@ottla/protocol';
import { inHashMapOrder } from './hash-map-order.ts';
import type { StreamsTopology, Subtopology } from './streams-topology.ts';

/** The topics do not fit each other as they are. Whoever mends them helps the group: the members wait. */
export class IncorrectlyPartitioned extends Error {}

/** As far as the topic exists. */
export type CountOf = (topic: string) => number | undefined;

/**
 * The counts of internal topics, whether these exist or not. The source topics must exist.
 * Throws IncorrectlyPartitioned, and STREAMS_INVALID_TOPOLOGY for what no topics can mend.
 */
export function decidePartitionCounts(topology: StreamsTopology, existing: CountOf): ReadonlyMap<string, number> {
  const subtopologies = [...topology.subtopologies.values()];
  const decided = repartitionCounts(subtopologies, existing);
  const countOf: CountOf = (topic) => existing(topic) ?? decided.get(topic);
  enforceCopartitioning(subtopologies, decided, countOf);
  for (const subtopology of subtopologies) {
    if (subtopology.stateChangelogTopics.length === 0) continue;
    const taskCount = taskCountOf(subtopology, countOf);
    for (const { name } of subtopology.stateChangelogTopics) decided.set(name, taskCount);
  }
  return decided;
}

/** A task for each partition of the largest topic read. Throws STREAMS_INVALID_TOPOLOGY. */
export function taskCountOf(subtopology: Subtopology, countOf: CountOf): number {
  const { subtopologyId, sourceTopics, repartitionSourceTopics } = subtopology;
  const sources = [...sourceTopics, ...repartitionSourceTopics.map(({ name }) => name)];
  if (sources.length === 0) throw invalid(`No source topics found for subtopology ${subtopologyId}`);
  return Math.max(...sources.map((topic) => countOf(topic) ?? 0));
}

/** A repartition topic may feed a subtopology that writes another: the counts spread from the sources until all are known. */
function repartitionCounts(subtopologies: readonly Subtopology[], existing: CountOf): Map<string, number> {
  const decided = new Map<string, number>();
  const sources = subtopologies.flatMap(({ repartitionSourceTopics }) => repartitionSourceTopics);
  for (const { name, partitions } of sources) if (partitions !== 0) decided.set(name, partitions);
  for (let isWaiting = true; isWaiting; ) {
    isWaiting = false;
    let hasProgressed = false;
    for (const subtopology of subtopologies) {
      for (const sink of subtopology.repartitionSinkTopics) {
        if (decided.has(sink)) continue;
        const count = largestKnownInput(subtopology, decided, existing);
        if (count === undefined) isWaiting = true;
        else {
          decided.set(sink, count);
          hasProgressed = true;
        }
      }
    }
    if (isWaiting && !hasProgressed) {
      throw invalid(
        'Failed to compute number of partitions for all repartition topics. There may be loops in the topology that cannot be resolved.',
      );
    }
  }
  if (sources.some(({ name }) => !decided.has(name))) {
    throw invalid(
      'Failed to compute number of partitions for all repartition topics, because a repartition source topic is never used as a sink topic.',
    );
  }
  return decided;
}

function largestKnownInput(
  subtopology: Subtopology,
  decided: ReadonlyMap<string, number>,
  existing: CountOf,
): number | undefined {
  const { sourceTopics, repartitionSourceTopics } = subtopology;
  const counts = [...repartitionSourceTopics.map(({ name }) => decided.get(name)), ...sourceTopics.map(existing)];
  const known = counts.filter((count) => count !== undefined);
  return known.length === 0 ? undefined : Math.max(...known);
}

/** Throws IncorrectlyPartitioned. */
function enforceCopartitioning(subtopologies: readonly Subtopology[], decided: Map<string, number>, countOf: CountOf): void {
  const repartitioned = subtopologies.flatMap(({ repartitionSourceTopics }) => repartitionSourceTopics);
  const fixed = new Set(repartitioned.filter(({ partitions }) => partitions !== 0).map(({ name }) => name));
  const flexible = new Set(repartitioned.filter(({ partitions }) => partitions === 0).map(({ name }) => name));
  for (const { copartitionGroups, sourceTopics, repartitionSourceTopics } of subtopologies) {
    for (const group of copartitionGroups) {
      const topics = inHashMapOrder([
        ...group.sourceTopics.map((at) => sourceTopics[at]!),
        ...group.repartitionSourceTopics.map((at) => repartitionSourceTopics[at]!.name),
      ]);
      if (topics.length === 0) continue;
      const moving = topics.filter((topic) => fixed.has(topic) || flexible.has(topic));
      const standing = topics.filter((topic) => !fixed.has(topic) && !flexible.has(topic));
      const count = copartitionedCount(moving, standing, fixed, countOf);
      for (const topic of moving) {
        const own = countOf(topic)!;
        if (fixed.has(topic) && own !== count) {
          throw new IncorrectlyPartitioned(
            `Number of partitions [${own}] of repartition topic [${topic}] doesn't match number of partitions [${count}] of the source topic.`,
          );
        }
      }
      for (const topic of moving) decided.set(topic, count);
    }
  }
}

/** What the group agrees on: the sources, if there are some; else what is fixed, anywhere in the topology, as Kafka has it; else the most. */
function copartitionedCount(
  moving: readonly string[],
  standing: readonly string[],
  fixed: ReadonlySet<string>,
  countOf: CountOf,
): number {
  if (standing.length > 0) return equalCount(standing, standing, countOf);
  if (fixed.size > 0) return equalCount([...fixed], moving, countOf);
  return Math.max(...moving.map((topic) => countOf(topic)!));
}

function equalCount(topics: readonly string[], reported: readonly string[], countOf: CountOf): number {
  const count = countOf(topics[0]!)!;
  if (topics.some((topic) => countOf(topic) !== count)) {
    const counts = [...reported].sort().map((topic) => `${topic}=${countOf(topic)}`);
    throw new IncorrectlyPartitioned(`Following topics do not have the same number of partitions: [{${counts.join(', ')}}]`);
  }
  return count;
}

function invalid(message: string): KafkaError {
  return new KafkaError('STREAMS_INVALID_TOPOLOGY', message);
}
