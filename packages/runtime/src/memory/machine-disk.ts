import type { FileOperation } from './files.ts';

export type DiskCondition = {
  /** A write beyond it stores what fits and throws ENOSPC. */
  readonly capacityBytes?: number | undefined;
  /** Called before each operation: an error code (`ENOSPC`, `EIO` …) makes it fail. */
  readonly fault?: ((operation: FileOperation) => string | undefined) | undefined;
  /** How long it takes until written bytes are durable. */
  readonly syncMs?: (() => number) | undefined;
};

/** How the disk of a simulated machine does. It can be changed at any time, and holds from the next operation on. */
export class MachineDisk {
  readonly #usual: DiskCondition;
  capacityBytes: number | undefined;
  fault: ((operation: FileOperation) => string | undefined) | undefined;
  syncMs: (() => number) | undefined;

  constructor(usual: DiskCondition) {
    this.#usual = usual;
    this.mend();
  }

  /** Operations of these kinds, under the path if one is given, fail from now on. */
  fail(code: string, kinds: readonly FileOperation['kind'][], path = ''): void {
    this.fault = (operation) =>
      kinds.includes(operation.kind) && operation.path.startsWith(path) ? code : this.#usual.fault?.(operation);
  }

  /** Neither failing nor full, as far as it has been told to be. */
  get isSound(): boolean {
    return this.capacityBytes === this.#usual.capacityBytes && this.fault === this.#usual.fault;
  }

  /** As it was when the machine was made. */
  mend(): void {
    this.capacityBytes = this.#usual.capacityBytes;
    this.fault = this.#usual.fault;
    this.syncMs = this.#usual.syncMs;
  }
}
