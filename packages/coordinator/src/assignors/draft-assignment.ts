/** An assignment while it is being made: who has which partition, and which are free. */
import type { Uuid } from '@ottla/protocol';
import type { AssignableMember, Assignment } from './group-assignor.ts';

export class DraftAssignment {
  readonly #given: Map<string, Map<Uuid, Set<number>>>;
  readonly #loads: Map<string, number>;

  constructor(members: readonly AssignableMember[]) {
    this.#given = new Map(members.map(({ memberId }) => [memberId, new Map()]));
    this.#loads = new Map(members.map(({ memberId }) => [memberId, 0]));
  }

  give(memberId: string, topicId: Uuid, partition: number): void {
    const topics = this.#given.get(memberId)!;
    const partitions = topics.get(topicId) ?? new Set<number>();
    if (partitions.has(partition)) return;
    topics.set(topicId, partitions.add(partition));
    this.#loads.set(memberId, this.#loads.get(memberId)! + 1);
  }

  take(memberId: string, topicId: Uuid, partition: number): void {
    if (this.#given.get(memberId)!.get(topicId)?.delete(partition)) this.#loads.set(memberId, this.#loads.get(memberId)! - 1);
  }

  has(memberId: string, topicId: Uuid, partition: number): boolean {
    return this.#given.get(memberId)!.get(topicId)?.has(partition) ?? false;
  }

  /** How many partitions a member has, of all topics. */
  load(memberId: string): number {
    return this.#loads.get(memberId)!;
  }

  partitionsOf(memberId: string, topicId: Uuid): ReadonlySet<number> {
    return this.#given.get(memberId)!.get(topicId) ?? new Set();
  }

  finish(): Map<string, Assignment> {
    const finished = new Map<string, Assignment>();
    for (const [memberId, topics] of this.#given) {
      const entries = [...topics].filter(([, partitions]) => partitions.size > 0);
      finished.set(
        memberId,
        new Map(entries.map(([topicId, partitions]) => [topicId, [...partitions].sort((one, other) => one - other)])),
      );
    }
    return finished;
  }
}
