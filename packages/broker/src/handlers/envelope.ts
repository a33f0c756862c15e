import type { ServerConnection } from '@ottla/network';
import {
  DescribeQuorum,
  type DescribeQuorumResponse,
  Envelope,
  errors,
  KafkaError,
  Reader,
  type Writable,
} from '@ottla/protocol';
import { forwardedResponse, openEnvelope } from '../controller/forwarded-request.ts';
import { type ControllerContext, type ControllerHandler, failureOf, handler, highestServed } from './handler.ts';

const NOT_CONTROLLER = errors.NOT_CONTROLLER.code;
const NOT_LEADER_OR_FOLLOWER = errors.NOT_LEADER_OR_FOLLOWER.code;

/**
 * Envelope: a client's request that a broker brings, with who the client is (KIP-590). What is inside is answered as if the client itself had
 * asked. That this is not the active controller is said of the envelope, so that the broker looks for another one.
 */
export function envelopeHandler(table: () => ReadonlyMap<number, ControllerHandler>): ControllerHandler {
  return handler(
    Envelope,
    async (envelope, context: ControllerContext) => {
      const { api, header, body, clientHost } = openEnvelope(envelope);
      const served = table().get(api.apiKey);
      if (!served || header.apiVersion < api.minVersion || header.apiVersion > highestServed(served))
        throw new KafkaError('UNSUPPORTED_VERSION', `${api.name} version ${header.apiVersion} is not served`);
      const request = api.request.read(new Reader(body), header.apiVersion);
      const { listenerName } = context.connection;
      const inner: ControllerContext = {
        ...context,
        connection: { listenerName, remote: { host: clientHost, port: 0 } } as ServerConnection,
        apiVersion: header.apiVersion,
        correlationId: header.correlationId,
        clientId: header.clientId,
      };
      const response = await answered(served, request, inner);
      if (isFromNoLeader(api, response)) throw new KafkaError('NOT_CONTROLLER');
      return { errorCode: 0, responseData: forwardedResponse(api, header, response) };
    },
    ({ errorCode }) => ({ errorCode, responseData: null }),
  ) as unknown as ControllerHandler;
}

async function answered(served: ControllerHandler, request: object, context: ControllerContext): Promise<Writable<object>> {
  try {
    return (await served.handle(request, context)) as Writable<object>;
  } catch (error) {
    if (!(error instanceof KafkaError)) {
      context.node.runtime.logger.error(`${served.api.name} failed unexpectedly`, { error, apiVersion: context.apiVersion });
    }
    const failure = failureOf(error);
    if (failure.errorCode === NOT_CONTROLLER) throw error;
    return served.failed?.(failure, request, context) ?? failure;
  }
}

function isFromNoLeader(api: object, response: Writable<object>): boolean {
  const { errorCode } = response as { errorCode?: number };
  if (errorCode === NOT_CONTROLLER || errorCode === NOT_LEADER_OR_FOLLOWER) return true;
  if (api !== DescribeQuorum) return false;
  const { topics = [] } = response as Writable<DescribeQuorumResponse>;
  return topics.some(({ partitions = [] }) => partitions.some((each) => each.errorCode === NOT_LEADER_OR_FOLLOWER));
}
