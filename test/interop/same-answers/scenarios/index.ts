import { clusterScenarios } from './cluster.ts';
import { configScenarios } from './configs.ts';
import { consumerGroupScenarios } from './consumer-groups.ts';
import { fetchScenarios } from './fetch.ts';
import { framing } from './framing.ts';
import { groupScenarios } from './groups.ts';
import { largeScenarios } from './large.ts';
import { metadataScenarios } from './metadata.ts';
import { produceScenarios } from './produce.ts';
import { quorumScenarios } from './quorum.ts';
import type { Scenario } from './scenario.ts';
import { securityScenarios } from './security.ts';
import { shareGroupScenarios } from './share-groups.ts';
import { streamsGroupScenarios } from './streams-groups.ts';
import { telemetryScenarios } from './telemetry.ts';
import { topicScenarios } from './topics.ts';
import { transactionScenarios } from './transactions.ts';

export const scenarios: readonly Scenario[] = [
  ...framing,
  ...metadataScenarios,
  ...topicScenarios,
  ...produceScenarios,
  ...fetchScenarios,
  ...configScenarios,
  ...groupScenarios,
  ...clusterScenarios,
  ...quorumScenarios,
  ...securityScenarios,
  ...telemetryScenarios,
  ...transactionScenarios,
  ...consumerGroupScenarios,
  ...streamsGroupScenarios,
  ...shareGroupScenarios,
  ...largeScenarios,
];
