import {
  errors,
  type InitializeShareGroupStateRequest,
  KafkaError,
  type Uuid,
  type WriteShareGroupStateRequest,
} from '@ottla/protocol';
import { Deadlines } from '../deadlines.ts';
import { Journal } from '../journal.ts';
import type { Moment } from '../outcome.ts';
import { type ShareState, stateAfterUpdate, stateOfSnapshot } from './share-state.ts';
import type { ShareStateConfig } from './share-state-config.ts';
import {
  type SharePartitionKey,
  type ShareStateRecord,
  snapshotRecord,
  stateTombstone,
  textOfKey,
  updateRecord,
} from './share-state-record.ts';
import {
  type DeleteResult,
  type InitializeResult,
  plainFailure,
  type ReadResult,
  readFailure,
  type SharePartitionFailure,
  type SummaryResult,
  summaryFailure,
  type WriteResult,
} from './share-state-results.ts';
import { combineBatches } from './state-batches.ts';

/** As `Outcome` of the group coordinator, without requests that wait and without anything left to do afterwards. */
export type ShareStateOutcome<Response = undefined> = {
  readonly records: readonly ShareStateRecord[];
  readonly response: Response;
  readonly answers: readonly never[];
  readonly atomic: boolean;
};

/** A share partition as a request speaks of it. */
export type AskedSharePartition = SharePartitionKey & {
  /** Whether there is such a partition, by the broker's metadata. */
  readonly exists: boolean;
};

type PartitionOf<Request extends { topics: { partitions: unknown[] }[] }> = Request['topics'][number]['partitions'][number];

/**
 * The share partitions of one partition of `__share_group_state`: how far each group is with each partition that it shares.
 *
 * Deterministic, and made of `replay` alone. Each operation is about one share partition; what forbids it is its result, not thrown:
 * UNKNOWN_TOPIC_OR_PARTITION speaks of the shared topic, which is another thing than an append's.
 */
export class ShareStateCoordinator {
  #config: ShareStateConfig;
  readonly #journal = new Journal();
  readonly #states = new Map<string, ShareState>();
  readonly #deadlines = new Deadlines<'SnapshotsDue'>();

  constructor(config: ShareStateConfig) {
    this.#config = config;
  }

  // ── share partitions ──

  /** Makes the state anew, whatever it was: at the start of a group, and when an administrator moves its offsets. */
  initialize(
    asked: AskedSharePartition,
    { stateEpoch, startOffset }: PartitionOf<InitializeShareGroupStateRequest>,
    moment: Moment,
  ): ShareStateOutcome<InitializeResult> {
    return decide(asked, plainFailure, () => {
      requirePartition(asked);
      const known = this.#stateOf(asked);
      requireStateEpoch(known, stateEpoch);
      requireExistence(asked);
      const record = snapshotRecord(keyOf(asked), {
        snapshotEpoch: known === undefined ? 0 : known.snapshotEpoch + 1,
        stateEpoch,
        leaderEpoch: 0,
        startOffset,
        // Nothing is known of what lies after an offset that is not known itself.
        deliveryCompleteCount: startOffset === -1 ? -1 : 0,
        createTimestamp: moment.wallMs,
        writeTimestamp: moment.wallMs,
        stateBatches: [],
      });
      return { records: [record], result: {} };
    });
  }

  /** By the leader of the partition, when it begins to share it: a leader before it is refused from now on. */
  read(asked: AskedSharePartition, leaderEpoch: number, moment: Moment): ShareStateOutcome<ReadResult> {
    return decide(asked, readFailure, () => {
      requirePartition(asked);
      const known = this.#initialized(asked, 'read');
      requireLeaderEpoch(known, leaderEpoch);
      requireExistence(asked);
      const { stateEpoch, startOffset, deliveryCompleteCount, stateBatches } = known;
      const isNews = leaderEpoch !== -1 && leaderEpoch !== known.highestLeaderEpoch;
      const told = { startOffset, deliveryCompleteCount, stateBatches: [] };
      return {
        records: isNews ? [this.#changeRecord(known, { ...told, leaderEpoch }, moment)] : [],
        result: { stateEpoch, startOffset, stateBatches: [...stateBatches] },
      };
    });
  }

  /** What the leader has to add. It moves neither epoch: initialize and read do. */
  write(
    asked: AskedSharePartition,
    change: PartitionOf<WriteShareGroupStateRequest>,
    moment: Moment,
  ): ShareStateOutcome<WriteResult> {
    return decide(asked, plainFailure, () => {
      requirePartition(asked);
      const known = this.#initialized(asked, 'write');
      requireLeaderEpoch(known, change.leaderEpoch);
      requireStateEpoch(known, change.stateEpoch);
      requireExistence(asked);
      return { records: [this.#changeRecord(known, { ...change, leaderEpoch: known.leaderEpoch }, moment)], result: {} };
    });
  }

  /** Deleting what is not there is no error: whoever did not hear the first answer asks again. */
  delete(asked: AskedSharePartition): ShareStateOutcome<DeleteResult> {
    return decide(asked, plainFailure, () => {
      requirePartition(asked);
      requireExistence(asked);
      return { records: this.#stateOf(asked) === undefined ? [] : [stateTombstone(keyOf(asked))], result: {} };
    });
  }

  /** For describing a group: a share partition that is not initialized has no offset yet, which is no error. */
  summary(asked: AskedSharePartition): ShareStateOutcome<SummaryResult> {
    return decide(asked, summaryFailure, () => {
      requirePartition(asked);
      requireExistence(asked);
      const known = this.#stateOf(asked);
      if (known === undefined) {
        return { records: [], result: { stateEpoch: 0, leaderEpoch: 0, startOffset: -1, deliveryCompleteCount: -1 } };
      }
      const { stateEpoch, leaderEpoch, startOffset, deliveryCompleteCount } = known;
      return { records: [], result: { stateEpoch, leaderEpoch, startOffset, deliveryCompleteCount } };
    });
  }

  onTopicsDeleted(topicIds: ReadonlySet<Uuid>): ShareStateOutcome {
    const gone = [...this.#states.values()].filter(({ key }) => topicIds.has(key.topicId));
    return outcome(gone.map(({ key }) => stateTombstone(key)));
  }

  /** Below this offset the log has nothing that a restart would need. True once what was replayed so far is committed. */
  redundantBefore(): ShareStateOutcome<number> {
    let redundantBefore = this.#journal.nextOffset;
    for (const { snapshotOffset } of this.#states.values()) redundantBefore = Math.min(redundantBefore, snapshotOffset);
    return { records: [], response: redundantBefore, answers: [], atomic: true };
  }

  get states(): ReadonlyMap<string, ShareState> {
    return this.#states;
  }

  // ── time ──

  nextWakeMs(): number | undefined {
    return this.#deadlines.nextMs();
  }

  wake(moment: Moment): ShareStateOutcome | undefined {
    if (this.#deadlines.takeDue(moment.monotonicMs) === undefined) return undefined;
    this.#scheduleSnapshots(moment);
    return outcome(this.#coldSnapshots(moment));
  }

  /**
   * A share partition that is seldom written would keep the log from being pruned up to its last snapshot: it is written once more.
   * If all of them are there for that reason only, nothing would be gained. Times are of the wall clock, as the log has them: one from
   * the future is old.
   */
  #coldSnapshots({ wallMs }: Moment): ShareStateRecord[] {
    const states = [...this.#states.values()];
    if (states.every(({ createTimestamp, writeTimestamp }) => createTimestamp !== writeTimestamp)) return [];
    const intervalMs = this.#config.coldPartitionSnapshotIntervalMs;
    return states
      .filter(({ writeTimestamp }) => wallMs < writeTimestamp || wallMs - writeTimestamp >= intervalMs)
      .map((state) => snapshotRecord(state.key, { ...state, snapshotEpoch: state.snapshotEpoch + 1, writeTimestamp: wallMs }));
  }

  #scheduleSnapshots({ monotonicMs }: Moment): void {
    this.#deadlines.set('snapshots', monotonicMs + this.#config.coldPartitionSnapshotIntervalMs, 'SnapshotsDue');
  }

  // ── durability ──

  /** The only place where state changes. The caller replays in the order of the log. */
  replay(record: ShareStateRecord, { offset }: { readonly offset: number }): void {
    this.#journal.advance(offset);
    const key = keyOf(record.key);
    const text = textOfKey(key);
    const before = this.#states.get(text);
    if (record.type === 'ShareSnapshot') {
      if (record.value === null) this.#journal.delete(this.#states, text);
      else this.#journal.set(this.#states, text, stateOfSnapshot(before, record.value, { key, offset }));
    } else if (record.value !== null) {
      this.#journal.set(this.#states, text, stateAfterUpdate(before, record.value, { key, offset }));
    }
    this.#journal.advance(offset + 1);
  }

  /** Nobody writes here within a transaction. */
  replayTransactionEnd(_producerId: number, _isCommit: boolean, offset: number): void {
    this.#journal.advance(offset + 1);
  }

  skipTo(nextOffset: number): void {
    this.#journal.advance(nextOffset);
  }

  commitTo(endOffset: number): void {
    this.#journal.commit(endOffset);
  }

  rollbackTo(offset: number): void {
    this.#journal.rollback(offset);
  }

  /** No operation leaves anything to do. */
  continueWith(): ShareStateOutcome {
    return outcome([]);
  }

  // ── life of the partition ──

  updateConfig(config: ShareStateConfig): void {
    this.#config = config;
  }

  activate(moment: Moment): ShareStateOutcome {
    this.#scheduleSnapshots(moment);
    return outcome([]);
  }

  unload(): ShareStateOutcome {
    return outcome([]);
  }

  assertInvariants(): void {
    for (const [text, { key, stateBatches, startOffset, updates, snapshotOffset }] of this.#states) {
      if (text !== textOfKey(key)) throw new Error(`${text} holds the state of ${textOfKey(key)}`);
      if (updates < 0 || snapshotOffset >= this.#journal.nextOffset) throw new Error(`${text} is ahead of the log`);
      let previousOffset = startOffset - 1;
      for (const { firstOffset, lastOffset } of stateBatches) {
        if (firstOffset <= previousOffset || lastOffset < firstOffset) throw new Error(`${text} has batches out of order`);
        previousOffset = lastOffset;
      }
    }
  }

  #stateOf(key: SharePartitionKey): ShareState | undefined {
    return this.#states.get(textOfKey(key));
  }

  /** Throws INVALID_REQUEST. */
  #initialized(key: SharePartitionKey, what: string): ShareState {
    const known = this.#stateOf(key);
    if (known === undefined)
      throw new KafkaError('INVALID_REQUEST', `cannot ${what} the share partition ${textOfKey(key)}: it was never initialized`);
    return known;
  }

  /** As an update, or as a snapshot with the change in it when there have been enough updates. */
  #changeRecord(known: ShareState, change: Change, { wallMs }: Moment): ShareStateRecord {
    const { leaderEpoch, deliveryCompleteCount } = change;
    if (known.updates < this.#config.updatesPerSnapshot) {
      return updateRecord(known.key, {
        snapshotEpoch: known.snapshotEpoch,
        leaderEpoch,
        startOffset: change.startOffset,
        deliveryCompleteCount,
        stateBatches: [...combineBatches([], change.stateBatches, change.startOffset)],
      });
    }
    const startOffset = change.startOffset === -1 ? known.startOffset : change.startOffset;
    return snapshotRecord(known.key, {
      snapshotEpoch: known.snapshotEpoch + 1,
      stateEpoch: known.stateEpoch,
      leaderEpoch,
      startOffset,
      deliveryCompleteCount,
      createTimestamp: wallMs,
      writeTimestamp: wallMs,
      stateBatches: combineBatches(known.stateBatches, change.stateBatches, startOffset),
    });
  }
}

type Change = Omit<PartitionOf<WriteShareGroupStateRequest>, 'partition' | 'stateEpoch'>;
type Decision<Result> = {
  readonly records: readonly ShareStateRecord[];
  readonly result: Omit<Result, keyof SharePartitionFailure | 'unknownTags'>;
};

function decide<Result extends SharePartitionFailure>(
  { partition }: SharePartitionKey,
  refused: (failure: SharePartitionFailure) => Result,
  decision: () => Decision<Result>,
): ShareStateOutcome<Result> {
  try {
    const { records, result } = decision();
    return {
      records,
      response: { ...refused({ partition, errorCode: 0, errorMessage: null }), ...result },
      answers: [],
      atomic: true,
    };
  } catch (error) {
    if (!(error instanceof KafkaError)) throw error;
    const failure = { partition, errorCode: errors[error.name].code, errorMessage: error.message };
    return { records: [], response: refused(failure), answers: [], atomic: true };
  }
}

function outcome(records: readonly ShareStateRecord[]): ShareStateOutcome {
  // Each says all of its own share partition.
  return { records, response: undefined, answers: [], atomic: false };
}

function keyOf({ groupId, topicId, partition }: SharePartitionKey): SharePartitionKey {
  return { groupId, topicId, partition };
}

function requirePartition({ partition }: SharePartitionKey): void {
  if (partition < 0) throw new KafkaError('INVALID_REQUEST', `a partition cannot have the number ${partition}`);
}

function requireExistence({ exists, topicId, partition }: AskedSharePartition): void {
  if (!exists) throw new KafkaError('UNKNOWN_TOPIC_OR_PARTITION', `the topic ${topicId} has no partition ${partition}`);
}

/** -1 says that the sender does not know. */
function requireLeaderEpoch({ highestLeaderEpoch }: ShareState, leaderEpoch: number): void {
  if (leaderEpoch === -1 || leaderEpoch >= highestLeaderEpoch) return;
  throw new KafkaError(
    'FENCED_LEADER_EPOCH',
    `a leader of epoch ${leaderEpoch} is over: the partition is led in epoch ${highestLeaderEpoch}`,
  );
}

function requireStateEpoch(known: ShareState | undefined, stateEpoch: number): void {
  if (known === undefined || stateEpoch === -1 || stateEpoch >= known.highestStateEpoch) return;
  throw new KafkaError(
    'FENCED_STATE_EPOCH',
    `state of epoch ${stateEpoch} is over: it was made anew in epoch ${known.highestStateEpoch}`,
  );
}
