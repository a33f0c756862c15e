import { errors } from '@ottla/protocol';
import type { ReceivedResponse } from './messages.ts';
import { metadataTopicId, onlyPartition } from './metadata-partition.ts';
import type { RaftCore } from './raft-core.ts';
import type { VoterEndpoint } from './voter-set.ts';

/** What every answer of another node says about the leader, whatever was asked. */
export type LeaderNews = {
  readonly errorCode: number;
  readonly leaderId: number | null;
  readonly leaderEpoch: number;
  readonly endpoints: readonly VoterEndpoint[];
};

/** What is left to do with an answer: `goOn` with its content; it is `done`; it was `useless`, ask again later. */
export type Heard = 'goOn' | 'done' | 'useless';

/** Takes in what an answer says about the leader, and decides whether the rest of it still matters. */
export function hearOf(core: RaftCore, received: ReceivedResponse): Heard {
  const news = newsIn(core, received);
  if (!news) return 'useless';
  const { errorCode, leaderId, leaderEpoch } = news;
  const transitions = core.transitions;
  if (leaderEpoch < core.epoch) return errorCode === 0 ? 'done' : 'useless';
  const endpoints =
    news.endpoints.length > 0 || leaderId === null ? news.endpoints : (core.voters.get(leaderId)?.endpoints ?? []);
  if (received.api === 'fetch' && isOfLeaderItself(errorCode) && leaderId !== null)
    core.hearLeaderItself(leaderEpoch, leaderId, endpoints);
  core.hear(leaderEpoch, leaderId, endpoints);
  if (core.transitions !== transitions) return 'done';
  return errorCode === 0 ? 'goOn' : 'useless';
}

/** Others refuse a fetch, or say that its epoch is another. Kafka's leader fails with what comes from a replica of its own id. */
const isOfLeaderItself = (errorCode: number): boolean => errorCode === 0 || errorCode === errors.UNKNOWN_SERVER_ERROR.code;

/** Undefined: an error about the whole request, or not the one partition that was asked for. */
function newsIn(core: RaftCore, received: ReceivedResponse): LeaderNews | undefined {
  switch (received.api) {
    case 'vote':
    case 'beginQuorumEpoch':
    case 'endQuorumEpoch': {
      const { errorCode, topics, nodeEndpoints } = received.response;
      const partition = errorCode === 0 ? onlyPartition<Partition>(topics) : undefined;
      return partition && newsOf(core, partition.errorCode, partition, nodeEndpoints);
    }
    case 'fetch': {
      const { errorCode, responses, nodeEndpoints } = received.response;
      const [topic] = responses;
      const partition = topic?.partitions[0];
      const isRight = errorCode === 0 && responses.length === 1 && topic!.partitions.length === 1;
      if (!isRight || partition?.partitionIndex !== 0) return undefined;
      if (topic!.topicId !== metadataTopicId && topic!.topic !== '__cluster_metadata') return undefined;
      return newsOf(core, partition.errorCode, partition.currentLeader, nodeEndpoints);
    }
    case 'fetchSnapshot': {
      const { errorCode, topics, nodeEndpoints } = received.response;
      const partition = topics[0]?.partitions[0];
      if (errorCode !== 0 || partition?.index !== 0) return undefined;
      return newsOf(core, partition.errorCode, partition.currentLeader, nodeEndpoints);
    }
    case 'updateRaftVoter': {
      const { errorCode, currentLeader } = received.response;
      const { leaderId, host, port } = currentLeader;
      return newsOf(core, errorCode, currentLeader, host === '' ? [] : [{ nodeId: leaderId, host, port }]);
    }
    default:
      return { errorCode: received.response.errorCode, leaderId: null, leaderEpoch: core.epoch, endpoints: [] };
  }
}

type Partition = {
  readonly partitionIndex: number;
  readonly errorCode: number;
  readonly leaderId: number;
  readonly leaderEpoch: number;
};

function newsOf(
  core: RaftCore,
  errorCode: number,
  { leaderId, leaderEpoch }: { readonly leaderId: number; readonly leaderEpoch: number },
  nodeEndpoints: readonly { readonly nodeId: number; readonly host: string; readonly port: number }[],
): LeaderNews {
  const endpoint = nodeEndpoints.find(({ nodeId }) => nodeId === leaderId);
  const endpoints = endpoint && leaderId >= 0 ? [{ name: core.listenerName, host: endpoint.host, port: endpoint.port }] : [];
  // Without an epoch it says nothing: that of this node stands.
  const epoch = errorCode === errors.UNKNOWN_LEADER_EPOCH.code ? -1 : leaderEpoch;
  return { errorCode, leaderId: leaderId >= 0 ? leaderId : null, leaderEpoch: epoch < 0 ? -1 : epoch, endpoints };
}
