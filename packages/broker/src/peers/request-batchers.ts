import { RequestBatcher, type RequestBatcherOptions } from './request-batcher.ts';

export type RequestBatchersOptions<Item, Result> = Omit<RequestBatcherOptions<Item, Result>, 'send'> & {
  /** Sends a broker one request with these items, and gives a result for each, in their order. */
  readonly send: (brokerId: number, items: readonly Item[]) => Promise<readonly Result[]>;
};

/** What many ask of other brokers, with a batcher for each of them. */
export class RequestBatchers<Item, Result> {
  readonly #options: RequestBatchersOptions<Item, Result>;
  readonly #batchers = new Map<number, RequestBatcher<Item, Result>>();

  constructor(options: RequestBatchersOptions<Item, Result>) {
    this.#options = options;
  }

  /** Rejects with what kept the request from being answered. */
  ask(brokerId: number, item: Item): Promise<Result> {
    let batcher = this.#batchers.get(brokerId);
    if (batcher === undefined) {
      const { send, ...options } = this.#options;
      batcher = new RequestBatcher({ ...options, send: (items) => send(brokerId, items) });
      this.#batchers.set(brokerId, batcher);
    }
    return batcher.ask(item);
  }
}
