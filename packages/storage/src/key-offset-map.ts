import { KeyDigest } from './key-digest.ts';

const entryBytes = 24;

/**
 * The latest offset of each key, in 24 bytes a key whatever its length: 16 of a keyed 128-bit digest and 8 of the offset. Open
 * addressing; it refuses a new key once it holds `capacity` of them.
 */
export class KeyOffsetMap {
  readonly capacity: number;
  readonly #slots: number;
  readonly #digests: Int32Array;
  /** Offset + 1; 0: the slot is free. */
  readonly #offsets: Float64Array;
  readonly #digest: KeyDigest;
  #size = 0;

  /** `secret`: 16 random bytes. */
  constructor({ slots, capacity, secret }: { slots: number; capacity: number; secret: Uint8Array }) {
    if (capacity >= slots) throw new RangeError(`${slots} slots cannot hold ${capacity} keys`);
    this.capacity = capacity;
    this.#slots = slots;
    this.#digests = new Int32Array(slots * 4);
    this.#offsets = new Float64Array(slots);
    this.#digest = new KeyDigest(secret);
  }

  get size(): number {
    return this.#size;
  }

  get bytes(): number {
    return this.#slots * entryBytes;
  }

  /** False when there is no room for this key; then nothing has changed. */
  put(key: Uint8Array, offset: number): boolean {
    const slot = this.#find(key);
    if (this.#offsets[slot] === 0) {
      if (this.#size >= this.capacity) return false;
      this.#digests.set(this.#digest.words, slot * 4);
      this.#size++;
    }
    this.#offsets[slot] = offset + 1;
    return true;
  }

  /** -1 for a key that is not there. */
  get(key: Uint8Array): number {
    return this.#offsets[this.#find(key)]! - 1;
  }

  /** The slot of the key, or the free one that it would get. */
  #find(key: Uint8Array): number {
    this.#digest.update(key);
    const { words } = this.#digest;
    const [first, second, third, fourth] = words as unknown as [number, number, number, number];
    let slot = (first >>> 0) % this.#slots;
    while (this.#offsets[slot] !== 0) {
      const at = slot * 4;
      if (
        this.#digests[at] === first &&
        this.#digests[at + 1] === second &&
        this.#digests[at + 2] === third &&
        this.#digests[at + 3] === fourth
      )
        break;
      slot = slot + 1 === this.#slots ? 0 : slot + 1;
    }
    return slot;
  }
}

/** What log.cleaner.dedupe.buffer.size and log.cleaner.io.buffer.load.factor allow, and no more than `keys` need. */
export function mapSizeFor({ keys, bufferBytes, loadFactor }: { keys: number; bufferBytes: number; loadFactor: number }) {
  const maxSlots = Math.max(2, Math.floor(bufferBytes / entryBytes));
  const load = Math.min(Math.max(loadFactor, 1 / maxSlots), 1);
  const capacity = Math.max(1, Math.min(keys, Math.floor(maxSlots * load), maxSlots - 1));
  return { capacity, slots: Math.min(maxSlots, Math.max(capacity + 1, Math.ceil(capacity / load))) };
}
