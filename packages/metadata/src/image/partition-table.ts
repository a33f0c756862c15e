/**
 * All partitions of the cluster in a few columns: a million of them take tens of megabytes, and the garbage collector sees
 * a handful of arrays. A partition is a slot number:
 *
 *   leader | leaderEpoch | partitionEpoch | replicas# | isr# | directories#     one Int32 each
 *   unusual[slot]                                                                only while reassigning, recovering, or with an elr
 *
 * `#` is the number of a list in a pool: partitions of one cluster share few different replica lists.
 */

import type { PartitionState } from './partition-state.ts';
import { recovered } from './partition-state.ts';

type Unusual = Pick<PartitionState, 'elr' | 'lastKnownElr' | 'addingReplicas' | 'removingReplicas' | 'leaderRecoveryState'>;

/** Valid until the table changes. */
export type SlotTest = (slot: number) => boolean;

const columns = 6;
const freeSlot = -2;
const none: readonly number[] = Object.freeze([]);
const usual: Unusual = {
  elr: none,
  lastKnownElr: none,
  addingReplicas: none,
  removingReplicas: none,
  leaderRecoveryState: recovered,
};

export class PartitionTable {
  #cells = new Int32Array(64 * columns);
  #slots = 0;
  #free: number[] = [];
  #unusual = new Map<number, Unusual>();
  #brokers = new ListPool<number>();
  #directories = new ListPool<string>();

  get size(): number {
    return this.#slots - this.#free.length;
  }

  /** It has the same slots, and goes its own way from here. */
  copy(): PartitionTable {
    const copy = new PartitionTable();
    copy.#cells = this.#cells.slice();
    copy.#slots = this.#slots;
    copy.#free = this.#free.slice();
    copy.#unusual = new Map(this.#unusual);
    copy.#brokers = this.#brokers.copy();
    copy.#directories = this.#directories.copy();
    return copy;
  }

  add(partition: PartitionState): number {
    const slot = this.#free.pop() ?? this.#newSlot();
    this.#write(slot, partition);
    return slot;
  }

  read(slot: number): PartitionState {
    const at = slot * columns;
    const cells = this.#cells;
    const { elr, lastKnownElr, addingReplicas, removingReplicas, leaderRecoveryState } = this.#unusual.get(slot) ?? usual;
    return {
      leader: cells[at]!,
      leaderEpoch: cells[at + 1]!,
      partitionEpoch: cells[at + 2]!,
      replicas: this.#brokers.get(cells[at + 3]!),
      isr: this.#brokers.get(cells[at + 4]!),
      directories: this.#directories.get(cells[at + 5]!),
      elr,
      lastKnownElr,
      addingReplicas,
      removingReplicas,
      leaderRecoveryState,
    };
  }

  leaderOf(slot: number): number {
    return this.#cells[slot * columns]!;
  }

  preferredLeaderOf(slot: number): number {
    return this.#brokers.get(this.#cells[slot * columns + 3]!)[0] ?? -1;
  }

  isReassigning(slot: number): boolean {
    const unusual = this.#unusual.get(slot);
    return unusual !== undefined && unusual.addingReplicas.length + unusual.removingReplicas.length > 0;
  }

  hasReplica(brokerId: number): SlotTest {
    return this.#listTest(3, brokerId);
  }

  hasInIsr(brokerId: number): SlotTest {
    return this.#listTest(4, brokerId);
  }

  hasInElr(brokerId: number): SlotTest {
    return (slot) => this.#unusual.get(slot)?.elr.includes(brokerId) ?? false;
  }

  hasLeaderships(brokerId: number): boolean {
    for (let at = 0; at < this.#slots * columns; at += columns) if (this.#cells[at] === brokerId) return true;
    return false;
  }

  replace(slot: number, partition: PartitionState): void {
    this.#release(slot, () => this.#write(slot, partition));
  }

  remove(slot: number): void {
    this.#release(slot, () => this.#unusual.delete(slot));
    this.#cells[slot * columns] = freeSlot;
    this.#free.push(slot);
  }

  // Each distinct list is looked at once; after that a million partitions are a walk over integers.
  #listTest(column: number, brokerId: number): SlotTest {
    const answers: (boolean | undefined)[] = [];
    return (slot) => {
      const list = this.#cells[slot * columns + column]!;
      return (answers[list] ??= this.#brokers.get(list).includes(brokerId));
    };
  }

  #newSlot(): number {
    const slot = this.#slots++;
    if (this.#slots * columns > this.#cells.length) {
      const larger = new Int32Array(this.#cells.length * 2);
      larger.set(this.#cells);
      this.#cells = larger;
    }
    return slot;
  }

  #write(slot: number, partition: PartitionState): void {
    const at = slot * columns;
    this.#cells[at] = partition.leader;
    this.#cells[at + 1] = partition.leaderEpoch;
    this.#cells[at + 2] = partition.partitionEpoch;
    this.#cells[at + 3] = this.#brokers.take(partition.replicas);
    this.#cells[at + 4] = this.#brokers.take(partition.isr);
    this.#cells[at + 5] = this.#directories.take(partition.directories);
    const { elr, lastKnownElr, addingReplicas, removingReplicas, leaderRecoveryState } = partition;
    const isUsual =
      elr.length + lastKnownElr.length + addingReplicas.length + removingReplicas.length === 0 &&
      leaderRecoveryState === recovered;
    if (isUsual) this.#unusual.delete(slot);
    else this.#unusual.set(slot, { elr, lastKnownElr, addingReplicas, removingReplicas, leaderRecoveryState });
  }

  // The new lists are taken before the old ones are given back, so that a list in both is not made anew.
  #release(slot: number, then: () => void): void {
    const at = slot * columns;
    const [replicas, isr, directories] = [this.#cells[at + 3]!, this.#cells[at + 4]!, this.#cells[at + 5]!];
    then();
    this.#brokers.giveBack(replicas);
    this.#brokers.giveBack(isr);
    this.#directories.giveBack(directories);
  }
}

/** Equal lists are kept once, counted, and forgotten with their last user. */
class ListPool<Element extends number | string> {
  #lists: (readonly Element[] | undefined)[] = [];
  #uses: number[] = [];
  #free: number[] = [];
  #byContent = new Map<string, number>();

  copy(): ListPool<Element> {
    const copy = new ListPool<Element>();
    copy.#lists = this.#lists.slice();
    copy.#uses = this.#uses.slice();
    copy.#free = this.#free.slice();
    copy.#byContent = new Map(this.#byContent);
    return copy;
  }

  get(index: number): readonly Element[] {
    return this.#lists[index]!;
  }

  take(list: readonly Element[]): number {
    const content = list.join();
    let index = this.#byContent.get(content);
    if (index === undefined) {
      index = this.#free.pop() ?? this.#lists.length;
      this.#byContent.set(content, index);
      this.#lists[index] = Object.freeze([...list]);
      this.#uses[index] = 0;
    }
    this.#uses[index]!++;
    return index;
  }

  giveBack(index: number): void {
    if (--this.#uses[index]! > 0) return;
    this.#byContent.delete(this.#lists[index]!.join());
    this.#lists[index] = undefined;
    this.#free.push(index);
  }
}
