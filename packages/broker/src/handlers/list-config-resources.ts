import { KafkaError, ListConfigResources } from '@ottla/protocol';
import { handler } from './handler.ts';

const CLIENT_METRICS = 16;
const TOPIC = 2;
const BROKER = 4;
const BROKER_LOGGER = 8;
const GROUP = 32;

/**
 * ListConfigResources: the names of everything that can have configs (KIP-1142).
 * v0 was ListClientMetricsResources: it lists those only
 */
export const listConfigResources = handler(ListConfigResources, (request, { broker, apiVersion }) => {
  const supported = apiVersion === 0 ? [CLIENT_METRICS] : [TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP];
  const asked = apiVersion === 0 || request.resourceTypes.length === 0 ? supported : request.resourceTypes;
  const unknown = asked.filter((type) => !supported.includes(type));
  if (unknown.length > 0) throw new KafkaError('UNSUPPORTED_VERSION', `Unsupported resource types: ${unknown.join(', ')}`);
  const { metadata } = broker;
  const brokers = (): string[] => metadata.brokers(undefined, { fenced: true }).map(({ nodeId }) => String(nodeId));
  const names = (type: number): Iterable<string> =>
    type === TOPIC
      ? metadata.topicNames()
      : type === BROKER || type === BROKER_LOGGER
        ? brokers()
        : metadata.configuredResources(type);
  return {
    errorCode: 0,
    configResources: [...new Set(asked)].flatMap((resourceType) =>
      [...names(resourceType)].map((resourceName) => ({ resourceName, resourceType })),
    ),
  };
});
