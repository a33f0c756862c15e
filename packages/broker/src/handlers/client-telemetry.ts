import { GetTelemetrySubscriptions, KafkaError, PushTelemetry } from '@ottla/protocol';
import type { ClientAttributes, ClientMetricsManager } from '../telemetry/client-metrics-manager.ts';
import { handler, type RequestContext } from './handler.ts';

/** GetTelemetrySubscriptions: which of its metrics a client should push, and how often (KIP-714). */
const getTelemetrySubscriptions = handler(GetTelemetrySubscriptions, (request, context) =>
  managerOf(context).getSubscriptions(request.clientInstanceId, attributesOf(context), context.connection, nowMs(context)),
);

/** PushTelemetry: metrics of a client in OTLP's protobuf form. */
const pushTelemetry = handler(PushTelemetry, (request, context) => {
  managerOf(context).push(request, attributesOf(context), context.connection, nowMs(context));
  return { errorCode: 0 };
});

/** Advertised where client metrics have somewhere to go. */
export const clientTelemetryHandlers = [getTelemetrySubscriptions, pushTelemetry] as const;

function managerOf({ broker }: RequestContext): ClientMetricsManager {
  if (!broker.clientMetrics) throw new KafkaError('INVALID_REQUEST', 'client metrics go nowhere: set ottla.telemetry.directory');
  return broker.clientMetrics.manager;
}

const nowMs = ({ broker }: RequestContext): number => broker.runtime.clock.monotonicMs();

/** A client that never told its software is unknown, as in Kafka. */
function attributesOf({ connection, clientId }: RequestContext): ClientAttributes {
  const state = connection.state as { readonly clientSoftware?: { readonly name: string; readonly version: string } } | undefined;
  return {
    client_id: clientId,
    client_software_name: state?.clientSoftware?.name ?? 'unknown',
    client_software_version: state?.clientSoftware?.version ?? 'unknown',
    client_source_address: connection.remote.host,
    client_source_port: String(connection.remote.port),
  };
}
