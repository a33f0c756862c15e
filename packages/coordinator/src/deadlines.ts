/**
 * Timers as data: what should happen when, under a key. Setting a key again replaces its deadline.
 *
 * Built for heartbeats, which move a deadline further away again and again: that costs one map write. The heap may hold an entry that
 * is older than the map's; it is corrected when it comes up.
 */
export class Deadlines<Event> {
  readonly #byKey = new Map<string, { atMs: number; event: Event; queuedMs: number }>();
  /** A binary min-heap by atMs. Every key has at least one entry whose atMs is at or before its deadline. */
  readonly #heap: { atMs: number; key: string }[] = [];

  get size(): number {
    return this.#byKey.size;
  }

  has(key: string): boolean {
    return this.#byKey.has(key);
  }

  set(key: string, atMs: number, event: Event): void {
    const known = this.#byKey.get(key);
    if (known === undefined) {
      this.#byKey.set(key, { atMs, event, queuedMs: atMs });
      this.#push({ atMs, key });
      return;
    }
    known.atMs = atMs;
    known.event = event;
    if (atMs < known.queuedMs) {
      known.queuedMs = atMs;
      this.#push({ atMs, key });
    }
  }

  cancel(key: string): void {
    this.#byKey.delete(key);
  }

  /** When something is due next, or undefined. */
  nextMs(): number | undefined {
    this.#settle();
    return this.#heap[0]?.atMs;
  }

  /** Takes out one event that is due, the earliest first. */
  takeDue(nowMs: number): Event | undefined {
    this.#settle();
    const head = this.#heap[0];
    if (head === undefined || head.atMs > nowMs) return undefined;
    this.#pop();
    const due = this.#byKey.get(head.key)!;
    this.#byKey.delete(head.key);
    return due.event;
  }

  /** Makes the head of the heap true: it is the real deadline of a key that is still set. */
  #settle(): void {
    for (let head = this.#heap[0]; head !== undefined; head = this.#heap[0]) {
      const known = this.#byKey.get(head.key);
      if (known !== undefined && known.atMs === head.atMs) return;
      this.#pop();
      // Only the entry that `queuedMs` speaks of stands for the key; others were left behind by an earlier deadline or a cancel.
      if (known !== undefined && head.atMs === known.queuedMs) {
        known.queuedMs = known.atMs;
        this.#push({ atMs: known.atMs, key: head.key });
      }
    }
  }

  #push(entry: { atMs: number; key: string }): void {
    const heap = this.#heap;
    let index = heap.push(entry) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (heap[parent]!.atMs <= entry.atMs) break;
      heap[index] = heap[parent]!;
      index = parent;
    }
    heap[index] = entry;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && heap[child + 1]!.atMs < heap[child]!.atMs) child++;
      if (heap[child]!.atMs >= last.atMs) break;
      heap[index] = heap[child]!;
      index = child;
    }
    heap[index] = last;
  }
}
