import {
  AllocateProducerIds,
  AlterClientQuotas,
  AlterPartition,
  AlterPartitionReassignments,
  AlterUserScramCredentials,
  type Api,
  AssignReplicasToDirs,
  BrokerHeartbeat,
  BrokerRegistration,
  ControllerRegistration,
  CreatePartitions,
  CreateTopics,
  DeleteTopics,
  ElectLeaders,
  KafkaError,
  ListPartitionReassignments,
  UnregisterBroker,
  UpdateFeatures,
  type Writable,
  ZERO_UUID,
} from '@ottla/protocol';
import { operationOf } from '../controller/controller-operations.ts';
import { type ControllerContext, type ControllerHandler, type Failure, type Handler, handler } from './handler.ts';

const REQUEST_TIMED_OUT = new KafkaError('REQUEST_TIMED_OUT').code;

type ControllerApi = {
  readonly api: Api;
  readonly failed: ((failure: Failure, request: object) => Writable<object>) | undefined;
};

/** The APIs that the controller decides alone. */
const controllerApis: readonly ControllerApi[] = [
  decided(CreateTopics, (failure, { topics }) => ({ topics: topics.map(({ name }) => ({ name, ...told(failure) })) })),
  decided(DeleteTopics, (failure, { topics, topicNames }) => ({
    responses: [...topics, ...topicNames.map((name) => ({ name, topicId: ZERO_UUID }))].map(({ name, topicId }) => ({
      name,
      topicId,
      errorCode: failure.errorCode,
    })),
  })),
  decided(CreatePartitions, (failure, { topics }) => ({ results: topics.map(({ name }) => ({ name, ...told(failure) })) })),
  decided(ElectLeaders, (failure, { topicPartitions }) => ({
    errorCode: failure.errorCode,
    replicaElectionResults: (topicPartitions ?? []).map(({ topic, partitions }) => ({
      topic,
      partitionResult: partitions.map((partitionId) => ({ partitionId, ...failure })),
    })),
  })),
  decided(AlterPartitionReassignments),
  decided(ListPartitionReassignments),
  decided(AlterClientQuotas, (failure, { entries }) => ({ entries: entries.map(({ entity }) => ({ ...failure, entity })) })),
  decided(AlterUserScramCredentials, (failure, { deletions, upsertions }) => ({
    results: [...new Set([...deletions, ...upsertions].map(({ name }) => name))].map((user) => ({ user, ...failure })),
  })),
  decided(UpdateFeatures),
  decided(UnregisterBroker),
];

/** What nodes of the cluster ask, and nobody else. */
const controllersOwnApis = [
  BrokerRegistration,
  BrokerHeartbeat,
  ControllerRegistration,
  AlterPartition,
  AllocateProducerIds,
  AssignReplicasToDirs,
] as unknown as readonly Api[];

/** On a broker their handlers only take the request to the active controller. */
export const forwardedHandlers: readonly Handler[] = controllerApis.map(({ api, failed }) =>
  handler(api, (request, context) => context.broker.channel.forward(api, request, context), failed),
);

export const decidedHandlers: readonly ControllerHandler[] = [
  ...controllerApis.map(({ api, failed }) => decidedHandler(api, failed)),
  ...controllersOwnApis.map((api) => decidedHandler(api)),
];

function decided<Request extends object, Response extends object>(
  api: Api<Request, Response>,
  failed?: (failure: Failure, request: Request) => Writable<Response>,
): ControllerApi {
  return { api, failed } as unknown as ControllerApi;
}

function decidedHandler(api: Api, failed?: ControllerApi['failed']): ControllerHandler {
  const { decide } = operationOf(api);
  return handler(
    api,
    (request: object, { controller: { controller, rules }, apiVersion }: ControllerContext) =>
      controller.submit((decider, context) => decide(decider, request, context, rules), apiVersion),
    failed,
  );
}

/** Of a timeout the code says it all. */
function told(failure: Failure): Failure {
  return failure.errorCode === REQUEST_TIMED_OUT ? { ...failure, errorMessage: null } : failure;
}
