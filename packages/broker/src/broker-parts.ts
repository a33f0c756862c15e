import type { LogManager } from '@ottla/storage';
import type { ControllerChannel } from './controller/controller-channel.ts';
import type { GroupCoordinatorService } from './coordinators/group-coordinator-service.ts';
import type { ShareCoordinatorService } from './coordinators/share-coordinator-service.ts';
import type { TransactionCoordinatorService } from './coordinators/transaction-coordinator-service.ts';
import type { FetchSessionCache } from './fetching/fetch-session-cache.ts';
import type { ProduceTurn } from './handlers/produce-turn.ts';
import type { NodeParts } from './node-parts.ts';
import type { ProducerIds } from './producer-ids.ts';
import type { Partitions } from './replication/partitions.ts';
import type { ReplicaMoves } from './replication/replica-moves.ts';
import type { Replication } from './replication/replication.ts';
import type { SharePersister } from './sharing/share-persister.ts';
import type { Sharing } from './sharing/sharing.ts';
import type { ClientMetricsFiles } from './telemetry/client-metrics-files.ts';
import type { ClientMetricsManager } from './telemetry/client-metrics-manager.ts';
import type { TopicCreation } from './topic-creation.ts';
import type { MarkerDestination } from './transactions/marker-writer.ts';
import type { TransactionVerifier } from './transactions/transaction-verifier.ts';

/** The parts of a node with the broker role, as the handlers of its listeners for clients see them. `broker-role.ts` makes them. */
export type BrokerParts = NodeParts & {
  /** To the active controller, wherever it is. */
  readonly channel: ControllerChannel;
  readonly logManager: LogManager;
  readonly partitions: Partitions;
  readonly produceTurn: ProduceTurn;
  readonly moves: ReplicaMoves;
  readonly replication: Replication;
  readonly fetchSessions: FetchSessionCache;
  readonly groups: GroupCoordinatorService;
  readonly shareState: ShareCoordinatorService;
  readonly sharePersister: SharePersister;
  readonly sharing: Sharing;
  readonly transactions: TransactionCoordinatorService;
  readonly markers: MarkerDestination;
  readonly verifier: TransactionVerifier;
  readonly producerIds: ProducerIds;
  readonly topicCreation: TopicCreation;
  /** Absent where ottla.telemetry.directory is not set. */
  readonly clientMetrics: ClientMetrics | undefined;
};

export type ClientMetrics = { readonly manager: ClientMetricsManager; readonly files: ClientMetricsFiles };
