/** The moves of one rebalance, so that two partitions of a topic are not swapped between two members for nothing. */
import type { TopicPartition } from '../../topic-partition.ts';

export type Movement = { readonly from: string; readonly to: string };

export class PartitionMovements {
  /** From where a partition was before all moves to where it is now. */
  readonly #movements = new Map<TopicPartition, Movement>();

  /** The partition, or one of the same topic that moved the opposite way before: moving that one back has the same effect. */
  insteadOf(partition: TopicPartition, { from, to }: Movement): TopicPartition {
    const origin = this.#movements.get(partition)?.from ?? from;
    for (const [other, movement] of this.#movements) {
      if (other.topic === partition.topic && movement.from === to && movement.to === origin) return other;
    }
    return partition;
  }

  add(partition: TopicPartition, { from, to }: Movement): void {
    const origin = this.#movements.get(partition)?.from ?? from;
    this.#movements.delete(partition);
    if (origin !== to) this.#movements.set(partition, { from: origin, to });
  }
}
