import { errors, type FetchSnapshotResponse } from '@ottla/protocol';
import type { Destination } from './effects.ts';
import { hearOf } from './leader-news.ts';
import { metadataTopic } from './metadata-partition.ts';
import type { RaftCore } from './raft-core.ts';
import type { FetchedSnapshot, Follower } from './raft-state.ts';

/** Fetching the leader's snapshot piece by piece, because its log no longer begins where this node's ends. */
export class SnapshotFetching {
  readonly #core: RaftCore;

  constructor(core: RaftCore) {
    this.#core = core;
  }

  fetchNext(destination: Destination, state: Follower, snapshot: FetchedSnapshot): void {
    const { options, self, epoch } = this.#core;
    const { endOffset, epoch: snapshotEpoch } = snapshot.id;
    this.#core.send(
      destination,
      {
        api: 'fetchSnapshot',
        request: {
          clusterId: options.clusterId ?? null,
          replicaId: self.id,
          maxBytes: options.fetchSnapshotMaxBytes ?? 1024 * 1024,
          topics: [
            {
              name: metadataTopic,
              partitions: [
                {
                  partition: 0,
                  currentLeaderEpoch: epoch,
                  snapshotId: { endOffset, epoch: snapshotEpoch },
                  position: snapshot.position,
                  replicaDirectoryId: self.directoryId,
                },
              ],
            },
          ],
        },
      },
      { answered: (response) => this.#onChunk(response, state, snapshot) },
    );
  }

  #onChunk(response: FetchSnapshotResponse, state: Follower, snapshot: FetchedSnapshot): boolean {
    const core = this.#core;
    const heard = hearOf(core, { api: 'fetchSnapshot', response });
    if (heard === 'useless' && isGone(response)) state.snapshot = null;
    if (heard !== 'goOn') return heard === 'done';
    if (state.snapshot !== snapshot) return false;
    const { position, size, unalignedRecords, snapshotId } = response.topics[0]!.partitions[0]!;
    const isNext =
      snapshotId.endOffset === snapshot.id.endOffset &&
      snapshotId.epoch === snapshot.id.epoch &&
      position === snapshot.position &&
      unalignedRecords.length > 0 &&
      position + unalignedRecords.length <= size;
    if (!isNext) {
      state.snapshot = null;
      return false;
    }
    core.heardLeader(state);
    snapshot.position = position + unalignedRecords.length;
    const isLast = snapshot.position === size;
    core.effects.snapshotChunk = { snapshotId: snapshot.id, position, bytes: unalignedRecords, isLast };
    if (isLast) {
      state.snapshot = null;
      core.loadingSnapshot = snapshot.id;
    }
    return true;
  }
}

/** The leader has removed it meanwhile, or has another one of that name: its next answer to a Fetch names a newer one. */
function isGone({ topics }: FetchSnapshotResponse): boolean {
  const errorCode = topics[0]?.partitions[0]?.errorCode;
  return errorCode === errors.SNAPSHOT_NOT_FOUND.code || errorCode === errors.POSITION_OUT_OF_RANGE.code;
}
