import {
  BrokerHeartbeat,
  type BrokerHeartbeatResponse,
  BrokerRegistration,
  type BrokerRegistrationRequest,
  type Uuid,
} from '@ottla/protocol';
import { type Logger, sleep, type Timer, type Timers } from '@ottla/runtime';
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

const TELL_AGAIN_MS = 500;

/** By their ids. */
export type DirectoryStates = { readonly online: readonly Uuid[]; readonly cordoned: readonly Uuid[] };

/** How a broker joins the cluster, stays in it by heartbeats, and leaves it so that its leaderships move first. */
export class BrokerLifecycle {
  readonly #identity: BrokerIdentity;
  readonly #controller: ControllerChannel;
  readonly #metadata: ClusterMetadata;
  readonly #timers: Timers;
  readonly #logger: Logger;
  readonly #heartbeatIntervalMs: number;
  readonly #directories: () => DirectoryStates;
  #brokerEpoch = -1;
  #heartbeat: Timer | undefined;
  #stopped = false;

  constructor(options: {
    identity: BrokerIdentity;
    controller: ControllerChannel;
    metadata: ClusterMetadata;
    timers: Timers;
    logger: Logger;
    heartbeatIntervalMs: number;
    directories: () => DirectoryStates;
  }) {
    this.#identity = options.identity;
    this.#controller = options.controller;
    this.#metadata = options.metadata;
    this.#timers = options.timers;
    this.#logger = options.logger;
    this.#heartbeatIntervalMs = options.heartbeatIntervalMs;
    this.#directories = options.directories;
  }

  /** -1 before the registration. */
  get brokerEpoch(): number {
    return this.#brokerEpoch;
  }

  /** Rejects with DUPLICATE_BROKER_REGISTRATION, INCONSISTENT_CLUSTER_ID, UNSUPPORTED_VERSION … */
  async register(): Promise<void> {
    const { nodeId, clusterId, incarnationId, rack, listeners, features, logDirs, previousBrokerEpoch } = this.#identity;
    const request = {
      brokerId: nodeId,
      clusterId,
      incarnationId,
      listeners,
      features,
      rack,
      isMigratingZkBroker: false,
      logDirs,
      previousBrokerEpoch,
    };
    const { brokerEpoch } = await this.#controller.send(BrokerRegistration, request);
    this.#brokerEpoch = brokerEpoch;
  }

  /** Resolves when the cluster may send clients here; from then on heartbeats keep it so. */
  async unfence(): Promise<void> {
    const { isFenced } = await this.#beat({ wantShutDown: false });
    if (isFenced) await this.#beat({ wantShutDown: false });
    this.#schedule();
  }

  /**
   * What became of the log directories is told at once. Rejects when the controller has not heard it in time: it would go on sending clients
   * to replicas that are not there.
   */
  async tellDirectories(patienceMs: number): Promise<void> {
    if (this.#brokerEpoch < 0 || this.#stopped) return;
    const untold = Promise.withResolvers<never>();
    const late = (): void => untold.reject(new Error(`the controller has not heard of it in ${patienceMs} ms`));
    const timer = Number.isFinite(patienceMs) ? this.#timers.after(patienceMs, late) : undefined;
    try {
      await Promise.race([this.#beatUntilHeard(), untold.promise]);
    } finally {
      timer?.cancel();
    }
  }

  async #beatUntilHeard(): Promise<void> {
    while (!this.#stopped) {
      try {
        await this.#beat({ wantShutDown: false });
        return;
      } catch (error) {
        this.#logger.warn('the controller could not be told of the log directories: it is told again', { error });
        await sleep(this.#timers, TELL_AGAIN_MS);
      }
    }
  }

  /** Hands leaderships over and leaves. Resolves when the controller agrees, or after `patienceMs`. */
  async leave(patienceMs: number): Promise<void> {
    this.fallSilent();
    if (this.#brokerEpoch < 0) return;
    const givesUp = new Promise<'late'>((resolve) => {
      this.#heartbeat = this.#timers.after(patienceMs, () => resolve('late'));
    });
    const outcome = await Promise.race([this.#handOver(), givesUp]);
    this.#heartbeat?.cancel();
    if (outcome === 'late')
      this.#logger.warn('stopping although leaderships have not all moved: nobody else can take them', { patienceMs });
  }

  /** Stops without a word: the controller notices when the session ends. */
  fallSilent(): void {
    this.#stopped = true;
    this.#heartbeat?.cancel();
  }

  async #handOver(): Promise<'done'> {
    for (let isLastTry = false; ; isLastTry = true) {
      const { shouldShutDown } = await this.#beat({ wantShutDown: true });
      if (shouldShutDown || isLastTry) return 'done';
    }
  }

  #beat({ wantShutDown }: { wantShutDown: boolean }): Promise<BrokerHeartbeatResponse> {
    const { online, cordoned } = this.#directories();
    const request = {
      brokerId: this.#identity.nodeId,
      brokerEpoch: this.#brokerEpoch,
      currentMetadataOffset: this.#metadata.appliedOffset,
      wantFence: false,
      wantShutDown,
      offlineLogDirs: this.#identity.logDirs.filter((id) => !online.includes(id)),
      cordonedLogDirs: [...cordoned],
    };
    return this.#controller.send(BrokerHeartbeat, request);
  }

  #schedule(): void {
    if (this.#stopped) return;
    this.#heartbeat = this.#timers.after(this.#heartbeatIntervalMs, () => {
      this.#beat({ wantShutDown: false })
        .catch((error: unknown) => this.#logger.warn('a heartbeat to the controller failed', { error }))
        .finally(() => this.#schedule());
    });
  }
}
