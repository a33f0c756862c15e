import {
  batchLengthAt,
  batchPrefixBytes,
  Fetch,
  Reader,
  readInt64,
  readResponseHeader,
  type Uuid,
  Writer,
  writeRequestHeader,
} from '@ottla/protocol';
import { RawConnection } from './raw-connection.ts';

/** As a consumer of Apache Kafka's defaults asks. Topics by their ids. */
const fetchVersion = 16;
const maxWaitMs = 500;
const maxBytes = 50 << 20;
const partitionMaxBytes = 1 << 20;
/** From the start of a batch: the offset of its last record, less its first one's. */
const lastOffsetDeltaAt = 23;

/** One connection that fetches partitions of a topic without end, one request in flight. It looks at batch headers only. */
export class FetchLane {
  /** What is read next, by partition. */
  readonly nextOffsets: Map<number, number>;
  onProgress: () => void = () => {};
  bytes = 0;
  requests = 0;
  readonly #connection: RawConnection;
  readonly #topicId: Uuid;
  #stopped = false;

  static async open(
    port: number,
    topicId: Uuid,
    partitions: readonly number[],
    failed: (error: Error) => void,
  ): Promise<FetchLane> {
    return new FetchLane(await RawConnection.open(port, failed), topicId, partitions);
  }

  private constructor(connection: RawConnection, topicId: Uuid, partitions: readonly number[]) {
    this.#connection = connection;
    this.#topicId = topicId;
    this.nextOffsets = new Map(partitions.map((partition) => [partition, 0]));
    connection.onAnswer = (bytes, start, end) => {
      this.#read(bytes, start, end);
      this.onProgress();
      if (!this.#stopped) this.fetch();
    };
  }

  fetch(): void {
    const partitions = [...this.nextOffsets].map(([partition, fetchOffset]) => ({ partition, fetchOffset, partitionMaxBytes }));
    const writer = new Writer();
    writer.int32(0);
    writeRequestHeader(writer, Fetch, fetchVersion, this.requests++, 'bench');
    const topics = [{ topicId: this.#topicId, partitions }];
    Fetch.request.write(writer, { maxWaitMs, minBytes: 1, maxBytes, sessionEpoch: -1, topics }, fetchVersion);
    const frame = Buffer.from(writer.bytes());
    frame.writeInt32BE(frame.length - 4);
    this.#connection.write(frame);
  }

  close(): void {
    this.#stopped = true;
    this.#connection.close();
  }

  #read(bytes: Buffer, start: number, end: number): void {
    const reader = new Reader(bytes, start, end);
    readResponseHeader(reader, Fetch, fetchVersion);
    const { errorCode, responses } = Fetch.response.read(reader, fetchVersion);
    if (errorCode !== 0) throw new Error(`Fetch answered error ${errorCode}`);
    for (const { partitions } of responses) {
      for (const { partitionIndex, errorCode, records } of partitions) {
        if (errorCode !== 0) throw new Error(`partition ${partitionIndex} answered error ${errorCode}`);
        if (records !== null && records.length > 0) this.#advance(partitionIndex, records);
      }
    }
  }

  #advance(partition: number, records: Uint8Array): void {
    const view = new DataView(records.buffer, records.byteOffset, records.byteLength);
    let next = this.nextOffsets.get(partition)!;
    let at = 0;
    for (let length: number; (length = batchLengthAt(records, view, at)) > 0; at += length) {
      const baseOffset = readInt64(view, at);
      // A batch may begin before the offset that was asked for, but never after it: nothing of this log was deleted.
      if (baseOffset > next) throw new Error(`partition ${partition} skips from offset ${next} to ${baseOffset}`);
      next = baseOffset + view.getInt32(at + lastOffsetDeltaAt) + 1;
    }
    if (at < batchPrefixBytes) throw new Error(`partition ${partition} answered no whole batch`);
    this.nextOffsets.set(partition, next);
    this.bytes += at;
  }
}
