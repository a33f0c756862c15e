import { type BrokerConfig, configResource } from '@ottla/metadata';
import type { Runtime } from '@ottla/runtime';
import type { ClientMetrics } from '../broker-parts.ts';
import type { ClusterMetadata } from '../cluster-metadata.ts';
import { randomUuid } from '../format.ts';
import { ClientMetricsFiles } from './client-metrics-files.ts';
import { clientMetricsLine } from './client-metrics-line.ts';
import { ClientMetricsManager } from './client-metrics-manager.ts';
import { clientMetricsSubscriptions } from './client-metrics-subscriptions.ts';

/** Client metrics (KIP-714) are asked for where they have somewhere to go. Throws IoError when their directory cannot be used. */
export function openClientMetrics(runtime: Runtime, config: BrokerConfig, metadata: ClusterMetadata): ClientMetrics | undefined {
  const directory = config['ottla.telemetry.directory'];
  if (!directory) return undefined;
  const { logger } = runtime;
  const files = new ClientMetricsFiles({
    files: runtime.files,
    logger,
    directory,
    maxFileBytes: config['ottla.telemetry.file.bytes'],
    maxFiles: config['ottla.telemetry.files'],
  });
  const manager = new ClientMetricsManager({
    subscriptions: clientMetricsSubscriptions(metadata.image.configs, logger),
    telemetryMaxBytes: config['telemetry.max.bytes'],
    randomUuid: () => randomUuid(runtime.random),
    receive: (metrics, client) => files.append(clientMetricsLine(metrics, client)),
  });
  metadata.onChange(({ configs }, image) => {
    if ([...configs.values()].some(({ type }) => type === configResource.clientMetrics))
      manager.updateSubscriptions(clientMetricsSubscriptions(image.configs, logger));
  });
  return { manager, files };
}
