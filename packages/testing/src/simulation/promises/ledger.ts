import { type BatchView, batchesOf, OffsetCommitKey, OffsetCommitValue, Reader, readShareRecord } from '@ottla/protocol';
import type { TopicPlan } from '../plan.ts';
import type { Replica, ReplicaSight, Sight } from '../sight.ts';
import { SharedLog, type ShareEnding } from './shared-log.ts';

/** Of a batch below a high watermark: all that may never become something else. */
export type CommittedBatch = {
  readonly baseOffset: number;
  readonly lastOffset: number;
  readonly leaderEpoch: number;
  readonly crc: number;
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly baseSequence: number;
  readonly isControl: boolean;
  readonly isTransactional: boolean;
};

/** What some replica said is committed, from the first time it was said. */
export class CommittedLog {
  readonly topic: string;
  readonly index: number;
  /** Everything below was committed once, and is in `batches`. */
  endOffset = 0;
  /** The highest of all high watermarks that any replica had. */
  highestHighWatermark = 0;
  /** By its last offset, which cleaning leaves alone. */
  readonly byLastOffset = new Map<number, CommittedBatch>();
  readonly batches: CommittedBatch[] = [];

  constructor(topic: string, index: number) {
    this.topic = topic;
    this.index = index;
  }
}

const readBytes = 1 << 20;

/** All that replicas said is committed, and where they disagree about it. */
export class Ledger {
  readonly logs = new Map<string, CommittedLog>();
  /** The latest of each name. */
  readonly #byName = new Map<string, CommittedLog>();
  /** The furthest that was committed of each partition by each group, as `group topic-partition`. */
  readonly groupOffsets = new Map<string, number>();
  readonly #sharedLogs = new Map<string, SharedLog>();
  /** In the order in which they were committed. */
  readonly shareEndings: ShareEnding[] = [];
  /** Newly found, for the promise that is about them. */
  readonly disagreements: string[] = [];
  /** How far each life of each replica was read. */
  readonly #read = new Map<string, number>();

  /** Reads what is committed since the last time. */
  advance(sight: Sight): void {
    for (const each of sight.changed) this.#advance(each);
  }

  of(topic: string, index: number): CommittedLog | undefined {
    return this.#byName.get(`${topic}-${index}`);
  }

  /** Of what is committed of the topics, a record with which the share group is not done. */
  leftFor(group: string, topics: readonly TopicPlan[]): string | undefined {
    for (const log of this.logs.values()) {
      if (!topics.some(({ name }) => name === log.topic)) continue;
      const shared = this.#shared(group, log);
      const { firstLeft } = shared;
      if (firstLeft !== undefined) return `${shared.place}@${firstLeft}`;
    }
    return undefined;
  }

  #shared(group: string, log: CommittedLog): SharedLog {
    const place = `${group} ${log.topic}-${log.index}`;
    let shared = this.#sharedLogs.get(place);
    if (!shared) this.#sharedLogs.set(place, (shared = new SharedLog(group, log)));
    return shared;
  }

  #advance({ node, replica, key, life: reader }: ReplicaSight): void {
    let log = this.logs.get(key);
    if (!log) {
      log = new CommittedLog(replica.topic, replica.index);
      this.logs.set(key, log);
      this.#byName.set(replica.name, log);
    }
    const { highWatermark } = replica;
    if (highWatermark > log.highestHighWatermark) log.highestHighWatermark = highWatermark;
    const from = Math.max(this.#read.get(reader) ?? 0, replica.log.logStartOffset);
    const to = Math.min(highWatermark, replica.log.logEndOffset);
    if (from >= to) return;
    try {
      this.#read.set(reader, this.#readStretch(log, replica, from, to, `node ${node.id}`));
    } catch (error) {
      // A disk that fails has its own promises.
      if (!(error instanceof Error && 'code' in error)) throw error;
    }
  }

  #readStretch(log: CommittedLog, replica: Replica, from: number, to: number, who: string): number {
    let offset = from;
    while (offset < to) {
      const { records, release } = replica.log.read({
        ...{ startOffset: offset, endOffset: to, maxBytes: readBytes, minOneBatch: true },
      });
      const before = offset;
      for (const batch of batchesOf(records)) {
        if (batch.baseOffset >= to) break;
        this.#see(log, batch, who);
        offset = batch.nextOffset;
      }
      release?.();
      // Cleaned away up to the end.
      if (offset === before) return to;
    }
    return offset;
  }

  #see(log: CommittedLog, batch: BatchView, who: string): void {
    const known = log.byLastOffset.get(batch.lastOffset);
    if (known) {
      const isCleaned = known.crc !== batch.crc && log.topic.startsWith('__');
      if ((known.crc !== batch.crc && !isCleaned) || known.leaderEpoch !== batch.leaderEpoch) {
        this.disagreements.push(
          `${log.topic}-${log.index}: ${who} has ${tell(batch)}, and ${tell(known)} was committed before at that offset`,
        );
      }
      return;
    }
    if (batch.lastOffset < log.endOffset) {
      // A batch that spans what others had as several, or the other way round, is another one.
      this.disagreements.push(
        `${log.topic}-${log.index}: ${who} has ${tell(batch)} below ${log.endOffset}, up to where others were committed`,
      );
      return;
    }
    const committed: CommittedBatch = {
      baseOffset: batch.baseOffset,
      lastOffset: batch.lastOffset,
      leaderEpoch: batch.leaderEpoch,
      crc: batch.crc,
      producerId: batch.producerId,
      producerEpoch: batch.producerEpoch,
      baseSequence: batch.baseSequence,
      isControl: batch.isControl,
      isTransactional: batch.isTransactional,
    };
    if (log.topic === '__consumer_offsets' && !batch.isControl) this.#seeGroupOffsets(batch);
    if (log.topic === '__share_group_state' && !batch.isControl) this.#seeShareStates(batch);
    log.batches.push(committed);
    log.byLastOffset.set(committed.lastOffset, committed);
    log.endOffset = batch.nextOffset;
  }

  #seeGroupOffsets(batch: BatchView): void {
    for (const { key, value } of batch.records()) {
      if (!key || !value) continue;
      const keyReader = new Reader(key);
      // Of other records of groups.
      if (keyReader.int16() > 1) continue;
      const { group, topic, partition } = OffsetCommitKey.read(keyReader, 0);
      const valueReader = new Reader(value);
      const { offset } = OffsetCommitValue.read(valueReader, valueReader.int16());
      const place = `${group} ${topic}-${partition}`;
      this.groupOffsets.set(place, Math.max(offset, this.groupOffsets.get(place) ?? -1));
    }
  }

  #seeShareStates(batch: BatchView): void {
    for (const { key: keyBytes, value } of batch.records()) {
      const record = keyBytes && readShareRecord(keyBytes, value);
      if (!record || record.type === 'unknown' || !record.value) continue;
      const { groupId, topicId, partition } = record.key;
      const log = this.logs.get(`${topicId} ${partition}`);
      if (!log) continue;
      this.shareEndings.push(...this.#shared(groupId, log).take(record.value));
    }
  }
}

export function tell(
  batch: Pick<CommittedBatch, 'baseOffset' | 'lastOffset' | 'leaderEpoch' | 'crc' | 'producerId' | 'baseSequence'>,
): string {
  const { baseOffset, lastOffset, leaderEpoch, crc, producerId, baseSequence } = batch;
  const producer = producerId < 0 ? '' : ` of producer ${producerId} from sequence ${baseSequence}`;
  return `${baseOffset}..${lastOffset} of epoch ${leaderEpoch}${producer} (crc ${(crc >>> 0).toString(16)})`;
}
