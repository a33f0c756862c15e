import type { Controller, Decision, DecisionContext } from '@ottla/metadata';
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
import type { BrokerParts } from '../broker-parts.ts';
import { type Failure, type Handler, handler } from './handler.ts';

const REQUEST_TIMED_OUT = new KafkaError('REQUEST_TIMED_OUT').code;

/** The APIs that the controller decides alone: their handlers only take the request there. */
export const controllerHandlers: readonly Handler[] = [
  decided(
    CreateTopics,
    (controller, request, context) => controller.createTopics(inTime(request), context),
    (failure, { topics }) => ({ topics: topics.map(({ name }) => ({ name, ...told(failure) })) }),
  ),
  decided(
    DeleteTopics,
    (controller, request, context, { config }) => {
      if (!config.get('delete.topic.enable')) refuseDeletion(context.apiVersion ?? 0);
      return controller.deleteTopics(inTime(request), context);
    },
    (failure, { topics, topicNames }) => ({
      responses: [...topics, ...topicNames.map((name) => ({ name, topicId: ZERO_UUID }))].map(({ name, topicId }) => ({
        name,
        topicId,
        errorCode: failure.errorCode,
      })),
    }),
  ),
  decided(
    CreatePartitions,
    (controller, request, context) => controller.createPartitions(inTime(request), context),
    (failure, { topics }) => ({ results: topics.map(({ name }) => ({ name, ...told(failure) })) }),
  ),
  decided(
    ElectLeaders,
    (controller, request, context) => controller.electLeaders(request, context),
    (failure, { topicPartitions }) => ({
      errorCode: failure.errorCode,
      replicaElectionResults: (topicPartitions ?? []).map(({ topic, partitions }) => ({
        topic,
        partitionResult: partitions.map((partitionId) => ({ partitionId, ...failure })),
      })),
    }),
  ),
  decided(AlterPartitionReassignments, (controller, request, context) =>
    controller.alterPartitionReassignments(request, context),
  ),
  decided(ListPartitionReassignments, (controller, request, context) => controller.listPartitionReassignments(request, context)),
  decided(
    AlterClientQuotas,
    (controller, request, context) => controller.alterClientQuotas(request, context),
    (failure, { entries }) => ({ entries: entries.map(({ entity }) => ({ ...failure, entity })) }),
  ),
  decided(
    DescribeClientQuotas,
    (controller, request, context) => controller.describeClientQuotas(request, context),
    (failure) => ({ ...failure, entries: null }),
  ),
  decided(
    AlterUserScramCredentials,
    (controller, request, context) => controller.alterUserScramCredentials(request, context),
    (failure, { deletions, upsertions }) => ({
      results: [...new Set([...deletions, ...upsertions].map(({ name }) => name))].map((user) => ({ user, ...failure })),
    }),
  ),
  decided(DescribeUserScramCredentials, (controller, request, context) =>
    controller.describeUserScramCredentials(request, context),
  ),
  decided(UpdateFeatures, (controller, request, context) => controller.updateFeatures(request, context)),
  decided(UnregisterBroker, (controller, request, context) => controller.unregisterBroker(request, context)),
];

function decided<Request extends object, Response extends object>(
  api: Api<Request, Response>,
  decide: (
    controller: Controller,
    request: Request,
    context: DecisionContext,
    broker: BrokerParts,
  ) => Decision<Writable<Response>>,
  failed?: (failure: Failure, request: Request) => Writable<Response>,
): Handler {
  return handler<Request, Response>(
    api,
    (request, { broker, apiVersion }) =>
      broker.controller.submit((controller, context) => decide(controller, request, context, broker), apiVersion),
    failed,
  ) as unknown as Handler;
}

/** Of a timeout the code says it all. */
function told(failure: Failure): Failure {
  return failure.errorCode === REQUEST_TIMED_OUT ? { ...failure, errorMessage: null } : failure;
}

/** Throws TOPIC_DELETION_DISABLED, which clients before v3 do not know. */
function refuseDeletion(apiVersion: number): never {
  throw new KafkaError(apiVersion < 3 ? 'INVALID_REQUEST' : 'TOPIC_DELETION_DISABLED', 'Topic deletion is disabled.');
}

/** The controller never works for somebody who has stopped waiting. Throws REQUEST_TIMED_OUT. */
function inTime<Request extends { timeoutMs: number }>(request: Request): Request {
  if (request.timeoutMs <= 0) throw new KafkaError('REQUEST_TIMED_OUT');
  return request;
}
