import { Fetch, type FetchRequest, type FetchResponse, KafkaError, type Writable, ZERO_UUID } from '@ottla/protocol';
import { type Asked, readOrWait } from '../fetching/delayed-fetch.ts';
import { type FetchPartition, type FetchSession, partitionKey, type Reader } from '../fetching/fetch-session.ts';
import { NO_SESSION } from '../fetching/fetch-session-cache.ts';
import {
  noteFollowerFetch,
  type PartitionData,
  quietPlace,
  type ReadRules,
  readPartitions,
  readSessionPartitions,
} from '../fetching/read-partitions.ts';
import { type Failure, failureOf, handler, LateAnswer, type RequestContext } from './handler.ts';
import { LeaderHints } from './leader-hints.ts';

type Answer = Writable<FetchResponse>;

const READ_UNCOMMITTED = 0;
const READ_COMMITTED = 1;
const CONSUMER = -1;
const FIRST_VERSION_WITH_RACKS = 11;
const FIRST_VERSION_WITH_TOPIC_IDS = 13;
const FIRST_VERSION_WITH_LEADER_HINTS = 16;

/**
 * Fetch: records from partitions that this broker leads, or follows (for consumers that know of it, KIP-392).
 * v4 isolationLevel: a read_committed reader sees up to the lastStableOffset, and the aborted transactions (KIP-98)
 * v7 sessions: a request names only what changed (KIP-227)
 * v9 currentLeaderEpoch fences a reader with stale metadata (KIP-320)
 * v10 tells a broker that the reader knows zstd (KIP-110); it is sent to older ones as well, as Kafka 4 does
 * v11 rackId: the answer may send the reader to a replica nearer to it (KIP-392)
 * v12 lastFetchedEpoch: the answer tells where the reader's history diverges (KIP-595)
 * v13 topics by id (KIP-516)
 * v15 replicaState takes the place of replicaId (KIP-903)
 * v16 tells the current leader when this is not it (KIP-951)
 */
export const fetch = handler(Fetch, answer, refused);

function answer(request: FetchRequest, context: RequestContext): Answer | Promise<LateAnswer<FetchResponse>> {
  const { broker, apiVersion, connection } = context;
  const usesTopicIds = apiVersion >= FIRST_VERSION_WITH_TOPIC_IDS;
  const { replicaId, replicaEpoch } =
    apiVersion >= 15 ? request.replicaState : { replicaId: request.replicaId, replicaEpoch: -1 };
  if (request.isolationLevel !== READ_COMMITTED && request.isolationLevel !== READ_UNCOMMITTED)
    throw new KafkaError('UNKNOWN_SERVER_ERROR', `there is no isolation level ${request.isolationLevel}`);
  const changed = askedPartitions(request, context);
  const start = broker.fetchSessions.start({ ...request, usesTopicIds }, changed, forgottenPartitions(request));
  if (start.kind === 'error')
    return { errorCode: failureOf(new KafkaError(start.error)).errorCode, sessionId: NO_SESSION, responses: [] };

  const session = start.kind === 'incremental' ? start.session : undefined;
  const serverMaxBytes = broker.config.get('fetch.max.bytes');
  const rules: ReadRules = {
    bound:
      replicaId >= 0 || replicaId === -2
        ? 'logEnd'
        : request.isolationLevel === READ_COMMITTED
          ? 'lastStableOffset'
          : 'highWatermark',
    maxBytes: Math.min(request.maxBytes, serverMaxBytes),
    replicaId,
    replicaEpoch,
    ...readersRules(request, replicaId, context),
    releases: context.releases,
  };
  const patience = { minBytes: Math.min(request.minBytes, serverMaxBytes), maxWaitMs: request.maxWaitMs };
  const answered = (sessionId: number, told: readonly PartitionData[]): Answer => {
    const hints = apiVersion >= FIRST_VERSION_WITH_LEADER_HINTS ? new LeaderHints(context) : undefined;
    const responses = byTopic(told, hints);
    // A follower knows the brokers itself.
    return { errorCode: 0, sessionId, responses, nodeEndpoints: replicaId >= 0 ? undefined : hints?.endpoints() };
  };
  const nowMs = broker.runtime.clock.monotonicMs();
  const reader = (): Reader => {
    const activeEpoch = replicaId >= 0 ? broker.replication.context.activeBrokerEpoch(replicaId) : undefined;
    return { bound: rules.bound, replicaId, replicaEpoch, activeEpoch };
  };
  /** What is new to the session's fetcher; what it now knows all of is not looked at again before it changes. */
  const toldBy = (session: FetchSession, answers: readonly PartitionData[]): PartitionData[] => {
    const news = session.told(answers);
    session.quiet((known) => quietPlace(broker.partitions, known, rules));
    return news;
  };
  const finish = (answers: PartitionData[]): Answer => {
    if (rules.isThrottled) for (const { asked, records } of answers) broker.replication.onSent(asked, records.length);
    if (session) return answered(session.id, toldBy(session, answers));
    const created =
      start.kind === 'full' && start.create
        ? broker.fetchSessions.create(changed, { usesTopicIds, isFollower: replicaId >= 0 })
        : undefined;
    if (created) {
      created.readBy(reader());
      created.lastFetchMs = nowMs;
      toldBy(created, answers);
    }
    return answered(created?.id ?? NO_SESSION, answers);
  };
  const asked = session ? ofSession(session, reader, context) : ofRequest(changed, context);
  if (replicaId >= 0) noteFollowerFetch(broker.partitions, asked.partitions(), rules, nowMs);
  if (session) session.lastFetchMs = nowMs;
  const around = { partitions: broker.partitions, timers: broker.runtime.timers, connection };
  const answers = readOrWait(around, asked, rules, patience);
  return answers instanceof Promise ? answers.then((read) => new LateAnswer(() => finish(read()))) : finish(answers);
}

function ofRequest(partitions: readonly FetchPartition[], { broker }: RequestContext): Asked {
  return { partitions: () => partitions, read: (rules) => readPartitions(broker.partitions, partitions, rules) };
}

/** A topic that did not exist when the session learned its id may exist when it is looked at, and the reader may have restarted. */
function ofSession(session: FetchSession, reader: () => Reader, { broker }: RequestContext): Asked {
  const partitions = () => {
    session.readBy(reader());
    const stirred = session.stirred();
    for (const partition of stirred) partition.topic ??= broker.partitions.topicName(partition.topicId);
    return stirred;
  };
  return {
    partitions,
    read: (rules) => readSessionPartitions(broker.partitions, partitions(), rules),
    listen: (listener) => session.listen(listener),
    unlisten: (listener) => session.unlisten(listener),
  };
}

/** What holds for this one reader: a follower within its throttle, a consumer near some replica. */
function readersRules(request: FetchRequest, replicaId: number, { broker, apiVersion, connection }: RequestContext) {
  if (replicaId >= 0) return { isThrottled: broker.replication.leaderThrottle(replicaId) };
  const isRackTold = apiVersion >= FIRST_VERSION_WITH_RACKS;
  return {
    fromAnyReplica: replicaId !== CONSUMER || isRackTold,
    preferredReplica: isRackTold ? broker.replication.selectorFor(request.rackId, connection.listenerName) : undefined,
  };
}

const NO_RECORDS = new Uint8Array(0);

/** Before topic ids the error stands at each partition as well. */
function refused({ errorCode }: Failure, { topics }: FetchRequest, { apiVersion }: RequestContext): Answer {
  if (apiVersion >= FIRST_VERSION_WITH_TOPIC_IDS) return { errorCode, responses: [] };
  const nothing = { highWatermark: -1, lastStableOffset: -1, logStartOffset: -1 };
  return {
    errorCode,
    responses: topics.map(({ topic, partitions }) => ({
      topic,
      partitions: partitions.map(({ partition }) => ({ partitionIndex: partition, errorCode, ...nothing, records: NO_RECORDS })),
    })),
  };
}

function askedPartitions(request: FetchRequest, { broker, apiVersion }: RequestContext): FetchPartition[] {
  const asked = new Map<string, FetchPartition>();
  const usesTopicIds = apiVersion >= FIRST_VERSION_WITH_TOPIC_IDS;
  for (const topic of request.topics) {
    const name = usesTopicIds ? broker.partitions.topicName(topic.topicId) : topic.topic;
    for (const partition of topic.partitions) {
      const wanted = {
        topic: name,
        topicId: usesTopicIds ? topic.topicId : ZERO_UUID,
        index: partition.partition,
        fetchOffset: partition.fetchOffset,
        maxBytes: partition.partitionMaxBytes,
        currentLeaderEpoch: Math.max(-1, partition.currentLeaderEpoch),
        lastFetchedEpoch: partition.lastFetchedEpoch,
        logStartOffset: partition.logStartOffset,
      };
      asked.set(partitionKey(usesTopicIds, wanted), wanted);
    }
  }
  return [...asked.values()];
}

function* forgottenPartitions(request: FetchRequest): Generator<{ topic: string; topicId: string; index: number }> {
  for (const { topic, topicId, partitions } of request.forgottenTopicsData) {
    for (const index of partitions) yield { topic, topicId, index };
  }
}

function byTopic(answers: readonly PartitionData[], hints: LeaderHints | undefined): Answer['responses'] {
  const topics: { topic: string | undefined; topicId: string; partitions: object[] }[] = [];
  for (const answer of answers) {
    const { topic, topicId, index } = answer.asked;
    let last = topics.at(-1);
    if (!last || last.topic !== topic || last.topicId !== topicId) topics.push((last = { topic, topicId, partitions: [] }));
    last.partitions.push({
      partitionIndex: index,
      errorCode: answer.errorCode,
      highWatermark: answer.highWatermark,
      lastStableOffset: answer.lastStableOffset,
      logStartOffset: answer.logStartOffset,
      divergingEpoch: answer.divergingEpoch,
      currentLeader: hints?.of(topic, index, answer.errorCode),
      abortedTransactions: answer.abortedTransactions,
      preferredReadReplica: answer.preferredReadReplica,
      records: answer.records,
    });
  }
  return topics;
}
