import { DescribeQuorum, type DescribeQuorumResponse, KafkaError, type Writable } from '@ottla/protocol';
import type { ReplicaDescription } from '@ottla/raft';
import { metadataTopic } from '../quorum/index.ts';
import { handler, type NodeContext } from './handler.ts';

const UNKNOWN_TOPIC_OR_PARTITION = new KafkaError('UNKNOWN_TOPIC_OR_PARTITION');

/**
 * DescribeQuorum: leader, voters and observers of the metadata log (KIP-595).
 * v1 times of the last fetch and of having caught up (KIP-836); v2 directory ids and the nodes' listeners (KIP-853)
 */
export const describeQuorum = handler(
  DescribeQuorum,
  (request, context: NodeContext): Writable<DescribeQuorumResponse> => {
    const { node, apiVersion } = context;
    const isMetadata = (topic: string, index: number): boolean => topic === metadataTopic && index === 0;
    const asked = request.topics.flatMap(({ topicName, partitions }) =>
      partitions.map(({ partitionIndex }) => isMetadata(topicName, partitionIndex)),
    );
    const isWhole = asked.length === 1 && asked[0];
    if (isWhole && !node.quorum.isLeader) throw new KafkaError('NOT_LEADER_OR_FOLLOWER');
    const quorum = node.quorum.describe();
    return {
      errorCode: 0,
      topics: request.topics.map(({ topicName, partitions }) => ({
        topicName,
        partitions: partitions.map(({ partitionIndex }) =>
          isWhole
            ? {
                partitionIndex,
                errorCode: 0,
                leaderId: quorum.leaderId,
                leaderEpoch: quorum.leaderEpoch,
                highWatermark: quorum.highWatermark,
                currentVoters: quorum.voters.map((voter) => described(voter, apiVersion)),
                observers: quorum.observers.map((observer) => described(observer, apiVersion)),
              }
            : { partitionIndex, errorCode: UNKNOWN_TOPIC_OR_PARTITION.code, errorMessage: UNKNOWN_TOPIC_OR_PARTITION.message },
        ),
      })),
      nodes:
        apiVersion >= 2 && isWhole
          ? quorum.voters.map(({ replicaId, endpoints }) => ({
              nodeId: replicaId,
              listeners: endpoints.map((endpoint) => ({ ...endpoint })),
            }))
          : [],
    };
  },
  (failure: { errorCode: number; errorMessage: string | null }, _request: unknown, { apiVersion }: NodeContext) => ({
    errorCode: failure.errorCode,
    errorMessage: apiVersion >= 2 ? failure.errorMessage : null,
  }),
);

function described(replica: ReplicaDescription, apiVersion: number) {
  return {
    replicaId: replica.replicaId,
    ...(apiVersion >= 2 ? { replicaDirectoryId: replica.replicaDirectoryId } : {}),
    logEndOffset: replica.logEndOffset,
    lastFetchTimestamp: replica.lastFetchTimestampMs,
    lastCaughtUpTimestamp: replica.lastCaughtUpTimestampMs,
  };
}
