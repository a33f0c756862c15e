/**
 * `<base>.txnindex`: the transactions that were aborted by a marker in this segment. There is no file until the first of them.
 * 34 bytes an entry, in the order of the markers:
 *
 *   0   int16  version 0
 *   2   int64  producer id
 *   10  int64  first offset of the transaction
 *   18  int64  last offset: the abort marker
 *   26  int64  last stable offset after the abort
 */

import { readInt64, writeInt64 } from '@ottla/protocol';
import type { Files } from '@ottla/runtime';
import { CorruptFileError } from './corrupt-file-error.ts';

const entryBytes = 34;
const entryVersion = 0;

export type AbortedTransaction = {
  readonly producerId: number;
  readonly firstOffset: number;
  readonly lastOffset: number;
  readonly lastStableOffset: number;
};

export class TransactionIndex {
  readonly #files: Files;
  readonly #baseOffset: number;
  #path: string;
  /** Undefined: not read yet. */
  #entries: AbortedTransaction[] | undefined;
  #needsSync = false;

  constructor(files: Files, path: string, baseOffset: number) {
    this.#files = files;
    this.#path = path;
    this.#baseOffset = baseOffset;
  }

  get path(): string {
    return this.#path;
  }

  /** Throws CorruptFileError. */
  get entries(): readonly AbortedTransaction[] {
    return this.#load();
  }

  /** Throws CorruptFileError. */
  check(): void {
    this.#load();
  }

  append(aborted: AbortedTransaction): void {
    const entries = this.#load();
    this.#withFile((file) => file.write(encode([aborted]), entries.length * entryBytes));
    entries.push(aborted);
    this.#needsSync = true;
  }

  /** Keeps the transactions whose marker is below `offset`. */
  truncateTo(offset: number): void {
    const kept = this.#load().filter((aborted) => aborted.lastOffset < offset);
    if (kept.length === this.#load().length) return;
    this.#entries = kept;
    this.#needsSync = true;
    this.#withFile((file) => file.truncate(kept.length * entryBytes));
  }

  /** Removes the file: the segment is read anew. */
  reset(): void {
    this.#entries = [];
    this.#files.remove(this.#path);
  }

  sync(): void {
    if (!this.#needsSync) return;
    this.#withFile((file) => file.sync());
    this.#needsSync = false;
  }

  rename(path: string): void {
    if (this.#files.stat(this.#path)) this.#files.rename(this.#path, path);
    this.#path = path;
  }

  #withFile(use: (file: ReturnType<Files['open']>) => void): void {
    const file = this.#files.open(this.#path, 'create');
    try {
      use(file);
    } finally {
      file.close();
    }
  }

  #load(): AbortedTransaction[] {
    if (this.#entries) return this.#entries;
    if (!this.#files.stat(this.#path)) return (this.#entries = []);
    return (this.#entries = decode(this.#files.readFile(this.#path), { path: this.#path, baseOffset: this.#baseOffset }));
  }
}

function encode(transactions: readonly AbortedTransaction[]): Uint8Array {
  const bytes = new Uint8Array(transactions.length * entryBytes);
  const view = new DataView(bytes.buffer);
  transactions.forEach((aborted, index) => {
    const at = index * entryBytes;
    view.setInt16(at, entryVersion);
    writeInt64(view, at + 2, aborted.producerId);
    writeInt64(view, at + 10, aborted.firstOffset);
    writeInt64(view, at + 18, aborted.lastOffset);
    writeInt64(view, at + 26, aborted.lastStableOffset);
  });
  return bytes;
}

function decode(bytes: Uint8Array, { path, baseOffset }: { path: string; baseOffset: number }): AbortedTransaction[] {
  if (bytes.length % entryBytes !== 0) throw new CorruptFileError(path, `${bytes.length} bytes are no whole number of entries`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const transactions: AbortedTransaction[] = [];
  for (let at = 0; at < bytes.length; at += entryBytes) {
    const version = view.getInt16(at);
    if (version !== entryVersion) throw new CorruptFileError(path, `an entry has version ${version}`);
    const aborted = entryAt(view, at);
    if (!aborted) throw new CorruptFileError(path, 'an entry holds a number that is neither an offset nor a producer');
    if (aborted.lastOffset < baseOffset) {
      throw new CorruptFileError(path, `a marker's offset ${aborted.lastOffset} is below the segment's ${baseOffset}`);
    }
    const { firstOffset, lastOffset, lastStableOffset } = aborted;
    const isInOrder = lastOffset > (transactions.at(-1)?.lastOffset ?? -1);
    if (!isInOrder || firstOffset >= lastOffset || lastStableOffset > lastOffset + 1) {
      throw new CorruptFileError(
        path,
        `a transaction from ${firstOffset} to ${lastOffset}, stable to ${lastStableOffset}, cannot be`,
      );
    }
    transactions.push(aborted);
  }
  return transactions;
}

function entryAt(view: DataView, at: number): AbortedTransaction | undefined {
  const aborted = {
    producerId: readInt64(view, at + 2),
    firstOffset: readInt64(view, at + 10),
    lastOffset: readInt64(view, at + 18),
    lastStableOffset: readInt64(view, at + 26),
  };
  return Object.values(aborted).every((number) => number >= 0 && Number.isSafeInteger(number)) ? aborted : undefined;
}
