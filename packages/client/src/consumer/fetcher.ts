import { errorOfCode, Fetch, type FetchResponse, KafkaError, ZERO_UUID } from '@ottla/protocol';
import { isolationLevelCode } from '../admin/offsets.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { groupByTopic, partitionName } from '../topic-partition.ts';
import type { CompleteConsumerConfig } from './consumer-config.ts';
import type { PartitionState } from './partition-state.ts';
import { type CurrentRecord, RecordReader } from './record-reader.ts';
import { refreshFromAnother } from './refresh-from-another.ts';

/** From here on topics travel by id. */
const firstVersionWithIds = 13;

type Fetched = { readonly state: PartitionState; readonly seeks: number; readonly reader: RecordReader };
type PartitionAnswer = FetchResponse['responses'][number]['partitions'][number];

export type FetcherEvents = {
  /** The partitions to fetch from now. */
  readonly assigned: () => Iterable<PartitionState>;
  /** There may be something to take. */
  readonly onProgress: () => void;
  /** The position is not in the log (any more). */
  readonly onOutOfRange: (state: PartitionState) => void;
};

/** Asked so often, no broker has known of the epoch that a position is of: it is of a topic that is gone, or those who know cannot be reached. */
const enoughDoubts = 10;

/** Keeps one long poll going at each broker that leads assigned partitions, and what they brought until it is taken. */
export class Fetcher {
  readonly #cluster: Cluster;
  readonly #config: CompleteConsumerConfig;
  readonly #events: FetcherEvents;
  readonly #fetching = new Set<number>();
  /** Said to be outside their log: another broker is asked whether who says so leads still. */
  readonly #doubted = new Set<PartitionState>();
  /** At most one for each partition, so memory is bounded by fetchMaxBytes and the number of brokers. */
  readonly #fetched: Fetched[] = [];
  #failure: Error | undefined;

  constructor(cluster: Cluster, config: CompleteConsumerConfig, events: FetcherEvents) {
    this.#cluster = cluster;
    this.#config = config;
    this.#events = events;
  }

  /** Calls back with up to `max` records, in order. Each counts as given out when its callback returns. Throws what it throws. */
  take(max: number, give: (state: PartitionState, record: CurrentRecord, leaderEpoch: number) => void): number {
    let count = 0;
    const giveAndCount: typeof give = (state, record, leaderEpoch) => {
      give(state, record, leaderEpoch);
      count++;
    };
    let isExhausted = false;
    const assigned = new Set(this.#events.assigned());
    for (let at = 0; at < this.#fetched.length && count < max; ) {
      const { state, seeks, reader } = this.#fetched[at]!;
      if (!assigned.has(state) || state.seeks !== seeks) {
        this.#fetched.splice(at, 1);
      } else if (state.isPaused) {
        at++;
      } else {
        try {
          this.#takeFrom(state, reader, max - count, giveAndCount);
        } catch (error) {
          // It is fetched anew, to fail again, unless someone seeks past what cannot be read.
          this.#fetched.splice(at, 1);
          // What was given already must not be lost with the error: the next call meets it first.
          if (count > 0) break;
          throw problemAt(state, error);
        }
        if (count < max) {
          this.#fetched.splice(at, 1);
          isExhausted = true;
        }
      }
    }
    if (isExhausted) this.send();
    return count;
  }

  #takeFrom(
    state: PartitionState,
    reader: RecordReader,
    max: number,
    give: (state: PartitionState, record: CurrentRecord, leaderEpoch: number) => void,
  ): void {
    for (let count = 0; count < max; count++) {
      const record = reader.next();
      if (!record) {
        state.advance(reader.nextOffset, reader.leaderEpoch);
        return;
      }
      give(state, record, reader.leaderEpoch);
      state.advance(record.offset + 1, reader.leaderEpoch);
    }
  }

  /** Throws what went wrong for good since the last call. */
  throwIfFailed(): void {
    const failure = this.#failure;
    this.#failure = undefined;
    if (failure) throw failure;
  }

  /** Asks each leader that has no request yet for the partitions nothing is held of. */
  send(): void {
    const nowMs = this.#cluster.runtime.clock.monotonicMs();
    const held = new Set(this.#fetched.filter(({ state, seeks }) => state.seeks === seeks).map(({ state }) => state));
    const byLeader = new Map<number, Asked[]>();
    let isLeaderMissing = false;
    for (const state of this.#events.assigned()) {
      const { leaderId, leaderEpoch } = this.#cluster.metadata.partition(state.topic, state.partition) ?? noLeader;
      if (state.position === undefined || state.isPaused || held.has(state) || this.#doubted.has(state)) continue;
      if (!state.mayAsk(nowMs, leaderEpoch)) continue;
      if (leaderId < 0 || !this.#cluster.metadata.nodes.has(leaderId)) {
        isLeaderMissing = true;
        this.#postpone(state, leaderEpoch);
      } else if (!this.#fetching.has(leaderId)) {
        const one: Asked = { state, seeks: state.seeks, fromOffset: state.position, leaderId, leaderEpoch };
        const others = byLeader.get(leaderId);
        if (others) others.push(one);
        else byLeader.set(leaderId, [one]);
      }
    }
    if (isLeaderMissing) this.#refreshMetadata();
    for (const [leaderId, asked] of byLeader) this.#fetch(leaderId, asked);
  }

  #fetch(leaderId: number, asked: readonly Asked[]): void {
    this.#fetching.add(leaderId);
    this.#exchange(leaderId, asked)
      .catch((error: unknown) => {
        for (const { state, leaderEpoch } of asked) this.#postpone(state, leaderEpoch);
        if (error instanceof KafkaError && error.retriable) this.#refreshMetadata();
        else this.#failure = error as Error;
      })
      .finally(() => {
        this.#fetching.delete(leaderId);
        if (!this.#cluster.closed) this.#events.onProgress();
      });
  }

  async #exchange(leaderId: number, asked: readonly Asked[]): Promise<void> {
    const { fetchMinBytes, fetchMaxWaitMs, fetchMaxBytes, maxPartitionFetchBytes, isolationLevel, requestTimeoutMs } =
      this.#config;
    const { metadata } = this.#cluster;
    const connection = await this.#cluster.connectionTo(leaderId, 'fetch');
    const topics = [...groupByTopic(asked.map(({ state }) => state)).keys()];
    const topicIds = new Map(topics.map((topic) => [topic, metadata.topic(topic)?.topicId ?? ZERO_UUID]));
    const haveIds = ![...topicIds.values()].includes(ZERO_UUID);
    const version = connection.versionFor(Fetch, haveIds ? {} : { max: firstVersionWithIds - 1 });
    const response = await connection.send(
      Fetch,
      {
        maxWaitMs: fetchMaxWaitMs,
        minBytes: fetchMinBytes,
        maxBytes: fetchMaxBytes,
        isolationLevel: isolationLevelCode(isolationLevel),
        // No session: each request says everything.
        sessionId: 0,
        sessionEpoch: -1,
        topics: topics.map((topic) => ({
          topic,
          topicId: topicIds.get(topic)!,
          partitions: asked
            .filter(({ state }) => state.topic === topic)
            .map(({ state: { partition }, fromOffset: fetchOffset, leaderEpoch: currentLeaderEpoch }) => ({
              partition,
              currentLeaderEpoch,
              fetchOffset,
              partitionMaxBytes: maxPartitionFetchBytes,
            })),
        })),
      },
      { version, timeoutMs: fetchMaxWaitMs + requestTimeoutMs },
    );
    const error = errorOfCode(response.errorCode);
    if (error) throw error;
    const names = new Map([...topicIds].map(([name, id]) => [id, name]));
    const answers = new Map<string, PartitionAnswer>();
    for (const { topic, topicId, partitions } of response.responses) {
      const name = version >= firstVersionWithIds ? (names.get(topicId) ?? '') : topic;
      for (const answer of partitions) {
        const partition = { topic: name, partition: answer.partitionIndex };
        answers.set(partitionName(partition), answer);
        metadata.learnLeader(partition, answer.currentLeader, response.nodeEndpoints);
      }
    }
    for (const one of asked) {
      const answer = answers.get(partitionName(one.state));
      if (answer && one.state.seeks === one.seeks) this.#answered(one, answer);
    }
  }

  #answered(asked: Asked, answer: PartitionAnswer): void {
    const { state, seeks, fromOffset } = asked;
    // Another leader was asked meanwhile, and has answered the same or more.
    if (state.position !== fromOffset || this.#holds(state)) return;
    const error = errorOfCode(answer.errorCode);
    if (error) this.#refused(asked, error);
    else state.failures = state.doubts = 0;
    if (error || !answer.records?.length) return;
    const { isolationLevel, checkCrcs } = this.#config;
    const abortedTransactions = isolationLevel === 'read_committed' ? answer.abortedTransactions : null;
    this.#fetched.push({
      state,
      seeks,
      reader: new RecordReader(answer.records, { fromOffset, checkCrcs, abortedTransactions }),
    });
  }

  #holds(state: PartitionState): boolean {
    return this.#fetched.some((one) => one.state === state && one.seeks === state.seeks);
  }

  #refused(asked: Asked, error: KafkaError): void {
    const { state, leaderEpoch } = asked;
    if (error.name === 'OFFSET_OUT_OF_RANGE') {
      this.#confirmOutOfRange(asked);
      return;
    }
    this.#postpone(state, leaderEpoch);
    if (error.retriable) this.#refreshMetadata();
    else this.#failure = problemAt(state, error);
  }

  /** A former leader that is cut off says so too, of its own, shorter log: to start over there is to read everything once more. */
  #confirmOutOfRange({ state, seeks, fromOffset, leaderId, leaderEpoch }: Asked): void {
    this.#doubted.add(state);
    this.#cluster
      .refreshFromOtherThan(leaderId)
      .then(
        () => {
          const known = this.#cluster.metadata.partition(state.topic, state.partition)?.leaderEpoch ?? noLeader.leaderEpoch;
          return known <= leaderEpoch && known >= state.leaderEpoch;
        },
        () => false,
      )
      .then((isConfirmed) => {
        this.#doubted.delete(state);
        if (this.#cluster.closed) return;
        if (state.seeks === seeks && state.position === fromOffset) {
          if (isConfirmed || ++state.doubts > enoughDoubts) this.#events.onOutOfRange(state);
          else this.#postpone(state, leaderEpoch);
        }
        this.#events.onProgress();
      });
  }

  #postpone(state: PartitionState, leaderEpoch: number): void {
    state.postpone(this.#cluster, leaderEpoch);
  }

  #refreshMetadata(): void {
    refreshFromAnother(this.#cluster, this.#events.onProgress);
  }
}

const noLeader = { leaderId: -1, leaderEpoch: -1 };

type Asked = {
  readonly state: PartitionState;
  readonly seeks: number;
  readonly fromOffset: number;
  readonly leaderId: number;
  /** In which whoever is asked leads: with a later one a former leader, a follower now, would answer for its own, shorter log. */
  readonly leaderEpoch: number;
};

function problemAt(state: PartitionState, error: unknown): Error {
  if (!(error instanceof KafkaError)) return error as Error;
  const where = `${partitionName(state)} at offset ${state.position}`;
  return new KafkaError(error.name, `${where}: ${error.message}`, { cause: error });
}
