import {
  type BrokerRegistration,
  directoryOf,
  imageDifference,
  isActive,
  isOnlineDirectory,
  MetadataDelta,
  MetadataImage,
  type PartitionState,
} from '@ottla/metadata';
import { KafkaError, type MetadataRecord, type Uuid } from '@ottla/protocol';
import type { SnapshotListener } from './quorum/index.ts';

export type BrokerEndpoint = {
  readonly nodeId: number;
  readonly host: string;
  readonly port: number;
  readonly rack: string | null;
};

export type DescribedPartition = {
  readonly index: number;
  readonly errorCode: number;
  readonly leader: number;
  readonly leaderEpoch: number;
  readonly replicas: readonly number[];
  readonly isr: readonly number[];
  readonly elr: readonly number[];
  readonly lastKnownElr: readonly number[];
  readonly offlineReplicas: readonly number[];
};

export type DescribedTopic = { readonly topicId: Uuid; readonly partitions: readonly DescribedPartition[] };

/** Told what a stretch of committed records changed, after the image has them. */
export type MetadataListener = (delta: MetadataDelta, image: MetadataImage) => void;

const NO_LEADER = -1;
const LEADER_NOT_AVAILABLE = new KafkaError('LEADER_NOT_AVAILABLE').code;
const LISTENER_NOT_FOUND = new KafkaError('LISTENER_NOT_FOUND').code;

/** The committed metadata as this broker knows it, and the questions that handlers ask of it. */
export class ClusterMetadata {
  #image = new MetadataImage();
  #appliedOffset = -1;
  readonly #listeners: MetadataListener[] = [];
  readonly #waiters: { offset: number; resolve: () => void }[] = [];

  get image(): MetadataImage {
    return this.#image;
  }

  /** The offset of the last record in the image. */
  get appliedOffset(): number {
    return this.#appliedOffset;
  }

  onChange(listener: MetadataListener): void {
    this.#listeners.push(listener);
  }

  apply(records: readonly MetadataRecord[], lastOffset: number): void {
    const delta = new MetadataDelta();
    for (const record of records) this.#image.replay(record, lastOffset, delta);
    this.#publish(delta, lastOffset);
  }

  /**
   * Starts again from a snapshot, which stands for everything up to `lastOffset`, when its last record has come. `end` is told the new image
   * before the listeners hear of what is different, and of what is gone.
   */
  load(lastOffset: number, end: (image: MetadataImage) => void): SnapshotListener {
    const image = new MetadataImage();
    return {
      records: (slice) => {
        for (const record of slice) image.replay(record, lastOffset);
      },
      end: () => {
        const before = this.#image;
        end(image);
        this.#image = image;
        this.#publish(imageDifference(before, image), lastOffset);
      },
    };
  }

  /** Resolves when everything up to `offset` has been applied, listeners included. */
  whenApplied(offset: number): Promise<void> {
    if (this.#appliedOffset >= offset) return Promise.resolve();
    return new Promise((resolve) => this.#waiters.push({ offset, resolve }));
  }

  /** Resolves when the image is such. Rejects with the signal's reason. */
  until(isSuch: (image: MetadataImage) => boolean, signal?: AbortSignal): Promise<void> {
    if (isSuch(this.#image)) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        this.#listeners.splice(this.#listeners.indexOf(look), 1);
        signal?.removeEventListener('abort', abort);
      };
      const look = (): void => {
        if (!isSuch(this.#image)) return;
        settle();
        resolve();
      };
      const abort = (): void => {
        settle();
        reject(signal!.reason);
      };
      this.#listeners.push(look);
      signal?.addEventListener('abort', abort);
    });
  }

  #publish(delta: MetadataDelta, lastOffset: number): void {
    this.#appliedOffset = lastOffset;
    // Whoever is told may stop listening.
    if (!delta.isEmpty) for (const listener of [...this.#listeners]) listener(delta, this.#image);
    for (let index = this.#waiters.length - 1; index >= 0; index--) {
      if (this.#waiters[index]!.offset <= lastOffset) this.#waiters.splice(index, 1)[0]!.resolve();
    }
  }

  hasTopic(name: string): boolean {
    return this.#image.topics.byName(name) !== undefined;
  }

  hasPartition(topic: string, index: number): boolean {
    return this.leaderOf(topic, index) !== undefined;
  }

  topicName(topicId: Uuid): string | undefined {
    return this.#image.topics.byId(topicId)?.name;
  }

  topicId(name: string): Uuid | undefined {
    return this.#image.topics.byName(name)?.id;
  }

  partitionCount(topic: string): number | undefined {
    return this.#image.topics.byName(topic)?.partitionCount;
  }

  *topicNames(): Generator<string> {
    for (const { name } of this.#image.topics) yield name;
  }

  /** -1: the partition has no leader; undefined: there is no such partition. */
  leaderOf(topic: string, index: number): number | undefined {
    return this.#image.topics.byName(topic)?.leader(index);
  }

  /** Clients send what is meant for the controller to any broker, so each says that it is one itself or some live one (KIP-590). */
  controllerIdForClients(): number {
    for (const broker of this.#image.brokers.values()) if (isActive(broker)) return broker.id;
    return -1;
  }

  /** Live brokers (and fenced ones on request) that have the listener; any listener without a name. */
  brokers(listenerName: string | undefined, { fenced }: { fenced: boolean }): (BrokerEndpoint & { isFenced: boolean })[] {
    return [...this.#image.brokers.values()].flatMap((broker) => {
      if (broker.fenced && !fenced) return [];
      const endpoint =
        listenerName === undefined ? broker.endpoints[0] : broker.endpoints.find(({ name }) => name === listenerName);
      return endpoint
        ? [{ nodeId: broker.id, host: endpoint.host, port: endpoint.port, rack: broker.rack, isFenced: broker.fenced }]
        : [];
    });
  }

  endpointOf(brokerId: number, listenerName: string): BrokerEndpoint | undefined {
    const broker = this.#image.brokers.get(brokerId);
    const endpoint = broker?.fenced === false ? broker.endpoints.find(({ name }) => name === listenerName) : undefined;
    return endpoint && { nodeId: brokerId, host: endpoint.host, port: endpoint.port, rack: broker?.rack ?? null };
  }

  describeTopic(name: string, listenerName: string): DescribedTopic | undefined {
    const topic = this.#image.topics.byName(name);
    if (!topic) return undefined;
    const partitions = [...topic.partitions()].map(([index, partition]) =>
      this.#describePartition(index, partition, listenerName),
    );
    return { topicId: topic.id, partitions };
  }

  #describePartition(index: number, partition: PartitionState, listenerName: string): DescribedPartition {
    const { leader, leaderEpoch, replicas, isr, elr, lastKnownElr } = partition;
    const reachable = this.endpointOf(leader, listenerName) !== undefined;
    const alive = isAlive(this.#image.brokers.get(leader));
    return {
      index,
      errorCode: reachable ? 0 : alive ? LISTENER_NOT_FOUND : LEADER_NOT_AVAILABLE,
      leader: reachable ? leader : NO_LEADER,
      leaderEpoch,
      replicas,
      isr,
      elr,
      lastKnownElr,
      offlineReplicas: replicas.filter((replica) => !this.#isReachable(partition, replica)),
    };
  }

  /** Its broker lives, and its log directory is online (KIP-858). */
  #isReachable(partition: PartitionState, replica: number): boolean {
    const broker = this.#image.brokers.get(replica);
    return isAlive(broker) && isOnlineDirectory(directoryOf(partition, replica)!, broker!.directories);
  }

  /** Names of groups or client metrics subscriptions that have configs. */
  configuredResources(type: number): string[] {
    return [...this.#image.configs].filter((resource) => resource.type === type).map(({ name }) => name);
  }
}

function isAlive(broker: BrokerRegistration | undefined): boolean {
  return broker?.fenced === false;
}
