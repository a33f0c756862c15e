import type { Address, Clock, Logger, Socket, Timer, Timers } from '@ottla/runtime';
import { FrameCutter } from './frame-cutter.ts';
import { type FrameParts, frameBytes, packFrames } from './outgoing-frames.ts';

/** A response without its size; null where the request wants no answer. */
export type ResponseParts = FrameParts;

/** Makes a large response once the earlier ones have left and the socket has room, so that a connection keeps one of them at a time. */
export type LateResponse = () => ResponseParts | null;

/**
 * Handles one request. Called in arrival order, also while earlier requests still wait for theirs; what it does before its first
 * await is thus in order. The frame is the handler's to keep or change. A throw or rejection closes this connection, after the
 * answers to earlier requests.
 */
export type RequestHandler = (
  frame: Uint8Array,
  connection: ServerConnection,
) => ResponseParts | null | Promise<ResponseParts | LateResponse | null>;

export type ConnectionLimits = {
  /** Larger frames close the connection (`socket.request.max.bytes`). */
  readonly maxFrameBytes: number;
  /** Requests taken from the socket and not answered; the next one waits in the socket. */
  readonly maxRequestsInFlight: number;
  /** Bytes of those requests; a single larger one is taken nevertheless. */
  readonly maxRequestBytesInFlight: number;
  /** Bytes of answers not yet taken by the system; while there are more, no request is read. */
  readonly maxQueuedBytes: number;
};

type Surroundings = {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly logger: Logger;
  readonly limits: ConnectionLimits;
  readonly onRequest: RequestHandler;
  readonly onClose: (connection: ServerConnection, error: Error | undefined) => void;
  /** Bytes of answers that clients of the listener have yet to take. */
  readonly queued: { bytes: number };
};

/** A request in flight, and its answer once there is one. Those of a connection are linked in arrival order. */
type Exchange = {
  outcome: 'pending' | 'answered' | 'failed';
  answer: ResponseParts | LateResponse | null;
  readonly requestBytes: number;
  next: Exchange | undefined;
};

/** The server's end of a connection. */
export class ServerConnection {
  readonly id: number;
  readonly listenerName: string;
  readonly remote: Address;
  readonly local: Address;
  /** The broker's: who the client is, its sessions. */
  state: unknown;

  readonly #socket: Socket;
  readonly #around: Surroundings;
  readonly #cutter: FrameCutter;
  #oldest: Exchange | undefined;
  #newest: Exchange | undefined;
  #requestsInFlight = 0;
  #requestBytesInFlight = 0;
  /** Of answers that wait for an earlier one. */
  #heldBytes = 0;
  /** Its part of `queued`. */
  #queuedBytes = 0;
  #flushScheduled = false;
  #paused = false;
  #awaitsDrain = false;
  /** No further request is taken; those in flight are still answered. */
  #ending = false;
  /** The last answer was given to the socket. */
  #ended = false;
  #closed = false;
  #throttle: Timer | undefined;
  #throttledUntilMs = 0;
  #lastActiveMs: number;
  readonly #onClosed = new Set<() => void>();

  constructor(id: number, listenerName: string, socket: Socket, around: Surroundings) {
    this.id = id;
    this.listenerName = listenerName;
    this.remote = socket.remote;
    this.local = socket.local;
    this.#socket = socket;
    this.#around = around;
    this.#cutter = new FrameCutter(around.limits.maxFrameBytes);
    this.#lastActiveMs = around.clock.monotonicMs();
    socket.onData = (chunk) => this.#received(chunk);
    socket.onDrain = () => this.#drained();
    socket.onClose = (error) => this.#becomeClosed(error);
  }

  get closed(): boolean {
    return this.#closed;
  }

  get requestsInFlight(): number {
    return this.#requestsInFlight;
  }

  /** Monotonic; of the last bytes in either direction. */
  get lastActiveMs(): number {
    return this.#lastActiveMs;
  }

  /** Bytes of answers that this listener's clients, all of them, have yet to take. */
  get queuedByAll(): number {
    return this.#around.queued.bytes;
  }

  /** Calls once when the connection is gone, for whoever waits on its behalf; the returned function calls that off. */
  onClosed(callback: () => void): () => void {
    if (this.#closed) callback();
    else this.#onClosed.add(callback);
    return () => void this.#onClosed.delete(callback);
  }

  /** For frames from now on. */
  set maxFrameBytes(bytes: number) {
    this.#cutter.maxFrameBytes = bytes;
  }

  /** Takes no further request for that long; answers go out meanwhile. The longest of several calls counts. */
  throttle(ms: number): void {
    if (ms <= 0 || this.#closed) return;
    const untilMs = this.#around.clock.monotonicMs() + ms;
    if (this.#throttle && untilMs <= this.#throttledUntilMs) return;
    this.#throttle?.cancel();
    this.#throttledUntilMs = untilMs;
    this.#throttle = this.#around.timers.after(ms, () => {
      this.#throttle = undefined;
      this.#takeRequests();
    });
  }

  /** Closes at once: requests in flight are not answered. */
  close(): void {
    this.#socket.destroy();
    this.#becomeClosed(undefined);
  }

  /** Takes no further request, answers those in flight, then closes. */
  end(): void {
    this.#ending = true;
    this.#endIfAnswered();
  }

  #received(chunk: Uint8Array): void {
    if (this.#closed) return;
    this.#lastActiveMs = this.#around.clock.monotonicMs();
    this.#cutter.feed(chunk);
    this.#takeRequests();
  }

  #takeRequests(): void {
    while (this.#mayTakeRequest()) {
      let frame: Uint8Array | undefined;
      try {
        frame = this.#cutter.next();
      } catch (error) {
        this.#failed(this.#begin(0), error);
        break;
      }
      if (!frame) {
        if (this.#paused) this.#socket.resume();
        this.#paused = false;
        return;
      }
      this.#handle(frame);
    }
    if (!this.#paused && !this.#closed) this.#socket.pause();
    this.#paused = true;
  }

  #mayTakeRequest(): boolean {
    if (this.#closed || this.#ending || this.#throttle) return false;
    const { maxRequestsInFlight, maxRequestBytesInFlight, maxQueuedBytes } = this.#around.limits;
    if (this.#requestsInFlight >= maxRequestsInFlight || this.#requestBytesInFlight > maxRequestBytesInFlight) return false;
    if (this.#heldBytes > maxQueuedBytes) return false;
    return !this.#isBehind();
  }

  #handle(frame: Uint8Array): void {
    const exchange = this.#begin(frame.length);
    try {
      const answer = this.#around.onRequest(frame, this);
      if (answer instanceof Promise) {
        answer.then(
          (parts) => this.#answered(exchange, parts),
          (error) => this.#failed(exchange, error),
        );
      } else {
        this.#answered(exchange, answer);
      }
    } catch (error) {
      this.#failed(exchange, error);
    }
  }

  #begin(requestBytes: number): Exchange {
    const exchange: Exchange = { outcome: 'pending', answer: null, requestBytes, next: undefined };
    if (this.#newest) this.#newest.next = exchange;
    else this.#oldest = exchange;
    this.#newest = exchange;
    this.#requestsInFlight++;
    this.#requestBytesInFlight += requestBytes;
    return exchange;
  }

  #answered(exchange: Exchange, answer: ResponseParts | LateResponse | null): void {
    if (this.#closed) return;
    exchange.outcome = 'answered';
    exchange.answer = answer;
    if (answer && typeof answer !== 'function') this.#heldBytes += frameBytes(answer);
    if (exchange === this.#oldest) this.#flushSoon();
  }

  #failed(exchange: Exchange, error: unknown): void {
    if (this.#closed) return;
    const { host, port } = this.remote;
    this.#around.logger.info('closing a connection', { listener: this.listenerName, remote: `${host}:${port}`, error });
    exchange.outcome = 'failed';
    this.#ending = true;
    if (exchange === this.#oldest) this.#flushSoon();
  }

  /** Once this turn's callbacks and promises are through: all answers that it made ready leave in one write, without delay. */
  #flushSoon(): void {
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    process.nextTick(this.#flush);
  }

  readonly #flush = (): void => {
    this.#flushScheduled = false;
    if (this.#closed || this.#ended) return;
    const answers: ResponseParts[] = [];
    while (this.#oldest?.outcome === 'answered') {
      let { answer } = this.#oldest;
      if (typeof answer === 'function') {
        if (answers.length > 0 || this.#isBehind()) break;
        try {
          answer = answer();
        } catch (error) {
          this.#failed(this.#oldest, error);
          break;
        }
      } else if (answer) this.#heldBytes -= frameBytes(answer);
      if (answer) answers.push(answer);
      this.#requestsInFlight--;
      this.#requestBytesInFlight -= this.#oldest.requestBytes;
      this.#oldest = this.#oldest.next;
    }
    if (!this.#oldest) this.#newest = undefined;
    if (answers.length > 0) {
      this.#lastActiveMs = this.#around.clock.monotonicMs();
      const frames = packFrames(answers);
      if (!this.#socket.write(frames)) {
        this.#awaitsDrain = true;
        this.#countQueued(this.#queuedBytes + frameBytes(frames));
      }
    }
    if (this.#oldest?.outcome === 'failed') {
      this.#endSocket();
      return;
    }
    // A late one is next: now, or when the socket has drained.
    if (this.#oldest?.outcome === 'answered' && !this.#isBehind()) this.#flushSoon();
    this.#endIfAnswered();
    if (this.#paused) this.#takeRequests();
  };

  #isBehind(): boolean {
    return this.#awaitsDrain && this.#socket.queuedBytes > this.#around.limits.maxQueuedBytes;
  }

  #countQueued(bytes: number): void {
    this.#around.queued.bytes += bytes - this.#queuedBytes;
    this.#queuedBytes = bytes;
  }

  #drained(): void {
    this.#awaitsDrain = false;
    this.#countQueued(0);
    if (this.#oldest?.outcome === 'answered') this.#flushSoon();
    if (this.#paused) this.#takeRequests();
  }

  #endIfAnswered(): void {
    if (this.#ending && this.#requestsInFlight === 0) this.#endSocket();
  }

  /** It counts as open until the peer has taken what is queued, or the listener loses patience. */
  #endSocket(): void {
    if (this.#ended || this.#closed) return;
    this.#ended = true;
    this.#forgetRequests();
    this.#socket.end();
  }

  #forgetRequests(): void {
    this.#throttle?.cancel();
    this.#oldest = undefined;
    this.#newest = undefined;
    this.#requestsInFlight = 0;
  }

  #becomeClosed(error: Error | undefined): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#forgetRequests();
    this.#countQueued(0);
    for (const callback of this.#onClosed) callback();
    this.#onClosed.clear();
    this.#around.onClose(this, error);
  }
}
