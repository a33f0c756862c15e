/**
 * What turns plain Maps into state that can be taken back, and read as of the last committed record.
 *
 * A coordinator changes its state when a record is written, long before the record is committed. Until then the change may have to
 * be undone (the append failed), and readers must not be told of it (it may yet be lost). The journal remembers, per change, what
 * stood there before: `rollback` puts it back, `committed` looks past it, `commit` forgets it.
 */
export class Journal {
  /** In the order of `offset`. Empty most of the time: only what is written and not yet committed. */
  #changes: Change[] = [];
  /** For each map: the oldest previous value of each changed key. Derived from #changes, built when asked for. */
  #shadows: Map<AnyMap, Map<unknown, unknown>> | null = null;
  #nextOffset = 0;
  /** While loading, changes below the high watermark can never be undone and are not remembered. */
  #committedOffset = 0;

  /** The offset that the next replayed record will have: changes made now are undone together with that record. */
  get nextOffset(): number {
    return this.#nextOffset;
  }

  get size(): number {
    return this.#changes.length;
  }

  /** A record was replayed, or the log was found to end here. */
  advance(nextOffset: number): void {
    this.#nextOffset = nextOffset;
  }

  set<K, V>(map: Map<K, V>, key: K, value: V): void {
    this.#remember(map, key);
    map.set(key, value);
  }

  delete<K, V>(map: Map<K, V>, key: K): void {
    if (!map.has(key)) return;
    this.#remember(map, key);
    map.delete(key);
  }

  /** Everything below `endOffset` is committed. */
  commit(endOffset: number): void {
    this.#committedOffset = Math.max(this.#committedOffset, endOffset);
    if (this.#changes.length === 0) return;
    const kept = this.#changes.findIndex((change) => change.offset >= endOffset);
    if (kept === 0) return;
    this.#changes = kept === -1 ? [] : this.#changes.slice(kept);
    this.#shadows = null;
  }

  /** The records from `offset` on were not written: their changes are undone, newest first. */
  rollback(offset: number): void {
    for (let change = this.#changes.at(-1); change !== undefined && change.offset >= offset; change = this.#changes.at(-1)) {
      this.#changes.pop();
      if (change.previous === ABSENT) change.map.delete(change.key);
      else change.map.set(change.key, change.previous);
    }
    this.#shadows = null;
    this.#nextOffset = offset;
  }

  /** The value as of the last committed record. */
  committed<K, V>(map: Map<K, V>, key: K): V | undefined {
    const shadow = this.#shadowOf(map);
    if (shadow?.has(key)) {
      const previous = shadow.get(key);
      return previous === ABSENT ? undefined : (previous as V);
    }
    return map.get(key);
  }

  /** The entries as of the last committed record. */
  *committedEntries<K, V>(map: Map<K, V>): IterableIterator<[K, V]> {
    const shadow = this.#shadowOf(map);
    if (shadow === undefined) {
      yield* map;
      return;
    }
    for (const entry of map) if (!shadow.has(entry[0])) yield entry;
    for (const [key, previous] of shadow) if (previous !== ABSENT) yield [key as K, previous as V];
  }

  #remember(map: AnyMap, key: unknown): void {
    if (this.#nextOffset < this.#committedOffset) return;
    this.#changes.push({ offset: this.#nextOffset, map, key, previous: map.has(key) ? map.get(key) : ABSENT });
    this.#shadows = null;
  }

  #shadowOf(map: AnyMap): Map<unknown, unknown> | undefined {
    if (this.#changes.length === 0) return undefined;
    if (this.#shadows === null) {
      this.#shadows = new Map();
      for (const change of this.#changes) {
        let shadow = this.#shadows.get(change.map);
        if (!shadow) this.#shadows.set(change.map, (shadow = new Map()));
        if (!shadow.has(change.key)) shadow.set(change.key, change.previous);
      }
    }
    return this.#shadows.get(map);
  }
}

const ABSENT = Symbol('absent');
// A journal holds changes of maps of every type: the types are restored where they are read.
// biome-ignore lint/suspicious/noExplicitAny: see above
type AnyMap = Map<any, any>;
type Change = { readonly offset: number; readonly map: AnyMap; readonly key: unknown; readonly previous: unknown };
