import { DescribeGroups, Heartbeat, JoinGroup, LeaveGroup, SyncGroup } from '@ottla/protocol';
import { withGroupOperations } from '../authorized-operations.ts';
import { whoAsks } from './groups.ts';
import { type Handler, handler } from './handler.ts';

/** The APIs of the classic group protocol: all of their rules, versions included, are the coordinator's. */
export const classicGroupHandlers = [
  handler(JoinGroup, (request, context) => context.broker.groups.classic.joinGroup(request, whoAsks(context))),
  handler(SyncGroup, (request, context) => context.broker.groups.classic.syncGroup(request, whoAsks(context))),
  handler(Heartbeat, (request, context) => context.broker.groups.classic.heartbeat(request, whoAsks(context))),
  handler(LeaveGroup, (request, context) => context.broker.groups.classic.leaveGroup(request, whoAsks(context))),
  handler(DescribeGroups, async (request, context) => {
    const described = await context.broker.groups.classic.describeGroups(request, whoAsks(context));
    return { ...described, groups: withGroupOperations(described.groups ?? [], request) };
  }),
] as unknown as Handler[];
