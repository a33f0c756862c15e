import type { RaftEffects, RaftEvent, RaftReply, SnapshotChunk } from '../effects.ts';
import { RaftNode } from '../raft-node.ts';
import type { RaftNodeOptions } from '../raft-node-options.ts';
import type { Voter } from '../voter-set.ts';
import { readSnapshot, type SimulatedDisk } from './simulated-disk.ts';
import type { SimulatedQuorum } from './simulated-quorum.ts';

export type NodeSettings = Pick<
  RaftNodeOptions,
  'canVote' | 'isAutoJoining' | 'timing' | 'fetchMaxBytes' | 'fetchSnapshotMaxBytes'
> & {
  /** The newest version of Vote that it knows. Default: all. */
  readonly voteVersion?: number;
};

/** The shell of a RaftNode in a simulation. */
export class SimulatedNode {
  readonly #quorum: SimulatedQuorum;
  self: Voter;
  readonly disk: SimulatedDisk;
  settings: NodeSettings;
  raft: RaftNode | null = null;
  wakeAtMs: number | null = null;
  /** Counts the starts: what belongs to an earlier life does not reach this one. */
  life = 0;
  highWatermark = -1;
  #snapshot: { bytes: Uint8Array } = { bytes: new Uint8Array(0) };

  constructor(quorum: SimulatedQuorum, self: Voter, disk: SimulatedDisk, settings: NodeSettings) {
    this.#quorum = quorum;
    this.self = self;
    this.disk = disk;
    this.settings = settings;
  }

  get id(): number {
    return this.self.id;
  }

  get isUp(): boolean {
    return this.raft !== null;
  }

  start(): void {
    const { canVote, isAutoJoining, timing, fetchMaxBytes, fetchSnapshotMaxBytes } = this.settings;
    this.life++;
    this.highWatermark = -1;
    this.raft = new RaftNode({
      self: canVote === false ? { ...this.self, endpoints: [] } : this.self,
      canVote: canVote ?? true,
      clusterId: 'cluster',
      listenerName: 'CONTROLLER',
      bootstrapServers: this.#quorum.bootstrapServers,
      quorum: this.disk.readQuorum(),
      electionState: this.disk.electionState,
      log: { startOffset: this.disk.startOffset, endOffset: this.disk.endOffset, epochs: this.disk.epochs },
      snapshots: this.disk.snapshots.map(({ id }) => id),
      isAutoJoining: isAutoJoining ?? false,
      timing: timing ?? {},
      fetchMaxBytes: fetchMaxBytes ?? 400,
      fetchSnapshotMaxBytes: fetchSnapshotMaxBytes ?? 200,
      random: () => this.#quorum.random(this.id),
    });
    this.happened({ type: 'wake' });
  }

  /** Keeps `keep` of the batches that were not synced. */
  crash(keep: number): void {
    this.raft = null;
    this.wakeAtMs = null;
    this.disk.crash(keep);
  }

  happened(event: RaftEvent): void {
    if (!this.raft) return;
    const before = this.raft.state;
    const effects = this.raft.step(event, this.#quorum.nowMs);
    this.#quorum.stepped(this, event, before);
    this.#carryOut(effects);
    this.#quorum.carriedOut(this);
  }

  #carryOut(effects: RaftEffects): void {
    const { disk } = this;
    if (effects.electionState) this.#quorum.saveElection(this, effects.electionState);
    if (effects.truncateTo !== null) {
      this.#quorum.truncated(this, effects.truncateTo);
      disk.truncateTo(effects.truncateTo);
    }
    for (const batch of effects.batches) disk.appendOwn(batch);
    if (effects.fetched) disk.appendFetched(effects.fetched);
    if (effects.batches.length > 0 || effects.fetched) this.#quorum.write(this);
    if (effects.snapshotChunk) this.#takeChunk(effects.snapshotChunk);
    for (const request of effects.requests) this.#quorum.send(this, request);
    for (const reply of effects.replies) this.#quorum.answer(this, this.#filled(reply));
    if (effects.highWatermark !== null) this.highWatermark = effects.highWatermark;
    this.wakeAtMs = effects.nextWakeMs;
  }

  #takeChunk({ snapshotId, position, bytes, isLast }: SnapshotChunk): void {
    if (position === 0) this.#snapshot = { bytes: new Uint8Array(0) };
    const whole = new Uint8Array(position + bytes.length);
    whole.set(this.#snapshot.bytes);
    whole.set(bytes, position);
    this.#snapshot = { bytes: whole };
    if (!isLast) return;
    this.#quorum.later(this, () => {
      const { kRaftVersion, voters } = readSnapshot(whole);
      this.disk.restartAt(snapshotId, whole);
      this.happened({ type: 'snapshotLoaded', snapshotId, quorum: { kRaftVersion, voters } });
    });
  }

  #filled(reply: RaftReply): RaftReply {
    if (reply.api === 'fetch' && reply.readLog) {
      const [topic] = reply.response.responses!;
      const [partition] = topic!.partitions!;
      const records = this.disk.read(reply.readLog);
      const filled = { ...topic, partitions: [{ ...partition, records }] };
      return { ...reply, response: { ...reply.response, responses: [filled] } };
    }
    if (reply.api === 'fetchSnapshot' && reply.readSnapshot) {
      const { snapshotId, position, maxBytes } = reply.readSnapshot;
      const bytes = this.disk.snapshot(snapshotId)!.bytes;
      const [topic] = reply.response.topics!;
      const [partition] = topic!.partitions!;
      const piece = { ...partition, size: bytes.length, unalignedRecords: bytes.slice(position, position + maxBytes) };
      return { ...reply, response: { ...reply.response, topics: [{ ...topic, partitions: [piece] }] } };
    }
    return reply;
  }
}
