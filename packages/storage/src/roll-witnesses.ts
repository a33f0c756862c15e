/**
 * `<20-digit base offset>.after-<bytes>`: an empty file that says how long the segment before that one was when it was rolled. It is there
 * from before the new segment until the old one is durable, with its indexes. Names of a directory come into being in order, but a file's content has no
 * order to them: without the witness, a power loss could take the end of a segment and leave the next, and nobody would miss the records.
 * Kafka passes such files over.
 */
import type { Files } from '@ottla/runtime';

export type RollWitness = { readonly baseOffset: number; readonly previousBytes: number };

export class RollWitnesses {
  readonly #files: Files;
  readonly #directory: string;
  /** Ascending. */
  #witnesses: RollWitness[];

  /** From the names in the directory. */
  constructor(files: Files, directory: string, names: readonly string[]) {
    this.#files = files;
    this.#directory = directory;
    this.#witnesses = names.map(parseRollWitnessName).filter((witness) => witness !== undefined);
  }

  /** Before the segment is created. */
  record(witness: RollWitness): void {
    this.#files.open(this.#pathOf(witness), 'create').close();
    this.#witnesses.push(witness);
  }

  /** The segment before the one at `baseOffset` was longer than that once: its end is lost. Returns by how much, or 0. */
  missingBytes({ baseOffset, previousBytes }: RollWitness): number {
    const found = this.#witnesses.filter((witness) => witness.baseOffset === baseOffset);
    if (found.length === 0) return 0;
    return Math.max(0, Math.min(...found.map((witness) => witness.previousBytes)) - previousBytes);
  }

  /** The base offset of the first segment behind one that is not durable. */
  get first(): number | undefined {
    return this.#witnesses[0]?.baseOffset;
  }

  /** Those of now, for a flush that takes its time: of a later roll it knows nothing. */
  get all(): readonly RollWitness[] {
    return this.#witnesses.slice();
  }

  /** Everything below `offset` is durable, and so are the files that `known` stands for. */
  removeUpTo(offset: number, known: readonly RollWitness[] = this.#witnesses): void {
    const durable = new Set(known);
    this.#remove((witness) => witness.baseOffset <= offset && durable.has(witness));
  }

  /** The segments from `offset` on are gone. */
  removeFrom(offset: number): void {
    this.#remove(({ baseOffset }) => baseOffset >= offset);
  }

  #remove(isOver: (witness: RollWitness) => boolean): void {
    if (!this.#witnesses.some(isOver)) return;
    for (const witness of this.#witnesses.filter(isOver)) this.#files.remove(this.#pathOf(witness));
    this.#witnesses = this.#witnesses.filter((witness) => !isOver(witness));
  }

  #pathOf({ baseOffset, previousBytes }: RollWitness): string {
    return `${this.#directory}/${baseOffset.toString().padStart(20, '0')}.after-${previousBytes}`;
  }
}

/** Undefined for any other name. */
export function parseRollWitnessName(name: string): RollWitness | undefined {
  const match = /^(\d{20})\.after-(\d{1,15})$/.exec(name);
  return match ? { baseOffset: Number(match[1]), previousBytes: Number(match[2]) } : undefined;
}
