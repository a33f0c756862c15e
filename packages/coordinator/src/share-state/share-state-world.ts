/** For tests: a ShareStateCoordinator with a log, whose appends can fail and whose commits can be held back. */
import { errorName } from '@ottla/protocol';
import { defaultShareStateConfig, type ShareStateConfig } from './share-state-config.ts';
import { type AskedSharePartition, ShareStateCoordinator, type ShareStateOutcome } from './share-state-coordinator.ts';
import { decodeShareStateRecord, encodeShareStateRecord, type ShareStateRecord } from './share-state-record.ts';
import type { StateBatch } from './state-batches.ts';

type Encoded = { readonly key: Uint8Array; readonly value: Uint8Array | null };
type Change = {
  readonly stateEpoch?: number;
  readonly leaderEpoch?: number;
  readonly startOffset?: number;
  readonly deliveryCompleteCount?: number;
  readonly batches?: readonly StateBatch[];
};

export const TOPIC_ID = 'qMbaEy-DTgKOu7aQKddapA';

export class ShareStateWorld {
  coordinator: ShareStateCoordinator;
  readonly config: ShareStateConfig;
  readonly log: Encoded[] = [];
  /** The log begins here: what is before was pruned. */
  logStartOffset = 0;
  nowMs = 0;
  /** What the wall clock showed in the beginning. */
  wallMs = 1_000_000;
  /** Topics that are gone. */
  readonly deleted = new Set<string>();

  constructor(config: Partial<ShareStateConfig> = {}) {
    this.config = { ...defaultShareStateConfig, ...config };
    this.coordinator = new ShareStateCoordinator(this.config);
    this.coordinator.activate(this.moment);
  }

  get moment(): { wallMs: number; monotonicMs: number } {
    return { wallMs: this.wallMs + this.nowMs, monotonicMs: this.nowMs };
  }

  asked(partition = 0, topicId = TOPIC_ID, groupId = 'g'): AskedSharePartition {
    return { groupId, topicId, partition, exists: !this.deleted.has(topicId) };
  }

  initialize(stateEpoch: number, startOffset: number, asked = this.asked()): string {
    const change = { partition: asked.partition, stateEpoch, startOffset };
    return this.#code(this.coordinator.initialize(asked, change, this.moment));
  }

  write(change: Change, asked = this.asked()): string {
    const { stateEpoch = -1, leaderEpoch = -1, startOffset = -1, deliveryCompleteCount = -1, batches = [] } = change;
    const { partition } = asked;
    const whole = { partition, stateEpoch, leaderEpoch, startOffset, deliveryCompleteCount, stateBatches: [...batches] };
    return this.#code(this.coordinator.write(asked, whole, this.moment));
  }

  read(leaderEpoch = -1, asked = this.asked()) {
    const {
      partition: _partition,
      errorMessage: _message,
      errorCode,
      ...state
    } = this.submit(this.coordinator.read(asked, leaderEpoch, this.moment));
    return { error: errorName(errorCode), ...state };
  }

  summary(asked = this.asked()) {
    const { partition: _partition, errorMessage: _message, errorCode, ...state } = this.submit(this.coordinator.summary(asked));
    return { error: errorName(errorCode), ...state };
  }

  delete(asked = this.asked()): string {
    return this.#code(this.coordinator.delete(asked));
  }

  submit<Response>({ records, response }: ShareStateOutcome<Response>): Response {
    for (const record of records) this.append(record);
    this.coordinator.commitTo(this.log.length);
    this.coordinator.assertInvariants();
    return response;
  }

  /** Replayed and written, not committed. */
  append(record: ShareStateRecord): void {
    this.coordinator.replay(record, { offset: this.log.length });
    this.log.push(encodeShareStateRecord(record));
  }

  pass(ms: number): void {
    this.nowMs += ms;
    for (let outcome = this.coordinator.wake(this.moment); outcome !== undefined; outcome = this.coordinator.wake(this.moment)) {
      this.submit(outcome);
    }
  }

  prune(): void {
    this.logStartOffset = Math.max(this.logStartOffset, this.coordinator.redundantBefore().response);
  }

  /** What another broker makes of the log. */
  reloaded(): ShareStateCoordinator {
    const coordinator = new ShareStateCoordinator(this.config);
    coordinator.skipTo(this.logStartOffset);
    for (const [offset, { key, value }] of this.log.entries()) {
      if (offset >= this.logStartOffset) coordinator.replay(decodeShareStateRecord(key, value)!, { offset });
    }
    coordinator.commitTo(this.log.length);
    coordinator.assertInvariants();
    return coordinator;
  }

  get types(): string[] {
    return this.log.map(({ key, value }) => {
      const record = decodeShareStateRecord(key, value)!;
      return record.value === null ? 'Tombstone' : record.type;
    });
  }

  #code(outcome: ShareStateOutcome<{ readonly errorCode: number }>): string {
    return errorName(this.submit(outcome).errorCode);
  }
}
