import {
  alterConfigs,
  alterConfigsOnController,
  incrementalAlterConfigs,
  incrementalAlterConfigsOnController,
} from './alter-configs.ts';
import { alterReplicaLogDirs } from './alter-replica-log-dirs.ts';
import { advertised, apiVersionsHandler } from './api-versions.ts';
import { classicGroupHandlers } from './classic-groups.ts';
import { clientTelemetryHandlers } from './client-telemetry.ts';
import { consumerGroupHandlers } from './consumer-groups.ts';
import { decidedHandlers, forwardedHandlers } from './controller-apis.ts';
import { deleteRecords } from './delete-records.ts';
import { describeCluster, describeControllers } from './describe-cluster.ts';
import { describeConfigs } from './describe-configs.ts';
import { describeLogDirs } from './describe-log-dirs.ts';
import { describeProducers } from './describe-producers.ts';
import { describeTopicPartitions } from './describe-topic-partitions.ts';
import { describeClientQuotas, describeUserScramCredentials } from './described-identities.ts';
import { envelopeHandler } from './envelope.ts';
import { fetch } from './fetch.ts';
import { findCoordinator } from './find-coordinator.ts';
import { groupHandlers } from './groups.ts';
import type { ControllerHandler, Handler } from './handler.ts';
import { initProducerId } from './init-producer-id.ts';
import { listConfigResources } from './list-config-resources.ts';
import { listOffsets } from './list-offsets.ts';
import { metadata } from './metadata.ts';
import { offsetForLeaderEpoch } from './offset-for-leader-epoch.ts';
import { produce } from './produce.ts';
import { forwardedQuorumHandlers, quorumHandlers } from './quorum-apis.ts';
import { securityDisabledHandlers } from './security-disabled.ts';
import { shareAcknowledge } from './share-acknowledge.ts';
import { shareFetch } from './share-fetch.ts';
import { shareGroupHandlers } from './share-groups.ts';
import { shareStateHandlers } from './share-state.ts';
import { streamsGroupHandlers } from './streams-groups.ts';
import { transactionHandlers } from './transactions.ts';

/** What is served only where a node is set up for it. */
export type OptionalApis = { readonly clientTelemetry: boolean };

const noOptionalApis: OptionalApis = { clientTelemetry: false };

/** Everything that a broker's listeners serve, by API key. ApiVersions answers from this same table. */
export function brokerHandlers({ clientTelemetry }: OptionalApis): ReadonlyMap<number, Handler> {
  const served = [
    produce,
    fetch,
    listOffsets,
    metadata,
    offsetForLeaderEpoch,
    findCoordinator,
    ...groupHandlers,
    ...classicGroupHandlers,
    ...consumerGroupHandlers,
    ...streamsGroupHandlers,
    ...shareGroupHandlers,
    ...shareStateHandlers,
    ...forwardedHandlers,
    describeClientQuotas,
    describeUserScramCredentials,
    ...securityDisabledHandlers,
    shareFetch,
    shareAcknowledge,
    deleteRecords,
    initProducerId,
    ...transactionHandlers,
    describeCluster,
    describeConfigs,
    incrementalAlterConfigs,
    alterConfigs,
    alterReplicaLogDirs,
    describeLogDirs,
    describeProducers,
    ...forwardedQuorumHandlers,
    describeTopicPartitions,
    listConfigResources,
    ...(clientTelemetry ? clientTelemetryHandlers : []),
  ] as unknown as readonly Handler[];
  const table = new Map(served.map((handler) => [handler.api.apiKey, handler]));
  const apiVersions: Handler = apiVersionsHandler(
    () => table.values(),
    ({ broker }) => broker.channel.controllerVersions,
  );
  return table.set(apiVersions.api.apiKey, apiVersions);
}

/** Everything that a controller's listener serves, by API key. */
export function controllerHandlers(): ReadonlyMap<number, ControllerHandler> {
  const served = [
    ...decidedHandlers,
    describeUserScramCredentials,
    ...securityDisabledHandlers,
    describeControllers,
    describeConfigs,
    incrementalAlterConfigsOnController,
    alterConfigsOnController,
    ...quorumHandlers,
  ] as unknown as readonly ControllerHandler[];
  const table = new Map(served.map((handler) => [handler.api.apiKey, handler]));
  const envelope = envelopeHandler(() => table);
  table.set(envelope.api.apiKey, envelope);
  const apiVersions: ControllerHandler = apiVersionsHandler(() => table.values());
  return table.set(apiVersions.api.apiKey, apiVersions);
}

/** What a listener of this release advertises, in the order of the API keys. */
export function servedVersions(listener: 'broker' | 'controller', optional: OptionalApis = noOptionalApis) {
  return advertised(listener === 'broker' ? brokerHandlers(optional).values() : controllerHandlers().values());
}
