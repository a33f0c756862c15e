import { errors, KafkaError, lengthOfWholeBatches, type Writable } from '@ottla/protocol';
import type { RaftMessages, RaftReply, ServedApi } from '@ottla/raft';
import type { Log } from '@ottla/storage';
import type { MetadataSnapshots } from './metadata-snapshots.ts';

export type Releases = (() => void)[];

type Waiting = {
  readonly version: number;
  readonly resolve: (response: never) => void;
  readonly reject: (error: unknown) => void;
  /** Where to leave what is to be called once the answer has left: its memory is only borrowed. */
  readonly releases: Releases | undefined;
};

/** Of an answer, where the shell puts what it read. */
type LogPart = { responses: { partitions: { records: Uint8Array }[] }[] };
type SnapshotPart = { topics: { partitions: { size: number; unalignedRecords: Uint8Array; errorCode: number }[] }[] };

/** Requests of other nodes that the raft node has yet to answer, and what its answers take from the disk. */
export class QuorumReplies {
  readonly #log: Log;
  readonly #snapshots: MetadataSnapshots;
  /** Never more than this of the log in one answer, whatever is asked for. */
  readonly #maxBytes: number;
  readonly #waiting = new Map<number, Waiting>();
  #nextRequestId = 0;

  constructor(options: { log: Log; snapshots: MetadataSnapshots; maxBytes: number }) {
    this.#log = options.log;
    this.#snapshots = options.snapshots;
    this.#maxBytes = options.maxBytes;
  }

  /** `ask` is given the id by which the answer will come. */
  expect<Name extends ServedApi>(
    ask: (requestId: number) => void,
    { version, releases }: { readonly version: number; readonly releases?: Releases | undefined },
  ): Promise<Writable<RaftMessages[Name]['response']>> {
    return new Promise((resolve, reject) => {
      const requestId = this.#nextRequestId++;
      this.#waiting.set(requestId, { version, resolve, reject, releases });
      try {
        ask(requestId);
      } catch (error) {
        this.#waiting.delete(requestId);
        reject(error);
      }
    });
  }

  answer(reply: RaftReply): void {
    const waiting = this.#waiting.get(reply.requestId);
    this.#waiting.delete(reply.requestId);
    if (reply.readLog) this.#addRecords(reply.response as LogPart, reply.readLog, waiting?.releases);
    if (reply.readSnapshot) this.#addChunk(reply.response as SnapshotPart, reply.readSnapshot);
    waiting?.resolve(inVersion(reply, waiting.version) as never);
  }

  /** Nobody answers any more. */
  refuseAll(error: KafkaError): void {
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const { reject } of waiting) reject(error);
  }

  #addRecords(
    response: LogPart,
    { startOffset, endOffset, maxBytes }: NonNullable<RaftReply['readLog']>,
    releases?: Releases,
  ): void {
    const partition = response.responses[0]!.partitions[0]!;
    const read = this.#log.read({
      startOffset,
      endOffset,
      maxBytes: Math.max(0, Math.min(maxBytes, this.#maxBytes)),
      minOneBatch: true,
    });
    partition.records = read.records.subarray(0, lengthOfWholeBatches(read.records));
    if (read.release) releases?.push(read.release);
  }

  #addChunk(response: SnapshotPart, { snapshotId, position, maxBytes }: NonNullable<RaftReply['readSnapshot']>): void {
    const partition = response.topics[0]!.partitions[0]!;
    try {
      const { size, bytes } = this.#snapshots.readChunk(snapshotId, position, Math.min(maxBytes, this.#maxBytes));
      partition.size = size;
      partition.unalignedRecords = bytes;
    } catch (error) {
      if (!(error instanceof KafkaError)) throw error;
      partition.errorCode = errors[error.name].code;
    }
  }
}

/** Where leaders are to be found has a place only from a version on. */
function inVersion({ api, response }: RaftReply, version: number): object {
  const isOld = version < (api === 'fetch' ? 17 : 1);
  return isOld && 'nodeEndpoints' in response ? { ...response, nodeEndpoints: [] } : response;
}
