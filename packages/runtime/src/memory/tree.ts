import { PagedBytes } from './paged-bytes.ts';
import { UnsyncedChanges } from './unsynced-changes.ts';

/** A file's content, whatever names it has. */
export class Content {
  readonly bytes: PagedBytes;
  modifiedMs: number;
  /** False once its name was removed; who has it open may go on. */
  linked = true;
  /** Present where power losses are simulated. */
  readonly unsynced: UnsyncedChanges | undefined;

  constructor(modifiedMs: number, crashes: boolean, bytes = new PagedBytes()) {
    this.bytes = bytes;
    this.modifiedMs = modifiedMs;
    this.unsynced = crashes ? new UnsyncedChanges(bytes.copy()) : undefined;
  }
}

export class Directory {
  readonly entries = new Map<string, Content | Directory>();
  /** The names that survive a power loss. */
  syncedEntries = new Map<string, Content | Directory>();
  modifiedMs: number;

  constructor(modifiedMs: number) {
    this.modifiedMs = modifiedMs;
  }

  /** The tree as a power loss leaves it; `survivor` says what is left of a content. */
  afterCrash(survivor: (content: Content) => Content): Directory {
    const after = new Directory(this.modifiedMs);
    for (const [name, entry] of this.syncedEntries) {
      after.entries.set(name, entry instanceof Directory ? entry.afterCrash(survivor) : survivor(entry));
    }
    after.syncedEntries = new Map(after.entries);
    return after;
  }
}

export function* contentsIn(entry: Content | Directory): Generator<Content> {
  if (entry instanceof Content) yield entry;
  else for (const child of entry.entries.values()) yield* contentsIn(child);
}

/** The names from the root to a path; a relative path starts at the root. */
export function partsOf(path: string): string[] {
  const parts: string[] = [];
  for (const part of path.split(/[/\\]/)) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  return parts;
}
