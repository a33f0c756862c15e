import type { SnapshotChunk } from '@ottla/raft';
import type { File, Files } from '@ottla/runtime';
import { type SnapshotId, snapshotName } from './snapshot-files.ts';

/** A snapshot on its way from the leader: its pieces are put together in a `.part` file, which means nothing until it is whole. */
export class FetchedSnapshot {
  readonly id: SnapshotId;
  readonly path: string;
  readonly #files: Files;
  readonly #file: File;
  #size = 0;
  #isOpen = true;

  constructor(files: Files, path: string, id: SnapshotId) {
    this.#files = files;
    this.path = path;
    this.id = id;
    this.#file = files.open(path, 'truncate');
  }

  /** Throws IoError. A piece that does not follow the one before is a broken invariant. */
  add({ position, bytes, snapshotId }: SnapshotChunk): void {
    if (position !== this.#size || snapshotName(snapshotId) !== snapshotName(this.id))
      throw new Error(
        `broken invariant: ${snapshotName(snapshotId)} at ${position} follows ${snapshotName(this.id)} at ${this.#size}`,
      );
    this.#file.write(bytes, position);
    this.#size += bytes.length;
  }

  /** It is on the disk under its `.part` name when this resolves. */
  async sync(): Promise<void> {
    await this.#file.syncLater();
    this.#close();
  }

  /** It is not wanted any more. */
  abandon(): void {
    this.#close();
    this.#files.remove(this.path);
  }

  #close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#file.close();
  }
}
