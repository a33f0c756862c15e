import {
  plainFailure,
  readFailure,
  type SharePartitionFailure,
  type SharePartitionKey,
  summaryFailure,
  textOfKey,
} from '@ottla/coordinator';
import {
  type DeleteShareGroupStateRequest,
  type DeleteShareGroupStateResponse,
  errors,
  type InitializeShareGroupStateRequest,
  type InitializeShareGroupStateResponse,
  type ReadShareGroupStateRequest,
  type ReadShareGroupStateResponse,
  type ReadShareGroupStateSummaryRequest,
  type ReadShareGroupStateSummaryResponse,
  type Uuid,
  type Writable,
  type WriteShareGroupStateRequest,
  type WriteShareGroupStateResponse,
  ZERO_UUID,
} from '@ottla/protocol';
import { type Runtime, sleep } from '@ottla/runtime';
import type { SharePersister } from '../sharing/share-persister.ts';
import type { ShareCoordinators } from './share-coordinator-routes.ts';
import { askEachSharePartition, type ShareStateResponse } from './share-partition-requests.ts';

export type PatientSharePersisterOptions = {
  readonly coordinators: ShareCoordinators;
  /** Resolves when `__share_group_state` exists; undefined when it does already. Rejects when it cannot be created, and says why in the log. */
  readonly ensureTopic: () => Promise<unknown> | undefined;
  readonly runtime: Pick<Runtime, 'clock' | 'timers'>;
};

/**
 * From when it is asked for, also while it waits in line: a coordinator that was lost has a successor by then, as its broker is missed after
 * broker.session.timeout.ms; and the records whose state is to be kept are still locked.
 */
const PATIENCE_MS = 20_000;
const FIRST_PAUSE_MS = 20;
const LONGEST_PAUSE_MS = 1_000;

/** The coordinator may be there in a moment. */
const passing: ReadonlySet<number> = new Set([
  errors.COORDINATOR_LOAD_IN_PROGRESS.code,
  errors.COORDINATOR_NOT_AVAILABLE.code,
  errors.NOT_COORDINATOR.code,
]);

/**
 * The share coordinators, as those see them who need share state kept: the leaders of shared partitions, and the group coordinator. It has the
 * coordinators' topic created, and is patient while a coordinator is being loaded, or another one is taking its place. What is asked of one share
 * partition is asked one after the other, so that what has to be asked again does not overtake what came before it; what has waited behind it as
 * long as that fails with it.
 */
export class PatientSharePersister implements SharePersister {
  readonly #options: PatientSharePersisterOptions;
  /** For share partitions of which something is being asked: the last of it, and whether it was asked in vain. */
  readonly #lines = new Map<string, Promise<{ readonly isInVain: boolean }>>();
  #isClosed = false;

  constructor(options: PatientSharePersisterOptions) {
    this.#options = options;
  }

  initialize(request: Writable<InitializeShareGroupStateRequest>): Promise<InitializeShareGroupStateResponse> {
    const whole = ({ partition = 0, stateEpoch = 0, startOffset = 0 }) => ({ partition, stateEpoch, startOffset });
    return this.#each(request, whole, (single) => this.#options.coordinators.initialize(single), plainFailure);
  }

  read(request: Writable<ReadShareGroupStateRequest>): Promise<ReadShareGroupStateResponse> {
    const whole = ({ partition = 0, leaderEpoch = 0 }) => ({ partition, leaderEpoch });
    return this.#each(request, whole, (single) => this.#options.coordinators.read(single), readFailure);
  }

  write(request: Writable<WriteShareGroupStateRequest>): Promise<WriteShareGroupStateResponse> {
    return this.#each(request, wholeChange, (single) => this.#options.coordinators.write(single), plainFailure);
  }

  delete(request: Writable<DeleteShareGroupStateRequest>): Promise<DeleteShareGroupStateResponse> {
    return this.#each(
      request,
      ({ partition = 0 }) => ({ partition }),
      (single) => this.#options.coordinators.delete(single),
      plainFailure,
    );
  }

  readSummary(request: Writable<ReadShareGroupStateSummaryRequest>): Promise<ReadShareGroupStateSummaryResponse> {
    const whole = ({ partition = 0, leaderEpoch = 0 }) => ({ partition, leaderEpoch });
    return this.#each(request, whole, (single) => this.#options.coordinators.readSummary(single), summaryFailure);
  }

  /** This broker stops: nobody is kept waiting. */
  shutdown(): void {
    this.#isClosed = true;
  }

  #each<Given, Partition extends { readonly partition: number }, Result extends { readonly errorCode: number }>(
    { groupId = '', topics = [] }: GivenRequest<Given>,
    whole: (given: Given) => Partition,
    ask: (single: SingleRequest<Partition>) => Promise<ShareStateResponse<Result>>,
    refused: (failure: SharePartitionFailure) => Result,
  ): Promise<ShareStateResponse<Result>> {
    const { runtime } = this.#options;
    const wholeTopics = topics.map(({ topicId = ZERO_UUID, partitions = [] }) => ({
      topicId,
      partitions: partitions.map(whole),
    }));
    return askEachSharePartition({ groupId, topics: wholeTopics }, runtime, (key, partition) => {
      const single = { groupId, topics: [{ topicId: key.topicId, partitions: [partition] }] };
      const deadlineMs = runtime.clock.monotonicMs() + PATIENCE_MS;
      return this.#inLine(key, async (isBeforeInVain) => {
        if (isBeforeInVain && runtime.clock.monotonicMs() >= deadlineMs) return refused(notAvailable(key));
        return this.#patiently(deadlineMs, () => ask(single));
      });
    });
  }

  async #patiently<Result extends { readonly errorCode: number }>(
    deadlineMs: number,
    ask: () => Promise<ShareStateResponse<Result>>,
  ): Promise<Result> {
    const { clock, timers } = this.#options.runtime;
    for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
      const hasTopic = await this.#hasTopic();
      const { results } = await ask();
      const result = results[0]!.partitions[0]!;
      const isHopeless = clock.monotonicMs() >= deadlineMs || this.#isClosed || !hasTopic;
      if (isHopeless || !passing.has(result.errorCode)) return result;
      await sleep(timers, pauseMs);
    }
  }

  /** Whoever asks comes again: a topic that cannot be created now is not tried over and over meanwhile. */
  async #hasTopic(): Promise<boolean> {
    const creation = this.#options.ensureTopic();
    if (creation === undefined) return true;
    return creation.then(
      () => true,
      () => false,
    );
  }

  async #inLine<Result extends { readonly errorCode: number }>(
    key: SharePartitionKey,
    work: (isBeforeInVain: boolean) => Promise<Result>,
  ): Promise<Result> {
    const text = textOfKey(key);
    const before = this.#lines.get(text);
    const result = before === undefined ? work(false) : before.then(({ isInVain }) => work(isInVain));
    const place = result.then(
      ({ errorCode }) => ({ isInVain: passing.has(errorCode) }),
      () => ({ isInVain: false }),
    );
    this.#lines.set(text, place);
    try {
      return await result;
    } finally {
      if (this.#lines.get(text) === place) this.#lines.delete(text);
    }
  }
}

function notAvailable({ partition, ...key }: SharePartitionKey): SharePartitionFailure {
  const errorMessage = `nobody has kept the state of the share partition ${textOfKey({ partition, ...key })} for ${PATIENCE_MS / 1_000} s`;
  return { partition, errorCode: errors.COORDINATOR_NOT_AVAILABLE.code, errorMessage };
}

type GivenRequest<Given> = {
  readonly groupId?: string | undefined;
  readonly topics?:
    | readonly { readonly topicId?: Uuid | undefined; readonly partitions?: readonly Given[] | undefined }[]
    | undefined;
};
type SingleRequest<Partition> = { groupId: string; topics: { topicId: Uuid; partitions: Partition[] }[] };
type PartitionOf<
  Request extends { readonly topics?: readonly { readonly partitions?: readonly unknown[] | undefined }[] | undefined },
> = NonNullable<NonNullable<Request['topics']>[number]['partitions']>[number];

function wholeChange(given: PartitionOf<Writable<WriteShareGroupStateRequest>>) {
  const {
    partition = 0,
    stateEpoch = 0,
    leaderEpoch = 0,
    startOffset = 0,
    deliveryCompleteCount = -1,
    stateBatches = [],
  } = given;
  const batches = stateBatches.map(({ firstOffset = 0, lastOffset = 0, deliveryState = 0, deliveryCount = 0 }) => ({
    firstOffset,
    lastOffset,
    deliveryState,
    deliveryCount,
  }));
  return { partition, stateEpoch, leaderEpoch, startOffset, deliveryCompleteCount, stateBatches: batches };
}
