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

  removeDue(nowMs: number): void {
    if (this.#waiting.length === 0) return;
    const due = this.#waiting.filter((retired) => retired.dueMs <= nowMs);
    if (due.length === 0) return;
    this.#waiting = this.#waiting.filter((retired) => retired.dueMs > nowMs);
    for (const { path, isDirectory } of due) {
      if (isDirectory) this.#files.removeDirectory(path);
      else this.#files.remove(path);
    }
  }
}
