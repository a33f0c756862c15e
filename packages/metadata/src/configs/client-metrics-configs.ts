import { type ConfigValues, defineConfigs, int, list } from './define-configs.ts';

/** The configs of a client metrics subscription (KIP-714). */
export const clientMetricsConfigs = defineConfigs({
  'interval.ms': int({ default: 300_000 }),
  match: list({ default: [] }),
  metrics: list({ default: [] }),
});

export type ClientMetricsConfig = ConfigValues<typeof clientMetricsConfigs>;
