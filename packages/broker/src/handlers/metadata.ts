import { isValidTopicName } from '@ottla/metadata';
import {
  errorCodeOf,
  errors,
  KafkaError,
  Metadata,
  type MetadataRequest,
  type MetadataResponse,
  type Writable,
  ZERO_UUID,
} from '@ottla/protocol';
import { clusterOperations, OPERATIONS_NOT_ASKED, topicOperations } from '../authorized-operations.ts';
import { isInternalTopic } from '../internal-topics.ts';
import { type Failure, handler, type RequestContext } from './handler.ts';

const FIRST_VERSION_BY_ID = 12;

type Topic = NonNullable<Writable<MetadataResponse>['topics']>[number];

/**
 * Metadata: the brokers, and where the partitions of the topics asked for are led.
 * v0 an empty list asks for all topics; v1 null does, and empty asks for none
 * v4 allowAutoTopicCreation (KIP-204); v8 authorized operations (KIP-430)
 * v10 topic ids, v12 asking by id (KIP-516); v13 top-level errorCode for rebootstrapping (KIP-1102)
 */
export const metadata = handler(
  Metadata,
  async (request, context): Promise<Writable<MetadataResponse>> => {
    const { broker, connection, apiVersion } = context;
    const topics = await askedTopics(request, context);
    return {
      brokers: broker.metadata
        .brokers(connection.listenerName, { fenced: false })
        .map(({ nodeId, host, port, rack }) => ({ nodeId, host, port, rack })),
      clusterId: broker.clusterId,
      controllerId: broker.metadata.controllerIdForClients(),
      topics,
      clusterAuthorizedOperations:
        apiVersion >= 8 && request.includeClusterAuthorizedOperations ? clusterOperations : OPERATIONS_NOT_ASKED,
    };
  },
  refused,
);

async function askedTopics(request: MetadataRequest, context: RequestContext): Promise<Topic[]> {
  const { broker, apiVersion } = context;
  const wantsAll = request.topics === null || (apiVersion === 0 && request.topics.length === 0);
  if (wantsAll) return [...broker.metadata.topicNames()].map((name) => describe(name, request, context));
  const byId = new Set(request.topics!.flatMap(({ topicId }) => (topicId === ZERO_UUID ? [] : [topicId])));
  if (apiVersion < FIRST_VERSION_BY_ID && (byId.size > 0 || request.topics!.some(({ name }) => name === null)))
    throw new KafkaError('INVALID_REQUEST', `version ${apiVersion} asks for topics by name`);
  if (byId.size === 0 && request.topics!.some(({ name }) => name === null))
    throw new KafkaError('INVALID_REQUEST', 'a topic is asked for by name or by id');
  // Where some are asked for by id, names count for nothing.
  if (byId.size > 0) {
    return [...byId].map((topicId) => {
      const name = broker.metadata.topicName(topicId);
      return name === undefined ? failed(null, topicId, 'UNKNOWN_TOPIC_ID') : describe(name, request, context);
    });
  }
  const names = [...new Set(request.topics!.map(({ name }) => name))];
  const existing = names.filter((name) => name !== null && broker.metadata.hasTopic(name));
  const absent = names.filter((name) => name !== null && !broker.metadata.hasTopic(name));
  const mayCreate = broker.config.get('auto.create.topics.enable') && (apiVersion < 4 || request.allowAutoTopicCreation);
  const created = await Promise.all(
    absent.map((name) => (mayCreate ? createOrFail(name!, request, context) : missing(name!, request, context))),
  );
  return [...created, ...existing.map((name) => describe(name!, request, context))];
}

/** Where too many are being created already the topic is not there yet: the client will ask again. */
async function createOrFail(name: string, request: MetadataRequest, context: RequestContext): Promise<Topic> {
  const { broker } = context;
  if (!isValidTopicName(name) || broker.topicCreation.isBusy) return missing(name, request, context);
  try {
    await broker.topicCreation.ensure(name);
    return describe(name, request, context);
  } catch (error) {
    broker.runtime.logger.warn('automatic topic creation failed', { topic: name, error });
    return { ...failed(name, ZERO_UUID, 'UNKNOWN_TOPIC_OR_PARTITION'), errorCode: errorCodeOf(error) };
  }
}

/** What one may do with a topic is known without it. */
function missing(name: string, request: MetadataRequest, { apiVersion }: RequestContext): Topic {
  if (!isValidTopicName(name)) return failed(name, ZERO_UUID, 'INVALID_TOPIC_EXCEPTION');
  const operations = apiVersion >= 8 && request.includeTopicAuthorizedOperations ? topicOperations : OPERATIONS_NOT_ASKED;
  return { ...failed(name, ZERO_UUID, 'UNKNOWN_TOPIC_OR_PARTITION'), topicAuthorizedOperations: operations };
}

function describe(name: string, request: MetadataRequest, { broker, apiVersion, connection }: RequestContext): Topic {
  const topic = broker.metadata.describeTopic(name, connection.listenerName);
  if (!topic) return failed(name, ZERO_UUID, 'UNKNOWN_TOPIC_OR_PARTITION');
  return {
    errorCode: 0,
    name,
    topicId: topic.topicId,
    isInternal: isInternalTopic(name),
    partitions: topic.partitions.map((partition) => ({
      errorCode: partition.errorCode,
      partitionIndex: partition.index,
      leaderId: partition.leader,
      leaderEpoch: partition.leaderEpoch,
      replicaNodes: partition.replicas,
      isrNodes: partition.isr,
      offlineReplicas: partition.offlineReplicas,
    })),
    topicAuthorizedOperations:
      apiVersion >= 8 && request.includeTopicAuthorizedOperations ? topicOperations : OPERATIONS_NOT_ASKED,
  };
}

/** The answer to a request that makes no sense as a whole: nothing but the error, topic by topic. */
function refused(failure: Failure, { topics }: MetadataRequest): Writable<MetadataResponse> {
  return {
    controllerId: -1,
    topics: (topics ?? []).map(({ name, topicId }) => ({
      errorCode: failure.errorCode,
      name: name ?? '',
      topicId,
      partitions: [],
      topicAuthorizedOperations: OPERATIONS_NOT_ASKED,
    })),
    clusterAuthorizedOperations: OPERATIONS_NOT_ASKED,
    errorCode: failure.errorCode,
  };
}

function failed(
  name: string | null,
  topicId: string,
  error: 'UNKNOWN_TOPIC_ID' | 'INVALID_TOPIC_EXCEPTION' | 'UNKNOWN_TOPIC_OR_PARTITION',
): Topic {
  return {
    errorCode: errors[error].code,
    name,
    topicId,
    isInternal: name !== null && isInternalTopic(name),
    partitions: [],
    topicAuthorizedOperations: OPERATIONS_NOT_ASKED,
  };
}
