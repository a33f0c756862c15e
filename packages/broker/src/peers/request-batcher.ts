export type RequestBatcherOptions<Item, Result> = {
  /** Sends one request with these items, and gives a result for each, in their order. */
  readonly send: (items: readonly Item[]) => Promise<readonly Result[]>;
  /** Requests on their way. */
  readonly maxInFlight: number;
  /** In one request. */
  readonly maxItems: number;
  /** Items of one key are never in the same request. */
  readonly keyOf: (item: Item) => string;
};

type Waiting<Item, Result> = {
  readonly item: Item;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
};

/**
 * Puts what many ask of one other broker into few requests: what comes at the same time goes together, and so does what has come while as many
 * requests as may be were on their way. Every item has somebody who waits for it, so there are as many as there are askers.
 */
export class RequestBatcher<Item, Result> {
  readonly #options: RequestBatcherOptions<Item, Result>;
  #waiting: Waiting<Item, Result>[] = [];
  #inFlight = 0;
  #isScheduled = false;

  constructor(options: RequestBatcherOptions<Item, Result>) {
    this.#options = options;
  }

  /** Rejects with what kept the request from being answered. */
  ask(item: Item): Promise<Result> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ item, resolve, reject });
      if (this.#isScheduled) return;
      this.#isScheduled = true;
      void Promise.resolve().then(() => {
        this.#isScheduled = false;
        this.#sendAll();
      });
    });
  }

  #sendAll(): void {
    while (this.#waiting.length > 0 && this.#inFlight < this.#options.maxInFlight) this.#send(this.#takeBatch());
  }

  #takeBatch(): Waiting<Item, Result>[] {
    const { keyOf, maxItems } = this.#options;
    const keys = new Set<string>();
    const batch: Waiting<Item, Result>[] = [];
    const left: Waiting<Item, Result>[] = [];
    for (const waiting of this.#waiting) {
      const key = keyOf(waiting.item);
      const joins = batch.length < maxItems && !keys.has(key);
      keys.add(key);
      (joins ? batch : left).push(waiting);
    }
    this.#waiting = left;
    return batch;
  }

  #send(batch: readonly Waiting<Item, Result>[]): void {
    this.#inFlight++;
    this.#options
      .send(batch.map(({ item }) => item))
      .then(
        (results) => batch.forEach(({ resolve }, index) => void resolve(results[index]!)),
        (error: unknown) => batch.forEach(({ reject }) => void reject(error)),
      )
      .finally(() => {
        this.#inFlight--;
        this.#sendAll();
      });
  }
}
