/** Topics by name and by id, and their partitions. */

import type { Uuid } from '@ottla/protocol';
import type { PartitionState } from './partition-state.ts';
import { PartitionTable, type SlotTest } from './partition-table.ts';

export interface PartitionOfTopic {
  readonly topic: TopicImage;
  readonly index: number;
  readonly partition: PartitionState;
}

export class TopicImage {
  readonly name: string;
  readonly id: Uuid;
  readonly #table: PartitionTable;
  /** Slot of each partition, by partition number; -1 where there is none. */
  #slots: number[] = [];
  #count = 0;

  constructor(name: string, id: Uuid, table: PartitionTable) {
    this.name = name;
    this.id = id;
    this.#table = table;
  }

  get partitionCount(): number {
    return this.#count;
  }

  partition(index: number): PartitionState | undefined {
    const slot = this.#slots[index] ?? -1;
    return slot < 0 ? undefined : this.#table.read(slot);
  }

  /** -1: none; undefined: no such partition. */
  leader(index: number): number | undefined {
    const slot = this.#slots[index] ?? -1;
    return slot < 0 ? undefined : this.#table.leaderOf(slot);
  }

  *partitions(): IterableIterator<[index: number, partition: PartitionState]> {
    for (let index = 0; index < this.#slots.length; index++) {
      const slot = this.#slots[index]!;
      if (slot >= 0) yield [index, this.#table.read(slot)];
    }
  }

  *partitionIndexes(): IterableIterator<number> {
    for (let index = 0; index < this.#slots.length; index++) if (this.#slots[index]! >= 0) yield index;
  }

  /** Only for TopicsImage. */
  *matching(test: SlotTest): IterableIterator<[index: number, partition: PartitionState]> {
    for (let index = 0; index < this.#slots.length; index++) {
      const slot = this.#slots[index]!;
      if (slot >= 0 && test(slot)) yield [index, this.#table.read(slot)];
    }
  }

  /** Only for MetadataImage. */
  put(index: number, partition: PartitionState): void {
    const slot = this.#slots[index] ?? -1;
    if (slot >= 0) {
      this.#table.replace(slot, partition);
    } else {
      while (this.#slots.length < index) this.#slots.push(-1);
      this.#slots[index] = this.#table.add(partition);
      this.#count++;
    }
  }

  /** Only for TopicsImage: the same partitions in the copy of the table. */
  copyIn(table: PartitionTable): TopicImage {
    const copy = new TopicImage(this.name, this.id, table);
    copy.#slots = this.#slots.slice();
    copy.#count = this.#count;
    return copy;
  }

  /** Only for TopicsImage. */
  release(): void {
    for (const slot of this.#slots) if (slot >= 0) this.#table.remove(slot);
    this.#slots.length = 0;
    this.#count = 0;
  }
}

export class TopicsImage {
  #table = new PartitionTable();
  readonly #byName = new Map<string, TopicImage>();
  readonly #byId = new Map<Uuid, TopicImage>();
  /** Names with a `.` or `_`, by what their metrics are called. */
  readonly #byUnifiedName = new Map<string, Set<string>>();

  get count(): number {
    return this.#byName.size;
  }

  get partitionCount(): number {
    return this.#table.size;
  }

  byName(name: string): TopicImage | undefined {
    return this.#byName.get(name);
  }

  byId(id: Uuid): TopicImage | undefined {
    return this.#byId.get(id);
  }

  partition(id: Uuid, index: number): PartitionState | undefined {
    return this.#byId.get(id)?.partition(index);
  }

  names(): IterableIterator<string> {
    return this.#byName.keys();
  }

  /** Those that differ from this one in `.` and `_` at most. */
  namesLike(name: string): Iterable<string> {
    return this.#byUnifiedName.get(unifiedName(name) ?? '') ?? [];
  }

  /** In the order of their creation. */
  [Symbol.iterator](): IterableIterator<TopicImage> {
    return this.#byId.values();
  }

  partitionsWithIsrMember(brokerId: number): IterableIterator<PartitionOfTopic> {
    return this.#matching(this.#table.hasInIsr(brokerId));
  }

  partitionsWithElrMember(brokerId: number): IterableIterator<PartitionOfTopic> {
    return this.#matching(this.#table.hasInElr(brokerId));
  }

  partitionsWithReplica(brokerId: number): IterableIterator<PartitionOfTopic> {
    return this.#matching(this.#table.hasReplica(brokerId));
  }

  partitionsWithoutLeader(): IterableIterator<PartitionOfTopic> {
    return this.#matching((slot) => this.#table.leaderOf(slot) < 0);
  }

  /** Led by another replica than the first. */
  partitionsLedByOther(): IterableIterator<PartitionOfTopic> {
    return this.#matching((slot) => this.#table.leaderOf(slot) !== this.#table.preferredLeaderOf(slot));
  }

  reassigningPartitions(): IterableIterator<PartitionOfTopic> {
    return this.#matching((slot) => this.#table.isReassigning(slot));
  }

  hasLeaderships(brokerId: number): boolean {
    return this.#table.hasLeaderships(brokerId);
  }

  *#matching(test: SlotTest): IterableIterator<PartitionOfTopic> {
    for (const topic of this.#byId.values()) {
      for (const [index, partition] of topic.matching(test)) yield { topic, index, partition };
    }
  }

  /** Only for MetadataImage. */
  copy(): TopicsImage {
    const copy = new TopicsImage();
    copy.#table = this.#table.copy();
    for (const topic of this.#byId.values()) copy.#put(topic.copyIn(copy.#table));
    return copy;
  }

  /** Only for MetadataImage, like `remove`. */
  add(name: string, id: Uuid): TopicImage {
    const topic = new TopicImage(name, id, this.#table);
    this.#put(topic);
    return topic;
  }

  #put(topic: TopicImage): void {
    const { name, id } = topic;
    this.#byName.set(name, topic);
    this.#byId.set(id, topic);
    const unified = unifiedName(name);
    if (unified !== undefined) {
      const alike = this.#byUnifiedName.get(unified);
      if (alike) alike.add(name);
      else this.#byUnifiedName.set(unified, new Set([name]));
    }
  }

  remove(topic: TopicImage): void {
    if (this.#byName.get(topic.name) === topic) this.#forgetName(topic.name);
    this.#byId.delete(topic.id);
    topic.release();
  }

  #forgetName(name: string): void {
    this.#byName.delete(name);
    const unified = unifiedName(name);
    const alike = unified === undefined ? undefined : this.#byUnifiedName.get(unified);
    if (!alike) return;
    alike.delete(name);
    if (alike.size === 0) this.#byUnifiedName.delete(unified!);
  }
}

/** Metric names turn `.` into `_`, so two topics must not differ in that alone. Undefined for a name that has neither. */
export function unifiedName(name: string): string | undefined {
  return /[._]/.test(name) ? name.replaceAll('.', '_') : undefined;
}
