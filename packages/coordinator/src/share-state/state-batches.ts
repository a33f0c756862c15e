/** A run of records of a share partition, `[firstOffset, lastOffset]`, that were delivered alike. */
export type StateBatch = {
  readonly firstOffset: number;
  readonly lastOffset: number;
  /** 0 available, 2 acknowledged, 4 archived. */
  readonly deliveryState: number;
  readonly deliveryCount: number;
};

/**
 * What is known of the records together: sorted, no offset twice, neighbours that are alike in one batch, nothing before `startOffset`
 * (-1: everything is kept).
 *
 * Batches may overlap, as two leaders of a partition can have reported the same records. Of what is said of an offset the later in its
 * life is true: the higher delivery count, and at the same count the higher state. So the order in which reports arrive does not matter.
 */
export function combineBatches(
  known: readonly StateBatch[],
  reported: readonly StateBatch[],
  startOffset: number,
): readonly StateBatch[] {
  const pending = [...known, ...reported].filter(
    ({ firstOffset, lastOffset }) => firstOffset <= lastOffset && lastOffset >= startOffset,
  );
  pending.sort((left, right) => left.firstOffset - right.firstOffset);
  const combined: StateBatch[] = [];
  const covering = new LatestFirst();
  let next = 0;
  let offset = startOffset;
  for (;;) {
    if (covering.first === undefined) {
      if (next === pending.length) return combined;
      offset = Math.max(offset, pending[next]!.firstOffset);
    }
    while (next < pending.length && pending[next]!.firstOffset <= offset) covering.add(pending[next++]!);
    while (covering.first !== undefined && covering.first.lastOffset < offset) covering.removeFirst();
    const batch = covering.first;
    if (batch === undefined) continue;
    // Up to where another batch may have more to say.
    const lastOffset = Math.min(batch.lastOffset, (pending[next]?.firstOffset ?? Number.POSITIVE_INFINITY) - 1);
    extend(combined, { ...batch, firstOffset: offset, lastOffset });
    offset = lastOffset + 1;
  }
}

function extend(batches: StateBatch[], batch: StateBatch): void {
  const last = batches.at(-1);
  const { firstOffset, lastOffset, deliveryState, deliveryCount } = batch;
  if (last !== undefined && last.lastOffset + 1 === firstOffset && compareLife(last, batch) === 0) {
    batches[batches.length - 1] = { ...last, lastOffset };
  } else {
    // What is kept for long holds nothing else that came with a request.
    batches.push({ firstOffset, lastOffset, deliveryState, deliveryCount });
  }
}

/** Above zero: what `left` says of a record happened after what `right` says. */
function compareLife(left: StateBatch, right: StateBatch): number {
  return left.deliveryCount - right.deliveryCount || left.deliveryState - right.deliveryState;
}

/** A binary heap: the batch that is latest in the life of its records comes first. */
class LatestFirst {
  readonly #heap: StateBatch[] = [];

  get first(): StateBatch | undefined {
    return this.#heap[0];
  }

  add(batch: StateBatch): void {
    const heap = this.#heap;
    let index = heap.push(batch) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (compareLife(heap[parent]!, batch) >= 0) break;
      heap[index] = heap[parent]!;
      index = parent;
    }
    heap[index] = batch;
  }

  removeFirst(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let index = 0;
    for (let child = 1; child < heap.length; child = 2 * index + 1) {
      if (child + 1 < heap.length && compareLife(heap[child + 1]!, heap[child]!) > 0) child++;
      if (compareLife(last, heap[child]!) >= 0) break;
      heap[index] = heap[child]!;
      index = child;
    }
    heap[index] = last;
  }
}
