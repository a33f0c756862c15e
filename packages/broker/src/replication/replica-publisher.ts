import {
  directoryAssignmentSince,
  directoryOf,
  isReservedDirectory,
  lostDirectory,
  type MetadataDelta,
  type MetadataImage,
  type PartitionState,
  type TopicChange,
} from '@ottla/metadata';
import type { Uuid } from '@ottla/protocol';
import { type Clock, IoError, type Logger, type Timers } from '@ottla/runtime';
import { diskFaultOf, type Log, type LogManager } from '@ottla/storage';
import type { BrokerSettings } from '../broker-settings.ts';
import type { DirectoryAssignments } from './directory-assignments.ts';
import { Partition } from './partition.ts';
import type { Partitions } from './partitions.ts';
import type { ReplicaMoves } from './replica-moves.ts';
import type { Replication } from './replication.ts';

/** Who wants to know when this broker begins or ceases to lead a partition. */
export type LeadershipListener = {
  /** Also for each epoch in which it leads on: `leadsOn` when it has led in the one before, so that the log is as it was. */
  elected(partition: Partition, leadsOn: boolean): void;
  resigned(topic: string, index: number): void;
  topicsDeleted(topics: readonly { readonly name: string; readonly topicId: string }[]): void;
};

/** New replicas opened in one go: each costs a directory and its files. */
const openedAtOnce = 64;
/** Once they took so long, the others wait for the next slice. */
const openingSliceMs = 10;
/** How often replicas are tried again for which there was no room. */
const retryMs = 1_000;

/**
 * Makes the replicas on this broker what the metadata log says they are. Of very many new ones the first are there at once and the others
 * follow in slices, with everybody else served in between; until then they answer as in a cluster whose broker has not heard of them yet.
 */
export class ReplicaPublisher {
  readonly #brokerId: number;
  readonly #logManager: LogManager;
  readonly #partitions: Partitions;
  readonly #settings: BrokerSettings;
  readonly #leadership: LeadershipListener;
  readonly #logger: Logger;
  readonly #timers: Timers;
  readonly #assignments: DirectoryAssignments;
  readonly #moves: ReplicaMoves;
  readonly #replication: Replication;
  readonly #clock: Clock;
  /** Replicas to open, by topic id and partition number; what the metadata says of them is looked up in its turn. */
  readonly #toOpen = new Set<{ readonly topicId: string; readonly index: number }>();
  /** Replicas for which the disk had no room. */
  readonly #toRetry = new Set<{ readonly topicId: string; readonly index: number }>();
  #image: MetadataImage | undefined;
  #isStarting = false;
  #isRetrying = false;

  constructor(options: {
    brokerId: number;
    logManager: LogManager;
    partitions: Partitions;
    settings: BrokerSettings;
    leadership: LeadershipListener;
    logger: Logger;
    timers: Timers;
    assignments: DirectoryAssignments;
    moves: ReplicaMoves;
    replication: Replication;
    clock: Clock;
  }) {
    this.#brokerId = options.brokerId;
    this.#logManager = options.logManager;
    this.#partitions = options.partitions;
    this.#settings = options.settings;
    this.#leadership = options.leadership;
    this.#logger = options.logger;
    this.#timers = options.timers;
    this.#assignments = options.assignments;
    this.#moves = options.moves;
    this.#replication = options.replication;
    this.#clock = options.clock;
    this.#settings.onChange(() => {
      for (const log of [...this.#logManager.logs, ...this.#logManager.futures]) log.updateConfig(this.#settings.log(log.topic));
    });
  }

  /** At start: everything there is. */
  publishAll(image: MetadataImage): void {
    this.#image = image;
    this.#isStarting = true;
    this.#moves.finishInterrupted(image);
    this.#setStraysAside(image);
    for (const topic of image.topics) this.#updatePartitions(topic.id, topic.partitionIndexes(), image);
    this.#isStarting = false;
    this.#moves.resumeAll();
  }

  /** Logs that are no replica of this broker keep their data, for an operator to look at, but not the place, as in Kafka. */
  #setStraysAside(image: MetadataImage): void {
    for (const log of this.#logManager.logs) {
      if (this.#isReplica(log, image)) continue;
      const { topic, partition, topicId } = log;
      this.#logger.warn('a log on disk is no replica of this broker: it is set aside as a stray', { topic, partition, topicId });
      this.#onDisk(() => this.#logManager.markStray(topic, partition, { durably: false }));
    }
    this.#onDisk(() => this.#logManager.syncDirectories());
  }

  /** A directory that fails meanwhile is not in the way of the others. */
  #onDisk(action: () => void): void {
    try {
      action();
    } catch (error) {
      if (!this.#logManager.onDiskError(error)) throw error;
    }
  }

  /** What does not say whose it is was never flushed; it may be of an earlier topic of its name, unless there is nothing in it. */
  #isReplica({ topic, partition, topicId, sizeBytes }: Log, image: MetadataImage): boolean {
    const { topics } = image;
    const owner = topicId !== undefined ? topics.byId(topicId) : sizeBytes === 0 ? topics.byName(topic) : undefined;
    return owner?.name === topic && owner.partition(partition)?.replicas.includes(this.#brokerId) === true;
  }

  /** These logs are closed: nobody can be served from them before the next start. */
  takeOffline(logs: Iterable<{ readonly topic: string; readonly partition: number }>): void {
    for (const { topic, partition: index } of logs) {
      const partition = this.#partitions.get(topic, index);
      if (!partition) continue;
      if (partition.isLeader) this.#leadership.resigned(topic, index);
      this.#partitions.markOffline(partition);
      this.#replication.unfollow(partition);
      partition.resign();
      this.#logger.warn('a replica is offline with its log directory', { topic, partition: index });
    }
  }

  /** A metadata listener: must come after the settings', whose values it uses. */
  publish(delta: MetadataDelta, image: MetadataImage): void {
    this.#image = image;
    let openNow = openedAtOnce;
    for (const change of delta.topics.values()) {
      if (change.deleted) this.#delete(change);
      else openNow -= this.#updatePartitions(change.id, change.partitions, image, openNow);
    }
    this.#syncDeletions();
    const { deletedTopics } = delta;
    if (deletedTopics.length > 0) this.#leadership.topicsDeleted(deletedTopics.map(({ name, id }) => ({ name, topicId: id })));
    for (const { type, name } of delta.configs.values()) {
      if (type !== TOPIC_RESOURCE) continue;
      this.#logManager.updateConfig(name, this.#settings.log(name));
    }
  }

  /** Opens up to `openNow` new replicas and leaves the others for later. Returns how many it opened. */
  #updatePartitions(
    topicId: string,
    indexes: Iterable<number>,
    image: MetadataImage,
    openNow = Number.POSITIVE_INFINITY,
  ): number {
    const topic = image.topics.byId(topicId);
    if (!topic) return 0;
    let opened = 0;
    for (const index of indexes) {
      const state = topic.partition(index);
      if (!state?.replicas.includes(this.#brokerId)) {
        this.#giveUp(topic.name, index);
        continue;
      }
      let partition = this.#partitions.get(topic.name, index);
      if (!partition) {
        if (this.#partitions.isOffline(topic.name, index) && !this.#isRetrying) continue;
        if (opened >= openNow) {
          this.#openLater(topicId, index);
          continue;
        }
        opened++;
        partition = this.#open(topic.name, index, topic.id, state);
        if (!partition) continue;
      }
      const led = partition.isLeader;
      const ledEpoch = partition.leaderEpoch;
      const { reign } = partition;
      if (!this.#takeOver(partition, state)) continue;
      this.#replication.follow(partition);
      if (partition.isLeader && (!led || ledEpoch !== partition.leaderEpoch))
        this.#leadership.elected(partition, led && reign === partition.reign);
      else if (led && !partition.isLeader) this.#leadership.resigned(topic.name, index);
    }
    return opened;
  }

  #openLater(topicId: string, index: number): void {
    if (this.#toOpen.size === 0) this.#timers.after(1, () => this.#openSlice());
    this.#toOpen.add({ topicId, index });
  }

  #openSlice(): void {
    if (this.#logManager.isClosed) return;
    const beganMs = this.#clock.monotonicMs();
    let left = openedAtOnce;
    for (const next of this.#toOpen) {
      if (left-- === 0 || this.#clock.monotonicMs() - beganMs >= openingSliceMs) break;
      this.#toOpen.delete(next);
      this.#updatePartitions(next.topicId, [next.index], this.#image!);
    }
    if (this.#toOpen.size > 0) this.#timers.after(1, () => this.#openSlice());
  }

  /** A replica whose disk fails must not hold up the others, nor the metadata. */
  #takeOver(partition: Partition, state: PartitionState): boolean {
    try {
      partition.updateState(state);
      return true;
    } catch (error) {
      const { topic, index, topicId } = partition;
      this.#logManager.onDiskError(error);
      if (!this.#partitions.isOffline(topic, index)) {
        this.#replication.unfollow(partition);
        this.#leadership.resigned(topic, index);
        partition.resign();
        this.#tryLater(topicId, index);
      }
      this.#logger.error('a replica cannot take over its new state: it stays offline', { topic, partition: index, error });
      return false;
    }
  }

  #open(topic: string, index: number, topicId: string, state: PartitionState): Partition | undefined {
    const assigned = directoryOf(state, this.#brokerId);
    try {
      const log = this.#logManager.create(topic, index, {
        topicId,
        config: this.#settings.log(topic),
        directoryId: isKnown(assigned) ? assigned : undefined,
        mayExist: this.#isStarting,
      });
      log.updateConfig(this.#settings.log(topic));
      const onIoError = (error: IoError, isNews: boolean): void => {
        // That there is no room is the news of a directory, told when it begins and when it ends. A small batch may fit between two that do not.
        if (isNews && diskFaultOf(error) !== 'full')
          this.#logger.error('the disk fails a replica', { topic, partition: index, error });
        this.#logManager.onDiskError(error);
      };
      const identity = { topic, index, topicId, brokerId: this.#brokerId };
      const partition = new Partition(identity, log, onIoError, this.#replication.context);
      this.#partitions.add(partition);
      this.#logger.debug('replica opened', { topic, partition: index, logEndOffset: log.logEndOffset });
      this.#tellDirectory(partition, assigned);
      return partition;
    } catch (error) {
      this.#partitions.markOffline({ topic, index, topicId });
      this.#logger.error('a replica could not be opened: it stays offline', { topic, partition: index, error });
      if (error instanceof IoError) this.#tryLater(topicId, index);
      return undefined;
    }
  }

  /** The metadata has to name the directory in which the next start will look for the replica (KIP-858). */
  #tellDirectory({ topic, index, topicId }: Partition, assigned: Uuid | undefined): void {
    const actual = this.#logManager.directoryIdOf(topic, index);
    if (actual === undefined || actual === assigned || !knowsDirectories(this.#image)) return;
    this.#assignments
      .assign(topicId, index, actual)
      .catch((error: unknown) =>
        this.#logger.debug('the directory of a replica is not known to the metadata', { topic, partition: index, error }),
      );
  }

  /** The disk may have room then. */
  #tryLater(topicId: string, index: number): void {
    if (this.#toRetry.size === 0) this.#timers.after(retryMs, () => this.#retry());
    this.#toRetry.add({ topicId, index });
  }

  #retry(): void {
    if (this.#logManager.isClosed) return;
    const waiting = [...this.#toRetry];
    this.#toRetry.clear();
    this.#isRetrying = true;
    for (const { topicId, index } of waiting) this.#updatePartitions(topicId, [index], this.#image!);
    this.#isRetrying = false;
  }

  #syncDeletions(): void {
    try {
      this.#logManager.syncDirectories();
    } catch (error) {
      this.#logManager.onDiskError(error);
      this.#logger.error('the deletion of replicas may not outlive a crash: the next start would set them aside', { error });
    }
  }

  #delete({ name }: TopicChange): void {
    this.#moves.onTopicDeleted(name);
    for (const partition of this.#partitions.removeTopic(name)) this.#deleteReplica(partition);
  }

  /** A reassignment has taken the replica from this broker. */
  #giveUp(topic: string, index: number): void {
    const partition = this.#partitions.get(topic, index);
    if (!partition && !this.#partitions.isOffline(topic, index)) return;
    this.#partitions.remove(topic, index);
    if (!partition) return;
    this.#logger.info('a replica is no longer given to this broker: its log is deleted', { topic, partition: index });
    this.#deleteReplica(partition);
  }

  #deleteReplica(partition: Partition): void {
    const { topic, index } = partition;
    if (partition.isLeader) this.#leadership.resigned(topic, index);
    this.#replication.unfollow(partition);
    partition.resign();
    this.#moves.forget(partition.log);
    try {
      this.#logManager.delete(topic, index, { durably: false });
      this.#logger.debug('replica deleted', { topic, partition: index });
    } catch (error) {
      this.#logManager.onDiskError(error);
      this.#logger.error('files of a deleted replica are still there: the next start sets them aside', {
        topic,
        partition: index,
        error,
      });
    }
  }
}

const knowsDirectories = (image: MetadataImage | undefined): boolean =>
  (image?.features.metadataVersion.level ?? 0) >= directoryAssignmentSince;

/** Unassigned, or from before directories had ids: then it is wherever it is. One that was lost is somewhere that is not here. */
const isKnown = (id: Uuid | undefined): boolean => id !== undefined && (id === lostDirectory || !isReservedDirectory(id));

const TOPIC_RESOURCE = 2;
