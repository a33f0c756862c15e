import {
  plainFailure,
  readFailure,
  type SharePartitionFailure,
  type SharePartitionKey,
  summaryFailure,
  textOfKey,
} from '@ottla/coordinator';
import {
  type Api,
  DeleteShareGroupState,
  errors,
  InitializeShareGroupState,
  KafkaError,
  partitionForGroup,
  ReadShareGroupState,
  ReadShareGroupStateSummary,
  type Uuid,
  type Writable,
  WriteShareGroupState,
} from '@ottla/protocol';
import { type BrokerPeers, outOfReach } from '../peers/broker-peers.ts';
import type { ShareCoordinatorService } from './share-coordinator-service.ts';
import type { ShareStateResponse } from './share-partition-requests.ts';

/** What a share coordinator can be asked; a failure is a code in the answer, for each partition. */
export type ShareCoordinators = Pick<ShareCoordinatorService, 'initialize' | 'read' | 'write' | 'delete' | 'readSummary'>;

export type ShareCoordinatorRoutesOptions = {
  /** Of the share partitions whose state is kept here. */
  readonly local: ShareCoordinators;
  /** Of `__share_group_state`; undefined until it exists. */
  readonly partitionCount: () => number | undefined;
  /** Of a partition of `__share_group_state`. -1: it has no leader; undefined: there is no such partition. */
  readonly leaderOf: (partition: number) => number | undefined;
  readonly brokers: Pick<BrokerPeers, 'nodeId' | 'to'>;
};

type OfOnePartition<Partition> = { groupId: string; topics: { topicId: Uuid; partitions: Partition[] }[] };
type Call<Partition, Result> = (request: OfOnePartition<Partition>) => Promise<ShareStateResponse<Result>>;

/**
 * The share coordinators: of each share partition the leader of the partition of `__share_group_state` that its key hashes to, here or elsewhere.
 * What is asked names one share partition.
 */
export class ShareCoordinatorRoutes implements ShareCoordinators {
  readonly #options: ShareCoordinatorRoutesOptions;
  readonly initialize: ShareCoordinators['initialize'];
  readonly read: ShareCoordinators['read'];
  readonly write: ShareCoordinators['write'];
  readonly delete: ShareCoordinators['delete'];
  readonly readSummary: ShareCoordinators['readSummary'];

  constructor(options: ShareCoordinatorRoutesOptions) {
    this.#options = options;
    const { local } = options;
    this.initialize = this.#routed(InitializeShareGroupState, (request) => local.initialize(request), plainFailure);
    this.read = this.#routed(ReadShareGroupState, (request) => local.read(request), readFailure);
    this.write = this.#routed(WriteShareGroupState, (request) => local.write(request), plainFailure);
    this.delete = this.#routed(DeleteShareGroupState, (request) => local.delete(request), plainFailure);
    this.readSummary = this.#routed(ReadShareGroupStateSummary, (request) => local.readSummary(request), summaryFailure);
  }

  #routed<Partition extends { readonly partition: number }, Result>(
    api: Api<OfOnePartition<Partition>, ShareStateResponse<Result>>,
    local: Call<Partition, Result>,
    refused: (failure: SharePartitionFailure) => Result,
  ): Call<Partition, Result> {
    const { brokers } = this.#options;
    return async (request) => {
      const { topicId, partitions } = request.topics[0]!;
      const { partition } = partitions[0]!;
      try {
        const coordinator = this.#coordinatorOf({ groupId: request.groupId, topicId, partition });
        if (coordinator === brokers.nodeId) return await local(request);
        const answer = await brokers.to(coordinator).send(api, request as unknown as Writable<OfOnePartition<Partition>>);
        if (answer.results[0]?.partitions.length === 1) return answer;
        throw new KafkaError('UNKNOWN_SERVER_ERROR', `broker ${coordinator} has not answered for a share partition`);
      } catch (error) {
        if (!(error instanceof KafkaError)) throw error;
        const name = outOfReach.has(error.name) ? 'COORDINATOR_NOT_AVAILABLE' : error.name;
        const failure = { partition, errorCode: errors[name].code, errorMessage: error.message };
        return { results: [{ topicId, partitions: [refused(failure)] }] };
      }
    };
  }

  /** Throws COORDINATOR_NOT_AVAILABLE. */
  #coordinatorOf(key: SharePartitionKey): number {
    const { partitionCount, leaderOf } = this.#options;
    const text = textOfKey(key);
    const count = partitionCount();
    const leader = count === undefined ? -1 : (leaderOf(partitionForGroup(text, count)) ?? -1);
    if (leader >= 0) return leader;
    throw new KafkaError('COORDINATOR_NOT_AVAILABLE', `nobody keeps the state of the share partition ${text} at the moment`);
  }
}
