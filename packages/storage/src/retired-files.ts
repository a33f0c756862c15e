import type { Files } from '@ottla/runtime';

/** Files and directories that were renamed out of use, removed once nobody can be reading them any more. */
export class RetiredFiles {
  readonly #files: Files;
  /** Due times need not ascend: the delay is a topic's config. */
  #waiting: { readonly path: string; readonly isDirectory: boolean; readonly dueMs: number }[] = [];

  constructor(files: Files) {
    this.#files = files;
  }

  get count(): number {
    return this.#waiting.length;
  }

  addFiles(paths: readonly string[], dueMs: number): void {
    for (const path of paths) this.#waiting.push({ path, isDirectory: false, dueMs });
  }

  addDirectory(path: string, dueMs: number): void {
    this.#waiting.push({ path, isDirectory: true, dueMs });
  }

  /** What lies there is no longer to be reached. */
  forget(directory: string): void {
    this.#waiting = this.#waiting.filter(({ path }) => !path.startsWith(`${directory}/`));
  }

  /** What cannot be removed is tried again next time. Throws IoError. */
  removeDue(nowMs: number): void {
    if (this.#waiting.length === 0) return;
    const due = this.#waiting.filter((retired) => retired.dueMs <= nowMs);
    if (due.length === 0) return;
    const removed = new Set<object>();
    try {
      for (const retired of due) {
        if (retired.isDirectory) this.#files.removeDirectory(retired.path);
        else this.#files.remove(retired.path);
        removed.add(retired);
      }
    } finally {
      this.#waiting = this.#waiting.filter((retired) => !removed.has(retired));
    }
  }
}
