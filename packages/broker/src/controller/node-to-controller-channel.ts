import { type Api, Envelope, errorOfCode, KafkaError, type Writable } from '@ottla/protocol';
import type { Address, Runtime, Timer } from '@ottla/runtime';
import { Peer } from '../peers/index.ts';
import type { ChannelOptions, ClientRequest, ControllerChannel, LocalController } from './controller-channel.ts';
import { envelopeOf, responseIn } from './forwarded-request.ts';

export type NodeToControllerChannelOptions = {
  readonly runtime: Pick<Runtime, 'network' | 'timers' | 'clock' | 'random' | 'logger'>;
  readonly nodeId: number;
  /** Where the active controller listens, as far as this node knows. */
  readonly controller: () => (Address & { readonly nodeId: number }) | undefined;
  /** In words, how far the search for it has come. */
  readonly search?: () => string;
  /** Of this node, if it has that role. */
  readonly local: LocalController | undefined;
  /** How long a request is tried again where it does not say itself. */
  readonly patienceMs: number;
  /** For each try. */
  readonly requestTimeoutMs: number;
  readonly connectTimeoutMs?: number;
};

const retryBackoffMs = 50;
/** Of requests that wait for an answer or an active controller; one more is refused. */
const maxWaiting = 10_000;

/** Not answered by the active controller: another try may be. */
class NotAnswered extends Error {}

/**
 * To the active controller in this process, or over a connection to the one that leads the quorum. A request is tried again until there is an
 * answer: when the connection ends, when nobody leads, when who was asked is not the active controller any more.
 */
export class NodeToControllerChannel implements ControllerChannel {
  readonly #options: NodeToControllerChannelOptions;
  #peer: Peer | undefined;
  #waiting = 0;
  #pause: { readonly timer: Timer; readonly over: Promise<void>; readonly end: () => void } | undefined;
  #isClosed = false;

  constructor(options: NodeToControllerChannelOptions) {
    this.#options = options;
  }

  send<Request, Response>(
    api: Api<Request, Response>,
    request: Request,
    { timeoutMs = this.#options.patienceMs }: ChannelOptions = {},
  ): Promise<Response> {
    return this.#untilAnswered(api.name, timeoutMs, {
      here: (controller) => controller.send(api, request),
      there: async (peer, leftMs) => {
        const response = await this.#ask(peer, api, request as Writable<Request>, leftMs);
        requireNoTopLevelError(response);
        return response;
      },
    });
  }

  forward<Request, Response>(api: Api<Request, Response>, request: Request, client: ClientRequest): Promise<Writable<Response>> {
    return this.#untilAnswered<Writable<Response>>(api.name, this.#options.patienceMs, {
      here: (controller) => controller.forward(api, request, client),
      there: async (peer, leftMs) => {
        const envelope = envelopeOf(api as unknown as Api<Request, object>, request, client);
        const { errorCode, responseData } = await this.#ask(peer, Envelope, envelope, leftMs);
        const refusal = errorOfCode(errorCode);
        if (refusal) throw refusalOfEnvelope(refusal, api.name);
        return responseIn(
          api as unknown as Api<never, Response>,
          responseData ?? new Uint8Array(0),
          client,
        ) as Writable<Response>;
      },
    });
  }

  /** What the active controller said of the APIs that it serves; undefined where it is this node, or was not talked to yet. */
  get controllerVersions(): ReadonlyMap<number, { readonly minVersion: number; readonly maxVersion: number }> | undefined {
    if (this.#options.local?.isActive) return undefined;
    const versions = this.#peer?.apiVersions?.apiKeys;
    return versions && new Map(versions.map((each) => [each.apiKey, each]));
  }

  /** Who waits tries again at once, and what is on its way to the one before comes back. */
  leaderChanged(): void {
    const address = this.#options.controller();
    if (address?.nodeId === this.#options.nodeId) this.#letGo();
    else if (address) this.#peer?.lookAt(address);
    this.#pause?.end();
  }

  /** What is under way is rejected with NETWORK_EXCEPTION. */
  close(): void {
    this.#isClosed = true;
    this.#letGo();
    this.#pause?.end();
  }

  #letGo(): void {
    this.#peer?.close();
    this.#peer = undefined;
  }

  async #untilAnswered<Response>(
    what: string,
    patienceMs: number,
    ask: {
      readonly here: (controller: LocalController) => Promise<Response>;
      readonly there: (peer: Peer, leftMs: number) => Promise<Response>;
    },
  ): Promise<Response> {
    if (this.#waiting >= maxWaiting)
      throw new KafkaError('NETWORK_EXCEPTION', `${this.#waiting} requests wait for the active controller: ${what} was not sent`);
    const {
      local,
      nodeId,
      runtime: { clock },
    } = this.#options;
    const deadlineMs = clock.monotonicMs() + patienceMs;
    this.#waiting++;
    try {
      for (;;) {
        let reason: unknown;
        try {
          if (this.#isClosed) throw new KafkaError('NETWORK_EXCEPTION', `this node is stopping: ${what} was not sent`);
          if (local?.isActive) return await ask.here(local);
          const address = this.#options.controller();
          if (!address || address.nodeId === nodeId) throw new NotAnswered(this.#nobody);
          return await ask.there(this.#peerAt(address), deadlineMs - clock.monotonicMs());
        } catch (error) {
          if (!(error instanceof NotAnswered) && !isNotController(error)) throw error;
          reason = error;
        }
        const leftMs = deadlineMs - clock.monotonicMs();
        if (leftMs <= 0) throw timedOut(what, reason);
        await this.#untilNextTry(Math.min(leftMs, retryBackoffMs));
      }
    } finally {
      this.#waiting--;
    }
  }

  get #nobody(): string {
    const search = this.#options.search?.();
    return `no active controller is known${search === undefined ? '' : ` ${search}`}`;
  }

  #peerAt(address: Address): Peer {
    const { runtime, nodeId, requestTimeoutMs, connectTimeoutMs } = this.#options;
    this.#peer ??= new Peer({
      runtime,
      address,
      clientId: String(nodeId),
      requestTimeoutMs,
      ...(connectTimeoutMs === undefined ? {} : { connectTimeoutMs }),
    });
    this.#peer.lookAt(address);
    return this.#peer;
  }

  /** An answer that did not come may have been lost on the way back: what is asked here may be asked twice. */
  async #ask<Request, Response>(
    peer: Peer,
    api: Api<Request, Response>,
    request: Writable<Request>,
    leftMs: number,
  ): Promise<Response> {
    const { requestTimeoutMs } = this.#options;
    try {
      return await peer.send(api, request, { timeoutMs: Math.max(0, Math.min(leftMs, requestTimeoutMs)) });
    } catch (error) {
      if (error instanceof KafkaError && (error.name === 'NETWORK_EXCEPTION' || error.name === 'REQUEST_TIMED_OUT'))
        throw new NotAnswered(error.message, { cause: error });
      throw error;
    }
  }

  /** One pause serves all who wait. */
  #untilNextTry(ms: number): Promise<void> {
    if (!this.#pause) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const end = (): void => {
        this.#pause?.timer.cancel();
        this.#pause = undefined;
        resolve();
      };
      this.#pause = { timer: this.#options.runtime.timers.after(ms, end), over: promise, end };
    }
    return this.#pause.over;
  }
}

const isNotController = (error: unknown): boolean => error instanceof KafkaError && error.name === 'NOT_CONTROLLER';

function requireNoTopLevelError(response: unknown): void {
  const { errorCode = 0, errorMessage } = response as { errorCode?: number; errorMessage?: string | null };
  const refusal = errorOfCode(errorCode, errorMessage ?? null);
  if (refusal) throw refusal;
  // Where only items have errors, one who is not the controller refuses them all.
  const { topics } = response as { topics?: readonly { errorCode?: number }[] };
  if (topics?.length && topics.every((topic) => topic.errorCode === NOT_CONTROLLER.code)) throw NOT_CONTROLLER;
}

const NOT_CONTROLLER = new KafkaError('NOT_CONTROLLER');

/** The controller does not know what this broker does: that is none of the client's business. */
function refusalOfEnvelope(refusal: KafkaError, what: string): KafkaError {
  if (refusal.name !== 'UNSUPPORTED_VERSION') return refusal;
  return new KafkaError('UNKNOWN_SERVER_ERROR', `the active controller does not serve ${what} in this version`, {
    cause: refusal,
  });
}

function timedOut(what: string, reason: unknown): KafkaError {
  const why = reason instanceof Error ? `: ${reason.message}` : '';
  return new KafkaError('REQUEST_TIMED_OUT', `no active controller has answered ${what} in time${why}`, { cause: reason });
}
