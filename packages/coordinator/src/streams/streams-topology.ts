/**
 * The topology of a Kafka Streams application, as its members tell it (KIP-1071): subtopologies, what each reads and writes, and the
 * internal topics it needs. It says nothing of the cluster: see configure-topology.ts.
 */

import { isValidTopicName } from '@ottla/metadata';
import { KafkaError, type StreamsGroupHeartbeatRequest } from '@ottla/protocol';
import type { GroupRecordOf } from '../group-record.ts';
import { inHashMapOrder } from './hash-map-order.ts';

export type StreamsTopologyValue = NonNullable<GroupRecordOf<'StreamsGroupTopology'>['value']>;
export type Subtopology = StreamsTopologyValue['subtopologies'][number];
export type TopicInfo = Subtopology['stateChangelogTopics'][number];
/** Of subtopologies, their topics and copartition groups together. */
const MAX_PARTS = 10_000;

type TopologyOfRequest = NonNullable<StreamsGroupHeartbeatRequest['topology']>;

export class StreamsTopology {
  readonly epoch: number;
  /** By id, in the order in which Kafka looks at them: how many partitions a topic gets may hang on it. */
  readonly subtopologies: ReadonlyMap<string, Subtopology>;
  /** All topics that must exist, in Kafka's order. */
  readonly requiredTopics: readonly string[];
  /** What is read, external or repartitioned, and by which subtopology. */
  readonly #readers = new Map<string, string>();

  constructor({ epoch, subtopologies }: StreamsTopologyValue) {
    const byId = new Map(subtopologies.map((subtopology) => [subtopology.subtopologyId, subtopology]));
    this.epoch = epoch;
    this.subtopologies = new Map(inHashMapOrder(byId.keys()).map((id) => [id, byId.get(id)!]));
    const required: string[] = [];
    for (const { subtopologyId, sourceTopics, repartitionSourceTopics, stateChangelogTopics } of this.subtopologies.values()) {
      const sources = [...sourceTopics, ...repartitionSourceTopics.map(({ name }) => name)];
      for (const topic of sources) this.#readers.set(topic, subtopologyId);
      required.push(...sources, ...stateChangelogTopics.map(({ name }) => name));
    }
    this.requiredTopics = inHashMapOrder(required);
  }

  /** The subtopology that reads the topic. */
  readerOf(topic: string): string | undefined {
    return this.#readers.get(topic);
  }

  equals(other: StreamsTopology): boolean {
    const { epoch, subtopologies } = other;
    if (this === other) return true;
    if (this.epoch !== epoch || this.subtopologies.size !== subtopologies.size) return false;
    return [...this.subtopologies].every(([id, one]) => {
      const its = subtopologies.get(id);
      return its !== undefined && canonical(one) === canonical(its);
    });
  }
}

/** What the log keeps of a member's topology. Throws STREAMS_INVALID_TOPOLOGY, INVALID_REQUEST. */
export function topologyValueOf({ epoch, subtopologies }: TopologyOfRequest): StreamsTopologyValue {
  if (epoch < 0) throw new KafkaError('INVALID_REQUEST', `the topology's epoch is ${epoch}: it must not be negative`);
  return {
    epoch,
    subtopologies: subtopologies.map((subtopology) => ({
      subtopologyId: subtopology.subtopologyId,
      sourceTopics: subtopology.sourceTopics,
      sourceTopicRegex: subtopology.sourceTopicRegex,
      stateChangelogTopics: subtopology.stateChangelogTopics.map(topicInfo),
      repartitionSinkTopics: subtopology.repartitionSinkTopics,
      repartitionSourceTopics: subtopology.repartitionSourceTopics.map(topicInfo),
      copartitionGroups: subtopology.copartitionGroups.map(({ sourceTopics, sourceTopicRegex, repartitionSourceTopics }) => ({
        sourceTopics,
        sourceTopicRegex,
        repartitionSourceTopics,
      })),
    })),
  };
}

/**
 * Throws STREAMS_INVALID_TOPOLOGY for what is wrong whatever the cluster looks like. Kafka finds the latter half of it while it
 * configures the topology, and answers UNKNOWN_SERVER_ERROR.
 */
export function checkTopology({ subtopologies }: TopologyOfRequest, isInternalTopic: (topic: string) => boolean): void {
  checkSize(subtopologies);
  const topics = subtopologies.flatMap(
    ({ sourceTopics, repartitionSinkTopics, repartitionSourceTopics, stateChangelogTopics }) => [
      ...sourceTopics,
      ...repartitionSinkTopics,
      ...[...repartitionSourceTopics, ...stateChangelogTopics].map(({ name }) => name),
    ],
  );
  const distinct = [...new Set(topics)];
  const internal = distinct.filter(isInternalTopic);
  if (internal.length > 0) {
    throw invalid(`Use of Kafka internal topics ${internal.join(',')} in a Kafka Streams topology is prohibited.`);
  }
  const illegal = distinct.filter((topic) => !isValidTopicName(topic));
  if (illegal.length > 0) throw invalid(`Topic names ${illegal.join(',')} are not valid topic names.`);
  checkDistinct(
    subtopologies.map(({ subtopologyId }) => subtopologyId),
    'subtopologies',
  );
  for (const subtopology of subtopologies) checkSubtopology(subtopology);
}

/** A changelog follows what its subtopology reads: its partitions are the coordinator's to decide. Throws STREAMS_INVALID_TOPOLOGY. */
export function checkChangelogs({ subtopologies }: TopologyOfRequest): void {
  for (const { name, partitions } of subtopologies.flatMap(({ stateChangelogTopics }) => stateChangelogTopics)) {
    if (partitions !== 0) {
      throw invalid(`Changelog topic ${name} must have an undefined partition count, but it is set to ${partitions}.`);
    }
  }
}

/** Laying a topology over the topics takes time that grows faster than the topology. Real ones have tens of topics. */
function checkSize(subtopologies: TopologyOfRequest['subtopologies']): void {
  let parts = subtopologies.length;
  for (const subtopology of subtopologies) {
    const { sourceTopics, repartitionSinkTopics, repartitionSourceTopics, stateChangelogTopics, copartitionGroups } = subtopology;
    for (const { length } of [sourceTopics, repartitionSinkTopics, repartitionSourceTopics, stateChangelogTopics])
      parts += length;
    parts += copartitionGroups.length;
  }
  if (parts > MAX_PARTS)
    throw invalid(`the topology has ${parts} subtopologies, topics and copartition groups, more than ${MAX_PARTS}`);
}

function checkSubtopology(subtopology: TopologyOfRequest['subtopologies'][number]): void {
  const { subtopologyId, sourceTopics, repartitionSourceTopics, stateChangelogTopics, copartitionGroups } = subtopology;
  for (const topics of [repartitionSourceTopics, stateChangelogTopics]) {
    checkDistinct(
      topics.map(({ name }) => name),
      `topics of subtopology ${subtopologyId}`,
    );
    for (const { name, partitions, topicConfigs } of topics) {
      if (partitions < 0) throw invalid(`topic ${name} is to have ${partitions} partitions`);
      checkDistinct(
        topicConfigs.map(({ key }) => key),
        `configs of topic ${name}`,
      );
    }
  }
  for (const group of copartitionGroups) {
    const isKnown =
      group.sourceTopics.every((at) => sourceTopics[at] !== undefined) &&
      group.repartitionSourceTopics.every((at) => repartitionSourceTopics[at] !== undefined);
    if (!isKnown) throw invalid(`a copartition group of subtopology ${subtopologyId} names a topic that the subtopology has not`);
  }
}

function checkDistinct(names: readonly string[], what: string): void {
  const seen = new Set<string>();
  for (const name of names) {
    if (seen.has(name)) throw invalid(`among the ${what}, ${name} is there twice`);
    seen.add(name);
  }
}

function topicInfo({ name, partitions, replicationFactor, topicConfigs }: TopicInfo): TopicInfo {
  return { name, partitions, replicationFactor, topicConfigs: topicConfigs.map(({ key, value }) => ({ key, value })) };
}

function canonical(subtopology: Subtopology): string {
  const { sourceTopics, sourceTopicRegex, repartitionSinkTopics, repartitionSourceTopics, stateChangelogTopics } = subtopology;
  const infos = (topics: readonly TopicInfo[]): unknown =>
    topics.map(({ name, partitions, replicationFactor, topicConfigs }) => [
      name,
      partitions,
      replicationFactor,
      topicConfigs.map(({ key, value }) => [key, value]),
    ]);
  return JSON.stringify([
    sourceTopics,
    sourceTopicRegex,
    repartitionSinkTopics,
    infos(repartitionSourceTopics),
    infos(stateChangelogTopics),
    subtopology.copartitionGroups.map((group) => [group.sourceTopics, group.sourceTopicRegex, group.repartitionSourceTopics]),
  ]);
}

function invalid(message: string): KafkaError {
  return new KafkaError('STREAMS_INVALID_TOPOLOGY', message);
}
