import fs from 'node:fs';
import process from 'node:process';

/** An open file that can do without its descriptor until its next use. */
export interface DescriptorHolder {
  /** Set at each use, and taken back here: who was used since the last look keeps its descriptor. */
  wasUsed: boolean;
  /** Somebody else works with the descriptor just now. */
  readonly isBusy: boolean;
  /** Gives it back to the system. */
  rest(): void;
}

/** Of the limit, what files may take. The rest is for sockets, which cannot be closed and opened again at will. */
const shareOfFiles = 0.5;
const fewestFiles = 16;
/** Beyond it a descriptor kept is no longer worth its place in the system's tables. */
const mostFiles = 16_384;
const usualLimit = 1024;

/**
 * The descriptors that open files hold. There may be far more open files than a process may have descriptors, a node has some for each of its
 * partitions: those that were not used for longest give theirs back, and get a new one when they are used again. So who removes or renames a
 * file closes it before.
 */
export class Descriptors {
  readonly #budget: number;
  /** In the order in which they were last looked at. */
  readonly #holders = new Set<DescriptorHolder>();

  constructor(budget = descriptorBudget(openFileLimit())) {
    this.#budget = budget;
  }

  get held(): number {
    return this.#holders.size;
  }

  /** For who is about to open a file and keep it. */
  makeRoom(): void {
    if (this.#holders.size >= this.#budget) this.#release(this.#holders.size - this.#budget + 1);
  }

  /** The system refused one, although the budget would have allowed it. False when there is none to give back. */
  giveBackSome(): boolean {
    return this.#release(Math.ceil(this.#holders.size / 4)) > 0;
  }

  add(holder: DescriptorHolder): void {
    this.#holders.add(holder);
  }

  delete(holder: DescriptorHolder): void {
    this.#holders.delete(holder);
  }

  /** A second chance for who was used, as a clock has it: no list is reordered at each use. */
  #release(wanted: number): number {
    let released = 0;
    let looks = 2 * this.#holders.size;
    for (const holder of this.#holders) {
      if (released >= wanted || looks-- === 0) break;
      this.#holders.delete(holder);
      if (holder.isBusy || holder.wasUsed) {
        holder.wasUsed = false;
        this.#holders.add(holder);
      } else {
        holder.rest();
        released++;
      }
    }
    return released;
  }
}

export function descriptorBudget(limit: number): number {
  return Math.min(mostFiles, Math.max(fewestFiles, Math.floor(limit * shareOfFiles)));
}

/** How many descriptors this process may have. Node.js has raised its soft limit to the hard one by then. */
function openFileLimit(): number {
  try {
    const line = /^Max open files\s+(\d+)/m.exec(fs.readFileSync('/proc/self/limits', 'utf8'));
    return line ? Number(line[1]) : Number.POSITIVE_INFINITY;
  } catch {
    // Not Linux. On Windows there are no limits of the user, and files are opened by handle.
    const report = process.report?.getReport() as { userLimits?: { open_files?: { soft?: unknown } } } | undefined;
    const soft = report?.userLimits?.open_files?.soft;
    return soft === 'unlimited' ? Number.POSITIVE_INFINITY : typeof soft === 'number' ? soft : usualLimit;
  }
}
