import { DeleteGroups, ListGroups, OffsetCommit, OffsetDelete, OffsetFetch } from '@ottla/protocol';
import type { GroupRequestContext } from '../coordinators/group-partitions.ts';
import { type Handler, handler, type RequestContext } from './handler.ts';

/** The APIs for groups of every protocol, and for their offsets: all of their rules, versions included, are the coordinator's. */
export const groupHandlers = [
  handler(OffsetCommit, (request, context) => context.broker.groups.offsets.offsetCommit(request, whoAsks(context))),
  handler(OffsetFetch, (request, context) => context.broker.groups.offsets.offsetFetch(request, whoAsks(context))),
  handler(OffsetDelete, (request, context) => context.broker.groups.offsets.offsetDelete(request, whoAsks(context))),
  handler(ListGroups, (request, context) => context.broker.groups.listGroups(request, whoAsks(context))),
  handler(DeleteGroups, (request, context) => context.broker.groups.deleteGroups(request, whoAsks(context))),
] as unknown as Handler[];

export function whoAsks({ apiVersion, clientId, connection }: RequestContext): GroupRequestContext {
  return { apiVersion, clientId: clientId ?? '', clientHost: `/${connection.remote.host}` };
}
