/** Numbers by index, in little room; -1 where there is none. */
export class Numbers {
  #values = new Float64Array(1024).fill(-1);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  get(index: number): number {
    return index < this.#length ? this.#values[index]! : -1;
  }

  set(index: number, value: number): void {
    if (index >= this.#values.length) {
      const grown = new Float64Array(Math.max(this.#values.length * 2, index + 1)).fill(-1);
      grown.set(this.#values);
      this.#values = grown;
    }
    this.#values[index] = value;
    this.#length = Math.max(this.#length, index + 1);
  }
}
