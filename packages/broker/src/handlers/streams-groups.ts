import { StreamsGroupDescribe, StreamsGroupHeartbeat } from '@ottla/protocol';
import { withGroupOperations } from '../authorized-operations.ts';
import { whoAsks } from './groups.ts';
import { type Handler, handler } from './handler.ts';

/** The APIs of the streams group protocol: all of their rules are the coordinator's. */
export const streamsGroupHandlers = [
  handler(StreamsGroupHeartbeat, (request, context) => context.broker.groups.streams.heartbeat(request, whoAsks(context))),
  handler(StreamsGroupDescribe, async (request, context) => {
    const { groups = [] } = await context.broker.groups.streams.describe(request);
    return { groups: withGroupOperations(groups, request) };
  }),
] as unknown as Handler[];
