import { DescribeCluster, KafkaError } from '@ottla/protocol';
import { clusterOperations, OPERATIONS_NOT_ASKED } from '../authorized-operations.ts';
import { handler } from './handler.ts';

const BROKERS = 1;

/**
 * DescribeCluster: the cluster's id, controller and brokers (KIP-700).
 * v1 endpointType: brokers or controllers (KIP-919); v2 fenced brokers on request (KIP-1073)
 */
export const describeCluster = handler(DescribeCluster, (request, { broker, connection }) => {
  if (request.endpointType !== BROKERS) {
    throw new KafkaError(
      request.endpointType === 2 ? 'MISMATCHED_ENDPOINT_TYPE' : 'UNSUPPORTED_ENDPOINT_TYPE',
      request.endpointType === 2
        ? 'The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER'
        : `Unsupported endpoint type ${request.endpointType}`,
    );
  }
  return {
    errorCode: 0,
    endpointType: BROKERS,
    clusterId: broker.clusterId,
    controllerId: broker.metadata.controllerIdForClients(),
    brokers: broker.metadata
      .brokers(connection.listenerName, { fenced: request.includeFencedBrokers })
      .map(({ nodeId, host, port, rack, isFenced }) => ({ brokerId: nodeId, host, port, rack, isFenced })),
    clusterAuthorizedOperations: request.includeClusterAuthorizedOperations ? clusterOperations : OPERATIONS_NOT_ASKED,
  };
});
