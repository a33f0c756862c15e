/**
 * `npm run bench broker [-- options]`: Ottla and Apache Kafka under the same loads, alternately, on this machine: medians, spreads,
 * ratios, and the goals. bench/README.md explains the options and how to read the table.
 */
import { runCommand } from './broker/command.ts';
import { consumeScenarios } from './broker/scenarios/consume.ts';
import { javaToolScenarios } from './broker/scenarios/java-tools.ts';
import { kcatScenarios } from './broker/scenarios/kcat.ts';
import { latencyScenarios } from './broker/scenarios/latency.ts';
import { partitionScenarios } from './broker/scenarios/partitions.ts';
import { produceScenarios } from './broker/scenarios/produce.ts';
import { startScenarios } from './broker/scenarios/start.ts';

await runCommand({
  name: 'broker',
  scenarios: [
    ...produceScenarios,
    ...consumeScenarios,
    ...latencyScenarios,
    ...javaToolScenarios,
    ...kcatScenarios,
    ...startScenarios,
    ...partitionScenarios,
  ],
});
