import type { Address, Clock, Logger, Socket, Timer, Timers } from '@ottla/runtime';
import { BorrowedParts, type Exchange, Exchanges, type LateResponse, type Reply, type Response } from './exchanges.ts';
import type { FrameBuffers } from './frame-buffers.ts';
import { FrameCutter } from './frame-cutter.ts';
import { frameBytes, packFrames } from './outgoing-frames.ts';

/** Returned by a handler that settles its `Reply` later. */
export const REPLIES_LATER = Symbol('replies later');

/**
 * Handles one request. Called in arrival order, also while earlier requests still wait for theirs; what it does before its first
 * await is thus in order. The frame is the handler's to change until `onRequestsTaken` has returned, then its bytes are used again: it
 * copies what it keeps longer, and no answer refers to them. A throw or rejection closes this connection, after the answers to earlier
 * requests.
 */
export type RequestHandler = (
  frame: Uint8Array,
  connection: ServerConnection,
  reply: Reply,
) => Response | typeof REPLIES_LATER | Promise<Response | LateResponse>;

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
  readonly onRequestsTaken: (connection: ServerConnection) => void;
  readonly onClose: (connection: ServerConnection, error: Error | undefined) => void;
  /** Bytes of answers that clients of the listener have yet to take. */
  readonly queued: { bytes: number };
  /** For frames that arrive in pieces. */
  readonly frameBuffers: FrameBuffers;
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
  readonly #exchanges: Exchanges;
  /** Its part of `queued`. */
  #queuedBytes = 0;
  #flushScheduled = false;
  /** Requests are being taken; answers that become ready meanwhile leave when that is done. */
  #isTaking = false;
  #flushWanted = false;
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
    this.#cutter = new FrameCutter(around.limits.maxFrameBytes, around.frameBuffers);
    this.#exchanges = new Exchanges((exchange) => this.#settled(exchange));
    this.#lastActiveMs = around.clock.monotonicMs();
    socket.onData = (chunk) => this.#received(chunk);
    socket.onDrain = () => this.#drained();
    socket.onClose = (error) => this.#becomeClosed(error);
  }

  get closed(): boolean {
    return this.#closed;
  }

  get requestsInFlight(): number {
    return this.#exchanges.inFlight;
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

  /** Takes from the chunk what the limits allow. They count answers as well, so that those given at once make room for more. */
  #takeRequests(): void {
    if (this.#isTaking) return;
    this.#isTaking = true;
    let isStarved = this.#takeAllowed();
    while (!isStarved && this.#mayTakeRequest()) isStarved = this.#takeAllowed();
    this.#cutter.keep();
    this.#isTaking = false;
    if (this.#flushWanted) this.#flushSoon();
    if (isStarved) {
      if (this.#paused) this.#socket.resume();
    } else if (!this.#paused && !this.#closed) {
      this.#socket.pause();
    }
    this.#paused = !isStarved;
  }

  /** True when the chunk has no further request. */
  #takeAllowed(): boolean {
    let isStarved = false;
    let hasTaken = false;
    while (!isStarved && this.#mayTakeRequest()) {
      let frame: Uint8Array | undefined;
      try {
        frame = this.#cutter.next();
      } catch (error) {
        this.#exchanges.begin(0).failed(error);
        break;
      }
      if (frame) this.#handle(frame);
      else isStarved = true;
      hasTaken ||= frame !== undefined;
    }
    if (hasTaken) this.#around.onRequestsTaken(this);
    // With all answers at hand there is nothing to wait for that could join them in one write.
    if (this.#flushWanted && this.#exchanges.pending === 0) this.#flush();
    return isStarved;
  }

  #mayTakeRequest(): boolean {
    if (this.#closed || this.#ending || this.#throttle) return false;
    const { maxRequestsInFlight, maxRequestBytesInFlight, maxQueuedBytes } = this.#around.limits;
    const { inFlight, requestBytes, heldBytes } = this.#exchanges;
    if (inFlight >= maxRequestsInFlight || requestBytes > maxRequestBytesInFlight || heldBytes > maxQueuedBytes) return false;
    return !this.#isBehind();
  }

  #handle(frame: Uint8Array): void {
    const exchange = this.#exchanges.begin(frame.length);
    try {
      const answer = this.#around.onRequest(frame, this, exchange);
      if (answer === REPLIES_LATER) return;
      if (answer instanceof Promise) {
        answer.then(
          (parts) => exchange.answered(parts),
          (error) => exchange.failed(error),
        );
      } else {
        exchange.answered(answer);
      }
    } catch (error) {
      exchange.failed(error);
    }
  }

  #settled(exchange: Exchange): void {
    if (exchange.outcome === 'failed') {
      const { host, port } = this.remote;
      const remote = `${host}:${port}`;
      this.#around.logger.info('closing a connection', { listener: this.listenerName, remote, error: exchange.error });
      this.#ending = true;
    }
    if (exchange === this.#exchanges.oldest) this.#flushSoon();
  }

  /** Once this turn's callbacks and promises are through: all answers that it made ready leave in one write, without delay. */
  #flushSoon(): void {
    if (this.#isTaking) {
      this.#flushWanted = true;
      return;
    }
    this.#flushWanted = false;
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    process.nextTick(this.#flushScheduledNow);
  }

  readonly #flushScheduledNow = (): void => {
    this.#flushScheduled = false;
    this.#flush();
  };

  #flush(): void {
    this.#flushWanted = false;
    if (this.#closed || this.#ended) return;
    const answers = this.#takeAnswers();
    if (answers.length > 0) {
      this.#lastActiveMs = this.#around.clock.monotonicMs();
      const frames = packFrames(answers.map((answer) => (answer instanceof BorrowedParts ? answer.parts : answer)));
      if (!this.#socket.write(frames, releaseOf(answers))) {
        this.#awaitsDrain = true;
        this.#countQueued(this.#queuedBytes + frameBytes(frames));
      }
    }
    const { oldest } = this.#exchanges;
    if (oldest?.outcome === 'failed') {
      this.#endSocket();
      return;
    }
    // A late one is next: now, or when the socket has drained.
    if (oldest?.outcome === 'answered' && !this.#isBehind()) this.#flushSoon();
    this.#endIfAnswered();
    if (this.#paused) this.#takeRequests();
  }

  /** The answers whose turn has come. A late one is made only where it goes alone. */
  #takeAnswers(): NonNullable<Response>[] {
    const answers: NonNullable<Response>[] = [];
    for (let { oldest } = this.#exchanges; oldest?.outcome === 'answered'; oldest = this.#exchanges.oldest) {
      let { answer } = oldest;
      if (typeof answer === 'function') {
        if (answers.length > 0 || this.#isBehind()) break;
        try {
          answer = answer();
        } catch (error) {
          oldest.failedLate(error);
          break;
        }
      }
      if (answer) answers.push(answer);
      this.#exchanges.take();
    }
    return answers;
  }

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
    if (this.#exchanges.oldest?.outcome === 'answered') this.#flushSoon();
    if (this.#paused) this.#takeRequests();
  }

  #endIfAnswered(): void {
    if (this.#ending && this.#exchanges.inFlight === 0) this.#endSocket();
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
    this.#exchanges.forget();
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

/** Undefined when none of them is borrowed. */
function releaseOf(answers: readonly NonNullable<Response>[]): (() => void) | undefined {
  const borrowed = answers.filter((answer) => answer instanceof BorrowedParts);
  if (borrowed.length <= 1) return borrowed[0]?.release;
  return () => {
    for (const { release } of borrowed) release();
  };
}
