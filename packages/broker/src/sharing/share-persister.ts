import type {
  DeleteShareGroupStateRequest,
  DeleteShareGroupStateResponse,
  InitializeShareGroupStateRequest,
  InitializeShareGroupStateResponse,
  ReadShareGroupStateRequest,
  ReadShareGroupStateResponse,
  ReadShareGroupStateSummaryRequest,
  ReadShareGroupStateSummaryResponse,
  Writable,
  WriteShareGroupStateRequest,
  WriteShareGroupStateResponse,
} from '@ottla/protocol';

/**
 * Where share groups keep how far they are (KIP-932): the share coordinator, wherever it is. The five calls are those of the wire, so that
 * one in this process and one on another broker look the same. Every failure is a code in the answer, per partition; a promise that rejects
 * is a broken program.
 *
 * Calls for one partition of one group take effect in the order in which they were made.
 */
export interface SharePersister {
  /** Makes a partition known to the coordinator, from a start offset on; -1: not known yet. */
  initialize(request: Writable<InitializeShareGroupStateRequest>): Promise<InitializeShareGroupStateResponse>;
  /** What was kept. The leader epoch given is remembered: an older leader is fenced from then on. */
  read(request: Writable<ReadShareGroupStateRequest>): Promise<ReadShareGroupStateResponse>;
  /** Adds to what is kept: batches replace what was said of their offsets, and a start offset drops what lies before it. */
  write(request: Writable<WriteShareGroupStateRequest>): Promise<WriteShareGroupStateResponse>;
  delete(request: Writable<DeleteShareGroupStateRequest>): Promise<DeleteShareGroupStateResponse>;
  readSummary(request: Writable<ReadShareGroupStateSummaryRequest>): Promise<ReadShareGroupStateSummaryResponse>;
}
