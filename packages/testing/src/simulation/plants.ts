/** Bugs that are put into the sources on purpose, to see that the simulator finds them. The quorum's own simulation has a list of its own. */
export type Plant = {
  readonly name: string;
  /** What goes wrong. */
  readonly what: string;
  readonly edits: readonly Edit[];
  /** One of that many seeds, counted from the first, must find it. */
  readonly seeds: number;
  /** Of the clusters that show it; any unless given. */
  readonly shape?: string;
};

export type Edit = {
  /** From the root of the repository. */
  readonly file: string;
  /** Stands there once. */
  readonly find: string;
  readonly replace: string;
};

export const plants: readonly Plant[] = [
  {
    name: 'dedupe-off',
    what: 'a batch that comes again is appended again',
    edits: [
      {
        file: 'packages/storage/src/producer-append.ts',
        find: 'const repeated = duplicateOf(updated, batch);',
        replace: `if (batch.baseSequence >= 0) return undefined;
    const repeated = duplicateOf(updated, batch);`,
      },
      {
        file: 'packages/storage/src/producer-append.ts',
        find: 'if (isNextSequence(lastSequence, firstSequence)) return;',
        replace: 'if (lastSequence >= -1) return;',
      },
    ],
    seeds: 60,
  },
  {
    name: 'reads-what-is-not-stable',
    what: 'readers of committed records are given those of open transactions',
    edits: [
      {
        file: 'packages/broker/src/replication/partition.ts',
        find: 'return Math.min(this.log.lastStableOffset, this.#highWatermark);',
        replace: 'return this.#highWatermark;',
      },
    ],
    seeds: 20,
  },
  {
    name: 'aborts-not-told',
    what: 'readers of committed records are not told what was aborted',
    edits: [
      {
        file: 'packages/broker/src/replication/partition.ts',
        find: 'return this.#onDisk(() => this.log.abortedTransactions(startOffset, endOffset));',
        replace: 'return startOffset < 0 ? [] : endOffset < 0 ? this.#onDisk(() => this.log.abortedTransactions(0, 0)) : [];',
      },
    ],
    seeds: 40,
  },
  {
    name: 'reads-what-is-not-committed',
    what: 'consumers are given what only the leader has',
    edits: [
      {
        file: 'packages/broker/src/replication/partition.ts',
        find: "return bound === 'highWatermark' ? this.#highWatermark : this.lastStableOffset;",
        replace: "return bound === 'highWatermark' ? this.log.logEndOffset : this.lastStableOffset;",
      },
    ],
    seeds: 60,
  },
  {
    name: 'commit-before-replication',
    what: 'the leader commits what no follower has',
    edits: [
      {
        file: 'packages/broker/src/replication/leader-replicas.ts',
        find: 'if (replica.logEndOffset >= offset) continue;',
        replace: 'if (offset >= 0) continue;',
      },
    ],
    seeds: 20,
  },
  {
    name: 'high-watermark-off-by-one',
    what: 'the leader commits one record more than all have',
    edits: [
      {
        file: 'packages/broker/src/replication/leader-replicas.ts',
        find: `    return offset;
  }

  #isAboutToJoin`,
        replace: `    return Math.min(offset + 1, logEndOffset);
  }

  #isAboutToJoin`,
      },
    ],
    seeds: 20,
  },
  {
    name: 'new-leader-commits-all',
    what: 'whoever becomes leader takes all of its log for committed',
    edits: [
      {
        file: 'packages/broker/src/replication/partition.ts',
        find: 'else this.#leading = new LeaderReplicas(this.#cluster, begins);',
        replace: `else {
          this.#leading = new LeaderReplicas(this.#cluster, begins);
          this.#highWatermark = logEndOffset;
        }`,
      },
    ],
    seeds: 100,
  },
  {
    name: 'min-isr-ignored',
    what: 'a record is acknowledged although the isr is too small',
    edits: [
      {
        file: 'packages/broker/src/replication/partition.ts',
        find: 'if (isr.length >= minimum) return;',
        replace: 'if (isr.length >= 0) return;',
      },
      {
        file: 'packages/broker/src/replication/leader-replicas.ts',
        find: 'if (this.#isr.committed.length < this.effectiveMinIsr(minInsyncReplicas)) return -1;',
        replace: 'if (this.#isr.committed.length < 1) return -1;',
      },
    ],
    seeds: 100,
  },
  {
    name: 'isr-shrinks-at-once',
    what: 'the leader leaves a slow follower out before the controller has agreed',
    edits: [
      {
        file: 'packages/broker/src/replication/isr-state.ts',
        find: "if (proposal.kind === 'expand') this.#maximal",
        replace: 'if (proposal.kind !== undefined) this.#maximal',
      },
    ],
    seeds: 300,
  },
  {
    name: 'joins-isr-too-early',
    what: 'a follower joins the isr before it has all that is committed',
    edits: [
      {
        file: 'packages/broker/src/replication/leader-replicas.ts',
        find: 'if (!replica || replica.logEndOffset < highWatermark || replica.logEndOffset < this.#epochStartOffset) return undefined;',
        replace: 'if (!replica || replica.logEndOffset > highWatermark + 1e9) return undefined;',
      },
    ],
    seeds: 60,
  },
  {
    name: 'no-truncation',
    what: 'a follower keeps what its new leader does not have',
    edits: [
      {
        file: 'packages/broker/src/replication/replica-fetcher.ts',
        find: 'lastFetchedEpoch: log.latestEpoch,',
        replace: 'lastFetchedEpoch: -1,',
      },
    ],
    seeds: 100,
  },
  {
    name: 'isr-change-not-persisted',
    what: 'the controller agrees to a change of the isr and does not write it down',
    edits: [
      {
        file: 'packages/metadata/src/controller/in-sync-replicas.ts',
        find: 'if (record) records.push(record);',
        replace: 'if (record && isr.length > partition.isr.length) records.push(record);',
      },
    ],
    seeds: 60,
  },
  {
    name: 'broker-epochs-unchecked',
    what: 'a restarted broker slips into the isr with what it had before',
    edits: [
      {
        file: 'packages/metadata/src/controller/in-sync-replicas.ts',
        find: 'const isCurrent = brokerEpoch === -1 || brokerEpoch === broker?.epoch;',
        replace: 'const isCurrent = brokerEpoch >= -1;',
      },
      {
        file: 'packages/broker/src/replication/leader-replicas.ts',
        find: 'return brokerEpoch < Math.max(current, this.#others.get(brokerId)?.brokerEpoch ?? -1);',
        replace: 'return brokerEpoch < current - 1e9;',
      },
      {
        file: 'packages/broker/src/replication/leader-replicas.ts',
        find: 'return current !== undefined && (brokerEpoch === -1 || brokerEpoch === current);',
        replace: 'return current !== undefined;',
      },
    ],
    seeds: 200,
  },
  {
    name: 'lossy-restart-stays-in-sync',
    what: 'a broker that lost power comes back into the isr without asking',
    edits: [
      {
        file: 'packages/metadata/src/controller/fencing.ts',
        find: `    isr: without(partition.isr, brokerId),
    isAlive: (id) => id !== brokerId && brokerIsActive(state, id),
    uncleanlyStopped: [brokerId],`,
        replace: '    isr: partition.isr,',
      },
    ],
    seeds: 100,
  },
  {
    name: 'elects-anyone',
    what: 'a replica that is not in sync is elected',
    edits: [
      {
        file: 'packages/metadata/src/controller/partition-change.ts',
        find: "const anyone = election === 'unclean' ? target.replicas.find(canLead) : undefined;",
        replace: 'const anyone = target.replicas.find(canLead);',
      },
      {
        file: 'packages/metadata/src/controller/partition-change.ts',
        find: 'if (elrEnabled) keepEligible(target',
        replace: 'if (!elrEnabled) keepEligible(target',
      },
    ],
    seeds: 200,
  },
  {
    name: 'fencing-forgets-partitions',
    what: 'a broker is fenced and goes on leading',
    edits: [
      {
        file: 'packages/metadata/src/controller/fencing.ts',
        find: 'return closed(leaving(state, broker.id), registrationChangeRecord(broker, { fenced: true }));',
        replace: 'return { records: [registrationChangeRecord(broker, { fenced: true })], isPartial: false };',
      },
    ],
    seeds: 20,
  },
  {
    name: 'leader-epoch-stays',
    what: 'a new leader has the epoch of the one before',
    edits: [
      {
        file: 'packages/metadata/src/image/partition-state.ts',
        find: 'leaderEpoch: keepsLeader ? partition.leaderEpoch : partition.leaderEpoch + 1,',
        replace:
          'leaderEpoch: keepsLeader || change.leader === noLeader ? partition.leaderEpoch : partition.leaderEpoch + (change.leader % 2),',
      },
    ],
    seeds: 20,
  },
  {
    name: 'snapshot-forgets-a-record',
    what: 'a snapshot of the metadata lacks the producer ids that were given out',
    edits: [
      {
        file: 'packages/metadata/src/image/snapshot-records.ts',
        find: 'if (nextProducerId > 0) yield',
        replace: 'if (nextProducerId < 0) yield',
      },
    ],
    seeds: 100,
  },
  {
    name: 'metadata-commits-alone',
    what: 'the leader of the quorum commits what no other voter has',
    edits: [
      {
        file: 'packages/raft/src/leadership.ts',
        find: 'return ends[this.#voters.majority - 1] ?? -1;',
        replace: 'return ends[0] ?? -1;',
      },
    ],
    seeds: 40,
  },
  {
    name: 'vote-not-durable',
    what: 'a voter does not write its vote down',
    edits: [
      {
        file: 'packages/broker/src/quorum/metadata-quorum.ts',
        find: 'if (electionState) {',
        replace: 'if (electionState && electionState.votedFor === null) {',
      },
    ],
    seeds: 40,
  },
  {
    name: 'fsync-skipped',
    what: 'the metadata log is taken for durable before it is flushed',
    edits: [
      {
        file: 'packages/broker/src/quorum/metadata-log-writer.ts',
        find: 'await log.flushLater();',
        replace: 'await undefined;',
      },
    ],
    seeds: 400,
  },
  {
    name: 'marker-lost',
    what: 'the marker of a transaction is not written to one partition',
    edits: [
      {
        file: 'packages/broker/src/transactions/marker-writer.ts',
        find: 'const { producerId, producerEpoch, isCommit, coordinatorEpoch, transactionVersion } = marker;',
        replace: `const { producerId, producerEpoch, isCommit, coordinatorEpoch, transactionVersion } = marker;
    if (index === 1) return;`,
      },
    ],
    seeds: 20,
  },
  {
    name: 'coordinator-answers-early',
    what: 'a coordinator answers before its records are committed',
    edits: [
      {
        file: 'packages/broker/src/coordinators/coordinator-partition.ts',
        find: 'const { highWatermark } = this.#log;',
        replace: 'const highWatermark = this.#endOffset;',
      },
    ],
    seeds: 200,
  },
  {
    name: 'coordinator-forgets',
    what: 'a coordinator that takes over does not read the last of its log',
    edits: [
      {
        file: 'packages/broker/src/coordinators/coordinator-loader.ts',
        find: 'while (offset < log.logEndOffset && !isCancelled()) {',
        replace: 'while (offset < log.logEndOffset - 3 && !isCancelled()) {',
      },
      {
        file: 'packages/broker/src/coordinators/coordinator-loader.ts',
        find: `      offset = batch.nextOffset;
      isAdvancing = true;`,
        replace: `      offset = batch.nextOffset;
      isAdvancing = true;
      if (offset >= log.logEndOffset - 3) break;`,
      },
      {
        file: 'packages/broker/src/coordinators/coordinator-loader.ts',
        find: `  machine.skipTo(offset);
  machine.commitTo(log.highWatermark);
  return records;`,
        replace: `  machine.skipTo(log.logEndOffset);
  machine.commitTo(log.highWatermark);
  return records;`,
      },
    ],
    seeds: 100,
  },
  {
    name: 'zombies-unfenced',
    what: 'a producer goes on whose transactional id another one has',
    edits: [
      // One is enough to keep it out: leaders ask the coordinator before they take the first record of a transaction.
      {
        file: 'packages/coordinator/src/transactions/decision.ts',
        find: 'if (transaction.producerEpoch !== producerEpoch) throw',
        replace: 'if (transaction.producerEpoch < producerEpoch) throw',
      },
      {
        file: 'packages/storage/src/producer-append.ts',
        find: 'if (!isStale) return;',
        replace: 'if (!isStale || producerEpoch >= 0) return;',
      },
    ],
    seeds: 200,
  },
  {
    name: 'recovery-believes-all',
    what: 'a start after a crash does not look whether batches are whole',
    edits: [
      {
        file: 'packages/storage/src/intact-batches.ts',
        find: 'batch.ensureCrc();',
        replace: 'if (batch.length < 0) batch.ensureCrc();',
      },
    ],
    seeds: 200,
  },
  {
    name: 'share-passes-over',
    what: 'whoever takes a share partition over is done with what it knows nothing of',
    edits: [
      {
        file: 'packages/broker/src/sharing/share-partition.ts',
        find: 'this.#addRun(this.#endOffset, firstOffset - 1, RecordState.available, 0);',
        replace: 'this.#addRun(this.#endOffset, firstOffset - 1, RecordState.archived, 0);',
      },
    ],
    seeds: 40,
  },
  {
    name: 'share-release-accepts',
    what: 'a record that a member of a share group gives back is taken for accepted',
    edits: [
      {
        file: 'packages/broker/src/sharing/share-partition.ts',
        find: 'if (type === AcknowledgeType.accept) run.state',
        replace: 'if (type === AcknowledgeType.accept || type === AcknowledgeType.release) run.state',
      },
    ],
    seeds: 20,
  },
];
