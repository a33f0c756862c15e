import {
  AlterShareGroupOffsets,
  DeleteShareGroupOffsets,
  DescribeShareGroupOffsets,
  KafkaError,
  ShareGroupDescribe,
  ShareGroupHeartbeat,
} from '@ottla/protocol';
import { withGroupOperations } from '../authorized-operations.ts';
import { isGroupProtocolEnabled } from '../coordinators/group-protocols.ts';
import { whoAsks } from './groups.ts';
import { type Handler, handler, type RequestContext } from './handler.ts';

/** The APIs of share groups (KIP-932): their rules, once they are enabled, are the coordinator's. */
export const shareGroupHandlers = [
  handler(ShareGroupHeartbeat, (request, context) => {
    requireEnabled(context);
    return context.broker.groups.share.heartbeat(request, whoAsks(context));
  }),
  handler(
    ShareGroupDescribe,
    async (request, context) => {
      requireEnabled(context);
      const { groups } = await context.broker.groups.share.describe(request);
      return { groups: withGroupOperations(groups ?? [], request) };
    },
    ({ errorCode }, { groupIds }) => ({ groups: groupIds.map((groupId) => ({ groupId, errorCode })) }),
  ),
  handler(
    DescribeShareGroupOffsets,
    (request, context) => {
      requireEnabled(context);
      return context.broker.groups.share.describeOffsets(request);
    },
    (failure, { groups }) => ({ groups: groups.map(({ groupId }) => ({ groupId, ...failure })) }),
  ),
  handler(AlterShareGroupOffsets, (request, context) => {
    requireEnabled(context);
    return context.broker.groups.share.alterOffsets(request);
  }),
  handler(DeleteShareGroupOffsets, (request, context) => {
    requireEnabled(context);
    return context.broker.groups.share.deleteOffsets(request);
  }),
] as unknown as Handler[];

/** Throws UNSUPPORTED_VERSION: the API is there, and the cluster does not use it. */
function requireEnabled({ broker }: RequestContext): void {
  if (!isGroupProtocolEnabled('share', broker.config, broker.metadata)) throw new KafkaError('UNSUPPORTED_VERSION');
}
