import type { Random } from '../random.ts';

/** The same seed gives the same numbers (sfc32). Not for secrets. */
export class SeededRandom implements Random {
  readonly #seed: string;
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  constructor(seed: number | string) {
    this.#seed = String(seed);
    [this.#a, this.#b, this.#c] = hashToState(this.#seed);
    for (let i = 0; i < 15; i++) this.#next();
  }

  /** An independent stream: what one part draws then does not shift what another gets. */
  fork(name: string): SeededRandom {
    return new SeededRandom(`${this.#seed}/${name}`);
  }

  fraction(): number {
    return ((this.#next() >>> 5) * 0x400_0000 + (this.#next() >>> 6)) / 0x20_0000_0000_0000;
  }

  below(bound: number): number {
    return Math.floor(this.fraction() * bound);
  }

  bytes(length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    for (let i = 0; i < length; i++) bytes[i] = this.#next();
    return bytes;
  }

  /** True in `probability` of the calls. */
  chance(probability: number): boolean {
    return probability > 0 && this.fraction() < probability;
  }

  #next(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0;
    return sum;
  }
}

function hashToState(text: string): [number, number, number] {
  const state: [number, number, number] = [0x9e3779b9, 0x243f6a88, 0xb7e15162];
  for (let i = 0; i < text.length; i++) {
    for (let lane = 0; lane < 3; lane++) {
      state[lane] = Math.imul(state[lane]! ^ text.charCodeAt(i), 0x85ebca6b + 2 * lane);
      state[lane] = state[lane]! ^ (state[lane]! >>> 13);
    }
  }
  return state;
}
