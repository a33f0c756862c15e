import {
  AlterClientQuotas,
  AlterPartitionReassignments,
  AlterUserScramCredentials,
  type Api,
  CreatePartitions,
  CreateTopics,
  DeleteTopics,
  DescribeClientQuotas,
  DescribeUserScramCredentials,
  ElectLeaders,
  KafkaError,
  ListPartitionReassignments,
  UnregisterBroker,
  UpdateFeatures,
  type Writable,
  ZERO_UUID,
} from '@ottla/protocol';
import { operationOf } from '../controller/controller-operations.ts';
import { type Failure, type Handler, handler } from './handler.ts';

const REQUEST_TIMED_OUT = new KafkaError('REQUEST_TIMED_OUT').code;

/** The APIs that the controller decides alone: their handlers only take the request there. */
export const controllerHandlers: readonly Handler[] = [
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
  decided(DescribeClientQuotas, (failure) => ({ ...failure, entries: null })),
  decided(AlterUserScramCredentials, (failure, { deletions, upsertions }) => ({
    results: [...new Set([...deletions, ...upsertions].map(({ name }) => name))].map((user) => ({ user, ...failure })),
  })),
  decided(DescribeUserScramCredentials),
  decided(UpdateFeatures),
  decided(UnregisterBroker),
];

function decided<Request extends object, Response extends object>(
  api: Api<Request, Response>,
  failed?: (failure: Failure, request: Request) => Writable<Response>,
): Handler {
  const { decide } = operationOf(api);
  return handler<Request, Response>(
    api,
    (request, { broker, apiVersion }) =>
      broker.controller.submit(
        (controller, context) => decide(controller, request, context, broker.operationRules),
        apiVersion,
      ) as Promise<Writable<Response>>,
    failed,
  ) as unknown as Handler;
}

/** Of a timeout the code says it all. */
function told(failure: Failure): Failure {
  return failure.errorCode === REQUEST_TIMED_OUT ? { ...failure, errorMessage: null } : failure;
}
