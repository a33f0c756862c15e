import {
  DeleteShareGroupState,
  InitializeShareGroupState,
  ReadShareGroupState,
  ReadShareGroupStateSummary,
  WriteShareGroupState,
} from '@ottla/protocol';
import { type Handler, handler } from './handler.ts';

/** The share coordinator, for other brokers: leaders of shared partitions, and group coordinators (KIP-932). */
export const shareStateHandlers = [
  handler(InitializeShareGroupState, (request, { broker }) => broker.shareState.initialize(request)),
  handler(ReadShareGroupState, (request, { broker }) => broker.shareState.read(request)),
  handler(WriteShareGroupState, (request, { broker }) => broker.shareState.write(request)),
  handler(DeleteShareGroupState, (request, { broker }) => broker.shareState.delete(request)),
  handler(ReadShareGroupStateSummary, (request, { broker }) => broker.shareState.readSummary(request)),
] as unknown as Handler[];
