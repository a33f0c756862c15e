import type { Controller, Decision, DecisionContext } from '@ottla/metadata';
import {
  type Api,
  CreatePartitions,
  CreateTopics,
  DeleteTopics,
  ElectLeaders,
  UnregisterBroker,
  type Writable,
} from '@ottla/protocol';
import { type Handler, handler } from './handler.ts';

/** The APIs that the controller decides alone: the handler only takes the request there. */
export const controllerHandlers: readonly Handler[] = [
  decided(CreateTopics, (controller, request, context) => controller.createTopics(request, context)),
  decided(DeleteTopics, (controller, request, context) => controller.deleteTopics(request, context)),
  decided(CreatePartitions, (controller, request, context) => controller.createPartitions(request, context)),
  decided(ElectLeaders, (controller, request, context) => controller.electLeaders(request, context)),
  decided(UnregisterBroker, (controller, request, context) => controller.unregisterBroker(request, context)),
];

function decided<Request, Response>(
  api: Api<Request, Response>,
  decide: (controller: Controller, request: Request, context: DecisionContext) => Decision<Writable<Response>>,
): Handler {
  return handler(api, (request, { broker, apiVersion }) =>
    broker.controller.submit((controller, context) => decide(controller, request, context), apiVersion),
  ) as unknown as Handler;
}
