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
import { handler, type NodeContext, orFailure } from './handler.ts';

type Resource = DescribeConfigsRequest['resources'][number];
type Result = NonNullable<Writable<DescribeConfigsResponse>['results']>[number];

/**
 * Kafka has no limit. But an entry takes a few hundred bytes with its synonyms and documentation, and a request can name one
 * resource a million times.
 */
const MAX_DESCRIBED_CONFIGS = 200_000;

/**
 * DescribeConfigs: the values in force for a topic, broker, logger, group or client metrics subscription, and where each comes from.
 * v1 synonyms; v3 types and documentation (KIP-569)
 */
export const describeConfigs = handler(DescribeConfigs, (request, context: NodeContext): Writable<DescribeConfigsResponse> => {
  const described = new Map<string, DescribedConfig[]>();
  let configsLeft = MAX_DESCRIBED_CONFIGS;
  return {
    results: request.resources.map((resource) =>
      orFailure<Result>(
        () => {
          if (configsLeft <= 0)
            throw new KafkaError(
              'POLICY_VIOLATION',
              `more than ${MAX_DESCRIBED_CONFIGS} configs in one answer: ask for fewer resources`,
            );
          const configs = wanted(configsOf(resource, context, described), resource, request);
          configsLeft -= configs.length;
          return { errorCode: 0, ...named(resource), configs };
        },
        (failure) => ({ ...failure, ...named(resource), configs: [] }),
      ),
    ),
  };
});

const named = ({ resourceType, resourceName }: Resource): { resourceType: number; resourceName: string } => ({
  resourceType,
  resourceName,
});

function wanted(
  configs: readonly DescribedConfig[],
  { configurationKeys }: Resource,
  { includeSynonyms, includeDocumentation }: DescribeConfigsRequest,
): NonNullable<Result['configs']> {
  const names = configurationKeys && configurationKeys.length > 0 ? new Set(configurationKeys) : undefined;
  return configs
    .filter(({ name }) => names === undefined || names.has(name))
    .map(({ synonyms, documentation, ...config }) => ({
      ...config,
      synonyms: includeSynonyms ? synonyms : [],
      documentation: includeDocumentation || documentation === '' ? documentation : null,
    }));
}

/** All configs of a resource. What was described for this request before is taken from `known`: it is costly, and may be asked for often. */
function configsOf(
  { resourceType, resourceName }: Resource,
  { node }: NodeContext,
  known: Map<string, DescribedConfig[]>,
): DescribedConfig[] {
  const { configs } = node.metadata.image;
  const once = (name: string, describe: () => DescribedConfig[]): DescribedConfig[] => {
    const key = `${resourceType}:${name}`;
    const described = known.get(key) ?? describe();
    known.set(key, described);
    return described;
  };
  /** All that have nothing of their own look alike. */
  const onceIfPlain = (describe: (own: ReadonlyMap<string, string>) => DescribedConfig[]): DescribedConfig[] => {
    const own = configs.of(resourceType, resourceName);
    return once(own.size === 0 ? '' : resourceName, () => describe(own));
  };
  switch (resourceType) {
    case configResource.topic:
      checkTopicName(resourceName);
      if (!node.metadata.hasTopic(resourceName)) throw new KafkaError('UNKNOWN_TOPIC_OR_PARTITION', '');
      return onceIfPlain((own) => describeTopic(own, node.config.state));
    case configResource.broker:
      if (resourceName === '') return once('', () => describeDefaultBroker(configs.of(resourceType, '')));
      requireThisBroker(resourceName, `${node.nodeId} or empty string,`, node.nodeId);
      return once('this', () => describeBroker(node.config.state));
    case configResource.brokerLogger:
      if (resourceName === '') throw new KafkaError('INVALID_REQUEST', 'Broker id must not be empty');
      requireThisBroker(resourceName, `${node.nodeId}`, node.nodeId);
      return once('', () => node.loggers.describe());
    case configResource.clientMetrics:
      if (resourceName === '') throw new KafkaError('INVALID_REQUEST', 'Client metrics subscription name must not be empty');
      return onceIfPlain(describeClientMetrics);
    case configResource.group:
      if (resourceName === '') throw new KafkaError('INVALID_REQUEST', 'Group name must not be empty');
      return onceIfPlain((own) => describeGroup(own, node.config.state));
    default:
      throw new KafkaError('INVALID_REQUEST', `Unsupported resource type: ${resourceType}`);
  }
}

function requireThisBroker(name: string, expected: string, nodeId: number): void {
  if (!/^-?\d+$/.test(name)) throw new KafkaError('INVALID_REQUEST', `Broker id must be an integer, but it is: ${name}`);
  if (Number(name) !== nodeId)
    throw new KafkaError('INVALID_REQUEST', `Unexpected broker id, expected ${expected} but received ${name}`);
}
