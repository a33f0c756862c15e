import { type BatchOptions, type RecordHeader, recordBytesAtMost } from '@ottla/protocol';
import type { Cluster } from '../cluster/cluster.ts';
import { Signal } from '../cluster/signal.ts';
import { partitionName } from '../topic-partition.ts';
import { PartitionQueue } from './partition-queue.ts';
import { ProducerBatch } from './producer-batch.ts';
import type { CompleteProducerConfig } from './producer-config.ts';

/** A record's place. */
export type Appended = { readonly batch: ProducerBatch; readonly index: number };

/** Records on their way to being sent: gathered into a batch for each partition, within `bufferMemory`. */
export class RecordAccumulator {
  readonly #cluster: Cluster;
  readonly #config: CompleteProducerConfig;
  readonly #batchOptions: BatchOptions;
  /** Every partition ever written to: its sequence numbers have to outlive its batches. */
  readonly #queues = new Map<string, PartitionQueue>();
  readonly #busy = new Set<PartitionQueue>();
  readonly #memoryFreed: Signal;
  #bufferedBytes = 0;
  #waitingForMemory = 0;
  #flushing = 0;

  constructor(cluster: Cluster, config: CompleteProducerConfig) {
    this.#cluster = cluster;
    this.#config = config;
    this.#batchOptions = {
      codec: config.compressionType,
      level: config.compressionLevel,
      isTransactional: config.transactionalId !== '',
    };
    this.#memoryFreed = new Signal(cluster.runtime.timers);
  }

  /** Partitions with batches that are not done. */
  busyQueues(): PartitionQueue[] {
    return [...this.#busy];
  }

  /** The producer has another id or epoch: sequences begin at 0. Nothing is on its way. */
  startOver(): void {
    for (const queue of this.#queues.values()) queue.startOver();
  }

  queueLength(topic: string, partition: number): number {
    return this.#queues.get(partitionName({ topic, partition }))?.waiting.length ?? 0;
  }

  hasMemoryFor(bytes: number): boolean {
    return this.#bufferedBytes + bytes <= this.#config.bufferMemory || this.#bufferedBytes === 0;
  }

  /** Until some memory is free, or the time is over. Meanwhile batches leave without lingering. */
  async memoryFreed(timeoutMs: number): Promise<void> {
    this.#waitingForMemory++;
    await this.#memoryFreed.wait(timeoutMs);
    this.#waitingForMemory--;
  }

  append(
    where: { readonly topic: string; readonly partition: number },
    timestamp: number,
    key: Uint8Array | null,
    value: Uint8Array | null,
    headers: readonly RecordHeader[],
  ): Appended {
    const queue = this.#queueOf(where);
    const bytes = recordBytesAtMost(key, value, headers);
    let batch = queue.waiting.at(-1);
    if (!batch?.hasRoomFor(key, value, headers, this.#config.batchSize)) {
      const createdMs = this.#cluster.runtime.clock.monotonicMs();
      batch = new ProducerBatch({ ...where, createdMs }, this.#batchOptions, queue.compressionRatio);
      queue.waiting.push(batch);
      this.#busy.add(queue);
      this.#cluster.watch([where.topic]);
    }
    batch.reservedBytes += bytes;
    this.#bufferedBytes += bytes;
    return { batch, index: batch.append(timestamp, key, value, headers) };
  }

  #queueOf(where: { readonly topic: string; readonly partition: number }): PartitionQueue {
    const name = partitionName(where);
    let queue = this.#queues.get(name);
    if (!queue) this.#queues.set(name, (queue = new PartitionQueue(where.topic, where.partition)));
    return queue;
  }

  isReady(batch: ProducerBatch, isFull: boolean, nowMs: number): boolean {
    if (isFull || this.#flushing > 0 || this.#waitingForMemory > 0) return true;
    return nowMs >= batch.createdMs + this.#config.lingerMs || batch.estimatedBytes >= this.#config.batchSize;
  }

  /** When a queue that has nothing to send may have something; Infinity when only an answer can change that. */
  nextReadyMs({ retries, waiting, inFlight }: PartitionQueue, nowMs: number): number {
    if (retries[0]) return inFlight.size === 0 ? retries[0].retryAtMs : Number.POSITIVE_INFINITY;
    const lingersUntilMs = (waiting[0]?.createdMs ?? Number.POSITIVE_INFINITY) + this.#config.lingerMs;
    return lingersUntilMs > nowMs ? lingersUntilMs : Number.POSITIVE_INFINITY;
  }

  split(batch: ProducerBatch): [ProducerBatch, ProducerBatch] {
    return batch.split(this.#batchOptions);
  }

  /** The batch is done. */
  release(batch: ProducerBatch, queue: PartitionQueue): void {
    this.#bufferedBytes -= batch.reservedBytes;
    batch.reservedBytes = 0;
    if (queue.isEmpty) this.#busy.delete(queue);
    this.#memoryFreed.notify();
  }

  /** Waits for all batches there are, however they end. Meanwhile nothing lingers. */
  async flush(wake: () => void): Promise<void> {
    this.#flushing++;
    wake();
    const batches = this.busyQueues().flatMap(({ waiting, retries, inFlight }) => [...waiting, ...retries, ...inFlight]);
    await Promise.allSettled(batches.map(({ done }) => done));
    this.#flushing--;
  }
}
