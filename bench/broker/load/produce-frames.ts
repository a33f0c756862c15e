/**
 * Produce requests made once and sent many times. Each slot of the ring is one whole frame: of all its bytes only the correlation id
 * changes from one sending to the next, and with a producer id the sequences and the crc.
 *
 *   size(4) apiKey(2) version(2) correlationId(4) clientId tags | body of Produce v13, the topic by its id
 */
import {
  BatchBuilder,
  type CompressionCodec,
  crc32c,
  Produce,
  type ProduceResponse,
  Reader,
  readResponseHeader,
  type Uuid,
  Writer,
  writeInt64,
  writeRequestHeader,
} from '@ottla/protocol';
import { payload } from './payload.ts';

export const produceVersion = 13;
const correlationIdAt = 8;
const crcAt = 17;
const crcFrom = 21;
const producerIdAt = 43;
const producerEpochAt = 51;
const baseSequenceAt = 53;

export type FrameOptions = {
  readonly topicId: Uuid;
  readonly partitions: number;
  readonly acks: number;
  readonly recordBytes: number;
  /** A batch takes records up to here, and one in any case. */
  readonly batchBytes: number;
  readonly codec: CompressionCodec;
  /** One: each request is for one partition, in turn. Otherwise each has a batch for every partition. */
  readonly spread: 'one partition a request' | 'all partitions a request';
  /** Batches are then transactional. */
  readonly transactionalId?: string;
  /** At least as many slots; more where the partitions need it. */
  readonly slots: number;
};

export class ProduceFrames {
  readonly slots: number;
  readonly recordsPerRequest: number;
  /** Batches of a request, without what is around them. */
  readonly batchBytesPerRequest: number;
  /** All slots, one after the other. */
  readonly bytes: Buffer;
  readonly frameBytes: number;
  readonly #view: DataView;
  /** Where in a frame its batches begin, and their length. */
  readonly #batchStarts: readonly number[];
  readonly #batchLength: number;
  readonly #recordsPerBatch: number;
  readonly #sequences: Int32Array;
  readonly #batchesPerRequest: number;
  #producerId = -1;

  constructor(options: FrameOptions) {
    const { topicId, partitions, acks, spread, slots, transactionalId = null } = options;
    const { batch, count } = buildBatchOf(options);
    this.#batchesPerRequest = spread === 'all partitions a request' ? partitions : 1;
    this.#recordsPerBatch = count;
    this.#batchLength = batch.length;
    this.recordsPerRequest = count * this.#batchesPerRequest;
    this.batchBytesPerRequest = batch.length * this.#batchesPerRequest;
    this.slots = Math.ceil(slots / partitions) * partitions;
    this.#sequences = new Int32Array(partitions);

    const frames = Array.from({ length: this.slots }, (_, slot) => {
      const indexes = this.#batchesPerRequest > 1 ? Array.from({ length: partitions }, (_, index) => index) : [slot % partitions];
      const topicData = [{ topicId, partitionData: indexes.map((index) => ({ index, records: batch })) }];
      const writer = new Writer();
      writeRequestHeader(writer, Produce, produceVersion, 0, 'bench');
      Produce.request.write(writer, { transactionalId, acks, timeoutMs: 30_000, topicData }, produceVersion);
      const size = Buffer.alloc(4);
      size.writeInt32BE(writer.length);
      return Buffer.concat([size, ...writer.chunks()]);
    });
    this.frameBytes = frames[0]!.length;
    this.bytes = Buffer.concat(frames);
    this.#view = new DataView(this.bytes.buffer, this.bytes.byteOffset, this.bytes.byteLength);
    this.#batchStarts = placesOf(batch, frames[0]!);
  }

  /** From here on every batch carries this producer and its sequences, which begin with that one in each partition. */
  setProducer(producerId: number, producerEpoch: number, baseSequence = 0): void {
    this.#producerId = producerId;
    this.#sequences.fill(baseSequence);
    for (let slot = 0; slot < this.slots; slot++) {
      for (const start of this.#batchStarts) {
        const at = slot * this.frameBytes + start;
        writeInt64(this.#view, at + producerIdAt, producerId);
        this.#view.setInt16(at + producerEpochAt, producerEpoch);
      }
    }
  }

  /** Makes the frame of this request ready in its slot, which must be free, and returns where the slot starts. */
  prepare(correlationId: number): number {
    const slot = correlationId % this.slots;
    const frame = slot * this.frameBytes;
    this.#view.setInt32(frame + correlationIdAt, correlationId);
    if (this.#producerId >= 0) this.#continueSequences(slot, frame);
    return frame;
  }

  #continueSequences(slot: number, frame: number): void {
    for (let index = 0; index < this.#batchesPerRequest; index++) {
      const partition = this.#batchesPerRequest > 1 ? index : slot % this.#sequences.length;
      const at = frame + this.#batchStarts[index]!;
      this.#view.setInt32(at + baseSequenceAt, this.#sequences[partition]!);
      this.#sequences[partition] = (this.#sequences[partition]! + this.#recordsPerBatch) & 0x7fffffff;
      this.#view.setUint32(at + crcAt, crc32c(this.bytes.subarray(at + crcFrom, at + this.#batchLength)));
    }
  }

  /**
   * Throws unless the answer in [start, end) is to this request and free of errors. Without any, its length is known, and so is the
   * place of each error code; whatever looks otherwise is decoded.
   *
   *   correlationId(4) tags(1) topics(1) topicId(16) partitions(1) | index(4) errorCode(2) offsets and time(24) no texts(3) | tags(1) throttle(4) tags(1)
   */
  check(correlationId: number, bytes: Buffer, start: number, end: number): void {
    const count = this.#batchesPerRequest;
    let sound = end - start === answerStartBytes + count * answerPartitionBytes + answerEndBytes;
    sound &&= bytes.readInt32BE(start) === correlationId;
    for (let index = 0; sound && index < count; index++) {
      sound = bytes.readInt16BE(start + answerStartBytes + index * answerPartitionBytes + 4) === 0;
    }
    if (!sound) this.#explain(correlationId, bytes.subarray(start, end));
  }

  #explain(correlationId: number, answer: Buffer): void {
    const reader = new Reader(answer);
    const answered = readResponseHeader(reader, Produce, produceVersion);
    if (answered !== correlationId) throw new Error(`answer ${answered} came in the place of ${correlationId}`);
    const response: ProduceResponse = Produce.response.read(reader, produceVersion);
    const partitions = response.responses.flatMap(({ partitionResponses }) => partitionResponses);
    const failed = partitions.find(({ errorCode }) => errorCode !== 0);
    if (failed) throw new Error(`partition ${failed.index} answered error ${failed.errorCode}: ${failed.errorMessage}`);
    if (partitions.length !== this.#batchesPerRequest) throw new Error(`${partitions.length} partitions answered`);
  }
}

const answerStartBytes = 4 + 1 + 1 + 16 + 1;
const answerPartitionBytes = 4 + 2 + 24 + 3;
const answerEndBytes = 1 + 4 + 1;

function buildBatchOf({ recordBytes, batchBytes, codec, transactionalId }: FrameOptions): { batch: Buffer; count: number } {
  const builder = new BatchBuilder({ codec, isTransactional: transactionalId !== undefined });
  const now = Date.now();
  for (;;) {
    const value = payload(recordBytes, builder.count);
    if (!builder.hasRoomFor(null, value, [], batchBytes)) break;
    builder.append(now, null, value);
    if (batchBytes <= recordBytes) break;
  }
  const { count } = builder;
  return { batch: Buffer.from(builder.build()), count };
}

function placesOf(batch: Buffer, frame: Buffer): number[] {
  const places: number[] = [];
  for (let at = frame.indexOf(batch); at >= 0; at = frame.indexOf(batch, at + batch.length)) places.push(at);
  return places;
}
