import {
  BorrowedParts,
  type LateResponse,
  REPLIES_LATER,
  type Reply,
  type RequestHandler,
  type Response,
  type ServerConnection,
} from '@ottla/network';
import {
  KafkaError,
  Produce,
  Reader,
  type RequestHead,
  readRequestHeader,
  type Writable,
  Writer,
  writeResponseHeader,
} from '@ottla/protocol';
import type { BrokerParts } from './broker-parts.ts';
import type { ControllerParts } from './controller-parts.ts';
import { unsupportedApiVersionsAnswer } from './handlers/api-versions.ts';
import {
  type Answer,
  type ControllerHandler,
  failureOf,
  type Handler,
  highestServed,
  LateAnswer,
  type NodeContext,
  type RequestContext,
  TurnAnswer,
} from './handlers/handler.ts';
import type { TurnWaiter } from './handlers/produce-turn.ts';
import type { NodeParts } from './node-parts.ts';

const API_VERSIONS_KEY = 18;

/**
 * From a frame to its answer: header, handler, body, handler's answer, bytes.
 */
export class RequestDispatcher {
  readonly #node: NodeParts;
  readonly #broker: BrokerParts | undefined;
  readonly #controller: ControllerParts | undefined;
  readonly #handlers: ReadonlyMap<number, Handler>;

  static forBroker(broker: BrokerParts, handlers: ReadonlyMap<number, Handler>): RequestDispatcher {
    return new RequestDispatcher(broker, handlers, { broker });
  }

  static forController(controller: ControllerParts, handlers: ReadonlyMap<number, ControllerHandler>): RequestDispatcher {
    return new RequestDispatcher(controller, handlers as unknown as ReadonlyMap<number, Handler>, { controller });
  }

  private constructor(
    node: NodeParts,
    handlers: ReadonlyMap<number, Handler>,
    { broker, controller }: { broker?: BrokerParts; controller?: ControllerParts },
  ) {
    this.#node = node;
    this.#broker = broker;
    this.#controller = controller;
    this.#handlers = handlers;
  }

  /**
   * Bytes of the frame may be used again once `requestsTaken` was called. A throw closes the connection: the frame names no API of this
   * listener, or does not parse.
   */
  dispatch(frame: Uint8Array, connection: ServerConnection, reply: Reply): ReturnType<RequestHandler> {
    // Handlers keep parts of what they are asked; only the produce handler, with its large requests, is done with them in time.
    const isProduce = frame.length > 1 && ((frame[0]! << 8) | frame[1]!) === Produce.apiKey;
    if (!isProduce) this.requestsTaken();
    const reader = new Reader(isProduce ? frame : Buffer.from(frame));
    const header = readRequestHeader(reader);
    const handler = this.#handlers.get(header.apiKey);
    if (!handler) throw new KafkaError('INVALID_REQUEST', `API key ${header.apiKey} is not served on this listener`);
    const { api } = handler;
    if (header.apiVersion < api.minVersion || header.apiVersion > highestServed(handler)) {
      if (header.apiKey === API_VERSIONS_KEY) return unsupportedApiVersionsAnswer(header);
      throw new KafkaError('UNSUPPORTED_VERSION', `${api.name} version ${header.apiVersion} is not served`);
    }
    const request = api.request.read(reader, header.apiVersion);
    const context = {
      node: this.#node,
      broker: this.#broker,
      controller: this.#controller,
      connection,
      apiVersion: header.apiVersion,
      correlationId: header.correlationId,
      clientId: header.clientId,
      releases: [],
    } as NodeContext as RequestContext;
    let answer: ReturnType<Handler['handle']>;
    try {
      answer = handler.handle(request, context);
    } catch (error) {
      return this.#encodeFailure(handler, header, error, request, context);
    }
    if (answer instanceof TurnAnswer) {
      this.#broker!.produceTurn.whenCommitted(new WaitingRequest(this, { handler, header, answer, request, context, reply }));
      return REPLIES_LATER;
    }
    return answer instanceof Promise
      ? this.#encodeWhenSettled(handler, header, answer, request, context)
      : this.#encode(handler, header, answer, context);
  }

  /** For a request that waited until there was a dispatcher: it is alone in its turn. */
  dispatchLate(frame: Uint8Array, connection: ServerConnection, reply: Reply): void {
    try {
      const answer = this.dispatch(frame, connection, reply);
      this.requestsTaken();
      if (answer !== REPLIES_LATER) settleBy(reply, answer);
    } catch (error) {
      reply.failed(error);
    }
  }

  /** What the requests of this turn have staged is written, and answered. */
  requestsTaken(): void {
    this.#broker?.produceTurn.commit();
  }

  /** For WaitingRequest. */
  finish({ handler, header, answer, request, context, reply }: Waiting): void {
    try {
      const finished = answer.finish();
      settleBy(
        reply,
        finished instanceof Promise
          ? this.#encodeWhenSettled(handler, header, finished, request, context)
          : this.#encode(handler, header, finished, context),
      );
    } catch (error) {
      reply.failed(error);
    }
  }

  #encodeWhenSettled(
    handler: Handler,
    header: RequestHead,
    answer: Promise<Answer<object> | LateAnswer<object>>,
    request: object,
    context: RequestContext,
  ): Promise<Response | LateResponse> {
    return answer.then(
      (settled) =>
        settled instanceof LateAnswer
          ? () => this.#encodeLate(handler, header, settled, request, context)
          : this.#encode(handler, header, settled, context),
      (error: unknown) => this.#encodeFailure(handler, header, error, request, context),
    );
  }

  #encodeLate(
    handler: Handler,
    header: RequestHead,
    { make }: LateAnswer<object>,
    request: object,
    context: RequestContext,
  ): Response {
    let answer: Answer<object>;
    try {
      answer = make();
    } catch (error) {
      return this.#encodeFailure(handler, header, error, request, context);
    }
    return this.#encode(handler, header, answer, context);
  }

  /** An answer that its version cannot carry is a fault of ours, whoever asked: it is told, and the connection is closed. */
  #encode(handler: Handler, header: RequestHead, answer: Answer<object>, { releases }: RequestContext): Response {
    if (answer === null) {
      release(releases);
      return null;
    }
    try {
      const writer = new Writer();
      writeResponseHeader(writer, handler.api, header.apiVersion, header.correlationId);
      handler.api.response.write(writer, answer, header.apiVersion);
      const parts = writer.chunks();
      if (releases.length === 0) return parts;
      // An answer begins with bytes of the writer's own: in one part it is a copy, and refers to nothing.
      if (parts.length > 1) return new BorrowedParts(parts, () => release(releases));
      release(releases);
      return parts;
    } catch (error) {
      release(releases);
      this.#node.runtime.logger.error(`the answer to ${handler.api.name} cannot be written`, {
        error,
        apiVersion: header.apiVersion,
      });
      throw error;
    }
  }

  #encodeFailure(handler: Handler, header: RequestHead, error: unknown, request: object, context: RequestContext): Response {
    // What the handler had read is not in the answer.
    release(context.releases);
    if (!(error instanceof KafkaError)) {
      this.#node.runtime.logger.error(`${handler.api.name} failed unexpectedly`, {
        error,
        apiVersion: header.apiVersion,
        client: context.connection.remote,
      });
    }
    const failure = failureOf(error);
    if (handler.failed) return this.#encode(handler, header, handler.failed(failure, request, context), context);
    // An answer without the error would look like success.
    if (!carriesError(handler, header.apiVersion)) throw error;
    return this.#encode(handler, header, failure, context);
  }
}

type Waiting = {
  readonly handler: Handler;
  readonly header: RequestHead;
  readonly answer: TurnAnswer<object>;
  readonly request: object;
  readonly context: RequestContext;
  readonly reply: Reply;
};

/** Its answer comes when its turn was committed. */
class WaitingRequest implements TurnWaiter {
  readonly #dispatcher: RequestDispatcher;
  readonly #waiting: Waiting;

  constructor(dispatcher: RequestDispatcher, waiting: Waiting) {
    this.#dispatcher = dispatcher;
    this.#waiting = waiting;
  }

  committed(): void {
    this.#dispatcher.finish(this.#waiting);
  }
}

function release(releases: (() => void)[]): void {
  for (const release of releases.splice(0)) release();
}

function settleBy(reply: Reply, answer: Response | Promise<Response | LateResponse>): void {
  if (answer instanceof Promise)
    answer.then(
      (settled) => reply.answered(settled),
      (error) => reply.failed(error),
    );
  else reply.answered(answer);
}

/** Whether this version's answer has an errorCode of its own, besides those of its elements. */
function carriesError({ api }: Handler, apiVersion: number): boolean {
  try {
    const { code } = new KafkaError('UNKNOWN_SERVER_ERROR');
    const writer = new Writer();
    api.response.write(writer, { errorCode: code } as Writable<object>, apiVersion);
    const read = api.response.read(new Reader(writer.bytes()), apiVersion) as { errorCode?: number };
    return read.errorCode === code;
  } catch {
    return false;
  }
}
