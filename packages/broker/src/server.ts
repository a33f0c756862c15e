import {
  type BrokerConfig,
  BrokerConfigSchema,
  Controller,
  defaultFeatureLevels,
  featureLevelRecord,
  logDirectories,
  metadataLogDirectory,
  type ParsedBrokerConfig,
  parseBrokerConfig,
  parseQuorumVoters,
  resolveListeners,
  supportedFeatures,
} from '@ottla/metadata';
import { REPLIES_LATER, type RequestHandler } from '@ottla/network';
import {
  AllocateProducerIds,
  ControllerRegistration,
  CreateTopics,
  errorOfCode,
  KafkaError,
  type MetadataRecord,
  type Uuid,
} from '@ottla/protocol';
import { type Address, IoError, type LogLevel, type Runtime, type Timer } from '@ottla/runtime';
import {
  type DirectoryLock,
  diskFaultOf,
  LogCleaner,
  LogDirectoryError,
  LogManager,
  lockDirectory,
  readMetaProperties,
} from '@ottla/storage';
import { BrokerLifecycle } from './broker-lifecycle.ts';
import { BrokerLoggers } from './broker-loggers.ts';
import type { BrokerParts } from './broker-parts.ts';
import { BrokerSettings } from './broker-settings.ts';
import { ClusterMetadata } from './cluster-metadata.ts';
import { ActiveController } from './controller/active-controller.ts';
import { type ControllerChannel, LocalControllerChannel } from './controller/controller-channel.ts';
import type { GroupCoordinatorService } from './coordinators/group-coordinator-service.ts';
import { LocalSharePersister } from './coordinators/local-share-persister.ts';
import { groupCoordinators, shareCoordinator } from './coordinators/node-coordinators.ts';
import type { ShareCoordinatorService } from './coordinators/share-coordinator-service.ts';
import type { TransactionCoordinatorService } from './coordinators/transaction-coordinator-service.ts';
import { onDirectoryFailures } from './directory-failures.ts';
import { FetchSessionCache } from './fetching/fetch-session.ts';
import { randomUuid, readBootstrapCheckpoint } from './format.ts';
import { brokerHandlers, controllerListenerHandlers } from './handlers/index.ts';
import { ProduceTurn } from './handlers/produce-turn.ts';
import { logIdleConfigs } from './idle-config-log.ts';
import { newInternalTopic, OFFSETS_TOPIC, SHARE_STATE_TOPIC, TRANSACTIONS_TOPIC } from './internal-topics.ts';
import { NodeListeners, type RegisteredEndpoint } from './listeners.ts';
import { ProducerIds } from './producer-ids.ts';
import { MetadataQuorum, metadataLogConfig } from './quorum/index.ts';
import { DirectoryAssignments } from './replication/directory-assignments.ts';
import { Partitions } from './replication/partitions.ts';
import { ReplicaMoves } from './replication/replica-moves.ts';
import { ReplicaPublisher } from './replication/replica-publisher.ts';
import { RequestDispatcher } from './request-dispatcher.ts';
import { requireRunnable } from './runnable-config.ts';
import { DeadLetterTopic } from './sharing/dead-letter-topic.ts';
import { groupSharing } from './sharing/group-sharing.ts';
import { Sharing } from './sharing/sharing.ts';
import { openClientMetrics } from './telemetry/client-metrics-parts.ts';
import { type CreateTopic, TopicCreation } from './topic-creation.ts';
import { transactionParts } from './transactions/transaction-parts.ts';

export type ServerOptions = {
  readonly runtime: Runtime;
  /** The names and texts of server.properties. */
  readonly properties: Readonly<Record<string, string>> | ReadonlyMap<string, string>;
  /** Of the root logger; it and the others can be changed while the broker runs. Default info. */
  readonly logLevel?: LogLevel;
  /** Told why when the node cannot go on: its metadata log cannot be written, or its logs cannot be kept. Its owner should stop it. */
  readonly onFatal?: (error: unknown) => void;
  /** Told to stop while logs are still being opened, the start rejects with the signal's reason, and nothing stays locked. Later: `stop`. */
  readonly signal?: AbortSignal | undefined;
};

const TASK_INTERVAL_MS = 1_000;
const HAND_OVER_PATIENCE_MS = 5_000;
const ANSWER_GRACE_MS = 2_000;

/** For a directory that was formatted without saying: what this release would have written. */
const defaultBootstrap = (): MetadataRecord[] =>
  [...defaultFeatureLevels()].map(([name, level]) => featureLevelRecord(name, level));

const listenerText = ({ name, host, port }: RegisteredEndpoint): string =>
  `${name}://${host.includes(':') ? `[${host}]` : host}:${port}`;

type Dispatchers = { readonly broker: RequestDispatcher; readonly controller: RequestDispatcher };

type Started = {
  readonly parts: BrokerParts;
  readonly lifecycle: BrokerLifecycle;
  readonly listeners: NodeListeners;
  /** Where the metadata log has a directory of its own. */
  readonly metadataLock: DirectoryLock | undefined;
  readonly assignments: DirectoryAssignments;
  readonly sharePersister: LocalSharePersister;
};

/**
 * A node: broker and controller in one process. Its parts are made, joined, started and stopped here and nowhere else, in the order in
 * which they stand. The directories must be formatted.
 */
export class BrokerServer {
  readonly #parts: BrokerParts;
  readonly #lifecycle: BrokerLifecycle;
  readonly #listeners: NodeListeners;
  readonly #metadataLock: DirectoryLock | undefined;
  readonly #assignments: DirectoryAssignments;
  readonly #sharePersister: LocalSharePersister;
  readonly #cleaner: LogCleaner;
  #taskTimer: Timer | undefined;
  #tasks: Promise<void> = Promise.resolve();
  #stopping: Promise<void> | undefined;

  /** Throws ConfigError, IoError (a port in use, a directory that another process has …), CorruptFileError. */
  static async start({ runtime: machine, properties, logLevel = 'info', onFatal, signal }: ServerOptions): Promise<BrokerServer> {
    const beganMs = machine.clock.monotonicMs();
    const parsed = parseBrokerConfig(properties);
    const { config } = parsed;
    const endpoints = resolveListeners(config, parsed.properties);
    requireRunnable(config, endpoints.listeners);
    const loggers = new BrokerLoggers(machine.logger, logLevel);
    const runtime: Runtime = { ...machine, logger: loggers.logger('broker') };
    for (const warning of parsed.warnings) runtime.logger.warn(warning);
    for (const notice of parsed.notices) runtime.logger.info(notice);
    const fail = (error: unknown): void => {
      runtime.logger.error('the metadata log cannot be written: the node cannot go on', { error });
      onFatal?.(error);
    };

    const nodeId = config['node.id'];
    const { clusterId, directoryId } = requireFormatted(runtime, metadataLogDirectory(config), nodeId);
    const metadata = new ClusterMetadata();
    const settings = new BrokerSettings(parsed, nodeId, metadata);
    // Before anything else, for it locks the directories: what lies in them is nobody else's from here on.
    const logManager = await openLogs({ ...runtime, logger: loggers.logger('storage') }, { parsed, clusterId, settings, signal });
    const undo: (() => unknown)[] = [() => logManager.closeAhead().then(() => logManager.close())];
    try {
      requireMetadataDirectory(logManager, metadataLogDirectory(config));
      const metadataLock = lockMetadataDirectory(runtime, config);
      undo.push(() => metadataLock?.release());
      // Listening comes before the registrations, which name the real ports; requests wait until the broker is ready.
      const gate = Promise.withResolvers<Dispatchers>();
      gate.promise.catch(() => {});
      let dispatchers: Dispatchers | undefined;
      const dispatch =
        (kind: keyof Dispatchers): RequestHandler =>
        (frame, connection, reply) => {
          if (dispatchers) return dispatchers[kind].dispatch(frame, connection, reply);
          const kept = new Uint8Array(frame);
          gate.promise.then(
            (open) => open[kind].dispatchLate(kept, connection, reply),
            (error) => reply.failed(error),
          );
          return REPLIES_LATER;
        };
      const listeners = await NodeListeners.open({
        runtime: { ...runtime, logger: loggers.logger('network') },
        parsed,
        settings,
        metadata,
        onBrokerRequest: dispatch('broker'),
        onControllerRequest: dispatch('controller'),
        onRequestsTaken: () => dispatchers?.broker.requestsTaken(),
      });
      undo.push(() => listeners.close());
      const quorum = await MetadataQuorum.open({
        runtime: { ...runtime, logger: loggers.logger('quorum') },
        directory: metadataLogDirectory(config),
        directoryId,
        nodeId,
        wasCleanShutdown: logManager.wasCleanShutdown,
        controllerEndpoints: listeners.advertised.controller,
        staticVoters: parseQuorumVoters('controller.quorum.voters', config['controller.quorum.voters']),
        config: metadataLogConfig(config),
        onFailure: fail,
      });
      undo.push(() => quorum.close());
      const bootstrap = readBootstrapCheckpoint(runtime.files, metadataLogDirectory(config)) ?? defaultBootstrap();
      const controller = await activateController({
        parsed,
        clusterId,
        metadata,
        quorum,
        bootstrap,
        runtime: { ...runtime, logger: loggers.logger('controller') },
        onFatal: fail,
      });
      undo.push(() => controller.stop());
      const operationRules = { deletesTopics: () => settings.get('delete.topic.enable') };
      const channel = new LocalControllerChannel(controller, operationRules);
      logIdleConfigs(metadata, runtime.logger);
      const incarnationId = randomUuid(runtime.random);
      await registerController(channel, nodeId, incarnationId, listeners.advertised.controller);

      settings.onChange(() => {
        logManager.producerIdExpirationMs = settings.get('producer.id.expiration.ms');
      });

      const partitions = new Partitions();
      const ids = producerIds(runtime, channel, nodeId, () => lifecycle.brokerEpoch);
      const coordinatorRuntime = { ...runtime, logger: loggers.logger('coordinator') };
      const { transactions, markers, verifier } = transactionParts({
        runtime: coordinatorRuntime,
        settings,
        metadata,
        partitions,
        producerIds: ids,
        endInGroups: (partition, marker) => groups.endTransaction(partition, marker),
      });
      undo.push(() => transactions.shutdown());
      const shareState = shareCoordinator({ ...runtime, logger: loggers.logger('coordinator') }, settings, metadata, partitions);
      undo.push(() => shareState.shutdown());
      const topics = topicCreation(runtime, channel, settings, metadata);
      const sharePersister = new LocalSharePersister({
        coordinator: shareState,
        ensureTopic: () =>
          metadata.partitionCount(SHARE_STATE_TOPIC) === undefined ? topics.ensure(SHARE_STATE_TOPIC) : undefined,
        timers: runtime.timers,
      });
      undo.push(() => sharePersister.shutdown());
      const groups: GroupCoordinatorService = groupCoordinators({
        runtime: coordinatorRuntime,
        settings,
        metadata,
        partitions,
        createTopic: createTopicWith(channel),
        sharePersister,
        verifier,
      });
      undo.push(() => groups.shutdown());
      const sharing = new Sharing({
        partitions,
        persister: sharePersister,
        deadLetters: deadLetterTopic({ runtime, settings, metadata, partitions, topics }),
        ...runtime,
        logger: loggers.logger('sharing'),
        sharing: (groupId) => groupSharing(settings.group(groupId)),
        maxSessions: () => settings.get('group.share.max.share.sessions'),
      });
      undo.push(() => sharing.close());
      const lifecycle = new BrokerLifecycle({
        identity: {
          nodeId,
          clusterId,
          incarnationId,
          rack: config['broker.rack'],
          listeners: listeners.advertised.broker,
          features: registeredFeatures(),
          logDirs: logManager.directoryIds,
          previousBrokerEpoch: logManager.lastBrokerEpoch,
        },
        controller: channel,
        metadata,
        timers: runtime.timers,
        logger: runtime.logger,
        heartbeatIntervalMs: config['broker.heartbeat.interval.ms'],
        directories: () => ({ online: logManager.directoryIds, cordoned: logManager.cordonedDirectoryIds }),
      });
      undo.push(() => lifecycle.fallSilent());
      await lifecycle.register();
      const assignments = new DirectoryAssignments({
        brokerId: nodeId,
        brokerEpoch: () => lifecycle.brokerEpoch,
        controller: channel,
        timers: runtime.timers,
        logger: runtime.logger,
      });
      undo.push(() => assignments.stop());
      const moves = new ReplicaMoves({
        brokerId: nodeId,
        logManager,
        partitions,
        metadata,
        assignments,
        clock: runtime.clock,
        timers: runtime.timers,
        logger: runtime.logger,
        maxBytesPerSecond: () => settings.moveBytesPerSecond,
      });
      undo.push(() => moves.stop());
      const publisher = replicaPublisher({
        nodeId,
        settings,
        logManager,
        partitions,
        assignments,
        moves,
        groups,
        shareState,
        transactions,
        runtime,
      });
      onDirectoryFailures({
        logManager,
        lifecycle,
        publisher,
        moves,
        metadataDirectory: metadataLogDirectory(config),
        failureTimeoutMs: config['log.dir.failure.timeout.ms'],
        logger: runtime.logger,
        onFatal: (error) => onFatal?.(error),
      });
      cordonDirectories(settings, logManager, lifecycle, runtime);
      publisher.publishAll(metadata.image);
      metadata.onChange((delta, image) => publisher.publish(delta, image));
      await lifecycle.unfence();
      const clientMetrics = openClientMetrics(runtime, config, metadata);
      undo.push(() => clientMetrics?.files.close());
      const parts: BrokerParts = {
        runtime,
        nodeId,
        clusterId,
        incarnationId,
        supportedFeatures,
        config: settings,
        loggers,
        metadata,
        controller,
        operationRules,
        channel,
        quorum,
        logManager,
        partitions,
        produceTurn: new ProduceTurn(runtime.logger),
        moves,
        fetchSessions: new FetchSessionCache({ ...runtime, slots: config['max.incremental.fetch.session.cache.slots'] }),
        groups,
        shareState,
        sharePersister,
        sharing,
        transactions,
        markers,
        verifier,
        producerIds: ids,
        topicCreation: topics,
        clientMetrics,
      };
      dispatchers = {
        broker: new RequestDispatcher(parts, brokerHandlers({ clientTelemetry: clientMetrics !== undefined })),
        controller: new RequestDispatcher(parts, controllerListenerHandlers()),
      };
      gate.resolve(dispatchers);
      runtime.logger.info('the node serves', {
        nodeId,
        clusterId,
        listeners: [...listeners.advertised.broker, ...listeners.advertised.controller].map(listenerText).join(','),
        directories: logDirectories(config).join(','),
        ms: Math.round(runtime.clock.monotonicMs() - beganMs),
      });
      return new BrokerServer({ parts, lifecycle, listeners, metadataLock, assignments, sharePersister });
    } catch (error) {
      for (const step of undo.reverse()) {
        try {
          await step();
        } catch (late) {
          runtime.logger.warn('cleaning up after a failed start', { error: late });
        }
      }
      throw error;
    }
  }

  private constructor({ parts, lifecycle, listeners, metadataLock, assignments, sharePersister }: Started) {
    this.#parts = parts;
    this.#lifecycle = lifecycle;
    this.#listeners = listeners;
    this.#metadataLock = metadataLock;
    this.#assignments = assignments;
    this.#sharePersister = sharePersister;
    this.#cleaner = logCleaner(parts);
    if (parts.config.get('log.cleaner.enable')) this.#cleaner.start();
    this.#scheduleTasks();
  }

  /** Of the first listener for clients, with its real port. */
  get address(): Address {
    return this.#listeners.broker[0]!.address;
  }

  get clusterId(): string {
    return this.#parts.clusterId;
  }

  /** Leaves the cluster, answers what is under way, and leaves the files as a clean start wants them. */
  stop(): Promise<void> {
    this.#stopping ??= this.#leaveAndClose();
    return this.#stopping;
  }

  async #leaveAndClose(): Promise<void> {
    const {
      clientMetrics,
      config,
      controller,
      groups,
      shareState,
      sharing,
      transactions,
      moves,
      quorum,
      logManager,
      partitions,
      runtime,
    } = this.#parts;
    if (config.get('controlled.shutdown.enable')) {
      await this.#lifecycle
        .leave(HAND_OVER_PATIENCE_MS)
        .catch((error: unknown) => runtime.logger.warn('the controlled shutdown failed', { error }));
    } else this.#lifecycle.fallSilent();
    transactions.shutdown();
    groups.shutdown();
    sharing.close();
    this.#sharePersister.shutdown();
    shareState.shutdown();
    moves.stop();
    this.#assignments.stop();
    for (const partition of partitions) partition.resign();
    await this.#listeners.close(ANSWER_GRACE_MS);
    clientMetrics?.files.close();
    this.#taskTimer?.cancel();
    await this.#tasks;
    await this.#cleaner.stop();
    controller.stop();
    try {
      await quorum.close();
    } finally {
      this.#metadataLock?.release();
      await logManager.closeAhead();
      logManager.close({ brokerEpoch: this.#lifecycle.brokerEpoch });
    }
    runtime.logger.info('the node has stopped cleanly');
  }

  #scheduleTasks(): void {
    const { runtime, logManager, quorum } = this.#parts;
    this.#taskTimer = runtime.timers.after(TASK_INTERVAL_MS, () => {
      const nowMs = runtime.clock.nowMs();
      quorum.runTasks(nowMs);
      this.#tasks = logManager
        .runTasks(nowMs)
        .catch((error: unknown) => {
          runtime.logger.error('periodic work on the logs failed', { error });
        })
        .then(() => {
          if (!this.#stopping) this.#scheduleTasks();
        });
    });
  }
}

function requireFormatted(runtime: Runtime, directory: string, nodeId: number): { clusterId: string; directoryId: Uuid } {
  const properties = readMetaProperties(runtime.files, directory);
  if (!properties?.directoryId) {
    throw new KafkaError(
      'LOG_DIR_NOT_FOUND',
      `${directory} is not formatted: run "ottla storage format", or start with --format`,
    );
  }
  if (properties.nodeId !== nodeId)
    throw new KafkaError('INVALID_CONFIG', `${directory} belongs to node ${properties.nodeId}, not ${nodeId}`);
  return { clusterId: properties.clusterId, directoryId: properties.directoryId };
}

/** Throws LogDirectoryError when the log manager found that it cannot be used: nobody has it locked then. */
function requireMetadataDirectory(logManager: LogManager, directory: string): void {
  const failure = logManager.failureOf(directory);
  if (failure === undefined) return;
  const why = failure instanceof Error ? failure.message : String(failure);
  const isFull = failure instanceof IoError && diskFaultOf(failure) === 'full';
  const remedy = isFull ? 'make room there' : 'mend that';
  throw new LogDirectoryError(`the metadata log lies in ${directory}, which cannot be used: ${why}: ${remedy}, and start again`, {
    cause: failure,
  });
}

/** The log manager locks log.dirs; a directory for the metadata log alone is none of them. Throws IoError ELOCKED. */
function lockMetadataDirectory({ files }: Runtime, config: BrokerConfig): DirectoryLock | undefined {
  const directory = metadataLogDirectory(config);
  return logDirectories(config).includes(directory) ? undefined : lockDirectory(files, directory);
}

type LogsToOpen = {
  readonly parsed: ParsedBrokerConfig;
  readonly clusterId: string;
  readonly settings: BrokerSettings;
  readonly signal: AbortSignal | undefined;
};

function openLogs(runtime: Runtime, { parsed, clusterId, settings, signal }: LogsToOpen): Promise<LogManager> {
  const { config } = parsed;
  return LogManager.open({
    signal,
    directories: logDirectories(config),
    clusterId,
    nodeId: config['node.id'],
    runtime,
    configOf: (topic) => settings.log(topic),
    producerIdExpirationMs: config['producer.id.expiration.ms'],
    tailCacheBytes: config['ottla.tail.cache.bytes'],
    recoveryThreadsPerDirectory: config['num.recovery.threads.per.data.dir'],
    intervals: {
      logFlushOffsetCheckpointIntervalMs: config['log.flush.offset.checkpoint.interval.ms'],
      logFlushStartOffsetCheckpointIntervalMs: config['log.flush.start.offset.checkpoint.interval.ms'],
      replicaHighWatermarkCheckpointIntervalMs: config['replica.high.watermark.checkpoint.interval.ms'],
      logRetentionCheckIntervalMs: config['log.retention.check.interval.ms'],
      producerIdExpirationCheckIntervalMs: config['producer.id.expiration.check.interval.ms'],
    },
  });
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

type ControllerSurroundings = {
  readonly parsed: ParsedBrokerConfig;
  readonly clusterId: string;
  readonly metadata: ClusterMetadata;
  readonly quorum: MetadataQuorum;
  readonly runtime: Runtime;
  /** For an empty log. */
  readonly bootstrap: readonly MetadataRecord[];
  readonly onFatal: (error: unknown) => void;
};

/** Replays the metadata log into controller and broker, then lets the controller begin its reign. */
async function activateController({
  parsed,
  clusterId,
  metadata,
  quorum,
  bootstrap,
  runtime,
  onFatal,
}: ControllerSurroundings): Promise<ActiveController> {
  const { config } = parsed;
  const nodeId = config['node.id'];
  const controller = new Controller({
    schema: new BrokerConfigSchema(parsed),
    clusterId,
    nodeId,
    controllerIds: [nodeId],
    defaultPartitions: config['num.partitions'],
    defaultReplicationFactor: config['default.replication.factor'],
    brokerSessionTimeoutMs: config['broker.session.timeout.ms'],
    maxIdleIntervalMs: config['metadata.max.idle.interval.ms'],
    leaderBalance: config['auto.leader.rebalance.enable'],
    leaderBalanceIntervalMs: config['leader.imbalance.check.interval.seconds'] * 1000,
    uncleanElectionIntervalMs: config['unclean.leader.election.interval.ms'],
  });
  // Whoever began it is gone, and it is hidden from all who listen: nobody will end it.
  if (quorum.hasOpenTransaction)
    await quorum.append([{ type: 'AbortTransactionRecord', version: 0, value: { reason: 'failover' } }]);
  let isActive = false;
  quorum.subscribe({
    snapshot: ({ records, endOffset }) => {
      for (const record of records) controller.replay(record, endOffset - 1);
      metadata.load(records, endOffset - 1);
    },
    batch: ({ records, baseOffset, lastOffset }) => {
      // An active controller has seen its records before anybody else.
      if (!isActive) records.forEach((record, index) => void controller.replay(record, baseOffset + index));
      metadata.apply(records, lastOffset);
    },
    toSnapshot: () => metadata.image.toRecords(),
  });
  isActive = true;
  const active = new ActiveController({ controller, log: quorum, runtime, metadata, onFatal });
  await active.submit((decider, context) => decider.activate(bootstrap, context));
  active.start();
  return active;
}

const registeredFeatures = () =>
  [...supportedFeatures].map(([name, { min, max }]) => ({ name, minSupportedVersion: min, maxSupportedVersion: max }));

async function registerController(
  channel: ControllerChannel,
  controllerId: number,
  incarnationId: Uuid,
  listeners: RegisteredEndpoint[],
): Promise<void> {
  const request = { controllerId, incarnationId, zkMigrationReady: false, listeners, features: registeredFeatures() };
  await channel.send(ControllerRegistration, request);
}

type Replicas = {
  readonly nodeId: number;
  readonly settings: BrokerSettings;
  readonly logManager: LogManager;
  readonly partitions: Partitions;
  readonly assignments: DirectoryAssignments;
  readonly moves: ReplicaMoves;
  readonly groups: GroupCoordinatorService;
  readonly shareState: ShareCoordinatorService;
  readonly transactions: TransactionCoordinatorService;
  readonly runtime: Runtime;
};

function replicaPublisher({ nodeId, groups, shareState, transactions, runtime, ...replicas }: Replicas): ReplicaPublisher {
  const coordinators = new Map<string, GroupCoordinatorService | ShareCoordinatorService | TransactionCoordinatorService>([
    [OFFSETS_TOPIC, groups],
    [SHARE_STATE_TOPIC, shareState],
    [TRANSACTIONS_TOPIC, transactions],
  ]);
  return new ReplicaPublisher({
    ...replicas,
    brokerId: nodeId,
    logger: runtime.logger,
    timers: runtime.timers,
    clock: runtime.clock,
    leadership: {
      elected: ({ topic, index, leaderEpoch }) => {
        coordinators
          .get(topic)
          ?.onPartitionElected(index, leaderEpoch)
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
  readonly topics: TopicCreation;
};

function deadLetterTopic({ runtime, settings, metadata, partitions, topics }: DeadLetterParts): DeadLetterTopic {
  const createTime = { name: 'message.timestamp.type', value: 'CreateTime' };
  return new DeadLetterTopic({
    partitions,
    partitionCount: (topic) => metadata.partitionCount(topic),
    createTopic: (topic) => topics.ensure(topic, [{ name: 'errors.deadletterqueue.group.enable', value: 'true' }, createTime]),
    rules: {
      prefix: () => settings.get('errors.deadletterqueue.topic.name.prefix'),
      createsTopics: () => settings.get('errors.deadletterqueue.auto.create.topics.enable'),
      isOpenToGroups: (topic) => settings.topic(topic)['errors.deadletterqueue.group.enable'],
      minInsyncReplicas: (topic) => settings.topic(topic)['min.insync.replicas'],
    },
    clock: runtime.clock,
  });
}

function createTopicWith(channel: ControllerChannel): CreateTopic {
  return async ({ name, numPartitions, replicationFactor, configs }) => {
    const topic = { name, numPartitions, replicationFactor, assignments: [], configs: configs.map((config) => ({ ...config })) };
    const request = { topics: [topic], timeoutMs: 30_000, validateOnly: false };
    const { topics } = await channel.send(CreateTopics, request);
    const outcome = topics[0]!;
    const refusal = errorOfCode(outcome.errorCode, outcome.errorMessage);
    if (refusal) throw refusal;
  };
}

function topicCreation(
  runtime: Runtime,
  channel: ControllerChannel,
  settings: BrokerSettings,
  metadata: ClusterMetadata,
): TopicCreation {
  return new TopicCreation({
    create: createTopicWith(channel),
    logger: runtime.logger,
    partitionCount: (topic) => metadata.partitionCount(topic),
    internalTopic: (name) => newInternalTopic(name, (config) => settings.get(config)),
  });
}
