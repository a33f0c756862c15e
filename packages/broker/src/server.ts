import {
  type BrokerConfig,
  isBroker,
  isController,
  logDirectories,
  metadataLogDirectory,
  type ParsedBrokerConfig,
  parseBrokerConfig,
  resolveListeners,
  supportedFeatures,
} from '@ottla/metadata';
import { REPLIES_LATER, type RequestHandler } from '@ottla/network';
import { KafkaError, type Uuid } from '@ottla/protocol';
import { type Address, IoError, type LogLevel, type Runtime, type Timer } from '@ottla/runtime';
import {
  type DirectoryLock,
  diskFaultOf,
  LogDirectoryError,
  LogManager,
  lockDirectory,
  readMetaProperties,
} from '@ottla/storage';
import { BrokerLoggers } from './broker-loggers.ts';
import type { BrokerParts } from './broker-parts.ts';
import { BrokerRole } from './broker-role.ts';
import { BrokerSettings } from './broker-settings.ts';
import { ClusterMetadata } from './cluster-metadata.ts';
import { NodeToControllerChannel } from './controller/node-to-controller-channel.ts';
import { ControllerRole } from './controller-role.ts';
import { isOneOfSeveral, randomUuid } from './format.ts';
import { logIdleConfigs } from './idle-config-log.ts';
import { NodeListeners, type RegisteredEndpoint } from './listeners.ts';
import type { NodeParts } from './node-parts.ts';
import { MetadataQuorum, quorumConfig } from './quorum/index.ts';
import type { RequestDispatcher } from './request-dispatcher.ts';
import { requireRunnable } from './runnable-config.ts';

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
  /** For a simulator, which looks at them and changes nothing: how to see the parts of the node, from when there are any. */
  readonly onParts?: (look: () => ServerParts) => void;
};

const TASK_INTERVAL_MS = 1_000;
const ANSWER_GRACE_MS = 2_000;
/** As Kafka's brokers. */
const requestPatienceMs = 60_000;

const listenerText = ({ name, host, port }: RegisteredEndpoint): string =>
  `${name}://${host.includes(':') ? `[${host}]` : host}:${port}`;

/** Those of the broker are there where the node is one. */
export type ServerParts = NodeParts & Partial<BrokerParts>;

type Started = {
  readonly node: NodeParts;
  readonly broker: BrokerRole | undefined;
  readonly controller: ControllerRole | undefined;
  readonly channels: Channels;
  readonly logManager: LogManager | undefined;
  readonly listeners: NodeListeners;
  /** Where the metadata log has a directory of its own. */
  readonly metadataLock: DirectoryLock | undefined;
  /** Why the node cannot go on. */
  readonly failure: () => unknown;
};

/**
 * A node: a broker, a controller or both in one process. Its halves are made, joined, started and stopped here and nowhere else, in the order
 * in which they stand. The directories must be formatted.
 */
export class BrokerServer {
  readonly #node: NodeParts;
  readonly #broker: BrokerRole | undefined;
  readonly #controller: ControllerRole | undefined;
  readonly #channels: Channels;
  readonly #logManager: LogManager | undefined;
  readonly #listeners: NodeListeners;
  readonly #metadataLock: DirectoryLock | undefined;
  readonly #failure: () => unknown;
  #taskTimer: Timer | undefined;
  #tasks: Promise<void> = Promise.resolve();
  #stopping: Promise<void> | undefined;

  /** Throws ConfigError, IoError (a port in use, a directory that another process has …), CorruptFileError. */
  static async start({
    runtime: machine,
    properties,
    logLevel = 'info',
    onFatal,
    signal,
    onParts,
  }: ServerOptions): Promise<BrokerServer> {
    const beganMs = machine.clock.monotonicMs();
    const parsed = parseBrokerConfig(properties);
    const { config } = parsed;
    const endpoints = resolveListeners(config, parsed.properties);
    requireRunnable(config, endpoints.listeners);
    const loggers = new BrokerLoggers(machine.logger, logLevel);
    const runtime: Runtime = { ...machine, logger: loggers.logger('broker') };
    for (const warning of parsed.warnings) runtime.logger.warn(warning);
    for (const notice of parsed.notices) runtime.logger.info(notice);
    const failed = Promise.withResolvers<never>();
    failed.promise.catch(() => {}); // once started, nobody waits for it
    let failure: unknown;
    const end = (error: unknown): void => {
      failure ??= error;
      failed.reject(error);
      onFatal?.(error);
    };
    const fail = (error: unknown): void => {
      runtime.logger.error('the node cannot go on: its metadata log or its controller failed', { error });
      end(error);
    };
    /** Who cannot go on is led by nobody, and would wait for a controller for ever. */
    const unlessFailed = <T>(step: Promise<T>): Promise<T> => Promise.race([step, failed.promise]);

    const nodeId = config['node.id'];
    const metadataDirectory = metadataLogDirectory(config);
    const { clusterId, directoryId } = requireFormatted(runtime, metadataDirectory, config);
    const metadata = new ClusterMetadata();
    const settings = new BrokerSettings(parsed, nodeId, metadata);
    const undo: (() => unknown)[] = [];
    try {
      // Before anything else, for it locks the directories: what lies in them is nobody else's from here on.
      const logManager = isBroker(config)
        ? await openLogs({ ...runtime, logger: loggers.logger('storage') }, { parsed, clusterId, settings, signal })
        : undefined;
      undo.push(async () => {
        await logManager?.closeAhead();
        // As clean as it was, and of the same epoch: the next start is to refuse what this one refused.
        logManager?.close({ brokerEpoch: logManager.lastBrokerEpoch });
      });
      if (logManager) requireMetadataDirectory(logManager, metadataDirectory);
      const metadataLock = lockMetadataDirectory(runtime, config);
      undo.push(() => metadataLock?.release());
      // Listening comes before the registrations, which name the real ports; requests wait until they can be served.
      const brokerGate = new Gate();
      const controllerGate = new Gate();
      const listeners = await NodeListeners.open({
        runtime: { ...runtime, logger: loggers.logger('network') },
        parsed,
        settings,
        metadata,
        onBrokerRequest: brokerGate.dispatch,
        onControllerRequest: controllerGate.dispatch,
        onRequestsTaken: brokerGate.requestsTaken,
      });
      undo.push(() => listeners.close());
      const quorum = await MetadataQuorum.open({
        runtime: { ...runtime, logger: loggers.logger('quorum') },
        directory: metadataDirectory,
        ...quorumConfig(parsed),
        directoryId,
        clusterId,
        wasCleanShutdown: logManager?.wasCleanShutdown ?? false,
        reachedOffset: logManager?.lastBrokerEpochIn(metadataDirectory) ?? -1,
        controllerEndpoints: listeners.advertised.controller,
        onFailure: fail,
      });
      undo.push(() => quorum.close());
      const node: NodeParts = { runtime, nodeId, clusterId, supportedFeatures, config: settings, loggers, metadata, quorum };
      let broker: BrokerRole | undefined;
      onParts?.(() => broker?.parts ?? node);
      const controller = isController(config)
        ? new ControllerRole({
            node,
            parsed,
            runtime: { ...runtime, logger: loggers.logger('controller') },
            hasRegisteredBroker: () => broker !== undefined && broker.brokerEpoch >= 0,
            onFatal: fail,
          })
        : undefined;
      undo.push(() => controller?.stop());
      const channels = openChannels(parsed, node, controller);
      undo.push(() => closeAll(channels));
      await quorum.subscribe({
        snapshot: ({ endOffset }) => metadata.load(endOffset - 1, (image) => controller?.controller.loaded(image)),
        batch: (batch) => {
          controller?.controller.heard(batch);
          metadata.apply(batch.records, batch.lastOffset);
        },
        leaderChanged: (leader) => {
          controller?.controller.leaderChanged(leader);
          for (const channel of Object.values(channels)) channel.leaderChanged();
        },
        toSnapshot: () => metadata.image.copy().records(),
      });
      if (controller) await unlessFailed(controller.controller.activation);
      logIdleConfigs(metadata, runtime.logger);
      if (controller) {
        controllerGate.open(controller.dispatcher);
        await unlessFailed(controller.register(channels.requests, randomUuid(runtime.random), listeners.advertised.controller));
      }
      if (logManager) {
        broker = new BrokerRole({
          node,
          parsed,
          channel: channels.requests,
          heartbeats: channels.heartbeats,
          logManager,
          incarnationId: randomUuid(runtime.random),
          listeners: listeners.advertised.broker,
          onFatal: end,
        });
        undo.push(() => broker?.close());
        undo.push(() => broker?.stop());
        await unlessFailed(broker.join(signal));
        brokerGate.open(broker.dispatcher);
      }
      runtime.logger.info('the node serves', {
        nodeId,
        clusterId,
        listeners: [...listeners.advertised.broker, ...listeners.advertised.controller].map(listenerText).join(','),
        directories: logDirectories(config).join(','),
        ms: Math.round(runtime.clock.monotonicMs() - beganMs),
      });
      return new BrokerServer({
        node,
        broker,
        controller,
        channels,
        logManager,
        listeners,
        metadataLock,
        failure: () => failure,
      });
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

  private constructor({ node, broker, controller, channels, logManager, listeners, metadataLock, failure }: Started) {
    this.#node = node;
    this.#broker = broker;
    this.#controller = controller;
    this.#channels = channels;
    this.#logManager = logManager;
    this.#listeners = listeners;
    this.#metadataLock = metadataLock;
    this.#failure = failure;
    this.#scheduleTasks();
  }

  /** Of the first listener, which is one for clients where there are any, with its real port. */
  get address(): Address {
    return (this.#listeners.broker[0] ?? this.#listeners.controller[0]!).address;
  }

  /** Of this incarnation's registration; -1 for a controller alone. */
  get brokerEpoch(): number {
    return this.#broker?.brokerEpoch ?? -1;
  }

  /** The epoch, which is the offset of the registration, that the metadata log of this node reaches: of this life, else of the one before. */
  get #heardOfEpoch(): number {
    if (this.brokerEpoch < 0) return this.#logManager?.lastBrokerEpoch ?? -1;
    return this.#node.metadata.appliedOffset >= this.brokerEpoch ? this.brokerEpoch : -1;
  }

  get clusterId(): string {
    return this.#node.clusterId;
  }

  /** For a simulator, which looks at them and changes nothing. */
  get parts(): ServerParts {
    return this.#broker?.parts ?? this.#node;
  }

  /**
   * Leaves the cluster, answers what is under way, and leaves the files as a clean start wants them. Who stops all nodes of a cluster gives
   * `allHandedOver`, which is waited for when this broker has left and its controller has not: so each broker hands over while there still is
   * a quorum, and then no controller waits for another to lead it.
   */
  stop(allHandedOver?: () => Promise<void>): Promise<void> {
    this.#stopping ??= this.#leaveAndClose(allHandedOver);
    return this.#stopping;
  }

  async #leaveAndClose(allHandedOver?: () => Promise<void>): Promise<void> {
    const { quorum, runtime } = this.#node;
    const hadFailed = this.#failure() !== undefined;
    await this.#broker?.leave();
    await this.#listeners.closeBroker(ANSWER_GRACE_MS);
    this.#taskTimer?.cancel();
    await this.#tasks;
    await this.#broker?.close();
    await allHandedOver?.();
    this.#controller?.stop();
    closeAll(this.#channels);
    try {
      await quorum.close({ handsOver: allHandedOver === undefined });
    } finally {
      await this.#listeners.close(ANSWER_GRACE_MS);
      this.#metadataLock?.release();
      await this.#logManager?.closeAhead();
      this.#logManager?.close({ brokerEpoch: this.#heardOfEpoch });
    }
    const failure = this.#failure();
    if (failure === undefined) runtime.logger.info('the node has stopped cleanly');
    else if (!hadFailed) throw failure;
  }

  #scheduleTasks(): void {
    const { runtime, quorum } = this.#node;
    this.#taskTimer = runtime.timers.after(TASK_INTERVAL_MS, () => {
      const nowMs = runtime.clock.nowMs();
      quorum.runTasks(nowMs);
      this.#tasks = (this.#broker?.runTasks(nowMs) ?? Promise.resolve())
        .catch((error: unknown) => {
          runtime.logger.error('periodic work on the logs failed', { error });
        })
        .then(() => {
          if (!this.#stopping) this.#scheduleTasks();
        });
    });
  }
}

/** One for what must not wait behind anything else, and one for all else. */
type Channels = { readonly heartbeats: NodeToControllerChannel; readonly requests: NodeToControllerChannel };

function openChannels({ config }: ParsedBrokerConfig, { runtime, nodeId, quorum }: NodeParts, local?: ControllerRole): Channels {
  const options = {
    runtime,
    nodeId,
    local,
    controller: () => quorum.leaderEndpoint(),
    search: () => quorum.search,
    requestTimeoutMs: config['controller.socket.timeout.ms'],
    connectTimeoutMs: config['socket.connection.setup.timeout.ms'],
  };
  return {
    heartbeats: new NodeToControllerChannel({ ...options, patienceMs: config['broker.session.timeout.ms'] / 2 }),
    requests: new NodeToControllerChannel({ ...options, patienceMs: requestPatienceMs }),
  };
}

function closeAll({ heartbeats, requests }: Channels): void {
  heartbeats.close();
  requests.close();
}

/** Requests that come before they can be served wait here. */
class Gate {
  readonly #opening = Promise.withResolvers<RequestDispatcher>();
  #dispatcher: RequestDispatcher | undefined;

  readonly dispatch: RequestHandler = (frame, connection, reply) => {
    if (this.#dispatcher) return this.#dispatcher.dispatch(frame, connection, reply);
    const kept = new Uint8Array(frame);
    void this.#opening.promise.then((dispatcher) => dispatcher.dispatchLate(kept, connection, reply));
    return REPLIES_LATER;
  };

  readonly requestsTaken = (): void => this.#dispatcher?.requestsTaken();

  open(dispatcher: RequestDispatcher): void {
    this.#dispatcher = dispatcher;
    this.#opening.resolve(dispatcher);
  }
}

function requireFormatted(runtime: Runtime, directory: string, config: BrokerConfig): { clusterId: string; directoryId: Uuid } {
  const nodeId = config['node.id'];
  const properties = readMetaProperties(runtime.files, directory);
  if (!properties?.directoryId) {
    const remedy = isOneOfSeveral(config)
      ? ' with the id of its cluster. A controller that has lost its directory joins anew, as docs/cluster.md says'
      : ', or start with --format';
    throw new KafkaError('LOG_DIR_NOT_FOUND', `${directory} is not formatted: run "ottla storage format"${remedy}`);
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

/** The log manager of a broker locks log.dirs; a directory for the metadata log alone is none of them. Throws IoError ELOCKED. */
function lockMetadataDirectory({ files }: Runtime, config: BrokerConfig): DirectoryLock | undefined {
  const directory = metadataLogDirectory(config);
  const isLocked = isBroker(config) && logDirectories(config).includes(directory);
  return isLocked ? undefined : lockDirectory(files, directory);
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
