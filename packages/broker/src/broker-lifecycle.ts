import { directoryAssignmentSince, metadataVersionFeature } from '@ottla/metadata';
import {
  BrokerHeartbeat,
  type BrokerHeartbeatResponse,
  BrokerRegistration,
  type BrokerRegistrationRequest,
  type ErrorName,
  KafkaError,
  type Uuid,
} from '@ottla/protocol';
import { type Clock, type Logger, sleep, type Timer, type Timers } from '@ottla/runtime';
import type { ClusterMetadata } from './cluster-metadata.ts';
import type { ControllerChannel } from './controller/controller-channel.ts';

export type BrokerIdentity = {
  readonly nodeId: number;
  readonly clusterId: string;
  readonly incarnationId: Uuid;
  readonly rack: string | null;
  readonly listeners: BrokerRegistrationRequest['listeners'];
  readonly features: BrokerRegistrationRequest['features'];
  readonly logDirs: Uuid[];
  /** Of the clean stop before, or -1. */
  readonly previousBrokerEpoch: number;
};

/** By their ids. */
export type DirectoryStates = { readonly online: readonly Uuid[]; readonly cordoned: readonly Uuid[] };

export type BrokerLifecycleOptions = {
  readonly identity: BrokerIdentity;
  readonly controller: ControllerChannel;
  readonly metadata: ClusterMetadata;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly logger: Logger;
  readonly heartbeatIntervalMs: number;
  /** initial.broker.registration.timeout.ms */
  readonly registrationTimeoutMs: number;
  readonly directories: () => DirectoryStates;
};

const TELL_AGAIN_MS = 500;
const FIRST_RETRY_MS = 100;
const LONGEST_REGISTRATION_RETRY_MS = 1_000;
const HAND_OVER_POLL_MS = 50;
/** A controlled shutdown goes on without the controller when it has not answered for so long, and for no longer than this in all. */
const SILENCE_PATIENCE_MS = 5_000;
const HAND_OVER_PATIENCE_MS = 300_000;

/** Of a registration: they may pass. A former incarnation of this broker may still have its session. */
const passing: ReadonlySet<ErrorName> = new Set([
  'DUPLICATE_BROKER_REGISTRATION',
  'NETWORK_EXCEPTION',
  'NOT_CONTROLLER',
  'REQUEST_TIMED_OUT',
  'UNKNOWN_SERVER_ERROR',
]);

/** The answer to a registration has room for a code only. */
function explained(error: unknown, nodeId: number): unknown {
  if (!(error instanceof KafkaError)) return error;
  const remedy = remedies[error.name];
  return remedy === undefined ? error : new KafkaError(error.name, `${error.message}: ${remedy(nodeId)}`, { cause: error });
}

const remedies: Partial<Record<ErrorName, (nodeId: number) => string>> = {
  DUPLICATE_BROKER_REGISTRATION: (nodeId) =>
    `another process with node.id=${nodeId} is up, or was a moment ago: stop it, or give this node an id and directories of its own`,
  INVALID_REGISTRATION: () =>
    'the log of the active controller says why. Where the log directories are those of another broker, as after they were copied, format empty ones for this node',
};

/** Rejects with the signal's reason. */
function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort);
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}

/** How a broker joins the cluster, stays in it by heartbeats, and leaves it so that its leaderships move first. */
export class BrokerLifecycle {
  readonly #options: BrokerLifecycleOptions;
  #brokerEpoch = -1;
  #isReady = false;
  #heartbeat: Timer | undefined;
  #failuresInRow = 0;
  #stopped = false;

  constructor(options: BrokerLifecycleOptions) {
    this.#options = options;
  }

  /** -1 before the registration. */
  get brokerEpoch(): number {
    return this.#brokerEpoch;
  }

  /**
   * Resolves when this broker's metadata has its registration. Until it is to be unfenced, heartbeats only say that it lives. Rejects with
   * INCONSISTENT_CLUSTER_ID, INVALID_REGISTRATION, UNSUPPORTED_VERSION … and, after initial.broker.registration.timeout.ms, with whatever was in
   * the way last.
   */
  async register(signal?: AbortSignal): Promise<void> {
    const { clock, timers, logger, metadata, registrationTimeoutMs, identity } = this.#options;
    const deadlineMs = clock.monotonicMs() + registrationTimeoutMs;
    for (let retryMs = FIRST_RETRY_MS; ; retryMs = Math.min(retryMs * 2, LONGEST_REGISTRATION_RETRY_MS)) {
      try {
        this.#brokerEpoch = await unlessAborted(this.#registered(), signal);
        break;
      } catch (error) {
        signal?.throwIfAborted();
        const mayPass = error instanceof KafkaError && passing.has(error.name);
        if (!mayPass || this.#stopped || clock.monotonicMs() + retryMs > deadlineMs) throw explained(error, identity.nodeId);
        logger.info('this broker is not registered yet', { reason: error.message });
      }
      await sleep(timers, retryMs);
    }
    this.#schedule(this.#options.heartbeatIntervalMs);
    metadata.onChange(({ brokers, features }) => {
      if (features.has(metadataVersionFeature) || brokers.has(identity.nodeId)) this.#tellDirectoriesIfUnknown();
    });
    await metadata.until(({ brokers }) => brokers.get(identity.nodeId)?.epoch === this.#brokerEpoch, signal);
  }

  /** A cluster that was too old to know of log directories when this broker registered has been upgraded since. */
  #tellDirectoriesIfUnknown(): void {
    const { metadata, identity, logger } = this.#options;
    const registration = metadata.image.brokers.get(identity.nodeId);
    const { level } = metadata.image.features.metadataVersion;
    if (this.#stopped || registration?.epoch !== this.#brokerEpoch || registration.directories.length > 0) return;
    if (level < directoryAssignmentSince || identity.logDirs.length === 0) return;
    this.#registered().catch((error: unknown) =>
      logger.warn('this broker could not tell the cluster its log directories', { error }),
    );
  }

  async #registered(): Promise<number> {
    const { nodeId: brokerId, ...identity } = this.#options.identity;
    const request = { brokerId, ...identity, isMigratingZkBroker: false };
    const { brokerEpoch } = await this.#options.controller.send(BrokerRegistration, request);
    return brokerEpoch;
  }

  /** Resolves when the cluster may send clients here; heartbeats keep it so. */
  async unfence(signal?: AbortSignal): Promise<void> {
    this.#isReady = true;
    for (let tries = 1; !this.#stopped; tries++) {
      signal?.throwIfAborted();
      try {
        if (!(await this.#beat()).isFenced) return;
      } catch (error) {
        this.#options.logger.warn('a heartbeat to the controller failed', { error });
      }
      if (tries > 1) await sleep(this.#options.timers, FIRST_RETRY_MS);
    }
  }

  /**
   * What became of the log directories is told at once. Rejects when the controller has not heard it in time: it would go on sending clients
   * to replicas that are not there.
   */
  async tellDirectories(patienceMs: number): Promise<void> {
    if (this.#brokerEpoch < 0 || this.#stopped) return;
    const untold = Promise.withResolvers<never>();
    const late = (): void => untold.reject(new Error(`the controller has not heard of it in ${patienceMs} ms`));
    const timer = Number.isFinite(patienceMs) ? this.#options.timers.after(patienceMs, late) : undefined;
    try {
      await Promise.race([this.#beatUntilHeard(), untold.promise]);
    } finally {
      timer?.cancel();
    }
  }

  async #beatUntilHeard(): Promise<void> {
    while (!this.#stopped) {
      try {
        await this.#beat();
        return;
      } catch (error) {
        this.#options.logger.warn('the controller could not be told of the log directories: it is told again', { error });
        await sleep(this.#options.timers, TELL_AGAIN_MS);
      }
    }
  }

  /** Hands leaderships over and leaves. Resolves when the controller agrees, or when waiting for that makes no sense any more. */
  async leave(): Promise<void> {
    this.fallSilent();
    if (this.#brokerEpoch < 0) return;
    const { clock, timers, logger } = this.#options;
    const beganMs = clock.monotonicMs();
    let heardMs = beganMs;
    for (let tries = 1; ; tries++) {
      try {
        const { shouldShutDown } = await this.#beat({ wantShutDown: true, timeoutMs: SILENCE_PATIENCE_MS });
        heardMs = clock.monotonicMs();
        if (shouldShutDown) return;
        // Nobody is there who could take anything over.
        if (tries > 1 && !this.#hasCompany) return;
      } catch (error) {
        if (error instanceof KafkaError && (error.name === 'STALE_BROKER_EPOCH' || error.name === 'BROKER_ID_NOT_REGISTERED'))
          throw error;
        logger.info('the controller did not answer that this broker wants to shut down', { error });
      }
      const nowMs = clock.monotonicMs();
      if (nowMs - heardMs >= SILENCE_PATIENCE_MS || nowMs - beganMs >= HAND_OVER_PATIENCE_MS) {
        logger.warn('stopping although leaderships may not all have moved', { waitedMs: nowMs - beganMs });
        return;
      }
      if (tries > 1) await sleep(timers, HAND_OVER_POLL_MS);
    }
  }

  get #hasCompany(): boolean {
    const { metadata, identity } = this.#options;
    for (const { id, fenced, inControlledShutdown } of metadata.image.brokers.values())
      if (id !== identity.nodeId && !fenced && !inControlledShutdown) return true;
    return false;
  }

  /** Stops without a word: the controller notices when the session ends. */
  fallSilent(): void {
    this.#stopped = true;
    this.#heartbeat?.cancel();
  }

  #beat({
    wantShutDown = false,
    timeoutMs,
  }: {
    wantShutDown?: boolean;
    timeoutMs?: number;
  } = {}): Promise<BrokerHeartbeatResponse> {
    const { identity, metadata, controller, directories } = this.#options;
    const { online, cordoned } = directories();
    const request = {
      brokerId: identity.nodeId,
      brokerEpoch: this.#brokerEpoch,
      currentMetadataOffset: metadata.appliedOffset,
      wantFence: !this.#isReady,
      wantShutDown,
      offlineLogDirs: identity.logDirs.filter((id) => !online.includes(id)),
      cordonedLogDirs: [...cordoned],
    };
    return controller.send(BrokerHeartbeat, request, timeoutMs === undefined ? {} : { timeoutMs });
  }

  #schedule(afterMs: number): void {
    if (this.#stopped) return;
    const { timers, logger, heartbeatIntervalMs } = this.#options;
    this.#heartbeat = timers.after(afterMs, () => {
      this.#beat().then(
        () => {
          this.#failuresInRow = 0;
          this.#schedule(heartbeatIntervalMs);
        },
        (error: unknown) => {
          logger.warn('a heartbeat to the controller failed', { error });
          this.#schedule(Math.min(FIRST_RETRY_MS * 2 ** Math.min(this.#failuresInRow++, 10), heartbeatIntervalMs));
        },
      );
    });
  }
}
