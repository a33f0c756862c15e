import type { FetchedGroup, OffsetFetchGroup } from '@ottla/coordinator';
import {
  type ErrorName,
  errors,
  type OffsetCommitRequest,
  type OffsetCommitResponse,
  type OffsetDeleteRequest,
  type OffsetDeleteResponse,
  type OffsetFetchRequest,
  type OffsetFetchResponse,
  type Writable,
} from '@ottla/protocol';
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

/** The APIs for the offsets that groups commit, of every protocol. */
export class GroupOffsetService {
  readonly #partitions: GroupPartitions;

  constructor(partitions: GroupPartitions) {
    this.#partitions = partitions;
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

  async offsetFetch(request: OffsetFetchRequest, { apiVersion }: GroupRequestContext): Promise<Writable<OffsetFetchResponse>> {
    const groups = groupsOf(request, apiVersion);
    const fetched = await Promise.all(groups.map((group) => this.#fetchGroup(group, request.requireStable, apiVersion)));
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
