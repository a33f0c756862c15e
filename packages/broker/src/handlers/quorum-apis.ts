import { AddRaftVoter, type Api, DescribeQuorum, RemoveRaftVoter } from '@ottla/protocol';
import type { RaftMessages, ServedApi } from '@ottla/raft';
import { raftApis } from '../quorum/raft-apis.ts';
import { describeQuorum } from './describe-quorum.ts';
import { type ControllerHandler, type Handler, handler, type NodeContext } from './handler.ts';

/**
 * What nodes of the metadata quorum ask each other, on a controller's listener: the quorum answers.
 * Vote: v1 voters are named with their directories (KIP-853); v2 asks before the vote whether it would be granted (KIP-996)
 * BeginQuorumEpoch, EndQuorumEpoch: v1 directories, and where the leader is to be found
 * Fetch, of the metadata log alone: v17 the directory of the replica; v18 the high watermark that it knows (KIP-1166)
 * FetchSnapshot: v1 the directory of the replica (KIP-630, KIP-853)
 * AddRaftVoter: v1 may be answered before it is committed; UpdateRaftVoter; RemoveRaftVoter (KIP-853)
 */
export const quorumHandlers: readonly ControllerHandler[] = [
  answeredByQuorum('vote'),
  answeredByQuorum('beginQuorumEpoch'),
  answeredByQuorum('endQuorumEpoch'),
  answeredByQuorum('fetch'),
  answeredByQuorum('fetchSnapshot'),
  answeredByQuorum('addRaftVoter'),
  answeredByQuorum('removeRaftVoter'),
  answeredByQuorum('updateRaftVoter'),
  describeQuorum as unknown as ControllerHandler,
];

/** What tools ask a broker about the quorum: the broker takes it to the active controller. */
export const forwardedQuorumHandlers: readonly Handler[] = [
  forwarded(DescribeQuorum, describeQuorum.failed as Handler['failed']),
  forwarded(AddRaftVoter),
  forwarded(RemoveRaftVoter),
];

function answeredByQuorum<Name extends ServedApi>(name: Name): ControllerHandler {
  const api: Api<RaftMessages[Name]['request'], RaftMessages[Name]['response']> = raftApis[name];
  return handler(api, (request, { node, apiVersion, connection, releases }: NodeContext) =>
    node.quorum.handle(name, request, { version: apiVersion, listenerName: connection.listenerName, releases }),
  ) as unknown as ControllerHandler;
}

function forwarded<Request, Response>(api: Api<Request, Response>, failed?: Handler['failed']): Handler {
  return handler(
    api as unknown as Api,
    (request, context) => context.broker.channel.forward(api as unknown as Api, request, context),
    failed,
  );
}
