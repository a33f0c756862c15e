import type { KafkaError } from '@ottla/protocol';
import type { Destination, RaftRequest } from './effects.ts';
import type { RaftApi, RaftMessages, ReceivedResponse, RequestToSend } from './messages.ts';

/** What is done about the end of a request. False: the answer was of no use, ask again a little later. */
export type Outcome<Api extends RaftApi> = {
  readonly answered: (response: RaftMessages[Api]['response']) => boolean;
  readonly failed?: (error: KafkaError) => void;
};

type Pending = {
  readonly api: RaftApi;
  readonly destination: string;
  readonly answered: (response: never) => boolean;
  readonly failed: ((error: KafkaError) => void) | undefined;
};

/** Busy: a request is on its way. Otherwise a failed one makes the next wait. `hasFailed`: the last one that came to an end was not answered. */
type Line = { readonly busyWith: number | null; readonly freeAtMs: number; readonly hasFailed: boolean };

/** A machine without power refuses nothing: whoever has no answer for so long may ask another one besides. */
const slowAfterMs = 200;

/** The requests on their way to other nodes: one at a time to each, and a pause after one that failed. */
export class OutgoingRequests {
  readonly #timing: { readonly requestTimeoutMs: number; readonly retryBackoffMs: number };
  #nextRequestId = 0;
  readonly #pending = new Map<number, Pending>();
  readonly #lines = new Map<string, Line>();

  constructor(timing: { readonly requestTimeoutMs: number; readonly retryBackoffMs: number }) {
    this.#timing = timing;
  }

  /** When the next request can go there; a request on its way counts as lost after its time. */
  freeAtMs(destination: Destination, nowMs: number): number {
    return Math.max(nowMs, this.#lines.get(keyOf(destination))?.freeAtMs ?? nowMs);
  }

  isFree(destination: Destination, nowMs: number): boolean {
    return this.freeAtMs(destination, nowMs) <= nowMs;
  }

  /**
   * The last request there failed, or has had no answer for as long as one may take. A new one does not change that before it is answered: it may
   * wait for a connection.
   */
  isFailing(destination: Destination, nowMs: number): boolean {
    const line = this.#lines.get(keyOf(destination));
    if (line === undefined) return false;
    return line.hasFailed || (line.busyWith === null ? line.freeAtMs > nowMs : line.freeAtMs <= nowMs);
  }

  /** From when on a request that is on its way there should have been answered by a node that is alive; Infinity: there is none. */
  slowAtMs(destination: Destination): number {
    const line = this.#lines.get(keyOf(destination));
    if (line === undefined || line.busyWith === null) return Number.POSITIVE_INFINITY;
    return line.freeAtMs - this.#timing.requestTimeoutMs + slowAfterMs;
  }

  send<Api extends RaftApi>(
    destination: Destination,
    request: RequestToSend & { readonly api: Api },
    outcome: Outcome<Api>,
    nowMs: number,
  ): RaftRequest {
    const key = keyOf(destination);
    const hasFailed = this.isFailing(destination, nowMs);
    this.forget(destination);
    const requestId = this.#nextRequestId++;
    const { requestTimeoutMs: timeoutMs } = this.#timing;
    this.#pending.set(requestId, {
      api: request.api,
      destination: key,
      answered: outcome.answered as Pending['answered'],
      failed: outcome.failed,
    });
    this.#lines.set(key, { busyWith: requestId, freeAtMs: nowMs + timeoutMs, hasFailed });
    return { requestId, destination, timeoutMs, ...request };
  }

  answered(requestId: number, received: ReceivedResponse, nowMs: number): void {
    const pending = this.#take(requestId);
    if (!pending) return;
    if (pending.api !== received.api) throw new Error(`request ${requestId} was a ${pending.api}, not a ${received.api}`);
    this.#lines.delete(pending.destination);
    if (!pending.answered(received.response as never)) this.#pause(pending.destination, nowMs, { hasFailed: false });
  }

  failed(requestId: number, error: KafkaError, nowMs: number): void {
    const pending = this.#take(requestId);
    if (!pending) return;
    this.#pause(pending.destination, nowMs, { hasFailed: true });
    pending.failed?.(error);
  }

  /** Whatever comes back from there is of no interest any more, and the next request need not wait. */
  forget(destination: Destination): void {
    const key = keyOf(destination);
    const lost = this.#lines.get(key)?.busyWith;
    if (lost !== undefined && lost !== null) this.#pending.delete(lost);
    this.#lines.delete(key);
  }

  /** The node's state has changed: whatever comes back is of no interest any more. */
  forgetAll(): void {
    this.#pending.clear();
    this.#lines.clear();
  }

  #take(requestId: number): Pending | undefined {
    const pending = this.#pending.get(requestId);
    this.#pending.delete(requestId);
    return pending;
  }

  #pause(destination: string, nowMs: number, { hasFailed }: { hasFailed: boolean }): void {
    this.#lines.set(destination, { busyWith: null, freeAtMs: nowMs + this.#timing.retryBackoffMs, hasFailed });
  }
}

const keyOf = ({ nodeId, host, port }: Destination): string => (nodeId === null ? `${host}:${port}` : `${nodeId}`);
