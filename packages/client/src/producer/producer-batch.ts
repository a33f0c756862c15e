import { BatchBuilder, type BatchOptions, BatchView, type KafkaError, type RecordHeader, writeInt64 } from '@ottla/protocol';

/** What became of a batch's records. */
export type BatchAck = {
  /** By the record's place in the batch; -1 where nobody said (acks 0, or a duplicate). */
  offsetOf(index: number): number;
  /** -1 where records keep their own time. */
  readonly logAppendTimeMs: number;
};

export type Sequence = { readonly producerId: number; readonly producerEpoch: number; readonly baseSequence: number };

const none: Sequence = { producerId: -1, producerEpoch: -1, baseSequence: -1 };

/** Records of one partition that travel, succeed and fail together. */
export class ProducerBatch {
  readonly topic: string;
  readonly partition: number;
  readonly createdMs: number;
  /** What it takes from `bufferMemory` until it is done. */
  reservedBytes = 0;
  /** Answers that told to try again, in a row. */
  failures = 0;
  /** Why it was not accepted the last time. */
  lastError: Error | undefined;
  /** Sooner only to a leader that was elected after `leaderEpoch`. */
  retryAtMs = 0;
  /** Of the leader to which it was sent last, as far as it was known. */
  leaderEpoch = -1;
  sequence: Sequence = none;
  readonly #builder: BatchBuilder;
  readonly #promise = Promise.withResolvers<BatchAck>();
  #bytes: Uint8Array | undefined;

  constructor(where: { topic: string; partition: number; createdMs: number }, options: BatchOptions, compressionRatio = 1) {
    this.topic = where.topic;
    this.partition = where.partition;
    this.createdMs = where.createdMs;
    this.#builder = new BatchBuilder(options, { compressionRatio });
    // Who sent no record by itself, as with flush, need not watch each batch.
    this.#promise.promise.catch(() => {});
  }

  get count(): number {
    return this.#builder.count;
  }

  get estimatedBytes(): number {
    return this.#bytes?.length ?? this.#builder.estimatedBytes;
  }

  get isSequenced(): boolean {
    return this.sequence.baseSequence >= 0;
  }

  get done(): Promise<BatchAck> {
    return this.#promise.promise;
  }

  hasRoomFor(key: Uint8Array | null, value: Uint8Array | null, headers: readonly RecordHeader[], limitBytes: number): boolean {
    return this.#bytes === undefined && this.#builder.hasRoomFor(key, value, headers, limitBytes);
  }

  /** Returns the record's place in the batch. */
  append(timestamp: number, key: Uint8Array | null, value: Uint8Array | null, headers: readonly RecordHeader[]): number {
    return this.#builder.append(timestamp, key, value, headers);
  }

  /** No record fits any more. */
  get bytes(): Uint8Array {
    this.#bytes ??= this.#builder.build();
    return this.#bytes;
  }

  /** Compressed size over plain size. */
  get compressionRatio(): number {
    return this.bytes.length / this.#builder.uncompressedBytes;
  }

  /** Writes the producer's fields of the header (drawn in protocol/records/batch-view.ts) anew. */
  stamp(sequence: Sequence): void {
    const bytes = this.bytes;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    writeInt64(view, 43, sequence.producerId);
    view.setInt16(51, sequence.producerEpoch);
    view.setInt32(53, sequence.baseSequence);
    new BatchView(bytes, 0, view).refreshCrc();
    this.sequence = sequence;
  }

  succeed(baseOffset: number, logAppendTimeMs: number): void {
    this.#promise.resolve({ offsetOf: (index) => (baseOffset < 0 ? -1 : baseOffset + index), logAppendTimeMs });
  }

  fail(error: KafkaError | Error): void {
    this.#promise.reject(error);
  }

  /** Two batches with half of the records each, for a broker that found this one too large. They answer for this one. */
  split(options: BatchOptions): [ProducerBatch, ProducerBatch] {
    const halves: [ProducerBatch, ProducerBatch] = [new ProducerBatch(this, options), new ProducerBatch(this, options)];
    const middle = Math.ceil(this.count / 2);
    let index = 0;
    for (const { timestamp, key, value, headers } of new BatchView(this.bytes).records({ maxBytes: Number.MAX_SAFE_INTEGER })) {
      halves[index++ < middle ? 0 : 1].append(timestamp, key, value, headers);
    }
    halves[0].reservedBytes = Math.ceil(this.reservedBytes / 2);
    halves[1].reservedBytes = this.reservedBytes - halves[0].reservedBytes;
    Promise.all([halves[0].done, halves[1].done]).then(
      ([first, second]) =>
        this.#promise.resolve({
          offsetOf: (at) => (at < middle ? first.offsetOf(at) : second.offsetOf(at - middle)),
          logAppendTimeMs: first.logAppendTimeMs,
        }),
      (error: Error) => this.fail(error),
    );
    return halves;
  }
}
