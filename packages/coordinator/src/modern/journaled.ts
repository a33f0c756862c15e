/**
 * State that is written by `replay`, taken back by a rollback, and can be read as of the last committed record: what describing and
 * listing do, while requests decide upon the latest.
 */
import type { Journal } from '../journal.ts';

/** Which state is read: the latest, or that of the last committed record. */
export type View = 'latest' | 'committed';

export class JournaledMap<K, V> {
  readonly #journal: Journal;
  readonly #map = new Map<K, V>();

  constructor(journal: Journal) {
    this.#journal = journal;
  }

  get size(): number {
    return this.#map.size;
  }

  has(key: K): boolean {
    return this.#map.has(key);
  }

  get(key: K, view: View = 'latest'): V | undefined {
    return view === 'latest' ? this.#map.get(key) : this.#journal.committed(this.#map, key);
  }

  set(key: K, value: V): void {
    this.#journal.set(this.#map, key, value);
  }

  delete(key: K): void {
    this.#journal.delete(this.#map, key);
  }

  keys(): IterableIterator<K> {
    return this.#map.keys();
  }

  isEmpty(view: View): boolean {
    return view === 'latest' ? this.#map.size === 0 : this.entries(view).next().done === true;
  }

  values(): IterableIterator<V> {
    return this.#map.values();
  }

  entries(view: View = 'latest'): IterableIterator<[K, V]> {
    return view === 'latest' ? this.#map.entries() : this.#journal.committedEntries(this.#map);
  }
}

export class JournaledValue<V> {
  readonly #map: JournaledMap<'value', V>;
  readonly #initial: V;

  constructor(journal: Journal, initial: V) {
    this.#map = new JournaledMap(journal);
    this.#initial = initial;
  }

  get(view: View = 'latest'): V {
    return this.#map.get('value', view) ?? this.#initial;
  }

  set(value: V): void {
    this.#map.set('value', value);
  }
}
