import {
  type ErrorName,
  errorName,
  Fetch,
  type FetchRequest,
  type FetchResponse,
  KafkaError,
  ListOffsets,
  type Writable,
} from '@ottla/protocol';
import type { Address, Clock, Logger, Timer, Timers } from '@ottla/runtime';
import type { Peer } from '../peers/index.ts';
import { FetcherSession, type FollowerAsks } from './fetcher-session.ts';
import { truncationOffset } from './follower-truncation.ts';
import type { Partition } from './partition.ts';

/** What replica.* of server.properties says to fetchers. */
export type FetcherConfig = {
  readonly maxBytesOfPartition: number;
  readonly maxBytesOfAnswer: number;
  readonly minBytes: number;
  readonly maxWaitMs: number;
  readonly backoffMs: number;
  readonly requestTimeoutMs: number;
};

/** What finalized features say of requests between brokers. */
export type FetcherVersions = { readonly fetch: number; readonly listOffsets: number };

/** What followers of partitions that are moved may fetch (KIP-73). */
export type FollowerThrottle = {
  /** The partition has to wait, unless it is in sync. */
  isThrottled(partition: Partition): boolean;
  onFetched(partition: Partition, bytes: number): void;
  /** There is a throttle at all. */
  readonly isActive: boolean;
};

export type ReplicaFetcherOptions = {
  readonly brokerId: number;
  readonly brokerEpoch: () => number;
  readonly leaderId: number;
  /** Of the leader; undefined: it is not known. */
  readonly addressOf: () => Address | undefined;
  readonly connect: (address: Address) => Peer;
  readonly config: FetcherConfig;
  readonly versions: () => FetcherVersions;
  readonly throttle: FollowerThrottle;
  /** A copy of the log on its way to another directory has to be cut with it. */
  readonly onTruncated: (partition: Partition, offset: number) => void;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly logger: Logger;
  /** It only stands in for another while that waits for an answer. */
  readonly isStandIn?: boolean;
};

type Answered = FetchResponse['responses'][number]['partitions'][number];

/** A partition that is followed in one epoch of its leader. */
class Followed {
  readonly partition: Partition;
  readonly leaderEpoch: number;
  /** Nothing is asked before. */
  notBeforeMs = 0;
  /** It has all that was committed when the leader last answered. */
  isInSync = false;
  /** What became of it last, so that a failure that stays is told once. */
  told: string | undefined;

  constructor(partition: Partition, leaderEpoch: number) {
    this.partition = partition;
    this.leaderEpoch = leaderEpoch;
  }
}

const LATEST = -1;
const EARLIEST = -2;
/** Throttled partitions are looked at again. */
const throttledMs = 100;
/** So long may a request be on its way before those are asked for besides that are not in it. */
const standInAfterMs = 10;

/**
 * Follows partitions of one leader: one connection, one fetch session, one request on its way. Each answer is appended before the next request
 * acknowledges it. A partition that fails waits for its backoff, and the others go on.
 *
 * A leader that has nothing new holds a request back for as long as replica.fetch.wait.max.ms. Partitions that come meanwhile, as when another
 * broker stops and this leader takes over, are fetched by a stand-in over a connection of its own until the answer is there: producers wait for
 * their followers.
 */
export class ReplicaFetcher {
  readonly #options: ReplicaFetcherOptions;
  readonly #followed = new Map<string, Followed>();
  /** Not in the session: they wait for their time. */
  readonly #waiting = new Map<string, Followed>();
  readonly #session: FetcherSession;
  #peer: Peer | undefined;
  #isBusy = false;
  #isClosed = false;
  /** After a failure nothing is sent until it is over. */
  #pauseTimer: Timer | undefined;
  #timer: Timer | undefined;
  #timerAtMs = Number.POSITIVE_INFINITY;
  #toldFailure: string | undefined;
  /** A request is on its way. */
  #isAsking = false;
  #standIn: ReplicaFetcher | undefined;
  #standInTimer: Timer | undefined;

  constructor(options: ReplicaFetcherOptions) {
    this.#options = options;
    this.#session = new FetcherSession({ isKept: options.isStandIn !== true });
  }

  get size(): number {
    return this.#followed.size;
  }

  /** From its log's end on, under the epoch that the metadata log has told the partition. */
  follow(partition: Partition): void {
    const { leaderEpoch } = partition;
    const key = keyOf(partition);
    const known = this.#followed.get(key);
    if (known && known.partition === partition && known.leaderEpoch === leaderEpoch) return;
    const followed = new Followed(partition, leaderEpoch);
    this.#followed.set(key, followed);
    this.#waiting.delete(key);
    // A log that knows no epoch cannot be compared with the leader's: what is committed stays.
    if (partition.log.latestEpoch < 0 && partition.log.logEndOffset > partition.highWatermark)
      this.#cut(partition, partition.highWatermark);
    this.#ask(key, followed);
    this.#goOn();
    if (this.#isAsking && this.#options.isStandIn !== true)
      this.#standInTimer ??= this.#options.timers.after(standInAfterMs, () => this.#beginStandIn());
  }

  unfollow(partition: Partition): void {
    const key = keyOf(partition);
    this.#standIn?.unfollow(partition);
    this.#followed.delete(key);
    this.#waiting.delete(key);
    this.#session.forget(key);
  }

  /** Those that are followed, for another fetcher to take over. */
  get partitions(): Partition[] {
    return [...this.#followed.values()].map(({ partition }) => partition);
  }

  close(): void {
    this.#isClosed = true;
    this.#pauseTimer?.cancel();
    this.#timer?.cancel();
    this.#standInTimer?.cancel();
    this.#standIn?.close();
    this.#peer?.close();
    this.#followed.clear();
  }

  #beginStandIn(): void {
    this.#standInTimer = undefined;
    for (const key of this.#session.untold) {
      const followed = this.#followed.get(key);
      if (!followed) continue;
      this.#standIn ??= new ReplicaFetcher({ ...this.#options, isStandIn: true });
      this.#standIn.follow(followed.partition);
    }
  }

  /** The request has an answer, or failed: the next one is for all. */
  #endStandIn(): void {
    this.#isAsking = false;
    this.#standInTimer?.cancel();
    this.#standInTimer = undefined;
    const standIn = this.#standIn;
    if (!standIn) return;
    this.#standIn = undefined;
    const { partitions } = standIn;
    standIn.close();
    for (const partition of partitions) {
      const key = keyOf(partition);
      const followed = this.#followed.get(key);
      if (followed && this.#session.wanted(key)) this.#ask(key, followed);
    }
  }

  /** Sends the next request unless one is on its way, or there is nothing to ask for. */
  #goOn(): void {
    if (this.#isBusy || this.#isClosed || this.#followed.size === 0) return;
    this.#takeBackWaiting();
    this.#sendThrottledAway();
    if (this.#session.size === 0) return;
    const address = this.#options.addressOf();
    if (!address) {
      this.#pause(new KafkaError('BROKER_NOT_AVAILABLE', `the metadata does not say where broker ${this.#options.leaderId} is`));
      return;
    }
    this.#peer ??= this.#options.connect(address);
    this.#peer.lookAt(address);
    this.#isBusy = true;
    this.#isAsking = true;
    const { fetch } = this.#options.versions();
    this.#peer
      .send(Fetch, this.#request(), { maxVersion: fetch, timeoutMs: this.#options.config.requestTimeoutMs })
      .then(
        (response) => this.#onAnswer(response),
        (error: unknown) => this.#onFailure(error, { isGone: false }),
      )
      .catch((error: unknown) => this.#onFailure(error, { isGone: false }));
  }

  #request(): Writable<FetchRequest> {
    const { brokerId, brokerEpoch, config } = this.#options;
    return {
      replicaId: -1,
      replicaState: { replicaId: brokerId, replicaEpoch: brokerEpoch() },
      maxWaitMs: config.maxWaitMs,
      minBytes: config.minBytes,
      maxBytes: config.maxBytesOfAnswer,
      isolationLevel: 0,
      ...this.#session.next(),
    };
  }

  #onAnswer(response: FetchResponse): void {
    if (this.#isClosed) return;
    this.#endStandIn();
    if (response.errorCode !== 0) {
      const error = errorName(response.errorCode);
      const isGone = error === 'FETCH_SESSION_ID_NOT_FOUND';
      const isSessionLost = isGone || sessionErrors.has(error);
      const failure = new KafkaError(error, `broker ${this.#options.leaderId} refused a fetch`);
      this.#onFailure(isSessionLost ? undefined : failure, { isGone });
      return;
    }
    this.#toldFailure = undefined;
    this.#session.answered(response.sessionId);
    for (const { topicId, partitions } of response.responses) {
      for (const answered of partitions) {
        const key = `${topicId}:${answered.partitionIndex}`;
        const followed = this.#followed.get(key);
        if (followed && this.#isFor(key, followed)) this.#take(key, followed, answered);
      }
    }
    this.#isBusy = false;
    this.#goOn();
  }

  /**
   * The partition is still where it was when the request was made. Meanwhile it may have come into another epoch, or a stand-in may have fetched:
   * what the answer would cut off, as it diverged then, may be committed by now.
   */
  #isFor(key: string, { partition, leaderEpoch }: Followed): boolean {
    if (!this.#session.isTold(key)) return false;
    const asked = this.#session.wanted(key)!;
    return (
      asked.currentLeaderEpoch === leaderEpoch &&
      partition.leaderEpoch === leaderEpoch &&
      !partition.isLeader &&
      asked.fetchOffset === partition.log.logEndOffset
    );
  }

  #take(key: string, followed: Followed, answered: Answered): void {
    const { partition, leaderEpoch } = followed;
    try {
      if (answered.errorCode !== 0) {
        this.#refused(key, followed, errorName(answered.errorCode));
        return;
      }
      const { divergingEpoch, records, highWatermark, logStartOffset } = answered;
      if (divergingEpoch.epoch >= 0 || divergingEpoch.endOffset >= 0) this.#truncate(followed, divergingEpoch);
      else {
        if (records !== null && records.length > 0) {
          partition.appendAsFollower(records, leaderEpoch);
          this.#options.throttle.onFetched(partition, records.length);
        }
        partition.followOffsets({ highWatermark, logStartOffset });
        followed.isInSync = partition.log.logEndOffset >= highWatermark;
      }
      followed.told = undefined;
      this.#ask(key, followed);
    } catch (error) {
      this.#holdBack(key, followed, error);
    }
  }

  /** What is asked of a partition, if that has changed. */
  #ask(key: string, { partition, leaderEpoch }: Followed): void {
    const { log } = partition;
    const before = this.#session.wanted(key);
    const asks: FollowerAsks = {
      topicId: partition.topicId,
      index: partition.index,
      currentLeaderEpoch: leaderEpoch,
      fetchOffset: log.logEndOffset,
      lastFetchedEpoch: log.latestEpoch,
      logStartOffset: log.logStartOffset,
      maxBytes: Math.min(this.#options.config.maxBytesOfPartition, log.config.segmentBytes),
    };
    if (!before || !isSame(before, asks)) this.#session.want(key, asks);
  }

  #truncate({ partition }: Followed, diverging: { epoch: number; endOffset: number }): void {
    const { log, highWatermark } = partition;
    const offset = truncationOffset(
      { logEndOffset: log.logEndOffset, highWatermark, endOffsetForEpoch: (epoch) => log.endOffsetForEpoch(epoch) },
      diverging,
    );
    const { topic, index } = partition;
    const fields = { topic, partition: index, offset, logEndOffset: log.logEndOffset, highWatermark, diverging };
    if (offset < highWatermark)
      this.#options.logger.warn('a replica is cut below its high watermark: its leader was elected uncleanly', fields);
    else this.#options.logger.info('a replica is cut to where its leader parts from it', fields);
    this.#cut(partition, offset);
  }

  #cut(partition: Partition, offset: number): void {
    partition.truncateTo(offset);
    this.#options.onTruncated(partition, offset);
  }

  #refused(key: string, followed: Followed, error: ErrorName): void {
    if (error === 'OFFSET_OUT_OF_RANGE') {
      void this.#findRange(key, followed);
      return;
    }
    const { partition } = followed;
    this.#holdBack(key, followed, new KafkaError(error, `broker ${this.#options.leaderId} does not serve ${partition.name}`));
  }

  /** The leader has nothing at the log's end: it has less, after an unclean election, or begins behind it. */
  async #findRange(key: string, followed: Followed): Promise<void> {
    this.#session.forget(key);
    const isCurrent = () =>
      !this.#isClosed && this.#followed.get(key) === followed && followed.partition.leaderEpoch === followed.leaderEpoch;
    try {
      const { partition } = followed;
      const leaderEndOffset = await this.#leaderOffset(followed, LATEST);
      if (!isCurrent()) return;
      const { log, topic, index } = partition;
      const fields = { topic, partition: index, logEndOffset: log.logEndOffset, leaderEndOffset };
      // The leader has confirmed its epoch: nobody has written in a later one.
      const impossible = log.epochs.find(({ epoch }) => epoch > followed.leaderEpoch);
      if (impossible) {
        this.#options.logger.error('a replica has an epoch that never was: it is damaged, and cut there', {
          ...fields,
          ...impossible,
        });
        this.#cut(partition, impossible.startOffset);
      } else if (leaderEndOffset < log.logEndOffset) {
        this.#options.logger.warn('a replica is cut to the end of its leader, which has less', fields);
        this.#cut(partition, leaderEndOffset);
      } else {
        const leaderStartOffset = await this.#leaderOffset(followed, EARLIEST);
        if (!isCurrent()) return;
        if (leaderStartOffset <= log.logEndOffset)
          throw new KafkaError('OFFSET_OUT_OF_RANGE', `the leader of ${partition.name} does not know the epochs of this replica`);
        this.#options.logger.info('a replica starts over where its leader begins', { ...fields, leaderStartOffset });
        partition.startOverAt(leaderStartOffset);
        this.#options.onTruncated(partition, leaderStartOffset);
      }
      this.#ask(key, followed);
      this.#goOn();
    } catch (error) {
      if (isCurrent()) this.#holdBack(key, followed, error);
    }
  }

  /** Rejects with what the leader refuses. */
  async #leaderOffset({ partition, leaderEpoch }: Followed, timestamp: number): Promise<number> {
    const { brokerId, versions, config } = this.#options;
    const asked = { partitionIndex: partition.index, currentLeaderEpoch: leaderEpoch, timestamp };
    const { topics } = await this.#peer!.send(
      ListOffsets,
      { replicaId: brokerId, isolationLevel: 0, topics: [{ name: partition.topic, partitions: [asked] }] },
      { maxVersion: versions().listOffsets, timeoutMs: config.requestTimeoutMs },
    );
    const answered = topics[0]?.partitions[0];
    if (!answered) throw new KafkaError('UNKNOWN_SERVER_ERROR', `the leader of ${partition.name} does not say where it ends`);
    if (answered.errorCode !== 0)
      throw new KafkaError(errorName(answered.errorCode), `the leader of ${partition.name} does not say where it ends`);
    return answered.offset;
  }

  /** The partition waits for its backoff; what is wrong is told once. */
  #holdBack(key: string, followed: Followed, error: unknown): void {
    const { partition } = followed;
    const { clock, config, logger, leaderId } = this.#options;
    this.#session.forget(key);
    followed.notBeforeMs = clock.monotonicMs() + config.backoffMs;
    this.#waiting.set(key, followed);
    this.#wakeAt(followed.notBeforeMs);
    const what = error instanceof KafkaError ? error.name : String(error);
    if (followed.told === what) return;
    followed.told = what;
    const fields = { topic: partition.topic, partition: partition.index, leader: leaderId, error };
    if (passing.has(what)) logger.debug('a partition is fetched again in a moment', fields);
    else if (what === 'CORRUPT_MESSAGE')
      logger.error('records that came from the leader are damaged: they are not taken, and fetched again', fields);
    else logger.warn('a partition could not be followed: it is tried again', fields);
  }

  #takeBackWaiting(): void {
    if (this.#waiting.size === 0) return;
    const nowMs = this.#options.clock.monotonicMs();
    for (const [key, followed] of this.#waiting) {
      if (followed.notBeforeMs > nowMs) {
        this.#wakeAt(followed.notBeforeMs);
        continue;
      }
      this.#waiting.delete(key);
      this.#ask(key, followed);
    }
  }

  #sendThrottledAway(): void {
    const { throttle, clock } = this.#options;
    if (!throttle.isActive) return;
    for (const [key, followed] of this.#followed) {
      if (followed.isInSync || !throttle.isThrottled(followed.partition) || !this.#session.wanted(key)) continue;
      this.#session.forget(key);
      followed.notBeforeMs = clock.monotonicMs() + throttledMs;
      this.#waiting.set(key, followed);
      this.#wakeAt(followed.notBeforeMs);
    }
  }

  /** Undefined: nothing is wrong but that the session is lost. */
  #onFailure(error: unknown, { isGone }: { isGone: boolean }): void {
    if (this.#isClosed) return;
    this.#endStandIn();
    this.#session.failed({ isGone });
    this.#isBusy = false;
    if (error === undefined) this.#goOn();
    else this.#pause(error);
  }

  #pause(error: unknown): void {
    const { timers, config, logger, leaderId } = this.#options;
    const what = error instanceof KafkaError ? error.name : String(error);
    if (this.#toldFailure !== what)
      logger.warn('the leader of partitions cannot be reached: it is tried again', { leader: leaderId, error });
    this.#toldFailure = what;
    this.#isBusy = true;
    this.#pauseTimer = timers.after(config.backoffMs, () => {
      this.#isBusy = false;
      this.#goOn();
    });
  }

  #wakeAt(atMs: number): void {
    if (atMs >= this.#timerAtMs) return;
    this.#timer?.cancel();
    this.#timerAtMs = atMs;
    this.#timer = this.#options.timers.after(Math.max(0, atMs - this.#options.clock.monotonicMs()), () => {
      this.#timerAtMs = Number.POSITIVE_INFINITY;
      this.#goOn();
    });
  }
}

const keyOf = ({ topicId, index }: Partition): string => `${topicId}:${index}`;

function isSame(before: FollowerAsks, asks: FollowerAsks): boolean {
  return (
    before.fetchOffset === asks.fetchOffset &&
    before.currentLeaderEpoch === asks.currentLeaderEpoch &&
    before.lastFetchedEpoch === asks.lastFetchedEpoch &&
    before.logStartOffset === asks.logStartOffset &&
    before.maxBytes === asks.maxBytes
  );
}

/** The session is lost, and nothing else is wrong. */
const sessionErrors: ReadonlySet<string> = new Set(['INVALID_FETCH_SESSION_EPOCH', 'FETCH_SESSION_TOPIC_ID_ERROR']);

/** The two brokers do not hear of a change at the same time. */
const passing: ReadonlySet<string> = new Set([
  'NOT_LEADER_OR_FOLLOWER',
  'UNKNOWN_LEADER_EPOCH',
  'FENCED_LEADER_EPOCH',
  'UNKNOWN_TOPIC_OR_PARTITION',
  'UNKNOWN_TOPIC_ID',
]);
