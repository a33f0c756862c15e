import { metadataLogDirectory, type ParsedBrokerConfig, resolveListeners } from '@ottla/metadata';
import { AllocateProducerIds, CreateTopics, errorOfCode, KafkaError, type Uuid } from '@ottla/protocol';
import type { Runtime, Timers } from '@ottla/runtime';
import { LogCleaner, type LogManager } from '@ottla/storage';
import { BrokerLifecycle } from './broker-lifecycle.ts';
import type { BrokerParts } from './broker-parts.ts';
import type { BrokerSettings } from './broker-settings.ts';
import type { ClusterMetadata } from './cluster-metadata.ts';
import type { ControllerChannel } from './controller/controller-channel.ts';
import type { GroupCoordinatorService } from './coordinators/group-coordinator-service.ts';
import { groupCoordinators, shareCoordinator } from './coordinators/node-coordinators.ts';
import { PatientSharePersister } from './coordinators/patient-share-persister.ts';
import { ShareCoordinatorRoutes } from './coordinators/share-coordinator-routes.ts';
import type { ShareCoordinatorService } from './coordinators/share-coordinator-service.ts';
import type { TransactionCoordinatorService } from './coordinators/transaction-coordinator-service.ts';
import { onDirectoryFailures } from './directory-failures.ts';
import { FetchSessionCache } from './fetching/fetch-session-cache.ts';
import { brokerHandlers } from './handlers/index.ts';
import { ProduceTurn } from './handlers/produce-turn.ts';
import { newInternalTopic, OFFSETS_TOPIC, SHARE_STATE_TOPIC, TRANSACTIONS_TOPIC } from './internal-topics.ts';
import type { RegisteredEndpoint } from './listeners.ts';
import type { NodeParts } from './node-parts.ts';
import { BrokerPeers } from './peers/index.ts';
import { ProducerIds } from './producer-ids.ts';
import { registeredFeatures } from './registered-features.ts';
import { DirectoryAssignments } from './replication/directory-assignments.ts';
import { Partitions } from './replication/partitions.ts';
import { ReplicaMoves } from './replication/replica-moves.ts';
import { ReplicaPublisher } from './replication/replica-publisher.ts';
import { Replication } from './replication/replication.ts';
import { RequestDispatcher } from './request-dispatcher.ts';
import { DeadLetterTopic } from './sharing/dead-letter-topic.ts';
import { groupSharing } from './sharing/group-sharing.ts';
import { Sharing } from './sharing/sharing.ts';
import { openClientMetrics } from './telemetry/client-metrics-parts.ts';
import { type CreateTopic, TopicCreation } from './topic-creation.ts';
import { transactionParts } from './transactions/transaction-parts.ts';

export type BrokerRoleOptions = {
  readonly node: NodeParts;
  readonly parsed: ParsedBrokerConfig;
  readonly channel: ControllerChannel;
  /** Of its own, so that nothing holds heartbeats up. */
  readonly heartbeats: ControllerChannel;
  readonly logManager: LogManager;
  readonly incarnationId: Uuid;
  /** As others reach this broker. */
  readonly listeners: RegisteredEndpoint[];
  readonly onFatal: (error: unknown) => void;
};

const HEARD_OF_WITHIN_MS = 5_000;

/**
 * The broker half of a node: the replicas and coordinators that the metadata gives to it. Its parts are made and joined here, in the order in
 * which they stand; `join` makes it a member of the cluster.
 */
export class BrokerRole {
  readonly parts: BrokerParts;
  readonly dispatcher: RequestDispatcher;
  readonly #options: BrokerRoleOptions;
  readonly #lifecycle: BrokerLifecycle;
  readonly #assignments: DirectoryAssignments;
  readonly #sharePersister: PatientSharePersister;
  /** The others, as the coordinators and leaders of this one turn to them. */
  readonly #brokers: BrokerPeers;
  readonly #cleaner: LogCleaner;

  constructor(options: BrokerRoleOptions) {
    const { node, parsed, channel, heartbeats, logManager, incarnationId, listeners } = options;
    const { runtime, nodeId, clusterId, config: settings, metadata, loggers } = node;
    const { config } = parsed;
    this.#options = options;
    settings.onChange(() => {
      logManager.producerIdExpirationMs = settings.get('producer.id.expiration.ms');
    });
    const partitions = new Partitions(metadata);
    const interBrokerListener = resolveListeners(config, parsed.properties).interBrokerListenerName;
    this.#brokers = new BrokerPeers({
      runtime,
      nodeId,
      metadata,
      listenerName: interBrokerListener,
      clientId: `broker-${nodeId}`,
      requestTimeoutMs: settings.get('request.timeout.ms'),
    });
    const brokers = this.#brokers;
    const ids = producerIds(runtime, channel, nodeId, () => this.brokerEpoch);
    const coordinatorRuntime = { ...runtime, logger: loggers.logger('coordinator') };
    const { transactions, markers, verifier } = transactionParts({
      runtime: coordinatorRuntime,
      settings,
      metadata,
      partitions,
      brokers,
      producerIds: ids,
      endInGroups: (partition, marker) => groups.endTransaction(partition, marker),
    });
    const shareState = shareCoordinator({ ...runtime, logger: loggers.logger('coordinator') }, settings, metadata, partitions);
    const topics = topicCreation(runtime, channel, settings, metadata);
    this.#sharePersister = new PatientSharePersister({
      coordinators: new ShareCoordinatorRoutes({
        local: shareState,
        partitionCount: () => metadata.partitionCount(SHARE_STATE_TOPIC),
        leaderOf: (index) => metadata.leaderOf(SHARE_STATE_TOPIC, index),
        brokers,
      }),
      ensureTopic: () =>
        metadata.partitionCount(SHARE_STATE_TOPIC) === undefined ? topics.ensure(SHARE_STATE_TOPIC) : undefined,
      runtime,
    });
    const groups: GroupCoordinatorService = groupCoordinators({
      runtime: coordinatorRuntime,
      settings,
      metadata,
      partitions,
      brokers,
      createTopic: createTopicWith(channel, metadata, runtime),
      sharePersister: this.#sharePersister,
      verifier,
    });
    const sharing = new Sharing({
      partitions,
      persister: this.#sharePersister,
      deadLetters: deadLetterTopic({ runtime, settings, metadata, partitions, brokers, topics }),
      ...runtime,
      logger: loggers.logger('sharing'),
      sharing: (groupId) => groupSharing(settings.group(groupId)),
      maxSessions: () => settings.get('group.share.max.share.sessions'),
    });
    this.#lifecycle = new BrokerLifecycle({
      identity: {
        nodeId,
        clusterId,
        incarnationId,
        rack: config['broker.rack'],
        listeners,
        features: registeredFeatures(),
        logDirs: logManager.directoryIds,
        previousBrokerEpoch: logManager.lastBrokerEpoch,
      },
      controller: heartbeats,
      metadata,
      clock: runtime.clock,
      timers: runtime.timers,
      logger: runtime.logger,
      heartbeatIntervalMs: config['broker.heartbeat.interval.ms'],
      registrationTimeoutMs: config['initial.broker.registration.timeout.ms'],
      directories: () => ({ online: logManager.directoryIds, cordoned: logManager.cordonedDirectoryIds }),
    });
    this.#assignments = new DirectoryAssignments({
      brokerId: nodeId,
      brokerEpoch: () => this.brokerEpoch,
      controller: channel,
      timers: runtime.timers,
      logger: runtime.logger,
    });
    const moves = new ReplicaMoves({
      brokerId: nodeId,
      logManager,
      partitions,
      metadata,
      assignments: this.#assignments,
      clock: runtime.clock,
      timers: runtime.timers,
      logger: runtime.logger,
      maxBytesPerSecond: () => settings.moveBytesPerSecond,
    });
    const replication = new Replication({
      brokerId: nodeId,
      brokerEpoch: () => this.brokerEpoch,
      interBrokerListener,
      settings,
      metadata,
      channel,
      partitions,
      onTruncated: (partition, offset) => moves.onTruncated(partition, offset),
      runtime: { ...runtime, logger: loggers.logger('replication') },
    });
    const clientMetrics = openClientMetrics(runtime, config, metadata);
    this.parts = {
      ...node,
      channel,
      logManager,
      partitions,
      produceTurn: new ProduceTurn(runtime.logger),
      moves,
      replication,
      fetchSessions: new FetchSessionCache({ ...runtime, slots: config['max.incremental.fetch.session.cache.slots'] }),
      groups,
      shareState,
      sharePersister: this.#sharePersister,
      sharing,
      transactions,
      markers,
      verifier,
      producerIds: ids,
      topicCreation: topics,
      clientMetrics,
    };
    this.dispatcher = RequestDispatcher.forBroker(this.parts, brokerHandlers({ clientTelemetry: clientMetrics !== undefined }));
    this.#cleaner = logCleaner(this.parts);
  }

  /** -1 before the registration. */
  get brokerEpoch(): number {
    return this.#lifecycle.brokerEpoch;
  }

  /** Registers, brings the replicas to what the metadata says, and resolves when clients may come. */
  async join(signal?: AbortSignal): Promise<void> {
    const { parsed, logManager, onFatal } = this.#options;
    const { runtime, metadata, config: settings, moves, replication } = this.parts;
    await this.#lifecycle.register(signal);
    const publisher = replicaPublisher(this.parts, this.#assignments);
    onDirectoryFailures({
      logManager,
      lifecycle: this.#lifecycle,
      publisher,
      moves,
      metadataDirectory: metadataLogDirectory(parsed.config),
      failureTimeoutMs: parsed.config['log.dir.failure.timeout.ms'],
      logger: runtime.logger,
      onFatal,
    });
    cordonDirectories(settings, logManager, this.#lifecycle, runtime);
    publisher.publishAll(metadata.image);
    metadata.onChange((delta, image) => publisher.publish(delta, image));
    replication.start();
    await this.#lifecycle.unfence(signal);
    if (settings.get('log.cleaner.enable')) this.#cleaner.start();
  }

  runTasks(nowMs: number): Promise<void> {
    return this.parts.logManager.runTasks(nowMs);
  }

  /** Leaves the cluster, and answers what is under way. */
  async leave(): Promise<void> {
    const { config, runtime, partitions } = this.parts;
    if (config.get('controlled.shutdown.enable')) {
      await this.#lifecycle.leave().catch((error: unknown) => runtime.logger.warn('the controlled shutdown failed', { error }));
    }
    this.stop();
    for (const partition of partitions) partition.resign();
  }

  /** Whatever is under way here is refused, and nothing more is begun. */
  stop(): void {
    const { transactions, groups, sharing, shareState, moves, replication } = this.parts;
    this.#lifecycle.fallSilent();
    transactions.shutdown();
    groups.shutdown();
    sharing.close();
    this.#sharePersister.shutdown();
    shareState.shutdown();
    moves.stop();
    replication.stop();
    this.#assignments.stop();
    this.#brokers.close();
  }

  /** When no more requests come. */
  async close(): Promise<void> {
    this.parts.clientMetrics?.files.close();
    await this.#cleaner.stop();
  }
}

function logCleaner({ runtime, loggers, logManager, moves, config }: BrokerParts): LogCleaner {
  return new LogCleaner({
    runtime: { ...runtime, logger: loggers.logger('storage') },
    // What is being copied to another directory is compacted there.
    logs: () => logManager.logs.filter((log) => !moves.isMoving(log)),
    onCleaned: () => logManager.checkpointFirstDirtyOffsets(),
    onDiskError: (error) => logManager.onDiskError(error),
    config: () => ({
      backoffMs: config.get('log.cleaner.backoff.ms'),
      dedupeBufferSize: config.get('log.cleaner.dedupe.buffer.size'),
      ioBufferLoadFactor: config.get('log.cleaner.io.buffer.load.factor'),
      ioBufferSize: config.get('log.cleaner.io.buffer.size'),
      ioMaxBytesPerSecond: config.get('log.cleaner.io.max.bytes.per.second'),
    }),
  });
}

function replicaPublisher(
  { nodeId, config, logManager, partitions, moves, replication, groups, shareState, transactions, runtime }: BrokerParts,
  assignments: DirectoryAssignments,
): ReplicaPublisher {
  const coordinators = new Map<string, GroupCoordinatorService | ShareCoordinatorService | TransactionCoordinatorService>([
    [OFFSETS_TOPIC, groups],
    [SHARE_STATE_TOPIC, shareState],
    [TRANSACTIONS_TOPIC, transactions],
  ]);
  return new ReplicaPublisher({
    brokerId: nodeId,
    settings: config,
    logManager,
    partitions,
    assignments,
    moves,
    replication,
    logger: runtime.logger,
    timers: runtime.timers,
    clock: runtime.clock,
    leadership: {
      elected: ({ topic, index, leaderEpoch }, leadsOn) => {
        coordinators
          .get(topic)
          ?.onPartitionElected(index, leaderEpoch, leadsOn)
          .catch((error: unknown) =>
            runtime.logger.error('a coordinator could not be loaded: what it has is unavailable', {
              topic,
              partition: index,
              error,
            }),
          );
      },
      resigned: (topic, index) => coordinators.get(topic)?.onPartitionResigned(index),
      topicsDeleted: (topics) => {
        void groups.onTopicsDeleted(topics);
        void shareState.onTopicsDeleted(topics);
      },
    },
  });
}

/** cordoned.log.dirs, now and whenever it changes: the controller places nothing on a node without a directory for it. */
function cordonDirectories(
  settings: BrokerSettings,
  logManager: LogManager,
  lifecycle: BrokerLifecycle,
  { logger }: Runtime,
): void {
  const cordon = (): boolean => {
    const before = logManager.cordonedDirectoryIds.join();
    logManager.cordon(settings.get('cordoned.log.dirs'));
    return logManager.cordonedDirectoryIds.join() !== before;
  };
  cordon();
  settings.onChange(() => {
    if (!cordon()) return;
    lifecycle
      .tellDirectories(Number.POSITIVE_INFINITY)
      .catch((error: unknown) => logger.warn('the controller does not know which log directories are cordoned', { error }));
  });
}

function producerIds(runtime: Runtime, channel: ControllerChannel, brokerId: number, brokerEpoch: () => number): ProducerIds {
  const allocate = async () => {
    const request = { brokerId, brokerEpoch: brokerEpoch() };
    const { producerIdStart, producerIdLen } = await channel.send(AllocateProducerIds, request);
    return { firstProducerId: producerIdStart, size: producerIdLen };
  };
  return new ProducerIds(allocate, runtime.logger);
}

type DeadLetterParts = {
  readonly runtime: Runtime;
  readonly settings: BrokerSettings;
  readonly metadata: ClusterMetadata;
  readonly partitions: Partitions;
  readonly brokers: BrokerPeers;
  readonly topics: TopicCreation;
};

function deadLetterTopic({ runtime, settings, metadata, partitions, brokers, topics }: DeadLetterParts): DeadLetterTopic {
  const createTime = { name: 'message.timestamp.type', value: 'CreateTime' };
  return new DeadLetterTopic({
    partitions,
    partitionCount: (topic) => metadata.partitionCount(topic),
    leaderOf: (topic, index) => metadata.leaderOf(topic, index),
    brokers,
    createTopic: (topic) => topics.ensure(topic, [{ name: 'errors.deadletterqueue.group.enable', value: 'true' }, createTime]),
    rules: {
      prefix: () => settings.get('errors.deadletterqueue.topic.name.prefix'),
      createsTopics: () => settings.get('errors.deadletterqueue.auto.create.topics.enable'),
      isOpenToGroups: (topic) => settings.topic(topic)['errors.deadletterqueue.group.enable'],
      minInsyncReplicas: (topic) => settings.topic(topic)['min.insync.replicas'],
      maxBatchBytes: (topic) => {
        const { maxMessageBytes, segmentBytes } = settings.log(topic);
        return Math.min(maxMessageBytes, segmentBytes);
      },
    },
    timeoutMs: () => settings.get('request.timeout.ms'),
    clock: runtime.clock,
  });
}

function createTopicWith(channel: ControllerChannel, metadata: ClusterMetadata, { timers }: Runtime): CreateTopic {
  return async ({ name, numPartitions, replicationFactor, configs }) => {
    const topic = { name, numPartitions, replicationFactor, assignments: [], configs: configs.map((config) => ({ ...config })) };
    const request = { topics: [topic], timeoutMs: 30_000, validateOnly: false };
    const { topics } = await channel.send(CreateTopics, request);
    const outcome = topics[0]!;
    const refusal = errorOfCode(outcome.errorCode, outcome.errorMessage);
    if (!refusal || refusal.name === 'TOPIC_ALREADY_EXISTS') await untilKnown(name, metadata, timers);
    if (refusal) throw refusal;
  };
}

/** The controller answers when its own node has the topic; this one may hear of it a moment later. */
async function untilKnown(topic: string, metadata: ClusterMetadata, timers: Timers): Promise<void> {
  if (metadata.hasTopic(topic)) return;
  const patience = new AbortController();
  const timer = timers.after(HEARD_OF_WITHIN_MS, () =>
    patience.abort(new KafkaError('REQUEST_TIMED_OUT', `${topic} was created, but this broker has not heard of it yet`)),
  );
  try {
    await metadata.until(({ topics }) => topics.byName(topic) !== undefined, patience.signal);
  } finally {
    timer.cancel();
  }
}

function topicCreation(
  runtime: Runtime,
  channel: ControllerChannel,
  settings: BrokerSettings,
  metadata: ClusterMetadata,
): TopicCreation {
  return new TopicCreation({
    create: createTopicWith(channel, metadata, runtime),
    logger: runtime.logger,
    partitionCount: (topic) => metadata.partitionCount(topic),
    internalTopic: (name) => newInternalTopic(name, (config) => settings.get(config)),
  });
}
