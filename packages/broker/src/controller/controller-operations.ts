import type { Controller, Decision, DecisionContext } from '@ottla/metadata';
import {
  AllocateProducerIds,
  AlterClientQuotas,
  AlterConfigs,
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
  IncrementalAlterConfigs,
  KafkaError,
  ListPartitionReassignments,
  UnregisterBroker,
  UpdateFeatures,
} from '@ottla/protocol';

/** What the controller must know besides its own state. */
export type OperationRules = {
  /** delete.topic.enable */
  readonly deletesTopics: () => boolean;
};

export type ControllerOperation<Request = object, Response = object> = {
  readonly api: Api<Request, Response>;
  readonly decide: (
    controller: Controller,
    request: Request,
    context: DecisionContext,
    rules: OperationRules,
  ) => Decision<Response>;
};

const operation = <Request, Response>(
  api: Api<Request, Response>,
  decide: ControllerOperation<Request, Response>['decide'],
): ControllerOperation => ({ api, decide }) as unknown as ControllerOperation;

/** How the controller decides on each API that is its to decide, whoever brings the request. */
const operations: ReadonlyMap<number, ControllerOperation> = new Map(
  [
    operation(CreateTopics, (controller, request, context) => controller.createTopics(inTime(request), context)),
    operation(DeleteTopics, (controller, request, context, { deletesTopics }) => {
      if (!deletesTopics()) refuseDeletion(context.apiVersion ?? DeleteTopics.maxVersion);
      return controller.deleteTopics(inTime(request), context);
    }),
    operation(CreatePartitions, (controller, request, context) => controller.createPartitions(inTime(request), context)),
    operation(ElectLeaders, (controller, request, context) => controller.electLeaders(request, context)),
    operation(AlterPartitionReassignments, (controller, request, context) =>
      controller.alterPartitionReassignments(request, context),
    ),
    operation(ListPartitionReassignments, (controller, request, context) =>
      controller.listPartitionReassignments(request, context),
    ),
    operation(AlterClientQuotas, (controller, request, context) => controller.alterClientQuotas(request, context)),
    operation(AlterUserScramCredentials, (controller, request, context) =>
      controller.alterUserScramCredentials(request, context),
    ),
    operation(UpdateFeatures, (controller, request, context) => controller.updateFeatures(request, context)),
    operation(UnregisterBroker, (controller, request, context) => controller.unregisterBroker(request, context)),
    operation(IncrementalAlterConfigs, (controller, request, context) => controller.incrementalAlterConfigs(request, context)),
    operation(AlterConfigs, (controller, request, context) => controller.alterConfigs(request, context)),
    operation(BrokerRegistration, (controller, request, context) => controller.registerBroker(request, context)),
    operation(BrokerHeartbeat, (controller, request, context) => controller.brokerHeartbeat(request, context)),
    operation(ControllerRegistration, (controller, request, context) => controller.registerController(request, context)),
    operation(AlterPartition, (controller, request, context) => controller.alterPartition(request, context)),
    operation(AllocateProducerIds, (controller, request, context) => controller.allocateProducerIds(request, context)),
    operation(AssignReplicasToDirs, (controller, request, context) => controller.assignReplicasToDirs(request, context)),
  ].map((each) => [each.api.apiKey, each]),
);

/** Throws when it is not the controller that decides on such requests: nobody should have asked it. */
export function operationOf<Request, Response>(api: Api<Request, Response>): ControllerOperation<Request, Response> {
  const found = operations.get(api.apiKey);
  if (!found) throw new Error(`the controller does not decide on ${api.name}`);
  return found as unknown as ControllerOperation<Request, Response>;
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
