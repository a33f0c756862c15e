import { isActive, type MetadataImage, metadataVersion } from '@ottla/metadata';
import { AlterPartition, type AlterPartitionRequest } from '@ottla/protocol';
import type { Runtime, Timer } from '@ottla/runtime';
import type { BrokerSettings } from '../broker-settings.ts';
import type { ClusterMetadata } from '../cluster-metadata.ts';
import type { ControllerChannel } from '../controller/controller-channel.ts';
import { Peer } from '../peers/index.ts';
import { AlterPartitionManager } from './alter-partition-manager.ts';
import type { Partition, ReplicationContext } from './partition.ts';
import type { Partitions } from './partitions.ts';
import { type ReplicaView, rackAwareSelector, selectInRack } from './rack-aware-replica-selector.ts';
import type { ReplicaFetcherOptions } from './replica-fetcher.ts';
import { ReplicaFetchers } from './replica-fetchers.ts';
import { ReplicationQuota } from './replication-quota.ts';

export type ReplicationOptions = {
  readonly brokerId: number;
  readonly brokerEpoch: () => number;
  /** inter.broker.listener.name, or what stands for it. */
  readonly interBrokerListener: string;
  readonly settings: BrokerSettings;
  readonly metadata: ClusterMetadata;
  readonly channel: Pick<ControllerChannel, 'send'>;
  readonly partitions: Partitions;
  readonly onTruncated: (partition: Partition, offset: number) => void;
  readonly runtime: Runtime;
};

/** What the replicas on this broker have to do with those on others: whom they follow, who follows them, and what that may cost. */
export class Replication {
  readonly #options: ReplicationOptions;
  readonly #alterations: AlterPartitionManager;
  readonly #fetchers: ReplicaFetchers;
  readonly #leaderQuota: ReplicationQuota;
  readonly #followerQuota: ReplicationQuota;
  /** What a Partition is given to know of all this. */
  readonly context: ReplicationContext;
  #shrinking: Timer | undefined;

  constructor(options: ReplicationOptions) {
    const { brokerId, brokerEpoch, settings, metadata, channel, runtime } = options;
    const { clock, timers, logger } = runtime;
    this.#options = options;
    this.#alterations = new AlterPartitionManager({
      brokerId,
      brokerEpoch,
      send: (request) => channel.send(AlterPartition, request as AlterPartitionRequest),
      timers,
      logger,
    });
    this.#leaderQuota = this.#quota('leader.replication.throttled.rate', 'leader.replication.throttled.replicas');
    this.#followerQuota = this.#quota('follower.replication.throttled.rate', 'follower.replication.throttled.replicas');
    this.#fetchers = new ReplicaFetchers({
      fetchersPerLeader: () => settings.get('num.replica.fetchers'),
      create: (leaderId, fetcherId) => this.#fetcherOptions(leaderId, fetcherId),
    });
    const maxLagMs = settings.get('replica.lag.time.max.ms');
    this.context = {
      maxLagMs,
      monotonicMs: () => clock.monotonicMs(),
      minInsyncReplicas: (topic) => settings.topic(topic)['min.insync.replicas'],
      activeBrokerEpoch: (id) => {
        const broker = metadata.image.brokers.get(id);
        return isActive(broker) ? broker!.epoch : undefined;
      },
      isAlive: (id) => metadata.image.brokers.get(id)?.fenced === false,
      alterPartition: this.#alterations.submit,
      onDamaged: ({ topic, index, log }, offset, error) =>
        logger.error('a batch in the log of a leader is damaged, and its followers do not take it: let an intact replica lead', {
          topic,
          partition: index,
          offset,
          directory: log.directory,
          error,
        }),
    };
    settings.onChange(() => this.#fetchers.resize());
  }

  /** From now on those are looked for who should leave an isr. */
  start(): void {
    const { partitions, runtime } = this.#options;
    this.#shrinking = runtime.timers.after(this.context.maxLagMs / 2, () => {
      const nowMs = runtime.clock.monotonicMs();
      for (const partition of partitions) if (partition.leading) partition.shrinkIsr(nowMs);
      this.start();
    });
  }

  /** The partition has taken over what the metadata log says: it is fetched from its leader, if that is another broker. */
  follow(partition: Partition): void {
    if (partition.isLeader || partition.leader < 0) this.#fetchers.unfollow(partition);
    else this.#fetchers.follow(partition);
  }

  /** The replica is gone, or its directory. */
  unfollow(partition: Partition): void {
    this.#fetchers.unfollow(partition);
  }

  /** Whether partitions have to wait that a broker fetches which is not in sync. Undefined: none. */
  leaderThrottle(replicaId: number): ((partition: Partition) => boolean) | undefined {
    if (!this.#leaderQuota.isActive) return undefined;
    return (partition) => !partition.isr.includes(replicaId) && this.#leaderQuota.isExceededBy(partition);
  }

  /** So much was sent to a follower. */
  onSent({ topic, index }: { readonly topic: string | undefined; readonly index: number }, bytes: number): void {
    if (topic !== undefined) this.#leaderQuota.record({ topic, index }, bytes);
  }

  /** Where a consumer of a rack had better read; undefined: at the leader, always. */
  selectorFor(
    rackId: string,
    listenerName: string,
  ): ((partition: Partition, fetchOffset: number) => number | undefined) | undefined {
    const { settings, brokerId, metadata } = this.#options;
    if (rackId === '' || settings.get('replica.selector.class') !== rackAwareSelector) return undefined;
    const rackOf = (id: number): string | null | undefined => metadata.endpointOf(id, listenerName)?.rack;
    return (partition, fetchOffset) => {
      const { leading, log, isr } = partition;
      if (!leading) return undefined;
      const leader = { brokerId, rack: rackOf(brokerId) ?? null, logEndOffset: log.logEndOffset, lastCaughtUpMs: 0 };
      const views: ReplicaView[] = [];
      for (const { brokerId: id, logStartOffset, logEndOffset, lastCaughtUpMs } of leading.others) {
        const rack = rackOf(id);
        // One that lags may lag on, and its reader with it.
        if (rack === undefined || !isr.includes(id) || logEndOffset < fetchOffset || logStartOffset > fetchOffset) continue;
        views.push({ brokerId: id, rack, logEndOffset, lastCaughtUpMs });
      }
      return selectInRack(rackId, leader, views);
    };
  }

  stop(): void {
    this.#shrinking?.cancel();
    this.#alterations.stop();
    this.#fetchers.close();
  }

  #quota(
    rate: 'leader.replication.throttled.rate' | 'follower.replication.throttled.rate',
    replicas: 'leader.replication.throttled.replicas' | 'follower.replication.throttled.replicas',
  ): ReplicationQuota {
    const { settings, brokerId, runtime } = this.#options;
    let bytesPerSecond = settings.replicationRate(rate);
    settings.onChange(() => {
      bytesPerSecond = settings.replicationRate(rate);
    });
    return new ReplicationQuota({
      bytesPerSecond: () => bytesPerSecond,
      throttledReplicas: (topic) => settings.topic(topic)[replicas],
      brokerId,
      windows: {
        samples: settings.get('replication.quota.window.num'),
        windowMs: settings.get('replication.quota.window.size.seconds') * 1000,
      },
      clock: runtime.clock,
    });
  }

  #fetcherOptions(leaderId: number, fetcherId: number): ReplicaFetcherOptions {
    const { brokerId, brokerEpoch, interBrokerListener, settings, metadata, onTruncated, runtime } = this.#options;
    return {
      brokerId,
      brokerEpoch,
      leaderId,
      addressOf: () => endpointOf(metadata.image, leaderId, interBrokerListener),
      connect: (address) =>
        new Peer({
          runtime,
          address,
          clientId: `broker-${brokerId}-fetcher-${fetcherId}`,
          requestTimeoutMs: settings.get('replica.socket.timeout.ms'),
          maxResponseBytes: 0x7fff_ffff,
        }),
      config: {
        maxBytesOfPartition: settings.get('replica.fetch.max.bytes'),
        maxBytesOfAnswer: settings.get('replica.fetch.response.max.bytes'),
        minBytes: settings.get('replica.fetch.min.bytes'),
        maxWaitMs: settings.get('replica.fetch.wait.max.ms'),
        backoffMs: settings.get('replica.fetch.backoff.ms'),
        requestTimeoutMs: settings.get('replica.socket.timeout.ms'),
      },
      versions: () => {
        const { fetchVersion, listOffsetsVersion } = metadataVersion(metadata.image.features.metadataVersion.level);
        return { fetch: fetchVersion, listOffsets: listOffsetsVersion };
      },
      throttle: this.#followerThrottle,
      onTruncated,
      clock: runtime.clock,
      timers: runtime.timers,
      logger: runtime.logger,
    };
  }

  get #followerThrottle(): ReplicaFetcherOptions['throttle'] {
    const quota = this.#followerQuota;
    return {
      get isActive() {
        return quota.isActive;
      },
      isThrottled: (partition) => quota.isExceededBy(partition),
      onFetched: (partition, bytes) => quota.record(partition, bytes),
    };
  }
}

/** Of a fenced broker too: it may still lead, and is fenced because it has just begun. */
function endpointOf(image: MetadataImage, brokerId: number, listenerName: string): { host: string; port: number } | undefined {
  return image.brokers.get(brokerId)?.endpoints.find(({ name }) => name === listenerName);
}
