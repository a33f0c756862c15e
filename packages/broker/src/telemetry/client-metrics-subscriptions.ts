import {
  type ClientMetricsSubscription,
  ConfigError,
  type ConfigsImage,
  configResource,
  readClientMetricsSubscription,
} from '@ottla/metadata';
import type { Logger } from '@ottla/runtime';

/**
 * The subscriptions to client metrics that are configured. One that cannot be read here asks nobody: Kafka, which may have stored it, has
 * patterns that the engine of this broker does not know.
 */
export function clientMetricsSubscriptions(configs: ConfigsImage, logger: Logger): ClientMetricsSubscription[] {
  return [...configs].flatMap(({ type, name, values }) => {
    if (type !== configResource.clientMetrics) return [];
    try {
      return [readClientMetricsSubscription(name, values)];
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      logger.warn('a subscription to client metrics cannot be read, and asks nobody', { subscription: name, error });
      return [];
    }
  });
}
