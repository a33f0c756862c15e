import type { FetchedGroup, OffsetFetchGroup } from '@ottla/coordinator';
import {
  type ErrorName,
  errors,
  KafkaError,
  type OffsetCommitRequest,
  type OffsetCommitResponse,
  type OffsetDeleteRequest,
  type OffsetDeleteResponse,
  type OffsetFetchRequest,
  type OffsetFetchResponse,
  type TxnOffsetCommitRequest,
  type TxnOffsetCommitResponse,
  type Writable,
  ZERO_UUID,
} from '@ottla/protocol';
import type { VerificationGuard } from '@ottla/storage';
import {
  failedCommit,
  failedFetch,
  fetchResponse,
  groupsOf,
  mergeDeleted,
  mergeTopics,
  resolveCommit,
  resolveDelete,
  resolveFetch,
  withTopicIds,
} from './group-offset-requests.ts';
import { type GroupPartitions, type GroupRequestContext, requireGroupId } from './group-partitions.ts';

/**
 * Makes sure that a partition of `__consumer_offsets` is part of the producer's transaction, and gives what its first batch there needs. Rejects
 * with what the transaction coordinator says.
 */
export type VerifyTransaction = (
  partition: number,
  request: Pick<TxnOffsetCommitRequest, 'transactionalId' | 'producerId' | 'producerEpoch'>,
  apiVersion: number,
) => Promise<VerificationGuard | undefined>;

/** The APIs for the offsets that groups commit, of every protocol. */
export class GroupOffsetService {
  readonly #partitions: GroupPartitions;
  readonly #verify: VerifyTransaction;

  constructor(partitions: GroupPartitions, verify: VerifyTransaction) {
    this.#partitions = partitions;
    this.#verify = verify;
  }

  async offsetCommit(request: OffsetCommitRequest, { apiVersion }: GroupRequestContext): Promise<Writable<OffsetCommitResponse>> {
    const { accepted, refused } = resolveCommit(request, this.#partitions.topics, apiVersion);
    if (accepted.length === 0) return { topics: refused };
    const { topics } = await this.#partitions.answer<Writable<OffsetCommitResponse>>(
      () =>
        this.#partitions.coordinators.write(this.#partitions.of(request.groupId), (groups, moment) =>
          groups.offsets.commit({ ...request, topics: accepted }, { apiVersion }, moment),
        ),
      (error) => ({ topics: failedCommit(accepted, errors[error].code) }),
    );
    return { topics: refused.length === 0 ? topics : mergeTopics(refused, topics ?? []) };
  }

  /** Offsets that count when the producer's transaction is committed. The transaction's coordinator is asked first whether they are part of it. */
  async txnOffsetCommit(
    request: TxnOffsetCommitRequest,
    { apiVersion }: GroupRequestContext,
  ): Promise<Writable<TxnOffsetCommitResponse>> {
    const named = request.topics.map((topic) => ({ ...topic, topicId: ZERO_UUID }));
    const { accepted, refused } = resolveCommit({ topics: named }, this.#partitions.topics, 0);
    if (accepted.length === 0) return { topics: refused };
    const { coordinators } = this.#partitions;
    const { producerId, producerEpoch } = request;
    const { topics } = await this.#partitions.answer<Writable<TxnOffsetCommitResponse>>(
      async () => {
        if (request.groupId === '')
          throw new KafkaError('INVALID_GROUP_ID', 'offsets belong to a group: its id must not be empty');
        const partition = this.#partitions.of(request.groupId);
        coordinators.requireActive(partition);
        const verificationGuard = await this.#verify(partition, request, apiVersion);
        const writer = { producerId, producerEpoch, verificationGuard };
        return coordinators.writeTransactional(partition, writer, (groups, moment) =>
          groups.offsets.commitInTransaction({ ...request, topics: accepted }, { apiVersion }, moment),
        );
      },
      (error) => ({ topics: failedCommit(accepted, errors[error].code) }),
    );
    return { topics: refused.length === 0 ? topics : mergeTopics(refused, topics ?? []) };
  }

  async offsetFetch(request: OffsetFetchRequest, { apiVersion }: GroupRequestContext): Promise<Writable<OffsetFetchResponse>> {
    const groups = groupsOf(request, apiVersion);
    const fetched = await this.#partitions.inSteps(groups, (group) => this.#fetchGroup(group, request.requireStable, apiVersion));
    return fetchResponse(fetched, apiVersion);
  }

  async offsetDelete(request: OffsetDeleteRequest, _context: GroupRequestContext): Promise<Writable<OffsetDeleteResponse>> {
    const { accepted, refused } = resolveDelete(request, this.#partitions.topics);
    const response = await this.#partitions.answer<Writable<OffsetDeleteResponse>>(
      () =>
        this.#partitions.coordinators.write(this.#partitions.of(requireGroupId(request.groupId)), (groups, moment) =>
          groups.offsets.delete({ ...request, topics: accepted }, moment),
        ),
      (error) => ({ errorCode: errors[error].code }),
    );
    return response.errorCode ? response : { topics: mergeDeleted(refused, response.topics ?? []) };
  }

  async #fetchGroup(asked: OffsetFetchGroup, requireStable: boolean, apiVersion: number): Promise<FetchedGroup> {
    const { topics } = this.#partitions;
    const { group, refused } = resolveFetch(asked, topics, apiVersion);
    const fetched = await this.#partitions.answer<FetchedGroup>(
      () => {
        const partition = this.#partitions.of(group.groupId);
        if (!requireStable)
          return this.#partitions.coordinators.read(partition, (coordinator) => coordinator.offsets.fetch(group, 'committed'));
        return this.#partitions.coordinators.write(partition, (coordinator) => ({
          records: [],
          answers: [],
          response: coordinator.offsets.fetch(group, 'stable'),
          atomic: true,
        }));
      },
      // A consumer that does not know of timeouts here looks the coordinator up again instead.
      (error, cause) => failedFetch(group, isOutOfReach(cause.name) ? 'NOT_COORDINATOR' : error, apiVersion),
    );
    if (fetched.errorCode) return fetched;
    const answered = withTopicIds(fetched, topics, apiVersion);
    return refused.length === 0 ? answered : { ...answered, topics: [...refused, ...(answered.topics ?? [])] };
  }
}

function isOutOfReach(error: ErrorName): boolean {
  return error === 'UNKNOWN_TOPIC_OR_PARTITION' || error === 'NOT_ENOUGH_REPLICAS' || error === 'REQUEST_TIMED_OUT';
}
