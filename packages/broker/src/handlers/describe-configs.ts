import {
  checkTopicName,
  configResource,
  type DescribedConfig,
  describeBroker,
  describeClientMetrics,
  describeDefaultBroker,
  describeGroup,
  describeTopic,
} from '@ottla/metadata';
import {
  DescribeConfigs,
  type DescribeConfigsRequest,
  type DescribeConfigsResponse,
  KafkaError,
  type Writable,
} from '@ottla/protocol';
import { handler, orFailure, type RequestContext } from './handler.ts';

type Resource = DescribeConfigsRequest['resources'][number];
type Result = NonNullable<Writable<DescribeConfigsResponse>['results']>[number];

/**
 * DescribeConfigs: the values in force for a topic, broker, logger, group or client metrics subscription, and where each comes from.
 * v1 synonyms; v3 types and documentation (KIP-569)
 */
export const describeConfigs = handler(
  DescribeConfigs,
  (request, context): Writable<DescribeConfigsResponse> => ({
    results: request.resources.map((resource) =>
      orFailure<Result>(
        () => ({ errorCode: 0, ...named(resource), configs: described(resource, request, context) }),
        (failure) => ({ ...failure, ...named(resource), configs: [] }),
      ),
    ),
  }),
);

const named = ({ resourceType, resourceName }: Resource): { resourceType: number; resourceName: string } => ({
  resourceType,
  resourceName,
});

function described(resource: Resource, request: DescribeConfigsRequest, context: RequestContext): Result['configs'] {
  const wanted =
    resource.configurationKeys && resource.configurationKeys.length > 0 ? new Set(resource.configurationKeys) : undefined;
  return configsOf(resource, context)
    .filter(({ name }) => wanted === undefined || wanted.has(name))
    .map(({ synonyms, documentation, ...config }) => ({
      ...config,
      synonyms: request.includeSynonyms ? synonyms : [],
      documentation: request.includeDocumentation || documentation === '' ? documentation : null,
    }));
}

function configsOf({ resourceType, resourceName }: Resource, { broker }: RequestContext): DescribedConfig[] {
  const { configs } = broker.metadata.image;
  switch (resourceType) {
    case configResource.topic:
      checkTopicName(resourceName);
      if (!broker.metadata.hasTopic(resourceName)) throw new KafkaError('UNKNOWN_TOPIC_OR_PARTITION', '');
      return describeTopic(configs.of(resourceType, resourceName), broker.config.state);
    case configResource.broker:
      if (resourceName === '') return describeDefaultBroker(configs.of(resourceType, ''));
      requireThisBroker(resourceName, `${broker.nodeId} or empty string,`, broker.nodeId);
      return describeBroker(broker.config.state);
    case configResource.brokerLogger:
      if (resourceName === '') throw new KafkaError('INVALID_REQUEST', 'Broker id must not be empty');
      requireThisBroker(resourceName, `${broker.nodeId}`, broker.nodeId);
      return broker.loggers.describe();
    case configResource.clientMetrics:
      if (resourceName === '') throw new KafkaError('INVALID_REQUEST', 'Client metrics subscription name must not be empty');
      return describeClientMetrics(configs.of(resourceType, resourceName));
    case configResource.group:
      if (resourceName === '') throw new KafkaError('INVALID_REQUEST', 'Group name must not be empty');
      return describeGroup(configs.of(resourceType, resourceName), broker.config.state);
    default:
      throw new KafkaError('INVALID_REQUEST', `Unsupported resource type: ${resourceType}`);
  }
}

function requireThisBroker(name: string, expected: string, nodeId: number): void {
  if (!/^-?\d+$/.test(name)) throw new KafkaError('INVALID_REQUEST', `Broker id must be an integer, but it is: ${name}`);
  if (Number(name) !== nodeId)
    throw new KafkaError('INVALID_REQUEST', `Unexpected broker id, expected ${expected} but received ${name}`);
}
