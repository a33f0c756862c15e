/** When each piece of regular work is due. A controller begins them anew; nothing of it is in the log. */

export class PeriodicTasks {
  readonly #tasks: { readonly name: string; readonly intervalMs: number; dueMs: number }[] = [];

  /** The first time is one interval after the first time it is asked. */
  add(name: string, intervalMs: number): void {
    this.#tasks.push({ name, intervalMs, dueMs: Number.NaN });
  }

  /** Those due, which are then due again an interval later. */
  take(nowMs: number): string[] {
    const due: string[] = [];
    for (const task of this.#tasks) {
      if (Number.isNaN(task.dueMs)) task.dueMs = nowMs + task.intervalMs;
      if (task.dueMs > nowMs) continue;
      due.push(task.name);
      task.dueMs = nowMs + task.intervalMs;
    }
    return due;
  }

  /** Work was left over: do it again soon. */
  hasten(name: string, dueMs: number): void {
    for (const task of this.#tasks)
      if (task.name === name) task.dueMs = Number.isNaN(task.dueMs) ? dueMs : Math.min(task.dueMs, dueMs);
  }

  /** Not before then, if it is to be done at all. */
  putOff(name: string, dueMs: number): void {
    for (const task of this.#tasks) if (task.name === name && task.dueMs < dueMs) task.dueMs = dueMs;
  }

  /** As if nothing had been asked yet. */
  clear(): void {
    for (const task of this.#tasks) task.dueMs = Number.NaN;
  }

  nextDueMs(): number {
    return Math.min(Number.POSITIVE_INFINITY, ...this.#tasks.map(({ dueMs }) => dueMs));
  }
}
