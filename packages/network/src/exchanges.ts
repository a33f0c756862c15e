import { type FrameParts, frameBytes } from './outgoing-frames.ts';

/** A response without its size. */
export type ResponseParts = FrameParts;

/**
 * A response in memory that is only borrowed. `release` is called once, when nobody looks at the parts any more: they have left, or never
 * will, because the connection is gone.
 */
export class BorrowedParts {
  readonly parts: ResponseParts;
  readonly release: () => void;

  constructor(parts: ResponseParts, release: () => void) {
    this.parts = parts;
    this.release = release;
  }
}

/** What a request is answered with; null where it wants no answer. */
export type Response = ResponseParts | BorrowedParts | null;

/** Makes a large response once the earlier ones have left and the socket has room, so that a connection keeps one of them at a time. */
export type LateResponse = () => Response;

/** The place of an answer among those of its connection, for a handler that gives it without a promise. Settled once. */
export interface Reply {
  answered(answer: Response | LateResponse): void;
  /** As a throw of the handler. */
  failed(error: unknown): void;
}

/** A request in flight, and its answer once there is one. */
export class Exchange implements Reply {
  outcome: 'pending' | 'answered' | 'failed' = 'pending';
  answer: Response | LateResponse = null;
  error: unknown;
  /** The one that arrived after it. */
  next: Exchange | undefined;
  readonly requestBytes: number;
  readonly #all: Exchanges;

  constructor(all: Exchanges, requestBytes: number) {
    this.#all = all;
    this.requestBytes = requestBytes;
  }

  answered(answer: Response | LateResponse): void {
    if (this.outcome !== 'pending') throw new Error('a request is answered once');
    this.outcome = 'answered';
    this.answer = answer;
    this.#all.settled(this);
  }

  failed(error: unknown): void {
    if (this.outcome !== 'pending') throw new Error('a request is answered once');
    this.outcome = 'failed';
    this.error = error;
    this.#all.settled(this);
  }

  /** Its late answer could not be made. */
  failedLate(error: unknown): void {
    this.outcome = 'failed';
    this.answer = null;
    this.error = error;
    this.#all.failedLate(this);
  }
}

/** A connection's requests in flight, in the order in which they arrived. */
export class Exchanges {
  oldest: Exchange | undefined;
  #newest: Exchange | undefined;
  #inFlight = 0;
  #requestBytes = 0;
  #pending = 0;
  #heldBytes = 0;
  #isForgotten = false;
  readonly #onSettled: (exchange: Exchange) => void;

  constructor(onSettled: (exchange: Exchange) => void) {
    this.#onSettled = onSettled;
  }

  /** Begun and not taken: some have their answer. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** Of the requests in flight. */
  get requestBytes(): number {
    return this.#requestBytes;
  }

  /** Without an answer yet. */
  get pending(): number {
    return this.#pending;
  }

  /** Of answers that have not been taken. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  begin(requestBytes: number): Exchange {
    const exchange = new Exchange(this, requestBytes);
    if (this.#newest) this.#newest.next = exchange;
    else this.oldest = exchange;
    this.#newest = exchange;
    this.#inFlight++;
    this.#pending++;
    this.#requestBytes += requestBytes;
    return exchange;
  }

  /** For Exchange. */
  settled(exchange: Exchange): void {
    if (this.#isForgotten) {
      releaseAnswer(exchange);
      return;
    }
    this.#pending--;
    this.#heldBytes += answerBytes(exchange);
    this.#onSettled(exchange);
  }

  /** For Exchange. */
  failedLate(exchange: Exchange): void {
    this.#onSettled(exchange);
  }

  /** Takes the oldest, which has its answer. */
  take(): void {
    const { requestBytes, next } = this.oldest!;
    this.#heldBytes -= answerBytes(this.oldest!);
    this.#inFlight--;
    this.#requestBytes -= requestBytes;
    this.oldest = next;
    if (!next) this.#newest = undefined;
  }

  /** Nobody will be answered any more. */
  forget(): void {
    this.#isForgotten = true;
    for (let exchange = this.oldest; exchange; exchange = exchange.next) releaseAnswer(exchange);
    this.oldest = undefined;
    this.#newest = undefined;
    this.#inFlight = 0;
    this.#requestBytes = 0;
    this.#pending = 0;
    this.#heldBytes = 0;
  }
}

/** Of one that is made already. */
function answerBytes({ answer }: Exchange): number {
  if (!answer || typeof answer === 'function') return 0;
  return frameBytes(answer instanceof BorrowedParts ? answer.parts : answer);
}

function releaseAnswer({ answer }: Exchange): void {
  if (answer instanceof BorrowedParts) answer.release();
}
