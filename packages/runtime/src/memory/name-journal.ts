import type { SeededRandom } from './random.ts';
import type { Content, Directory } from './tree.ts';

type Assignment = { readonly directory: Directory; readonly name: string; readonly entry: Content | Directory | undefined };

/** How likely each change is the first that a directory has lost. */
const lossProbability = 0.3;

/**
 * The creations, renames and removals that no `syncDirectory` has made durable, in order. A journaling file system may have written
 * any of them down, but never a later one of a directory without the earlier, and a rename never by half.
 */
export class NameJournal {
  #pending: (readonly Assignment[])[] = [];

  /** One change, all of it or nothing. */
  record(...assignments: readonly Assignment[]): void {
    this.#pending.push(assignments);
  }

  /** What happened in the directory is durable, with what had to happen before it elsewhere. */
  sync(directory: Directory): void {
    const directories = new Set([directory]);
    const durable = new Set<readonly Assignment[]>();
    for (const change of this.#pending.toReversed()) {
      if (!change.some((each) => directories.has(each.directory))) continue;
      durable.add(change);
      for (const each of change) directories.add(each.directory);
    }
    for (const change of this.#pending) if (durable.has(change)) apply(change);
    this.#pending = this.#pending.filter((change) => !durable.has(change));
  }

  /** The power fails. Without `random` all is lost that was not durable; with it, either one journal or one per directory was cut. */
  crash(random?: SeededRandom): void {
    const pending = this.#pending;
    this.#pending = [];
    if (!random) return;
    if (random.chance(0.5)) {
      for (const change of pending.slice(0, random.below(pending.length + 1))) apply(change);
      return;
    }
    const cut = new Set<Directory>();
    for (const change of pending) {
      if (random.chance(lossProbability) || change.some((each) => cut.has(each.directory)))
        for (const each of change) cut.add(each.directory);
      else apply(change);
    }
  }
}

function apply(change: readonly Assignment[]): void {
  for (const { directory, name, entry } of change) {
    if (entry) directory.syncedEntries.set(name, entry);
    else directory.syncedEntries.delete(name);
  }
}
