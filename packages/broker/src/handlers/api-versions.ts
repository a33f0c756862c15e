import { kraftVersionFeature } from '@ottla/metadata';
import type { ResponseParts } from '@ottla/network';
import { ApiVersions, apiByKey, type RequestHead, Writer, writeResponseHeader } from '@ottla/protocol';
import type { ControllerChannel } from '../controller/controller-channel.ts';
import { isForwardable } from '../controller/forwarded-request.ts';
import { type Handler, handler, highestServed, type NodeContext } from './handler.ts';

type Served = Pick<Handler, 'api'>;
type Versions = { readonly apiKey: number; readonly minVersion: number; readonly maxVersion: number };
type ControllerVersions = ControllerChannel['controllerVersions'];

/** Letters, digits, `-` and `.`, with a letter or digit at both ends (KIP-511). */
const softwareNamePattern = /^[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?$/;

/** Produce 0-2 are refused, but librdkafka before 2.x turns features off unless 0 is listed (KAFKA-18659). */
const PRODUCE_KEY = 0;

/**
 * ApiVersions: what this listener serves, from the same table that serves it, and the cluster's feature levels.
 * v3 software name and version (KIP-511), features (KIP-584)
 * v4 supported features whose minimum is 0 are listed too
 */
export function apiVersionsHandler<Context extends NodeContext>(
  table: () => Iterable<Served>,
  limits: (context: Context) => ControllerVersions = () => undefined,
): Handler<object, object, Context> {
  return handler(ApiVersions, (request, context: Context) => {
    const { node, connection, apiVersion } = context;
    if (apiVersion >= 3) {
      if (!softwareNamePattern.test(request.clientSoftwareName) || !softwareNamePattern.test(request.clientSoftwareVersion)) {
        return { errorCode: 42 };
      }
      connection.state = { clientSoftware: { name: request.clientSoftwareName, version: request.clientSoftwareVersion } };
    }
    const features = node.metadata.image.features;
    // This one lives in the quorum's own control records.
    const { kRaftVersion } = node.quorum;
    const kraftVersion = kRaftVersion > 0 ? [[kraftVersionFeature, kRaftVersion] as const] : [];
    return {
      apiKeys: within(limits(context), advertised(table())),
      supportedFeatures: [...node.supportedFeatures]
        .filter(([, { min }]) => apiVersion >= 4 || min > 0)
        .map(([name, { min, max }]) => ({ name, minVersion: min, maxVersion: max })),
      finalizedFeaturesEpoch: node.metadata.appliedOffset,
      finalizedFeatures: [...features, ...kraftVersion].map(([name, level]) => ({
        name,
        maxVersionLevel: level,
        minVersionLevel: level,
      })),
      zkMigrationReady: false,
    };
  }) as unknown as Handler<object, object, Context>;
}

/** What goes on to the controller is served as far as that serves it, once that is known (KIP-590). */
function within(controller: ControllerVersions, versions: Versions[]): Versions[] {
  if (!controller) return versions;
  return versions.flatMap((served) => {
    if (!isForwardable(apiByKey(served.apiKey)!)) return [served];
    const theirs = controller.get(served.apiKey);
    const minVersion = Math.max(served.minVersion, theirs?.minVersion ?? 0);
    const maxVersion = Math.min(served.maxVersion, theirs?.maxVersion ?? -1);
    return minVersion <= maxVersion ? [{ ...served, minVersion, maxVersion }] : [];
  });
}

/** By API key. */
export function advertised(handlers: Iterable<Served>): { apiKey: number; minVersion: number; maxVersion: number }[] {
  return [...handlers]
    .map((served) => ({
      apiKey: served.api.apiKey,
      minVersion: served.api.apiKey === PRODUCE_KEY ? 0 : served.api.minVersion,
      maxVersion: highestServed(served),
    }))
    .sort((one, other) => one.apiKey - other.apiKey);
}

/** A client that guessed a version too new learns the versions of this one API, in the oldest form, and asks again. */
export function unsupportedApiVersionsAnswer(header: RequestHead): ResponseParts {
  const writer = new Writer();
  writeResponseHeader(writer, ApiVersions, 0, header.correlationId);
  const { apiKey, minVersion, maxVersion } = ApiVersions;
  ApiVersions.response.write(writer, { errorCode: 35, apiKeys: [{ apiKey, minVersion, maxVersion }] }, 0);
  return writer.chunks();
}
