/** Bytes of one page. A file's first page starts smaller and doubles, so that thousands of small files cost little. */
export const pageBytes = 64 * 1024;
const firstPageBytes = 256;

/**
 * A file's content: pages that are allocated when first written, so appending never moves what is there, and a hole (an index
 * preallocated by truncate) costs nothing.
 */
export class PagedBytes {
  /** Invariant: every page but the first is undefined (zeros) or exactly pageBytes long; nothing but zeros lies beyond `size`. */
  #pages: (Uint8Array | undefined)[] = [];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Bytes of memory held. */
  get heldBytes(): number {
    let held = 0;
    for (const page of this.#pages) held += page?.length ?? 0;
    return held;
  }

  read(target: Uint8Array, position: number): number {
    const count = Math.max(0, Math.min(target.length, this.#size - position));
    for (let done = 0; done < count; ) {
      const offset = (position + done) % pageBytes;
      const length = Math.min(count - done, pageBytes - offset);
      const page = this.#pages[(position + done - offset) / pageBytes];
      const available = page ? Math.max(0, Math.min(length, page.length - offset)) : 0;
      if (available > 0) target.set(page!.subarray(offset, offset + available), done);
      target.fill(0, done + available, done + length);
      done += length;
    }
    return count;
  }

  write(source: Uint8Array, position: number): void {
    for (let done = 0; done < source.length; ) {
      const offset = (position + done) % pageBytes;
      const length = Math.min(source.length - done, pageBytes - offset);
      this.#page((position + done - offset) / pageBytes, offset + length).set(source.subarray(done, done + length), offset);
      done += length;
    }
    if (source.length > 0) this.#size = Math.max(this.#size, position + source.length);
  }

  truncate(size: number): void {
    if (size < this.#size) {
      const keptPages = Math.ceil(size / pageBytes);
      this.#pages.length = Math.min(this.#pages.length, keptPages);
      if (size % pageBytes !== 0) this.#pages[keptPages - 1]?.fill(0, size % pageBytes);
    }
    this.#size = size;
  }

  flip(position: number, bit: number): void {
    const byte = new Uint8Array(1);
    if (this.read(byte, position) === 0) return;
    byte[0]! ^= 1 << (bit & 7);
    this.write(byte, position);
  }

  copy(): PagedBytes {
    const copy = new PagedBytes();
    copy.#pages = this.#pages.map((page) => page?.slice());
    copy.#size = this.#size;
    return copy;
  }

  /** The page, allocated with room for at least `end` bytes. */
  #page(index: number, end: number): Uint8Array {
    const page = this.#pages[index];
    if (page && page.length >= end) return page;
    let length = pageBytes;
    if (index === 0) {
      length = page?.length ?? firstPageBytes;
      while (length < end) length *= 2;
    }
    const grown = new Uint8Array(length);
    if (page) grown.set(page);
    while (this.#pages.length < index) this.#pages.push(undefined);
    this.#pages[index] = grown;
    return grown;
  }
}
