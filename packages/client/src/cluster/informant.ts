import type { Random } from '@ottla/runtime';

/**
 * Who is asked about the cluster: any that a connection is open to, and then the same one for as long as its answers serve, so that what was
 * done there is seen there. A broker that is cut off from the controllers answers like any other, with what was true when it was.
 */
export class Informant<Connection> {
  readonly #random: Random;
  #last: Connection | undefined;
  #isDoubted = false;

  constructor(random: Random) {
    this.#random = random;
  }

  /** What it has said may have been wrong. */
  get isDoubted(): boolean {
    return this.#isDoubted;
  }

  doubt(): void {
    this.#isDoubted = this.#last !== undefined;
  }

  /** One of those that are open; one that is doubted only if there is no other. */
  choose(open: readonly Connection[]): Connection | undefined {
    const isOpen = this.#last !== undefined && open.includes(this.#last);
    if (isOpen && !this.#isDoubted) return this.#last;
    const others = open.filter((connection) => connection !== this.#last);
    if (others.length === 0) return isOpen ? this.#last : undefined;
    this.#last = others[this.#random.below(others.length)];
    this.#isDoubted = false;
    return this.#last;
  }
}
