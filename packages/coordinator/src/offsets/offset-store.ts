import { type GroupRecordOf, type OffsetKey, offsetTombstone } from '../group-record.ts';
import type { Journal } from '../journal.ts';
import { type OffsetAndMetadata, offsetFromRecord } from './offset-and-metadata.ts';

type Partitions = Map<number, OffsetAndMetadata>;
type Topics = Map<string, Partitions>;
type OpenPartition = { readonly topic: string; readonly partition: number; readonly producers: Map<number, true> };

const NO_PRODUCER_ID = -1;

/**
 * The committed offsets of every group of this partition, and those that wait for their transaction to end. Changed by replay alone.
 *
 * A transactional commit counts when its producer's commit marker is read. Until then the partition is `open`: who asks for stable
 * offsets is told to wait.
 */
export class OffsetStore {
  readonly #journal: Journal;
  readonly #groups = new Map<string, Topics>();
  readonly #pendingByProducer = new Map<number, Map<string, { at: OffsetKey; committed: OffsetAndMetadata }>>();
  /** groupId -> partition -> the producers with a pending commit of it. Never holds an empty map. */
  readonly #open = new Map<string, Map<string, OpenPartition>>();

  constructor(journal: Journal) {
    this.#journal = journal;
  }

  /** How many offsets are kept, those in open transactions left out. */
  get count(): number {
    let count = 0;
    for (const topics of this.#groups.values()) for (const partitions of topics.values()) count += partitions.size;
    return count;
  }

  get(at: OffsetKey): OffsetAndMetadata | undefined {
    return this.#groups.get(at.groupId)?.get(at.topic)?.get(at.partition);
  }

  /** As of the last committed record. */
  getCommitted(at: OffsetKey): OffsetAndMetadata | undefined {
    const topics = this.#journal.committed(this.#groups, at.groupId);
    const partitions = topics && this.#journal.committed(topics, at.topic);
    return partitions && this.#journal.committed(partitions, at.partition);
  }

  *ofGroup(groupId: string): IterableIterator<[topic: string, Partitions]> {
    const topics = this.#groups.get(groupId);
    if (topics !== undefined) yield* topics;
  }

  /** As of the last committed record. */
  *committedOfGroup(groupId: string): IterableIterator<[topic: string, IterableIterator<[number, OffsetAndMetadata]>]> {
    const topics = this.#journal.committed(this.#groups, groupId);
    if (topics === undefined) return;
    for (const [topic, partitions] of this.#journal.committedEntries(topics)) {
      yield [topic, this.#journal.committedEntries(partitions)];
    }
  }

  isOpen({ groupId, topic, partition }: OffsetKey): boolean {
    return this.#open.get(groupId)?.has(partitionKey(topic, partition)) ?? false;
  }

  hasOpen(groupId: string): boolean {
    return this.#open.has(groupId);
  }

  /** Tombstones for everything of the group, and how many. */
  deleteAll(groupId: string): GroupRecordOf<'OffsetCommit'>[] {
    const records: GroupRecordOf<'OffsetCommit'>[] = [];
    for (const [topic, partitions] of this.ofGroup(groupId)) {
      for (const partition of partitions.keys()) records.push(offsetTombstone({ groupId, topic, partition }));
    }
    for (const { topic, partition } of this.#open.get(groupId)?.values() ?? []) {
      const at = { groupId, topic, partition };
      if (this.get(at) === undefined) records.push(offsetTombstone(at));
    }
    return records;
  }

  /** Tombstones for the offsets of deleted topics. A topic of the same name that was created again keeps its own. */
  deleteTopics(
    deleted: readonly { readonly name: string; readonly isDeleted: (topicId: string) => boolean }[],
  ): GroupRecordOf<'OffsetCommit'>[] {
    const records = new Map<string, GroupRecordOf<'OffsetCommit'>>();
    const drop = (at: OffsetKey): void => void records.set(fullKey(at), offsetTombstone(at));
    for (const { name: topic, isDeleted } of deleted) {
      for (const [groupId, topics] of this.#groups) {
        for (const [partition, { topicId }] of topics.get(topic) ?? [])
          if (isDeleted(topicId)) drop({ groupId, topic, partition });
      }
      for (const pending of this.#pendingByProducer.values()) {
        for (const { at, committed } of pending.values()) if (at.topic === topic && isDeleted(committed.topicId)) drop(at);
      }
    }
    return [...records.values()];
  }

  replay({ key, value }: Pick<GroupRecordOf<'OffsetCommit'>, 'key' | 'value'>, recordOffset: number, producerId: number): void {
    const at = { groupId: key.group, topic: key.topic, partition: key.partition };
    if (value === null) {
      this.#delete(at);
      this.#forgetPending(at);
    } else if (producerId === NO_PRODUCER_ID) {
      this.#put(at, offsetFromRecord(recordOffset, value));
    } else {
      this.#putPending(at, offsetFromRecord(recordOffset, value), producerId);
    }
  }

  /** The producer's transaction ended, with a commit or an abort. */
  replayTransactionEnd(producerId: number, isCommit: boolean): void {
    const pending = this.#pendingByProducer.get(producerId);
    if (pending === undefined) return;
    this.#journal.delete(this.#pendingByProducer, producerId);
    for (const { at, committed } of pending.values()) {
      this.#close(at, producerId);
      // Of a transactional and a plain commit the one that was written later counts, not the one that took effect later.
      if (isCommit && committed.recordOffset > (this.get(at)?.recordOffset ?? -1)) this.#put(at, committed);
    }
  }

  assertInvariants(): void {
    for (const [groupId, open] of this.#open) {
      if (open.size === 0) throw new Error(`group ${groupId} has an empty map of open partitions`);
      for (const { topic, partition, producers } of open.values()) {
        if (producers.size === 0) throw new Error(`${topic}-${partition} of group ${groupId} is open for no producer`);
        for (const producerId of producers.keys()) {
          if (!this.#pendingByProducer.get(producerId)?.has(fullKey({ groupId, topic, partition }))) {
            throw new Error(
              `${topic}-${partition} of group ${groupId} is open for producer ${producerId}, which has nothing pending`,
            );
          }
        }
      }
    }
  }

  #put({ groupId, topic, partition }: OffsetKey, committed: OffsetAndMetadata): void {
    const topics = this.#nested(this.#groups, groupId);
    this.#journal.set(this.#nested(topics, topic), partition, committed);
  }

  #delete({ groupId, topic, partition }: OffsetKey): void {
    const topics = this.#groups.get(groupId);
    const partitions = topics?.get(topic);
    if (topics === undefined || partitions === undefined) return;
    this.#journal.delete(partitions, partition);
    if (partitions.size === 0) this.#journal.delete(topics, topic);
    if (topics.size === 0) this.#journal.delete(this.#groups, groupId);
  }

  #putPending(at: OffsetKey, committed: OffsetAndMetadata, producerId: number): void {
    this.#journal.set(this.#nested(this.#pendingByProducer, producerId), fullKey(at), { at, committed });
    const { groupId, topic, partition } = at;
    const open = this.#nested(this.#open, groupId);
    const key = partitionKey(topic, partition);
    if (!open.has(key)) this.#journal.set(open, key, { topic, partition, producers: new Map() });
    this.#journal.set(open.get(key)!.producers, producerId, true);
  }

  #forgetPending(at: OffsetKey): void {
    const open = this.#open.get(at.groupId)?.get(partitionKey(at.topic, at.partition));
    if (open === undefined) return;
    for (const producerId of [...open.producers.keys()]) {
      this.#journal.delete(this.#pendingByProducer.get(producerId)!, fullKey(at));
      this.#close(at, producerId);
    }
  }

  #close({ groupId, topic, partition }: OffsetKey, producerId: number): void {
    const ofGroup = this.#open.get(groupId);
    const key = partitionKey(topic, partition);
    const open = ofGroup?.get(key);
    if (ofGroup === undefined || open === undefined) return;
    this.#journal.delete(open.producers, producerId);
    if (open.producers.size === 0) this.#journal.delete(ofGroup, key);
    if (ofGroup.size === 0) this.#journal.delete(this.#open, groupId);
  }

  #nested<K, K2, V>(map: Map<K, Map<K2, V>>, key: K): Map<K2, V> {
    let inner = map.get(key);
    if (inner === undefined) this.#journal.set(map, key, (inner = new Map()));
    return inner;
  }
}

function partitionKey(topic: string, partition: number): string {
  return `${partition} ${topic}`;
}

function fullKey({ groupId, topic, partition }: OffsetKey): string {
  return `${groupId.length} ${groupId} ${partitionKey(topic, partition)}`;
}
