import { partitionForKey } from '@ottla/protocol';
import type { Random } from '@ottla/runtime';
import type { TopicMetadata } from '../cluster/metadata-cache.ts';

type Sticky = { partition: number; bytes: number };

/**
 * Where a record goes that names no partition: by the murmur2 of its key, as every Kafka client; without a key it stays
 * on one partition for `batchSize` bytes, so that batches fill, then moves on, rather to where little is waiting (KIP-794).
 */
export class StickyPartitioner {
  readonly #random: Random;
  readonly #batchSize: number;
  /** Batches that wait for this partition. */
  readonly #queueLength: (topic: string, partition: number) => number;
  readonly #sticky = new Map<string, Sticky>();

  constructor(random: Random, options: { batchSize: number; queueLength: (topic: string, partition: number) => number }) {
    this.#random = random;
    this.#batchSize = options.batchSize;
    this.#queueLength = options.queueLength;
  }

  partitionFor(topic: TopicMetadata, key: Uint8Array | null, recordBytes: number): number {
    const count = topic.partitions.length;
    if (key !== null) return partitionForKey(key, count);
    let sticky = this.#sticky.get(topic.name);
    if (!sticky || sticky.bytes >= this.#batchSize || sticky.partition >= count) {
      sticky = { partition: this.#choose(topic), bytes: 0 };
      this.#sticky.set(topic.name, sticky);
    }
    sticky.bytes += recordBytes;
    return sticky.partition;
  }

  #choose({ name, partitions }: TopicMetadata): number {
    const led = partitions.filter(({ leaderId }) => leaderId >= 0);
    const candidates = led.length > 0 ? led : partitions;
    const lengths = candidates.map(({ partition }) => this.#queueLength(name, partition));
    const longest = Math.max(...lengths);
    const weights = lengths.map((length) => longest + 1 - length);
    let ticket = this.#random.below(weights.reduce((sum, weight) => sum + weight, 0));
    const chosen = weights.findIndex((weight) => (ticket -= weight) < 0);
    return candidates[chosen]!.partition;
  }
}
