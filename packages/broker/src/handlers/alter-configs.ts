import { ConfigError, configResource, validateDynamicChangeOnBroker } from '@ottla/metadata';
import {
  AlterConfigs,
  IncrementalAlterConfigs,
  type IncrementalAlterConfigsRequest,
  type IncrementalAlterConfigsResponse,
  KafkaError,
  type Writable,
  withoutStacks,
} from '@ottla/protocol';
import { type ControllerContext, type Failure, handler, orFailure, type RequestContext } from './handler.ts';

type Resource = IncrementalAlterConfigsRequest['resources'][number];
type Result = NonNullable<Writable<IncrementalAlterConfigsResponse>['responses']>[number];

const SET = 0;

const keyOf = ({ resourceType, resourceName }: { resourceType: number; resourceName: string }): string =>
  `${resourceType}:${resourceName}`;

/**
 * IncrementalAlterConfigs: sets, deletes, appends to and subtracts from single configs (KIP-339).
 * Loggers are this broker's own affair; this broker's configs it checks against what it runs with; the controller decides on all else.
 */
export const incrementalAlterConfigs = handler(
  IncrementalAlterConfigs,
  async (request, context): Promise<Writable<IncrementalAlterConfigsResponse>> => {
    const { broker } = context;
    const settled = settleHere(request.resources, (resource) => {
      if (resource.resourceType === configResource.brokerLogger) {
        requireThisBroker(resource.resourceName, broker.nodeId, 'Unexpected node id. Expected');
        broker.loggers.alter(resource.configs, request.validateOnly);
        return true;
      }
      if (resource.resourceType === configResource.broker) {
        if (resource.resourceName !== '') requireThisBroker(resource.resourceName, broker.nodeId);
        checkForThisBroker(resource, context);
      }
      return false;
    });
    const forController = { ...request, resources: request.resources.filter((resource) => !settled.has(keyOf(resource))) };
    const decided =
      forController.resources.length === 0
        ? []
        : ((await broker.channel.forward(IncrementalAlterConfigs, forController, context)).responses ?? []);
    return { responses: inOrder(request.resources, settled, decided) };
  },
  refused,
);

/**
 * AlterConfigs: replaces all configs of a resource. Deprecated in favour of the incremental form, and kept for old clients.
 */
export const alterConfigs = handler(
  AlterConfigs,
  (request, context) => context.broker.channel.forward(AlterConfigs, request, context),
  refused,
);

/** On a controller's listener loggers are this controller's own; on all else it decides as it does for requests that brokers bring. */
export const incrementalAlterConfigsOnController = handler(
  IncrementalAlterConfigs,
  async (request, context: ControllerContext): Promise<Writable<IncrementalAlterConfigsResponse>> => {
    const { node, controller } = context;
    const settled = settleHere(request.resources, (resource) => {
      if (resource.resourceType !== configResource.brokerLogger) return false;
      requireThisBroker(resource.resourceName, node.nodeId, 'Unexpected node id. Expected');
      node.loggers.alter(resource.configs, request.validateOnly);
      return true;
    });
    const left = { ...request, resources: request.resources.filter((resource) => !settled.has(keyOf(resource))) };
    const decided =
      left.resources.length === 0
        ? []
        : (await controller.controller.submit((decider, at) => decider.incrementalAlterConfigs(left, at))).responses;
    return { responses: inOrder(request.resources, settled, decided) };
  },
  refused,
);

export const alterConfigsOnController = handler(
  AlterConfigs,
  (request, { controller }: ControllerContext) =>
    controller.controller.submit((decider, at) => decider.alterConfigs(request, at)),
  refused,
);

/** The same error for each resource. */
function refused(failure: Failure, { resources }: { resources: readonly { resourceType: number; resourceName: string }[] }) {
  return { responses: resources.map(({ resourceType, resourceName }) => ({ ...failure, resourceType, resourceName })) };
}

/** Answers what this broker decides alone: refusals, and whatever `settle` says is done. */
function settleHere(resources: readonly Resource[], settle: (resource: Resource) => boolean): Map<string, Result> {
  return withoutStacks(() => settleEach(resources, settle));
}

function settleEach(resources: readonly Resource[], settle: (resource: Resource) => boolean): Map<string, Result> {
  const settled = new Map<string, Result>();
  const seen = new Set<string>();
  for (const resource of resources) {
    const { resourceType, resourceName } = resource;
    const key = keyOf(resource);
    const result = orFailure<Result | undefined>(
      () => {
        if (seen.has(key)) throw new KafkaError('INVALID_REQUEST', 'Each resource must appear at most once.');
        return settle(resource) ? { errorCode: 0, errorMessage: null, resourceType, resourceName } : undefined;
      },
      (failure) => ({ ...failure, resourceType, resourceName }),
    );
    seen.add(key);
    if (result) settled.set(key, result);
  }
  return settled;
}

function inOrder(resources: readonly Resource[], settled: ReadonlyMap<string, Result>, decided: readonly Result[]): Result[] {
  const byKey = new Map(decided.map((result) => [`${result.resourceType}:${result.resourceName}`, result]));
  return resources.map(keyOf).flatMap((key) => settled.get(key) ?? byKey.get(key) ?? []);
}

function requireThisBroker(name: string, nodeId: number, refusal = 'Unexpected broker id, expected'): void {
  if (!/^-?\d+$/.test(name)) throw new KafkaError('INVALID_REQUEST', `Node id must be an integer, but it is: ${name}`);
  if (Number(name) !== nodeId) throw new KafkaError('INVALID_REQUEST', `${refusal} ${nodeId}, but received ${name}`);
}

/** Would this broker run with it? Throws INVALID_REQUEST in Kafka's words. */
function checkForThisBroker(resource: Resource, { broker }: RequestContext): void {
  const scope = resource.resourceName === '' ? 'cluster' : 'broker';
  const properties = new Map(broker.metadata.image.configs.of(configResource.broker, resource.resourceName));
  for (const { name, configOperation, value } of resource.configs) {
    // Lists are put together by the controller, which also knows how.
    if (configOperation === SET && value !== null) properties.set(name, value);
    else if (configOperation !== SET) properties.delete(name);
  }
  try {
    validateDynamicChangeOnBroker(broker.config.state, { properties, scope });
  } catch (error) {
    throw error instanceof ConfigError ? new KafkaError(error.errorName, error.message) : error;
  }
}
