import type { Logger } from '@ottla/runtime';

export type ProducerIdBlock = { readonly firstProducerId: number; readonly size: number };

/** Hands out producer ids from blocks that the controller allots, and asks for the next block before the current one is used up. */
export class ProducerIds {
  readonly #allocate: () => Promise<ProducerIdBlock>;
  readonly #logger: Logger;
  #nextId = 0;
  #endId = 0;
  #refillAt = 0;
  #prefetched: ProducerIdBlock | undefined;
  #allocating: Promise<void> | undefined;

  constructor(allocate: () => Promise<ProducerIdBlock>, logger: Logger) {
    this.#allocate = allocate;
    this.#logger = logger;
  }

  /** Never gives an id twice, not even across restarts: what a crashed broker had left of its block is skipped. */
  async next(): Promise<number> {
    while (this.#nextId >= this.#endId) {
      if (this.#prefetched) this.#use(this.#prefetched);
      else await this.#fetchBlock();
    }
    const id = this.#nextId++;
    if (id >= this.#refillAt && !this.#prefetched) {
      this.#fetchBlock().catch((error: unknown) =>
        this.#logger.warn('no next block of producer ids yet, asked again when one is needed', { error }),
      );
    }
    return id;
  }

  #fetchBlock(): Promise<void> {
    this.#allocating ??= this.#allocate()
      .then((block) => void (this.#prefetched = block))
      .finally(() => void (this.#allocating = undefined));
    return this.#allocating;
  }

  #use(block: ProducerIdBlock): void {
    this.#prefetched = undefined;
    this.#nextId = block.firstProducerId;
    this.#endId = block.firstProducerId + block.size;
    this.#refillAt = block.firstProducerId + Math.floor(block.size * 0.9);
  }
}
