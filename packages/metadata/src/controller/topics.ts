/** Creating and deleting topics, and adding partitions. */

import {
  type CreatePartitionsRequest,
  type CreatePartitionsResponse,
  type CreateTopicsRequest,
  type CreateTopicsResponse,
  type DeleteTopicsRequest,
  type DeleteTopicsResponse,
  errors,
  KafkaError,
  type MetadataRecord,
  type Uuid,
  ZERO_UUID,
} from '@ottla/protocol';
import { configResource } from '../image/configs-image.ts';
import type { TopicImage } from '../image/topics-image.ts';
import { partitionRecord, removeTopicRecord, topicRecord } from '../records.ts';
import type { DescribedConfig } from './config-schema.ts';
import { alteredConfigRecords, setConfigs } from './configs.ts';
import type { ControllerState } from './controller-state.ts';
import {
  assertWithinLimit,
  type Decision,
  type DecisionContext,
  type ItemError,
  itemError,
  randomUuid,
  success,
} from './decision.ts';
import { checkManualReplicas, newPartition, placedReplicas } from './placement.ts';
import { checkTopicName, collidingName, metadataTopic } from './topic-names.ts';

type TopicToCreate = CreateTopicsRequest['topics'][number];
type CreatedTopic = CreateTopicsResponse['topics'][number];

/** @throws POLICY_VIOLATION when the request makes too many records; all else is answered topic by topic. */
export function createTopics(
  state: ControllerState,
  request: CreateTopicsRequest,
  context: DecisionContext,
): Decision<CreateTopicsResponse> {
  const { defaultPartitions, maxRecordsPerOperation } = state.settings;
  const partitionsOf = ({ assignments, numPartitions }: TopicToCreate) =>
    assignments.length > 0 ? assignments.length : numPartitions === -1 ? defaultPartitions : Math.max(0, numPartitions);
  if (request.topics.reduce((sum, topic) => sum + partitionsOf(topic), 0) > maxRecordsPerOperation) throw tooManyPartitions();
  const records: MetadataRecord[] = [];
  const once = namedOnce(request.topics.map(({ name }) => name));
  const results: CreatedTopic[] = [];
  const describe = describer(state);
  for (const topic of request.topics) {
    if (!once.unique.has(topic.name) || topic.name === metadataTopic) continue;
    try {
      const { result, records: made } = createTopic(state, topic, describe, context);
      records.push(...made);
      assertWithinLimit(records, maxRecordsPerOperation);
      results.push(result);
    } catch (error) {
      if (error instanceof KafkaError && error.code === errors.POLICY_VIOLATION.code) throw error;
      results.push(failedTopic(topic.name, itemError(error)));
    }
  }
  for (const name of once.repeated) {
    results.push(failedTopic(name, { errorCode: errors.INVALID_REQUEST.code, errorMessage: 'Duplicate topic name.' }));
  }
  if (once.unique.has(metadataTopic)) {
    const errorMessage = `Creation of internal topic ${metadataTopic} is prohibited.`;
    results.push(failedTopic(metadataTopic, { errorCode: errors.INVALID_REQUEST.code, errorMessage }));
  }
  return { records: request.validateOnly ? [] : records, response: { throttleTimeMs: 0, topics: results } };
}

function createTopic(
  state: ControllerState,
  topic: TopicToCreate,
  describe: ReturnType<typeof describer>,
  context: DecisionContext,
): { result: CreatedTopic; records: MetadataRecord[] } {
  const { image } = state;
  const { name } = topic;
  checkTopicName(name);
  if (image.topics.byName(name)) throw new KafkaError('TOPIC_ALREADY_EXISTS', `Topic '${name}' already exists.`);
  const collider = collidingName(name, image.topics.namesLike(name));
  if (collider) throw new KafkaError('INVALID_TOPIC_EXCEPTION', `Topic '${name}' collides with existing topic: ${collider}`);
  const configRecords = newTopicConfigRecords(state, topic);
  const assignments = assignmentsOf(state, topic, context);

  const id = randomUuid(context.random);
  const { metadataVersion } = image.features;
  const records = [
    topicRecord(name, id),
    ...configRecords,
    ...assignments.map((partition, index) => partitionRecord(id, index, newPartition(state, partition), metadataVersion)),
  ];
  const set = new Map(topic.configs.flatMap(({ name, value }) => (value === null ? [] : [[name, value] as const])));
  const result: CreatedTopic = {
    name,
    topicId: id,
    ...success,
    topicConfigErrorCode: 0,
    numPartitions: assignments.length,
    replicationFactor: assignments[0]!.length,
    configs: describe(set).map(({ name, value, readOnly, source, isSensitive }) => ({
      name,
      // As it was asked for, spaces and all.
      value: isSensitive ? null : (set.get(name) ?? value),
      readOnly,
      configSource: source,
      isSensitive,
    })),
  };
  return { result, records };
}

/** The configs that a new topic will have. Most topics set none, and are all alike. */
function describer({
  image,
  schema,
  settings,
}: ControllerState): (set: ReadonlyMap<string, string>) => readonly DescribedConfig[] {
  const broker = image.configs.of(configResource.broker, String(settings.nodeId));
  const cluster = image.configs.of(configResource.broker, '');
  let plain: readonly DescribedConfig[] | undefined;
  return (set) => {
    if (set.size > 0) return schema.describeTopic({ topic: set, broker, cluster });
    return (plain ??= schema.describeTopic({ topic: set, broker, cluster }));
  };
}

function newTopicConfigRecords(state: ControllerState, { name, configs }: TopicToCreate): MetadataRecord[] {
  const wanted = new Map<string, string | null>();
  for (const config of configs) {
    if (config.value === null)
      throw new KafkaError('INVALID_CONFIG', `Null value not supported for topic configs: ${config.name}`);
    wanted.set(config.name, config.value);
  }
  if (wanted.size === 0) return [];
  return alteredConfigRecords(state, { type: configResource.topic, name, changes: setConfigs(wanted), isNew: true });
}

/** Replicas by partition, wished for or placed. */
function assignmentsOf(state: ControllerState, topic: TopicToCreate, { random }: DecisionContext): number[][] {
  const { defaultPartitions, defaultReplicationFactor } = state.settings;
  if (topic.assignments.length > 0) return manualAssignments(state, topic);
  if (topic.replicationFactor < -1 || topic.replicationFactor === 0) {
    throw new KafkaError(
      'INVALID_REPLICATION_FACTOR',
      'Replication factor must be larger than 0, or -1 to use the default value.',
    );
  }
  if (topic.numPartitions < -1 || topic.numPartitions === 0) {
    throw new KafkaError('INVALID_PARTITIONS', 'Number of partitions was set to an invalid non-positive value.');
  }
  const partitions = topic.numPartitions === -1 ? defaultPartitions : topic.numPartitions;
  const replicationFactor = topic.replicationFactor === -1 ? defaultReplicationFactor : topic.replicationFactor;
  return placedReplicas(state, { partitions, replicationFactor }, random);
}

function manualAssignments(state: ControllerState, topic: TopicToCreate): number[][] {
  const mustBeDefault = (field: string): never => {
    throw new KafkaError('INVALID_REQUEST', `A manual partition assignment was specified, but ${field} was not set to -1.`);
  };
  if (topic.replicationFactor !== -1) mustBeDefault('replication factor');
  if (topic.numPartitions !== -1) mustBeDefault('numPartitions');
  const byPartition = new Map<number, number[]>();
  let replicationFactor: number | undefined;
  for (const { partitionIndex, brokerIds } of topic.assignments) {
    if (byPartition.has(partitionIndex)) {
      throw new KafkaError(
        'INVALID_REPLICA_ASSIGNMENT',
        `Found multiple manual partition assignments for partition ${partitionIndex}`,
      );
    }
    checkManualReplicas(state, { index: partitionIndex, replicas: brokerIds, replicationFactor });
    replicationFactor = brokerIds.length;
    byPartition.set(partitionIndex, brokerIds);
  }
  return Array.from({ length: byPartition.size }, (_, index) => {
    const replicas = byPartition.get(index);
    if (replicas) return replicas;
    throw new KafkaError('INVALID_REPLICA_ASSIGNMENT', 'partitions should be a consecutive 0-based integer sequence');
  });
}

function tooManyPartitions(): KafkaError {
  return new KafkaError('POLICY_VIOLATION', 'Excessively large number of partitions per request.');
}

function failedTopic(name: string, error: ItemError): CreatedTopic {
  const nothing = { topicId: ZERO_UUID, topicConfigErrorCode: 0, numPartitions: -1, replicationFactor: -1, configs: [] };
  return { name, ...nothing, ...error };
}

/** Names one may act on, and names that came more than once. */
function namedOnce(names: readonly string[]): { unique: Set<string>; repeated: Set<string> } {
  const unique = new Set<string>();
  const repeated = new Set<string>();
  for (const name of names) {
    if (repeated.has(name)) continue;
    if (unique.delete(name)) repeated.add(name);
    else unique.add(name);
  }
  return { unique, repeated };
}

/** By name or, since v6, by id; a topic asked for twice is deleted by neither. */
export function deleteTopics(state: ControllerState, request: DeleteTopicsRequest): Decision<DeleteTopicsResponse> {
  const { topics } = state.image;
  const asked = [...request.topics, ...request.topicNames.map((name) => ({ name, topicId: ZERO_UUID }))];
  const found = asked.map(({ name, topicId }) => (name === null ? topics.byId(topicId) : topics.byName(name)));
  const times = new Map<string, TopicToDelete[]>();
  asked.forEach((ask, at) => {
    const key = deletionKey(ask, found[at]);
    const same = times.get(key);
    if (same) same.push(ask);
    else times.set(key, [ask]);
  });
  const records: MetadataRecord[] = [];
  const responses: DeleteTopicsResponse['responses'] = [];
  asked.forEach((ask, at) => {
    const topic = found[at];
    const same = times.get(deletionKey(ask, topic))!;
    if (same.length > 1) {
      if (same[0] === ask) responses.push(repeatedTopic(ask, same, topic));
    } else if (ask.name === null && ask.topicId === ZERO_UUID) {
      const errorMessage = 'Neither topic name nor id were specified.';
      responses.push({ ...answerFor(ask, undefined), errorCode: errors.INVALID_REQUEST.code, errorMessage });
    } else if (ask.name !== null && ask.topicId !== ZERO_UUID) {
      const errorMessage = 'You may not specify both topic name and topic id.';
      responses.push({ ...answerFor(ask, topic), errorCode: errors.INVALID_REQUEST.code, errorMessage });
    } else if (!topic) {
      const error = ask.name === null ? errors.UNKNOWN_TOPIC_ID : errors.UNKNOWN_TOPIC_OR_PARTITION;
      const errorMessage =
        ask.name === null ? 'This server does not host this topic ID.' : 'This server does not host this topic-partition.';
      responses.push({ ...answerFor(ask, undefined), errorCode: error.code, errorMessage });
    } else {
      records.push(removeTopicRecord(topic.id));
      responses.push({ ...answerFor(ask, topic), ...success });
    }
  });
  assertWithinLimit(records, state.settings.maxRecordsPerOperation);
  return { records, response: { throttleTimeMs: 0, responses } };
}

type TopicToDelete = { name: string | null; topicId: Uuid };

/** Equal for what means the same: a topic by its name and by its id, or the same words for none. */
const deletionKey = ({ name, topicId }: TopicToDelete, topic: TopicImage | undefined): string =>
  topic ? `found ${topic.id}` : `${topicId} ${name === null ? 'id' : `name ${name}`}`;

const answerFor = (ask: TopicToDelete, topic: TopicImage | undefined) => ({
  name: topic?.name ?? ask.name,
  topicId: topic?.id ?? ask.topicId,
});

function repeatedTopic(
  ask: TopicToDelete,
  same: readonly TopicToDelete[],
  topic: TopicImage | undefined,
): DeleteTopicsResponse['responses'][number] {
  const errorCode = errors.INVALID_REQUEST.code;
  if (same.some(({ name }) => name !== ask.name)) {
    const errorMessage = 'The provided topic name maps to an ID that was already supplied.';
    return { ...answerFor(ask, topic), errorCode, errorMessage };
  }
  const errorMessage = ask.name === null ? 'Duplicate topic id.' : 'Duplicate topic name.';
  return { ...answerFor(ask, undefined), errorCode, errorMessage };
}

type TopicToGrow = CreatePartitionsRequest['topics'][number];

/** @throws POLICY_VIOLATION when the request makes too many records */
export function createPartitions(
  state: ControllerState,
  request: CreatePartitionsRequest,
  context: DecisionContext,
): Decision<CreatePartitionsResponse> {
  const records: MetadataRecord[] = [];
  const { unique, repeated } = namedOnce(request.topics.map(({ name }) => name));
  const results: CreatePartitionsResponse['results'] = [];
  for (const name of repeated) {
    results.push({ name, errorCode: errors.INVALID_REQUEST.code, errorMessage: 'Duplicate topic name.' });
  }
  for (const topic of request.topics) {
    if (!unique.has(topic.name)) continue;
    try {
      records.push(...newPartitionRecords(state, topic, context));
      results.push({ name: topic.name, ...success });
    } catch (error) {
      if (error instanceof KafkaError && error.code === errors.POLICY_VIOLATION.code) throw error;
      const failure = itemError(error);
      const isUnknown = failure.errorCode === errors.UNKNOWN_TOPIC_OR_PARTITION.code;
      results.push({ name: topic.name, ...failure, ...(isUnknown ? { errorMessage: null } : {}) });
    }
    assertWithinLimit(records, state.settings.maxRecordsPerOperation);
  }
  return { records: request.validateOnly ? [] : records, response: { throttleTimeMs: 0, results } };
}

function newPartitionRecords(
  state: ControllerState,
  { name, count, assignments }: TopicToGrow,
  { random }: DecisionContext,
): MetadataRecord[] {
  const topic = state.image.topics.byName(name);
  if (!topic) throw new KafkaError('UNKNOWN_TOPIC_OR_PARTITION');
  const existing = topic.partitionCount;
  const refuse = (text: string): never => {
    throw new KafkaError('INVALID_PARTITIONS', text);
  };
  if (count === existing) refuse(`Topic already has ${existing} partition(s).`);
  if (count < existing) refuse(`The topic ${name} currently has ${existing} partition(s); ${count} would not be an increase.`);
  const additional = count - existing;
  if (assignments && assignments.length !== additional) {
    throw new KafkaError(
      'INVALID_REPLICA_ASSIGNMENT',
      `Attempted to add ${additional} additional partition(s), but only ${assignments.length} assignment(s) were specified.`,
    );
  }
  if (additional > state.settings.maxRecordsPerOperation) throw tooManyPartitions();
  const replicationFactor = topic.partition(0)!.replicas.length;
  const placed = assignments
    ? assignments.map(({ brokerIds }, at) => {
        checkManualReplicas(state, { index: existing + at, replicas: brokerIds, replicationFactor });
        return brokerIds;
      })
    : placedReplicas(state, { partitions: additional, replicationFactor }, random);
  const { metadataVersion } = state.image.features;
  return placed.map((replicas, at) => partitionRecord(topic.id, existing + at, newPartition(state, replicas), metadataVersion));
}
