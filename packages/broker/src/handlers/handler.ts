import type { ServerConnection } from '@ottla/network';
import { type Api, errorCodeOf, KafkaError, type Writable } from '@ottla/protocol';
import type { BrokerParts } from '../broker-parts.ts';
import type { ControllerParts } from '../controller-parts.ts';
import type { NodeParts } from '../node-parts.ts';

/** What a controller's listener serves. */
export type ControllerHandler = Handler<object, object, ControllerContext>;

/** Who asked, and how: what a handler may want to know besides the request itself, on a listener of any kind. */
export type NodeContext = {
  readonly node: NodeParts;
  readonly connection: ServerConnection;
  readonly apiVersion: number;
  readonly correlationId: number;
  readonly clientId: string | null;
  /** Where a handler leaves what is to be called once its answer has left, or never will: the answer's memory is only borrowed. */
  readonly releases: (() => void)[];
};

/** On a listener for clients. */
export type RequestContext = NodeContext & { readonly broker: BrokerParts };

/** On a controller's listener. */
export type ControllerContext = NodeContext & { readonly controller: ControllerParts };

/** `null`: the request is not answered (Produce with acks=0). */
export type Answer<Response> = Writable<Response> | null;

/** A large answer that is made when its turn has come: see `LateResponse` of the network. */
export class LateAnswer<Response> {
  readonly make: () => Answer<Response>;
  constructor(make: () => Answer<Response>) {
    this.make = make;
  }
}

/** An answer that depends on what this turn has staged: see ProduceTurn. */
export abstract class TurnAnswer<Response> {
  /** Called once, when that was committed. */
  abstract finish(): Answer<Response> | Promise<Answer<Response>>;
}

export type Failure = { readonly errorCode: number; readonly errorMessage: string | null };

export type Handler<Request = object, Response = object, Context = RequestContext> = {
  readonly api: Api<Request, Response>;
  readonly handle: (
    request: Request,
    context: Context,
  ) => Answer<Response> | TurnAnswer<Response> | Promise<Answer<Response> | LateAnswer<Response>>;
  /** The answer when `handle` throws: the error in each place where this API carries one. Without it, at the top. */
  readonly failed?: (failure: Failure, request: Request, context: Context) => Answer<Response>;
};

/**
 * One API's handler. What `handle` does before its first `await` happens in the order in which requests arrived.
 * Without `failed`, a thrown error becomes the answer's top-level `errorCode` and `errorMessage`; where it has none, the connection is
 * closed.
 */
export function handler<Request, Response, Context extends NodeContext = RequestContext>(
  api: Api<Request, Response>,
  handle: Handler<Request, Response, Context>['handle'],
  failed?: Handler<Request, Response, Context>['failed'],
): Handler<Request, Response, Context> {
  return { api, handle, ...(failed ? { failed } : {}) };
}

/** An error as the wire carries it. What is not a KafkaError is UNKNOWN_SERVER_ERROR and its text stays here. */
export function failureOf(error: unknown): Failure {
  return { errorCode: errorCodeOf(error), errorMessage: error instanceof KafkaError ? error.message : null };
}

/** Runs `answer` for one element of a batched request, so that one element's error does not spoil its neighbours. */
export function orFailure<Result>(answer: () => Result, failed: (failure: Failure) => Result): Result {
  try {
    return answer();
  } catch (error) {
    if (!(error instanceof KafkaError)) throw error;
    return failed(failureOf(error));
  }
}

/** The newest version that is served: a version that Kafka still calls unstable is not. */
export function highestServed({ api }: Pick<Handler, 'api'>): number {
  return api.latestVersionUnstable ? api.maxVersion - 1 : api.maxVersion;
}
