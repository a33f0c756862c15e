/**
 * `npm run bench cluster [-- options]`: three nodes of Ottla and of Apache Kafka, alternately: failovers as a producer sees them, a rolling
 * restart, throughput with three replicas. The options are those of `npm run bench broker`; bench/README.md says what is measured.
 */
import { runCommand } from './broker/command.ts';
import { clusterScenarios } from './cluster/scenarios.ts';

await runCommand({ name: 'cluster', scenarios: clusterScenarios });
