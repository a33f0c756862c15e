import { DescribeCluster, KafkaError } from '@ottla/protocol';
import { clusterOperations, OPERATIONS_NOT_ASKED } from '../authorized-operations.ts';
import { handler, type NodeContext } from './handler.ts';

const BROKERS = 1;
const CONTROLLERS = 2;
const endpointNames = new Map([
  [BROKERS, 'BROKER'],
  [CONTROLLERS, 'CONTROLLER'],
]);

/**
 * DescribeCluster: the cluster's id, controller and brokers (KIP-700).
 * v1 endpointType: brokers or controllers (KIP-919); v2 fenced brokers on request (KIP-1073)
 */
export const describeCluster = handler(DescribeCluster, (request, { broker, connection }) => {
  requireEndpointType(request.endpointType, BROKERS);
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

/** The same on a controller's listener: the nodes are the controllers, and the controller is the one that leads. */
export const describeControllers = handler(DescribeCluster, (request, { node, connection }: NodeContext) => {
  requireEndpointType(request.endpointType, CONTROLLERS);
  return {
    errorCode: 0,
    endpointType: CONTROLLERS,
    clusterId: node.clusterId,
    controllerId: node.quorum.leaderAndEpoch.leaderId ?? -1,
    brokers: [...node.metadata.image.controllers.values()].flatMap(({ id, endpoints }) => {
      const endpoint = endpoints.find(({ name }) => name === connection.listenerName);
      return endpoint ? [{ brokerId: id, host: endpoint.host, port: endpoint.port, rack: null }] : [];
    }),
    clusterAuthorizedOperations: request.includeClusterAuthorizedOperations ? clusterOperations : OPERATIONS_NOT_ASKED,
  };
});

/** Throws MISMATCHED_ENDPOINT_TYPE, UNSUPPORTED_ENDPOINT_TYPE. */
function requireEndpointType(asked: number, own: number): void {
  if (asked === own) return;
  const wanted = endpointNames.get(asked);
  if (!wanted) throw new KafkaError('UNSUPPORTED_ENDPOINT_TYPE', `Unsupported endpoint type ${asked}`);
  throw new KafkaError(
    'MISMATCHED_ENDPOINT_TYPE',
    `The request was sent to an endpoint of type ${endpointNames.get(own)}, but we wanted an endpoint of type ${wanted}`,
  );
}
