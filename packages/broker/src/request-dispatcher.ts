import type { ResponseParts, ServerConnection } from '@ottla/network';
import { KafkaError, Reader, type RequestHead, readRequestHeader, Writer, writeResponseHeader } from '@ottla/protocol';
import type { BrokerParts } from './broker-parts.ts';
import { unsupportedApiVersionsAnswer } from './handlers/api-versions.ts';
import { type Answer, failureOf, type Handler, highestServed, type RequestContext } from './handlers/handler.ts';

const API_VERSIONS_KEY = 18;

/**
 * From a frame to its answer: header, handler, body, handler's answer, bytes.
 * A frame that names no API of this listener, or does not parse, throws: the connection is closed unanswered, as Kafka does.
 */
export class RequestDispatcher {
  readonly #broker: BrokerParts;
  readonly #handlers: ReadonlyMap<number, Handler>;

  constructor(broker: BrokerParts, handlers: ReadonlyMap<number, Handler>) {
    this.#broker = broker;
    this.#handlers = handlers;
  }

  dispatch(frame: Uint8Array, connection: ServerConnection): ResponseParts | null | Promise<ResponseParts | null> {
    const reader = new Reader(frame);
    const header = readRequestHeader(reader);
    const handler = this.#handlers.get(header.apiKey);
    if (!handler) throw new KafkaError('INVALID_REQUEST', `API key ${header.apiKey} is not served on this listener`);
    const { api } = handler;
    if (header.apiVersion < api.minVersion || header.apiVersion > highestServed(handler)) {
      if (header.apiKey === API_VERSIONS_KEY) return unsupportedApiVersionsAnswer(header);
      throw new KafkaError('UNSUPPORTED_VERSION', `${api.name} version ${header.apiVersion} is not served`);
    }
    const request = api.request.read(reader, header.apiVersion);
    const context: RequestContext = {
      broker: this.#broker,
      connection,
      apiVersion: header.apiVersion,
      correlationId: header.correlationId,
      clientId: header.clientId,
    };
    try {
      const answer = handler.handle(request, context);
      if (!(answer instanceof Promise)) return encode(handler, header, answer);
      return answer.then(
        (settled) => encode(handler, header, settled),
        (error: unknown) => this.#encodeFailure(handler, header, error, request, context),
      );
    } catch (error) {
      return this.#encodeFailure(handler, header, error, request, context);
    }
  }

  #encodeFailure(
    handler: Handler,
    header: RequestHead,
    error: unknown,
    request: object,
    context: RequestContext,
  ): ResponseParts | null {
    if (!(error instanceof KafkaError)) {
      this.#broker.runtime.logger.error(`${handler.api.name} failed unexpectedly`, {
        error,
        apiVersion: header.apiVersion,
        client: context.connection.remote,
      });
    }
    return encode(handler, header, handler.failed(failureOf(error), request, context));
  }
}

function encode(handler: Handler, header: RequestHead, answer: Answer<object>): ResponseParts | null {
  if (answer === null) return null;
  const writer = new Writer();
  writeResponseHeader(writer, handler.api, header.apiVersion, header.correlationId);
  handler.api.response.write(writer, answer, header.apiVersion);
  return writer.chunks();
}
