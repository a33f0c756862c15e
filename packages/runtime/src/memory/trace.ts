/** What happened in a simulated world, in order: two runs from one seed must have the same `hash`. */
export class Trace {
  readonly #keptLines: number;
  readonly #lines: string[] = [];
  #low = 0x811c9dc5;
  #high = 0x9e3779b9;
  #events = 0;

  /** Keeps the last lines for a person to read. */
  constructor(keptLines = 0) {
    this.#keptLines = keptLines;
  }

  record(line: string): void {
    this.#events++;
    for (let i = 0; i < line.length; i++) this.#mix(line.charCodeAt(i));
    this.#mix(0x0a);
    if (this.#keptLines === 0) return;
    this.#lines.push(line);
    if (this.#lines.length > 2 * this.#keptLines) this.#lines.splice(0, this.#lines.length - this.#keptLines);
  }

  get events(): number {
    return this.#events;
  }

  get lines(): readonly string[] {
    return this.#lines.slice(-this.#keptLines || this.#lines.length);
  }

  /** Of all lines so far, kept or not. */
  get hash(): string {
    return hex(this.#high) + hex(this.#low);
  }

  #mix(value: number): void {
    this.#low = Math.imul(this.#low ^ value, 0x01000193);
    this.#high = Math.imul(this.#high ^ value ^ (this.#high >>> 15), 0x85ebca6b);
  }
}

function hex(value: number): string {
  return (value >>> 0).toString(16).padStart(8, '0');
}
