import { KafkaError, type MetadataRecord } from '@ottla/protocol';
import { type File, nextTurn, type Runtime, type Timer } from '@ottla/runtime';
import { FetchedSnapshot } from './fetched-snapshot.ts';
import { type SnapshotHeader, snapshotBatches } from './snapshot-content.ts';
import {
  isBootstrap,
  listSnapshots,
  partSuffix,
  removeLeftovers,
  retireSnapshot,
  type SnapshotId,
  snapshotName,
  snapshotStem,
} from './snapshot-files.ts';
import { asCorruptFile, SnapshotReader } from './snapshot-reader.ts';

type Options = {
  readonly runtime: Pick<Runtime, 'files' | 'clock' | 'timers' | 'random' | 'logger'>;
  /** Of the metadata log. */
  readonly directory: string;
  readonly deleteDelayMs: number;
  readonly retentionMs: number;
  readonly retentionBytes: number;
};

/** What is decoded without others having their turn. */
const recordsOfOneTurn = 1_000;

/** The snapshot files of one metadata log: which there are, writing one, and which are too old. */
export class MetadataSnapshots {
  readonly #options: Options;
  /** Oldest first, the bootstrap snapshot included. */
  #ids: SnapshotId[];
  readonly #headers = new Map<string, SnapshotHeader>();
  readonly #removals = new Set<Timer>();

  constructor(options: Options) {
    this.#options = options;
    const { files, logger } = options.runtime;
    removeLeftovers(files, options.directory, logger);
    this.#ids = listSnapshots(files, options.directory);
  }

  /** The newest that stands for a part of the log. */
  get newest(): SnapshotId | undefined {
    return this.#ids.findLast((id) => !isBootstrap(id));
  }

  /** What `format` left for a dynamic quorum. */
  get bootstrap(): SnapshotId | undefined {
    return this.#ids.find(isBootstrap);
  }

  get all(): readonly SnapshotId[] {
    return this.#ids;
  }

  /** What it says before its records. Throws CorruptFileError for a file that does not begin as a snapshot does. */
  header(id: SnapshotId): SnapshotHeader {
    const name = snapshotName(id);
    let header = this.#headers.get(name);
    if (!header) {
      header = this.#reading(this.#pathOf(id), ({ header: read }) => read);
      this.#headers.set(name, header);
    }
    return header;
  }

  /** Throws CorruptFileError for a file that is not a whole snapshot: for a batch that is damaged, or is not there. */
  verify(id: SnapshotId): void {
    this.#reading(this.#pathOf(id), (reader) => {
      for (const _ of reader.verify());
    });
  }

  /** The records, a slice at a time. Throws CorruptFileError where one of them cannot be read. The file stays open until the last, or `return`. */
  *slices(id: SnapshotId, sliceRecords: number): Generator<readonly MetadataRecord[]> {
    const path = this.#pathOf(id);
    const file = this.#options.runtime.files.open(path, 'read');
    try {
      let slice: MetadataRecord[] = [];
      for (const record of readerOf(file).records()) {
        slice.push(record);
        if (slice.length < sliceRecords) continue;
        yield slice;
        slice = [];
      }
      yield slice;
    } catch (error) {
      throw asCorruptFile(error, path);
    } finally {
      file.close();
    }
  }

  #reading<Result>(path: string, read: (reader: SnapshotReader) => Result): Result {
    const file = this.#options.runtime.files.open(path, 'read');
    try {
      return read(readerOf(file));
    } catch (error) {
      throw asCorruptFile(error, path);
    } finally {
      file.close();
    }
  }

  /** When the last record in it was appended. */
  lastContainedLogTimestampMs(id: SnapshotId): number {
    return this.header(id).lastContainedLogTimestampMs;
  }

  /**
   * The file is in use once the promise resolves. Others have their turn while it is written, so `records` must not change by what they do. False:
   * it was given up, as it was not wanted any more, or one that came meanwhile is newer.
   */
  async write(
    id: SnapshotId,
    header: SnapshotHeader,
    records: Iterable<MetadataRecord>,
    isWanted: () => boolean = () => true,
  ): Promise<boolean> {
    const { files, clock, timers } = this.#options.runtime;
    const partPath = this.#partPathOf(id);
    const file = files.open(partPath, 'truncate');
    try {
      let position = 0;
      for (const batch of snapshotBatches(records, { ...header, epoch: id.epoch, nowMs: clock.nowMs() })) {
        file.write(batch, position);
        position += batch.length;
        await nextTurn(timers);
        // The next start removes what there is of it.
        if (!isWanted()) return false;
      }
      await file.syncLater();
    } finally {
      file.close();
    }
    // Then the newer one is of the leader, and the log begins behind it: none leads on from this one.
    if (this.#ids.some(({ endOffset }) => endOffset > id.endOffset)) {
      files.remove(partPath);
      return false;
    }
    this.#putInPlace(id, partPath);
    this.#headers.set(snapshotName(id), header);
    return true;
  }

  /** Begins a file for a snapshot that comes from the leader. */
  beginFetched(id: SnapshotId): FetchedSnapshot {
    return new FetchedSnapshot(this.#options.runtime.files, this.#partPathOf(id), id);
  }

  /**
   * The fetched file, which is whole by its size, is on the disk and can be adopted when this resolves. Rejects with CorruptFileError when it is
   * no snapshot, or holds a record that cannot be decoded: nothing is left of it then, as with it in its place this node could never start
   * again. All of it is read, a piece in a turn.
   */
  async prove(fetched: FetchedSnapshot): Promise<SnapshotHeader> {
    await fetched.sync();
    const { files, timers } = this.#options.runtime;
    const file = files.open(fetched.path, 'read');
    try {
      const reader = readerOf(file);
      let records = 0;
      for (const _ of reader.records()) if (++records % recordsOfOneTurn === 0) await nextTurn(timers);
      return reader.header;
    } catch (error) {
      fetched.abandon();
      throw asCorruptFile(error, fetched.path, 'look at the disk of the leader, and whether this node is of an older release');
    } finally {
      file.close();
    }
  }

  /** From now on the fetched file, which has been proven, is in use. */
  adopt({ id, path }: FetchedSnapshot): void {
    this.#putInPlace(id, path);
  }

  /** A part of the file as it lies there, and the size of the whole. Throws SNAPSHOT_NOT_FOUND and POSITION_OUT_OF_RANGE. */
  readChunk(id: SnapshotId, position: number, maxBytes: number): { size: number; bytes: Uint8Array } {
    const name = snapshotName(id);
    if (isBootstrap(id) || !this.#ids.some((each) => snapshotName(each) === name))
      throw new KafkaError('SNAPSHOT_NOT_FOUND', `there is no snapshot ${name}`);
    const file = this.#options.runtime.files.open(this.#pathOf(id), 'read');
    try {
      const size = file.size();
      if (position < 0 || position >= size)
        throw new KafkaError('POSITION_OUT_OF_RANGE', `snapshot ${name} has ${size} bytes, and nothing at ${position}`);
      const bytes = new Uint8Array(Math.max(0, Math.min(maxBytes, size - position)));
      return { size, bytes: bytes.subarray(0, file.read(bytes, position)) };
    } finally {
      file.close();
    }
  }

  /**
   * Takes old snapshots out of use, oldest first, while a newer one exists and the retention asks for it: too old, or too large together with
   * the log. The log before the oldest one left is of no use any more.
   */
  clean(log: { readonly sizeBytes: number; readonly deleteBefore: (offset: number) => void }): void {
    const { runtime, retentionMs, retentionBytes } = this.#options;
    const nowMs = runtime.clock.nowMs();
    while (this.#ids.length > 1) {
      const [oldest, next] = this.#ids as [SnapshotId, SnapshotId];
      const isTooOld = retentionMs >= 0 && nowMs - this.lastContainedLogTimestampMs(oldest) > retentionMs;
      const isTooLarge = retentionBytes >= 0 && log.sizeBytes + this.#sizeBytes() > retentionBytes;
      if (!isTooOld && !isTooLarge) break;
      this.#retire(oldest);
      log.deleteBefore(next.endOffset);
    }
  }

  /**
   * Takes those out of use from which no log leads on, as it begins later. To a leader each of them would be one from which its log can be
   * followed, and the oldest the one that the log begins with.
   */
  retireBefore(logStartOffset: number): void {
    for (const id of this.#ids) if (id.endOffset < logStartOffset) this.#retire(id);
  }

  #retire(id: SnapshotId): void {
    const { runtime, directory, deleteDelayMs } = this.#options;
    this.#headers.delete(snapshotName(id));
    this.#removeLater(retireSnapshot(runtime.files, directory, id), deleteDelayMs);
    this.#ids = this.#ids.filter((each) => each !== id);
  }

  /** Retired files stay for the next start to remove. */
  close(): void {
    for (const timer of this.#removals) timer.cancel();
    this.#removals.clear();
  }

  #sizeBytes(): number {
    const { files } = this.#options.runtime;
    return this.#ids.reduce((sum, id) => sum + (files.stat(this.#pathOf(id))?.size ?? 0), 0);
  }

  #removeLater(path: string, delayMs: number): void {
    const timer = this.#options.runtime.timers.after(delayMs, () => {
      this.#removals.delete(timer);
      try {
        this.#options.runtime.files.remove(path);
      } catch (error) {
        // It does no harm where it lies, and the next start removes it.
        this.#options.runtime.logger.warn('a superfluous snapshot could not be removed', { file: path, error });
      }
    });
    this.#removals.add(timer);
  }

  #putInPlace(id: SnapshotId, partPath: string): void {
    const { files } = this.#options.runtime;
    const { directory } = this.#options;
    files.rename(partPath, this.#pathOf(id));
    files.syncDirectory(directory);
    this.#ids = listSnapshots(files, directory);
  }

  #partPathOf(id: SnapshotId): string {
    const unique = Array.from(this.#options.runtime.random.bytes(8), (byte) => byte.toString(16).padStart(2, '0')).join('');
    return `${this.#options.directory}/${snapshotStem(id)}-${unique}${partSuffix}`;
  }

  #pathOf(id: SnapshotId): string {
    return `${this.#options.directory}/${snapshotName(id)}`;
  }
}

function readerOf(file: File): SnapshotReader {
  const read = (position: number, length: number): Uint8Array => {
    const bytes = new Uint8Array(length);
    return bytes.subarray(0, file.read(bytes, position));
  };
  return new SnapshotReader({ size: file.size(), read });
}
