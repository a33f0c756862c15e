import type { FetchResponse, VoteRequest, VoteResponse } from '@ottla/protocol';
import type { ElectionState } from '../election-state.ts';
import type { RaftApi } from '../messages.ts';
import type { SimulatedNode } from './simulated-node.ts';
import type { SimulatedQuorum } from './simulated-quorum.ts';

type Commit = { readonly endOffset: number; readonly chain: string; readonly epoch: number };

/** What a quorum promises whatever happens, looked at after every step of every node. */
export class QuorumPromises {
  #quorum: SimulatedQuorum | undefined;
  readonly #leaderOfEpoch = new Map<number, number>();
  readonly #votes = new Map<string, string>();
  readonly #batches = new Map<string, string>();
  readonly #commits: Commit[] = [];
  readonly #committedChains = new Map<number, string>();
  readonly #highWatermarks = new Map<SimulatedNode, { readonly life: number; readonly offset: number }>();
  readonly #lookedAt = new WeakMap<object, true>();
  readonly #truncated = new Set<SimulatedNode>();

  watch(quorum: SimulatedQuorum): void {
    this.#quorum = quorum;
  }

  get committedEndOffset(): number {
    return this.#commits.at(-1)?.endOffset ?? 0;
  }

  savedElection(node: SimulatedNode, { leaderEpoch, leaderId, votedFor }: ElectionState): void {
    if (votedFor) this.#votesGivenOnce(node, leaderEpoch, `${votedFor.id}/${votedFor.directoryId}`);
    if (leaderId !== null) this.#singleLeaderPerEpoch(leaderEpoch, leaderId);
  }

  /** Who asks for votes has given its own to itself. */
  sent(node: SimulatedNode, api: RaftApi, request: object): void {
    if (api !== 'vote') return;
    const { preVote, replicaEpoch, replicaId, replicaDirectoryId } = (request as VoteRequest).topics[0]!.partitions[0]!;
    if (!preVote) this.#votesGivenOnce(node, replicaEpoch, `${replicaId}/${replicaDirectoryId}`);
  }

  answered(node: SimulatedNode, api: RaftApi, request: object, response: object): void {
    if (api === 'fetch') this.#leaderTellsWhatItsEpochCommitted(node, response as FetchResponse);
    if (api !== 'vote') return;
    const { preVote, replicaEpoch, replicaId, replicaDirectoryId } = (request as VoteRequest).topics[0]!.partitions[0]!;
    const isGranted = (response as VoteResponse).topics[0]?.partitions[0]?.voteGranted === true;
    if (isGranted && !preVote) this.#votesGivenOnce(node, replicaEpoch, `${replicaId}/${replicaDirectoryId}`);
  }

  carriedOut(node: SimulatedNode): void {
    const raft = node.raft!;
    if (raft.isLeader) {
      const { leaderEpoch } = raft.leaderAndEpoch;
      if (!this.#leaderOfEpoch.has(leaderEpoch) || raft.epochStartOffset === node.disk.batches.at(-1)?.baseOffset)
        this.#leaderHasAllCommitted(node, leaderEpoch);
      this.#singleLeaderPerEpoch(leaderEpoch, node.id);
    }
    this.#logsMatch(node);
    this.#highWatermarkNeverRetreats(node);
    this.#committedRecordsAgree(node);
    this.#votersAreThoseOfTheLog(node);
  }

  #votesGivenOnce(node: SimulatedNode, leaderEpoch: number, vote: string): void {
    const key = `${node.id}/${node.self.directoryId}/${leaderEpoch}`;
    const before = this.#votes.get(key);
    promise(before === undefined || before === vote, `node ${node.id} votes for ${vote} in epoch ${leaderEpoch} after ${before}`);
    this.#votes.set(key, vote);
  }

  #singleLeaderPerEpoch(leaderEpoch: number, leaderId: number): void {
    const before = this.#leaderOfEpoch.get(leaderEpoch) ?? leaderId;
    promise(before === leaderId, `epoch ${leaderEpoch} has the leaders ${before} and ${leaderId}`);
    this.#leaderOfEpoch.set(leaderEpoch, leaderId);
  }

  /** A follower may have heard more from an earlier leader, and one of Kafka stops when it is told less. */
  #leaderTellsWhatItsEpochCommitted({ id, raft }: SimulatedNode, { responses }: FetchResponse): void {
    const told = responses[0]?.partitions[0]?.highWatermark ?? -1;
    if (told < 0) return;
    const { leaderEpoch } = raft!.leaderAndEpoch;
    for (const { endOffset, epoch } of this.#commits)
      promise(
        epoch >= leaderEpoch || told >= endOffset,
        `node ${id}, of epoch ${leaderEpoch}, says that all before ${told} is committed, and epoch ${epoch} has committed all before ${endOffset}`,
      );
  }

  /** Batches of one epoch at one offset are the same on every node, and so is all before them. */
  #logsMatch({ id, disk }: SimulatedNode): void {
    for (let index = disk.batches.length - 1; index >= 0; index--) {
      const batch = disk.batches[index]!;
      if (this.#lookedAt.has(batch)) break;
      this.#lookedAt.set(batch, true);
      const key = `${batch.epoch}/${batch.baseOffset}`;
      const before = this.#batches.get(key) ?? batch.chain;
      promise(before === batch.chain, `node ${id} has another log up to the batch ${key} than others`);
      this.#batches.set(key, batch.chain);
    }
  }

  #highWatermarkNeverRetreats(node: SimulatedNode): void {
    const { life, highWatermark: offset } = node;
    const before = this.#highWatermarks.get(node);
    promise(
      !before || before.life !== life || before.offset <= offset,
      `the high watermark of node ${node.id} goes back to ${offset}`,
    );
    promise(offset <= node.disk.flushedEndOffset, `node ${node.id} takes for committed what it has not on disk`);
    if (before?.offset !== offset || before.life !== life) this.#highWatermarks.set(node, { life, offset });
  }

  #committedRecordsAgree(node: SimulatedNode): void {
    const { highWatermark: offset, disk, raft } = node;
    if (offset <= 0) return;
    const chain = disk.chainAt(offset);
    // The high watermark of a follower can lie inside a batch only if the leader's did.
    promise(
      chain !== undefined,
      `the high watermark ${offset} of node ${node.id} is no end of a batch ${JSON.stringify(disk.batches.map((b) => [b.baseOffset, b.endOffset, b.epoch]))} ${disk.startOffset} ${JSON.stringify(disk.snapshots.map((s) => s.id))}`,
    );
    const known = this.#committedChains.get(offset);
    if (known !== undefined) {
      promise(known === chain, `node ${node.id} takes another log up to ${offset} for committed than others`);
      return;
    }
    // Known by the chain of what comes later.
    // A leader that removes itself resigns with the commit.
    const isLeader = raft!.isLeader || raft!.state === 'resigned';
    if (offset < this.committedEndOffset && !isLeader) return;
    promise(isLeader, `node ${node.id} takes for committed up to ${offset} what no leader has committed`);
    this.#isOnDisksOfMajority(node, offset, chain!);
    this.#isOfOwnEpoch(node, offset);
    for (const commit of this.#commits)
      promise(
        commit.endOffset < this.#startOf(node) || disk.chainAt(commit.endOffset) === commit.chain,
        `what was committed up to ${commit.endOffset} has changed on node ${node.id}`,
      );
    for (let index = disk.batches.length - 1; index >= 0; index--) {
      const { endOffset, chain: upTo } = disk.batches[index]!;
      if (endOffset > offset) continue;
      if (this.#committedChains.has(endOffset)) break;
      this.#committedChains.set(endOffset, upTo);
    }
    if (offset > this.committedEndOffset)
      this.#commits.push({ endOffset: offset, chain: chain!, epoch: raft!.leaderAndEpoch.leaderEpoch });
  }

  /** A majority that has records of earlier epochs does not commit them: another leader may still replace them. */
  #isOfOwnEpoch({ id, disk, raft }: SimulatedNode, offset: number): void {
    const { leaderEpoch } = raft!.leaderAndEpoch;
    const last = disk.batches.find(({ endOffset }) => endOffset === offset);
    promise(
      !last || last.epoch === leaderEpoch,
      `node ${id}, of epoch ${leaderEpoch}, commits up to a record of epoch ${last?.epoch}`,
    );
  }

  /** Those of the newest record in the log: a truncation brings back the ones before. */
  truncated(node: SimulatedNode): void {
    this.#truncated.add(node);
  }

  #votersAreThoseOfTheLog(node: SimulatedNode): void {
    if (!this.#truncated.delete(node)) return;
    const inLog = node.disk.readQuorum().voters;
    promise(inLog.equals(node.raft!.voters), `node ${node.id} knows the voters ${node.raft!.voters.ids}, its log ${inLog.ids}`);
  }

  #startOf = ({ disk }: SimulatedNode): number => Math.max(disk.startOffset, 1);

  #isOnDisksOfMajority({ raft, id }: SimulatedNode, offset: number, chain: string): void {
    const { voters } = raft!;
    const having = voters.voters.filter((voter) => {
      const node = this.#quorum!.nodes.get(voter.id);
      // What a lost disk had is not to be seen any more.
      if (!node || !voters.has(node.self)) return this.#quorum!.hasLostDisk(voter);
      return node.disk.flushedEndOffset >= offset && (node.disk.startOffset > offset || node.disk.chainAt(offset) === chain);
    });
    promise(
      having.length >= voters.majority,
      `node ${id} commits up to ${offset}, which only ${having.map((voter) => voter.id)} of ${voters.ids} have`,
    );
  }

  /** Whatever was committed in an earlier epoch. */
  #leaderHasAllCommitted({ id, disk }: SimulatedNode, leaderEpoch: number): void {
    const commit = this.#commits.findLast(({ epoch }) => epoch < leaderEpoch);
    if (!commit || disk.startOffset > commit.endOffset) return;
    promise(
      disk.chainAt(commit.endOffset) === commit.chain,
      `node ${id} leads epoch ${leaderEpoch} without what is committed up to ${commit.endOffset}`,
    );
  }
}

function promise(holds: boolean, broken: string): asserts holds {
  if (!holds) throw new Error(`a broken promise: ${broken}`);
}
