import { isValidTopicName } from '@ottla/metadata';
import {
  DescribeTopicPartitions,
  type DescribeTopicPartitionsRequest,
  type DescribeTopicPartitionsResponse,
  KafkaError,
  type Writable,
  ZERO_UUID,
} from '@ottla/protocol';
import { topicOperations } from '../authorized-operations.ts';
import { isInternalTopic } from '../internal-topics.ts';
import { handler, type RequestContext } from './handler.ts';

type Topic = NonNullable<Writable<DescribeTopicPartitionsResponse>['topics']>[number];

/**
 * DescribeTopicPartitions: topics in the order of their names, a page at a time, with the eligible leader replicas (KIP-966).
 * The cursor names the first partition of the next page.
 */
export const describeTopicPartitions = handler(DescribeTopicPartitions, describePage, ({ errorCode }, { topics }) => ({
  topics: topics.map(({ name }) => ({ errorCode, name, partitions: [] })),
}));

function describePage(
  request: DescribeTopicPartitionsRequest,
  { broker, connection }: RequestContext,
): Writable<DescribeTopicPartitionsResponse> {
  const { cursor } = request;
  if (cursor && cursor.partitionIndex < 0)
    throw new KafkaError(
      'INVALID_REQUEST',
      `DescribeTopicPartitionsRequest cursor partition must be valid: ${cursor.partitionIndex}`,
    );
  if (cursor && request.topics.length > 0 && !request.topics.some(({ name }) => name === cursor.topicName))
    throw new KafkaError(
      'INVALID_REQUEST',
      `DescribeTopicPartitionsRequest topic list should contain the cursor topic: ${cursor.topicName}`,
    );
  const asked =
    request.topics.length > 0 ? [...new Set(request.topics.map(({ name }) => name))] : [...broker.metadata.topicNames()];
  const names = asked.filter((name) => !cursor || name >= cursor.topicName).sort();
  let room = Math.max(1, Math.min(request.responsePartitionLimit, broker.config.get('max.request.partition.size.limit')));
  const topics: Topic[] = [];
  for (const name of names) {
    const topic = broker.metadata.describeTopic(name, connection.listenerName);
    if (!topic) {
      // All topics were asked for, and this one has gone since the page before.
      if (request.topics.length === 0) continue;
      const error = isValidTopicName(name) ? 'UNKNOWN_TOPIC_OR_PARTITION' : 'INVALID_TOPIC_EXCEPTION';
      topics.push({
        errorCode: new KafkaError(error).code,
        name,
        topicId: ZERO_UUID,
        isInternal: isInternalTopic(name),
        topicAuthorizedOperations: topicOperations,
        partitions: [],
      });
      continue;
    }
    const first = cursor && cursor.topicName === name ? cursor.partitionIndex : 0;
    if (room === 0) return { topics, nextCursor: { topicName: name, partitionIndex: first } };
    const rest = topic.partitions.filter(({ index }) => index >= first);
    const page = rest.slice(0, room);
    topics.push({
      errorCode: 0,
      name,
      topicId: topic.topicId,
      isInternal: isInternalTopic(name),
      topicAuthorizedOperations: topicOperations,
      partitions: page.map((partition) => ({
        // As Kafka does: that there is no leader is no error here.
        errorCode: 0,
        partitionIndex: partition.index,
        leaderId: partition.leader,
        leaderEpoch: partition.leaderEpoch,
        replicaNodes: partition.replicas,
        isrNodes: partition.isr,
        eligibleLeaderReplicas: partition.elr,
        lastKnownElr: partition.lastKnownElr,
        offlineReplicas: partition.offlineReplicas,
      })),
    });
    room -= page.length;
    if (page.length < rest.length) return { topics, nextCursor: { topicName: name, partitionIndex: rest[page.length]!.index } };
  }
  return { topics };
}
