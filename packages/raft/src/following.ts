import type { FetchRequest, FetchResponse, Writable } from '@ottla/protocol';
import type { Destination } from './effects.ts';
import { appendFetched } from './fetched-batches.ts';
import { SnapshotFetching } from './fetching-snapshots.ts';
import { askForMembership } from './joining.ts';
import { hearOf } from './leader-news.ts';
import { metadataTopic, metadataTopicId } from './metadata-partition.ts';
import type { RaftCore } from './raft-core.ts';
import type { LogPosition } from './raft-log.ts';
import type { Follower } from './raft-state.ts';

/** Fetching the log from the leader, and finding out who that is. */
export class Following {
  readonly #core: RaftCore;
  readonly #snapshots: SnapshotFetching;

  constructor(core: RaftCore) {
    this.#core = core;
    this.#snapshots = new SnapshotFetching(core);
  }

  pollFollower(state: Follower): number {
    const core = this.#core;
    const isLate = core.nowMs >= state.fetchDeadlineMs;
    if (core.mayStand && isLate) {
      core.becomeProspective();
      return core.nowMs;
    }
    const wakeMs = core.mayStand ? state.fetchDeadlineMs : Number.POSITIVE_INFINITY;
    if (!core.isReadyToFetch) return wakeMs;
    const { destination, lookAgainMs } = this.#leaderOf(state);
    if (!destination) return Math.min(wakeMs, lookAgainMs);
    if (core.requests.isFree(destination, core.nowMs)) {
      if (core.nowMs >= state.voterCheckAtMs) this.#checkMembership(state, destination);
      if (core.requests.isFree(destination, core.nowMs)) this.#fetch(destination, state);
    }
    return Math.min(wakeMs, lookAgainMs, core.requests.freeAtMs(destination, core.nowMs));
  }

  /**
   * Where to ask for records. What is said about where the leader is may be wrong, or out of date: when it does not answer there, it is asked
   * where the voters' records have it, and the bootstrap servers are asked who leads, until it answers. Who does not vote learns of another
   * leader in no other way.
   */
  #leaderOf(state: Follower): { readonly destination: Destination | undefined; readonly lookAgainMs: number } {
    const core = this.#core;
    if (core.isFailing(state)) core.lookElsewhere(state, core.voters.get(state.leaderId)?.endpoints ?? []);
    const destination = core.destinationOf(state.leaderId, state.leaderEndpoints);
    const lookAgainMs = core.isUnheard(state) ? this.askBootstrapServers(destination) : Number.POSITIVE_INFINITY;
    return { destination, lookAgainMs };
  }

  #checkMembership(state: Follower, destination: Destination): void {
    state.voterCheckAtMs = this.#core.nowMs + this.#core.timing.fetchTimeoutMs;
    askForMembership(this.#core, state, destination);
  }

  /** Any bootstrap server knows, or will know, who leads, but for the one that is asked already. Returns when the next can be asked. */
  askBootstrapServers(except?: Destination): number {
    const core = this.#core;
    const servers = this.#bootstrapServers(except);
    const { requests, nowMs } = core;
    const isAnswering = (server: Destination): boolean =>
      !requests.isFree(server, nowMs) && !requests.isFailing(server, nowMs) && requests.slowAtMs(server) > nowMs;
    const free = servers.some(isAnswering) ? [] : servers.filter((server) => requests.isFree(server, nowMs));
    // One that has failed may be without power, and say nothing for long: it is asked while no other can be.
    const sound = free.filter((server) => !requests.isFailing(server, nowMs));
    const choice = sound.length > 0 ? sound : free;
    if (choice.length > 0 && core.isReadyToFetch) this.#fetch(choice[Math.floor(core.options.random() * choice.length)]!, null);
    const times = servers.flatMap((server) => [requests.freeAtMs(server, nowMs), requests.slowAtMs(server)]);
    return times.reduce((wakeMs, atMs) => (atMs > nowMs ? Math.min(wakeMs, atMs) : wakeMs), Number.POSITIVE_INFINITY);
  }

  /** The voters that this node knows of are asked too: those of the configuration may all have left. */
  #bootstrapServers(except: Destination | undefined): Destination[] {
    const { options, voters, self } = this.#core;
    const known = voters.voters.flatMap(({ endpoints }) => this.#core.endpointOf(endpoints) ?? []);
    const servers = new Map<string, Destination>();
    for (const { host, port } of [...(options.bootstrapServers ?? []), ...known])
      servers.set(`${host}:${port}`, { nodeId: null, host, port });
    for (const { host, port } of self.endpoints) servers.delete(`${host}:${port}`);
    if (except !== undefined) servers.delete(`${except.host}:${except.port}`);
    return [...servers.values()];
  }

  #fetch(destination: Destination, state: Follower | null): void {
    if (state?.snapshot) {
      this.#snapshots.fetchNext(destination, state, state.snapshot);
      return;
    }
    const asked = this.#core.log.end;
    this.#core.send(
      destination,
      { api: 'fetch', request: this.#fetchRequest() },
      { answered: (response) => this.#onFetch(response, asked) },
    );
  }

  #fetchRequest(): Writable<FetchRequest> {
    const { options, self, log, epoch, timing } = this.#core;
    const maxBytes = options.fetchMaxBytes ?? 1024 * 1024;
    return {
      clusterId: options.clusterId ?? null,
      replicaState: { replicaId: self.id, replicaEpoch: -1 },
      maxWaitMs: timing.fetchMaxWaitMs,
      minBytes: 0,
      maxBytes,
      topics: [
        {
          topic: metadataTopic,
          topicId: metadataTopicId,
          partitions: [
            {
              partition: 0,
              currentLeaderEpoch: epoch,
              fetchOffset: log.endOffset,
              lastFetchedEpoch: log.lastEpoch,
              logStartOffset: -1,
              partitionMaxBytes: maxBytes,
              replicaDirectoryId: self.directoryId,
              highWatermark: log.highWatermark,
            },
          ],
        },
      ],
    };
  }

  /** `asked`: where the log ended then. */
  #onFetch(response: FetchResponse, asked: LogPosition): boolean {
    const core = this.#core;
    const heard = hearOf(core, { api: 'fetch', response });
    if (heard !== 'goOn') return heard === 'done';
    const state = core.in('follower');
    // A bootstrap server may be the leader itself; its records are fetched once it is followed.
    if (!state) return false;
    state.hasFetched = !state.hasLeaderResigned;
    core.heardLeader(state);
    // Leader and bootstrap servers may have been asked at the same time: what the later answer says is of a log that is no more.
    const { offset, epoch } = core.log.end;
    const isLate = offset !== asked.offset || epoch !== asked.epoch || state.snapshot !== null || core.loadingSnapshot !== null;
    if (isLate) return false;
    const { divergingEpoch, snapshotId, records, highWatermark } = response.responses[0]!.partitions[0]!;
    if (divergingEpoch.epoch >= 0) return this.#truncate(divergingEpoch);
    if (snapshotId.epoch >= 0 && snapshotId.endOffset >= 0) {
      state.snapshot = { id: { endOffset: snapshotId.endOffset, epoch: snapshotId.epoch }, position: 0 };
      return true;
    }
    const { batches, damage } = appendFetched(core.log, records ?? nothing, core.epoch);
    core.effects.fetched = batches;
    state.leaderHighWatermark = Math.max(state.leaderHighWatermark, highWatermark);
    core.effects.damage = damage;
    return damage === null;
  }

  #truncate(diverging: { readonly epoch: number; readonly endOffset: number }): boolean {
    const { log, effects } = this.#core;
    const endOffset = log.truncationFor(diverging);
    log.truncateTo(endOffset);
    effects.truncateTo = endOffset;
    return true;
  }

  /** What is committed by the leader's word counts here once it is on this node's disk. */
  raiseHighWatermark({ leaderHighWatermark }: Follower): void {
    const { log, effects } = this.#core;
    const reached = Math.min(leaderHighWatermark, log.flushedEndOffset);
    if (log.raiseHighWatermark(reached)) effects.highWatermark = reached;
  }
}

const nothing = new Uint8Array(0);
