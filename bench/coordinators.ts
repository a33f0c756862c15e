/**
 * `npm run bench coordinators [-- options]`: groups of every kind and transactions on Ottla and Apache Kafka, alternately, on this
 * machine, at a scale that shows what a heartbeat, a commit or a rebalance costs. The options are those of `npm run bench broker`.
 */
import process from 'node:process';
import { runCommand } from './broker/command.ts';
import { groupScenarios } from './coordinators/scenarios/groups.ts';
import { shareScenarios } from './coordinators/scenarios/share.ts';
import { transactionScenarios } from './coordinators/scenarios/transactions.ts';

await runCommand({
  name: 'coordinators',
  // So that a group may have a shorter interval, where the interval is not what is to be measured.
  properties: { 'group.consumer.min.heartbeat.interval.ms': '500' },
  scenarios: [...groupScenarios({ isQuick: process.argv.includes('--quick') }), ...transactionScenarios, ...shareScenarios],
});
