/**
 * A queue that gives the least element first: a binary min-heap, with the tie-breaking of Java's PriorityQueue. Equal elements come in
 * no particular order, but always in the one that Kafka's assignor sees.
 */
export class LeastFirstQueue<Element> {
  readonly #heap: Element[] = [];
  readonly #weightOf: (element: Element) => number;

  /** A weight must not change while its element is queued. */
  constructor(weightOf: (element: Element) => number, elements: Iterable<Element> = []) {
    this.#weightOf = weightOf;
    for (const element of elements) this.push(element);
  }

  push(element: Element): void {
    const heap = this.#heap;
    const weight = this.#weightOf(element);
    let at = heap.length;
    while (at > 0) {
      const parent = (at - 1) >>> 1;
      if (weight >= this.#weightOf(heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = element;
  }

  pop(): Element | undefined {
    const heap = this.#heap;
    const least = heap[0];
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return least;
    const weight = this.#weightOf(last);
    let at = 0;
    for (let child = 1; child < heap.length; child = 2 * at + 1) {
      const right = child + 1;
      if (right < heap.length && this.#weightOf(heap[child]!) > this.#weightOf(heap[right]!)) child = right;
      if (weight <= this.#weightOf(heap[child]!)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    return least;
  }
}
