import { type ClientPatterns, parseClientMatch } from './client-match.ts';
import type { Properties } from './config-layers.ts';
import { parseConfigValue } from './config-value.ts';
import { type ConfigDefinition, type ConfigValues, defineConfigs, int, list } from './define-configs.ts';

/** The configs of a client metrics subscription (KIP-714). */
export const clientMetricsConfigs = defineConfigs({
  'interval.ms': int({
    default: 300_000,
    honoured: true,
    doc: 'How often clients that match push, from 100 to 3600000; of several subscriptions the shortest interval holds.',
  }),
  match: list({
    default: [],
    honoured: true,
    doc: 'Which clients it is for: attribute=pattern, all of which must match; every client when empty. Patterns are regular expressions in the syntax of RE2.',
  }),
  metrics: list({
    default: [],
    honoured: true,
    doc: 'Prefixes of the names of the metrics that are wanted; * for all of them.',
  }),
});

export type ClientMetricsConfig = ConfigValues<typeof clientMetricsConfigs>;

/** What clients are asked for, once its configs are read. */
export type ClientMetricsSubscription = {
  readonly name: string;
  readonly metrics: readonly string[];
  readonly intervalMs: number;
  readonly patterns: ClientPatterns;
};

/** Throws ConfigError: a subscription may have been stored by somebody who reads patterns otherwise. */
export function readClientMetricsSubscription(name: string, properties: Properties): ClientMetricsSubscription {
  const configured = <Name extends keyof ClientMetricsConfig>(config: Name): ClientMetricsConfig[Name] => {
    const definition = clientMetricsConfigs[config] as ConfigDefinition;
    const text = properties.get(config);
    return (text === undefined ? definition.default : parseConfigValue(config, definition, text)) as ClientMetricsConfig[Name];
  };
  return {
    name,
    metrics: configured('metrics'),
    intervalMs: configured('interval.ms'),
    patterns: parseClientMatch(configured('match')),
  };
}
