import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KafkaError, type StreamsGroupHeartbeatRequest } from '@ottla/protocol';
import { checkTopology } from './streams-topology.ts';

type Topology = NonNullable<StreamsGroupHeartbeatRequest['topology']>;
type TopicConfig = Topology['subtopologies'][number]['stateChangelogTopics'][number]['topicConfigs'][number];

function topologyWith(parts: Partial<Topology['subtopologies'][number]>): Topology {
  const subtopology = {
    subtopologyId: '0',
    sourceTopics: ['t'],
    sourceTopicRegex: [],
    stateChangelogTopics: [],
    repartitionSinkTopics: [],
    repartitionSourceTopics: [],
    copartitionGroups: [],
    ...parts,
  };
  return { epoch: 0, subtopologies: [subtopology] };
}

function refusalOf(topology: Topology): string | undefined {
  try {
    checkTopology(topology, () => false);
    return undefined;
  } catch (error) {
    assert.ok(error instanceof KafkaError);
    return `${error.name}: ${error.message}`;
  }
}

function changelogWith(topicConfigs: TopicConfig[]): Topology {
  return topologyWith({ stateChangelogTopics: [{ name: 'c', partitions: 0, replicationFactor: 0, topicConfigs }] });
}

test('however many configs a topic comes with, looking for one that is there twice takes no time', () => {
  const configs = Array.from({ length: 100_000 }, (_, index) => ({ key: `k${index}`, value: '' }));
  assert.equal(refusalOf(changelogWith(configs)), undefined);
  assert.match(
    refusalOf(changelogWith([...configs, { key: 'k7', value: '' }]))!,
    /^STREAMS_INVALID_TOPOLOGY: .*k7 is there twice/,
  );
});

test('a topology that is too large to be laid over the topics is refused', () => {
  const sourceTopics = (count: number): string[] => Array.from({ length: count }, (_, index) => `t${index}`);
  assert.equal(refusalOf(topologyWith({ sourceTopics: sourceTopics(9_999) })), undefined);
  assert.match(refusalOf(topologyWith({ sourceTopics: sourceTopics(10_000) }))!, /^STREAMS_INVALID_TOPOLOGY: .*more than 10000/);
});
