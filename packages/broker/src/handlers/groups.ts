import {
  DeleteGroups,
  DescribeGroups,
  Heartbeat,
  JoinGroup,
  LeaveGroup,
  ListGroups,
  OffsetCommit,
  OffsetDelete,
  OffsetFetch,
  SyncGroup,
} from '@ottla/protocol';
import { groupOperations, OPERATIONS_NOT_ASKED } from '../authorized-operations.ts';
import type { GroupRequestContext } from '../coordinators/group-coordinator-service.ts';
import { type Handler, handler, type RequestContext } from './handler.ts';

/** The group APIs: all of their rules, versions included, are the coordinator's. */
export const groupHandlers = [
  handler(JoinGroup, (request, context) => context.broker.groups.joinGroup(request, who(context))),
  handler(SyncGroup, (request, context) => context.broker.groups.syncGroup(request, who(context))),
  handler(Heartbeat, (request, context) => context.broker.groups.heartbeat(request, who(context))),
  handler(LeaveGroup, (request, context) => context.broker.groups.leaveGroup(request, who(context))),
  handler(OffsetCommit, (request, context) => context.broker.groups.offsetCommit(request, who(context))),
  handler(OffsetFetch, (request, context) => context.broker.groups.offsetFetch(request, who(context))),
  handler(OffsetDelete, (request, context) => context.broker.groups.offsetDelete(request, who(context))),
  handler(ListGroups, (request, context) => context.broker.groups.listGroups(request, who(context))),
  handler(DeleteGroups, (request, context) => context.broker.groups.deleteGroups(request, who(context))),
  handler(DescribeGroups, async (request, context) => {
    const described = await context.broker.groups.describeGroups(request, who(context));
    const operationsOf = ({ errorCode = 0 }: { errorCode?: number | undefined }): number =>
      request.includeAuthorizedOperations && errorCode === 0 ? groupOperations : OPERATIONS_NOT_ASKED;
    return {
      ...described,
      groups: described.groups?.map((group) => ({ ...group, authorizedOperations: operationsOf(group) })),
    };
  }),
] as unknown as Handler[];

function who({ apiVersion, clientId, connection }: RequestContext): GroupRequestContext {
  return { apiVersion, clientId: clientId ?? '', clientHost: `/${connection.remote.host}` };
}
