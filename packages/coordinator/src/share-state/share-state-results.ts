import type {
  DeleteShareGroupStateResponse,
  InitializeShareGroupStateResponse,
  ReadShareGroupStateResponse,
  ReadShareGroupStateSummaryResponse,
  WriteShareGroupStateResponse,
} from '@ottla/protocol';

type ResultOf<Response extends { results: { partitions: unknown[] }[] }> = Response['results'][number]['partitions'][number];

/** What is answered for one share partition, by request. */
export type InitializeResult = ResultOf<InitializeShareGroupStateResponse>;
export type ReadResult = ResultOf<ReadShareGroupStateResponse>;
export type WriteResult = ResultOf<WriteShareGroupStateResponse>;
export type DeleteResult = ResultOf<DeleteShareGroupStateResponse>;
export type SummaryResult = ResultOf<ReadShareGroupStateSummaryResponse>;

export type SharePartitionFailure = {
  readonly partition: number;
  readonly errorCode: number;
  readonly errorMessage: string | null;
};

export function readFailure(failure: SharePartitionFailure): ReadResult {
  return { ...failure, stateEpoch: 0, startOffset: 0, stateBatches: [] };
}

export function summaryFailure(failure: SharePartitionFailure): SummaryResult {
  return { ...failure, stateEpoch: 0, leaderEpoch: 0, startOffset: 0, deliveryCompleteCount: -1 };
}

/** Of the requests whose answer is an error code and nothing more. */
export function plainFailure(failure: SharePartitionFailure): InitializeResult & WriteResult & DeleteResult {
  return failure;
}
