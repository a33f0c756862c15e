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
  ListPartitionReassignments,
  UnregisterBroker,
  UpdateFeatures,
  type Writable,
} from '@ottla/protocol';
import { type Handler, handler } from './handler.ts';

/** The APIs that the controller decides alone: their handlers only take the request there. */
export const controllerHandlers: readonly Handler[] = [
  decided(CreateTopics, (controller, request, context) => controller.createTopics(request, context)),
  decided(DeleteTopics, (controller, request, context) => controller.deleteTopics(request, context)),
  decided(CreatePartitions, (controller, request, context) => controller.createPartitions(request, context)),
  decided(ElectLeaders, (controller, request, context) => controller.electLeaders(request, context)),
  decided(AlterPartitionReassignments, (controller, request, context) =>
    controller.alterPartitionReassignments(request, context),
  ),
  decided(ListPartitionReassignments, (controller, request, context) => controller.listPartitionReassignments(request, context)),
  decided(AlterClientQuotas, (controller, request, context) => controller.alterClientQuotas(request, context)),
  decided(DescribeClientQuotas, (controller, request, context) => controller.describeClientQuotas(request, context)),
  decided(AlterUserScramCredentials, (controller, request, context) => controller.alterUserScramCredentials(request, context)),
  decided(DescribeUserScramCredentials, (controller, request, context) =>
    controller.describeUserScramCredentials(request, context),
  ),
  decided(UpdateFeatures, (controller, request, context) => controller.updateFeatures(request, context)),
  decided(UnregisterBroker, (controller, request, context) => controller.unregisterBroker(request, context)),
];

function decided<Request extends object, Response extends object>(
  api: Api<Request, Response>,
  decide: (controller: Controller, request: Request, context: DecisionContext) => Decision<Writable<Response>>,
): Handler {
  return handler(api, (request, { broker, apiVersion }) =>
    broker.controller.submit((controller, context) => decide(controller, request, context), apiVersion),
  ) as unknown as Handler;
}
