import { KafkaError, ShareFetch, type ShareFetchRequest, type ShareFetchResponse, type Writable } from '@ottla/protocol';
import { type Acknowledged, type AskedAcknowledgements, acknowledgeShared } from '../sharing/acknowledge-shared.ts';
import { type ShareMember, shareMember } from '../sharing/member-request.ts';
import { fetchShared, type SharedRecords } from '../sharing/share-fetch.ts';
import { FINAL_EPOCH, INITIAL_EPOCH, type SharedPartitionName, type ShareSession } from '../sharing/share-session.ts';
import { handler, type RequestContext } from './handler.ts';
import { LeaderHints } from './leader-hints.ts';

type Answer = Writable<ShareFetchResponse>;
type PartitionAnswer = NonNullable<NonNullable<Answer['responses']>[number]['partitions']>[number];

const BATCH_OPTIMIZED = 0;
const RECORD_LIMIT = 1;
const FIRST_VERSION_WITH_RENEW = 2;

/**
 * ShareFetch: records for a member of a share group, which are his until he acknowledges them or their lock ends (KIP-932).
 * The request may acknowledge what came before. Whether the group has such a member is not asked.
 * v2 shareAcquireMode: no more records than asked for (KIP-1206); isRenewAck: locks begin anew, and nothing is fetched (KIP-1222)
 */
export const shareFetch = handler(ShareFetch, answer, ({ errorCode }) => ({ errorCode }));

/** What comes before the answer happens in the order in which requests arrive: sessions have epochs. */
function answer(request: ShareFetchRequest, context: RequestContext): Promise<Answer> {
  const { broker, apiVersion } = context;
  const { sharing } = broker;
  const member = shareMember(request, broker);
  const isRenewAck = apiVersion >= FIRST_VERSION_WITH_RENEW && request.isRenewAck;
  if (isRenewAck) requireNothingFetched(request);
  const acknowledgements = acknowledgementsOf(request);
  if (member.epoch === INITIAL_EPOCH && acknowledgements.length > 0)
    throw new KafkaError('INVALID_REQUEST', 'a session begins without acknowledgements: nothing was delivered in it');
  let session: ShareSession;
  try {
    session = sessionOf(request, member, context);
  } catch (error) {
    if (error instanceof KafkaError && error.name === 'SHARE_SESSION_LIMIT_REACHED') return failLater(error, request, context);
    throw error;
  }
  requireAcquireMode(request, apiVersion);
  const rules = { highestType: apiVersion >= FIRST_VERSION_WITH_RENEW ? 4 : 3, isRenewAck };
  const acknowledging = acknowledgeShared({ shares: sharing.shares, runtime: broker.runtime }, member, acknowledgements, rules);
  const isFetching = !isRenewAck && member.epoch !== FINAL_EPOCH;
  return finish(session, member, context, acknowledging, isFetching ? fetch(request, session, member, context) : []);
}

function requireAcquireMode({ shareAcquireMode }: ShareFetchRequest, apiVersion: number): void {
  if (apiVersion < 2 || shareAcquireMode === BATCH_OPTIMIZED || shareAcquireMode === RECORD_LIMIT) return;
  throw new KafkaError('UNKNOWN_SERVER_ERROR', `there is no acquire mode ${shareAcquireMode}`);
}

/** Whoever finds no room for a session waits before he is told, so that he does not ask all the time. */
function failLater(error: KafkaError, { maxWaitMs }: ShareFetchRequest, { broker, connection }: RequestContext): Promise<never> {
  return new Promise((_, reject) => {
    let stopHearing: (() => void) | undefined;
    const fail = (): void => {
      timer.cancel();
      stopHearing?.();
      reject(error);
    };
    const timer = broker.runtime.timers.after(Math.max(0, maxWaitMs), fail);
    stopHearing = connection.onClosed(fail);
  });
}

async function finish(
  session: ShareSession,
  member: ShareMember,
  context: RequestContext,
  acknowledging: Promise<Acknowledged[]>,
  fetching: SharedRecords[] | Promise<SharedRecords[]>,
): Promise<Answer> {
  const { sharing } = context.broker;
  const [acknowledged, fetched] = await Promise.all([acknowledging, fetching]);
  if (member.epoch === FINAL_EPOCH) await sharing.closeSession(session);
  const hints = new LeaderHints(context);
  const responses = byTopic(told(session, fetched, acknowledged, hints));
  const acquisitionLockTimeoutMs = sharing.shares.sharingOf(member.groupId).lockDurationMs;
  return { errorCode: 0, acquisitionLockTimeoutMs, responses, nodeEndpoints: hints.endpoints() };
}

function requireNothingFetched({ maxBytes, minBytes, maxRecords, maxWaitMs }: ShareFetchRequest): void {
  if (maxBytes === 0 && minBytes === 0 && maxRecords === 0 && maxWaitMs === 0) return;
  throw new KafkaError(
    'INVALID_REQUEST',
    'a request that renews locks fetches nothing: maxBytes, minBytes, maxRecords and maxWaitMs must be 0',
  );
}

function sessionOf(request: ShareFetchRequest, member: ShareMember, { broker, connection }: RequestContext): ShareSession {
  const nameOf = (topicId: string) => broker.partitions.topicName(topicId);
  const asked = request.topics.flatMap(({ topicId, partitions }) =>
    partitions.map(({ partitionIndex }) => ({ topic: nameOf(topicId), topicId, index: partitionIndex })),
  );
  const forgotten = request.forgottenTopicsData.flatMap(({ topicId, partitions }) =>
    partitions.map((index) => ({ topic: nameOf(topicId), topicId, index })),
  );
  return broker.sharing.sessions.fetch(member, asked, forgotten, connection);
}

function fetch(
  request: ShareFetchRequest,
  session: ShareSession,
  { epoch }: ShareMember,
  { broker, connection, apiVersion, releases }: RequestContext,
): SharedRecords[] | Promise<SharedRecords[]> {
  const serverMaxBytes = broker.config.get('fetch.max.bytes');
  return fetchShared(
    { shares: broker.sharing.shares, timers: broker.runtime.timers, connection },
    session,
    session.inTurn(epoch),
    {
      minBytes: Math.min(request.minBytes, serverMaxBytes),
      maxWaitMs: request.maxWaitMs,
      maxBytes: Math.min(request.maxBytes, serverMaxBytes),
      maxRecords: request.maxRecords,
      batchSize: request.batchSize,
      isRecordLimit: apiVersion >= 2 && request.shareAcquireMode === RECORD_LIMIT,
      releases,
    },
  );
}

function acknowledgementsOf({ topics }: ShareFetchRequest): AskedAcknowledgements[] {
  return topics.flatMap(({ topicId, partitions }) =>
    partitions
      .filter(({ acknowledgementBatches }) => acknowledgementBatches.length > 0)
      .map(({ partitionIndex, acknowledgementBatches }) => ({ topicId, index: partitionIndex, batches: acknowledgementBatches })),
  );
}

type Told = { readonly asked: Pick<SharedPartitionName, 'topicId' | 'index'>; answer: PartitionAnswer };

/** Only what the member does not know yet: records, errors, and what became of his acknowledgements. */
function told(
  session: ShareSession,
  fetched: readonly SharedRecords[],
  acknowledged: readonly Acknowledged[],
  hints: LeaderHints,
): Told[] {
  const all = new Map<string, Told>();
  for (const { asked, errorCode, records, acquired } of fetched) {
    if (!session.tell(asked, { errorCode, hasRecords: records.length > 0 })) continue;
    const currentLeader = hints.of(asked.topic, asked.index, errorCode);
    const answer = {
      partitionIndex: asked.index,
      errorCode,
      records,
      acquiredRecords: [...acquired],
      ...(currentLeader && { currentLeader }),
    };
    all.set(`${asked.topicId}:${asked.index}`, { asked, answer });
  }
  for (const { topicId, index, errorCode, errorMessage } of acknowledged) {
    const key = `${topicId}:${index}`;
    const acknowledgement = { acknowledgeErrorCode: errorCode, acknowledgeErrorMessage: errorMessage };
    const known = all.get(key);
    if (known) known.answer = { ...known.answer, ...acknowledgement };
    else all.set(key, { asked: { topicId, index }, answer: { partitionIndex: index, ...acknowledgement } });
  }
  return [...all.values()];
}

function byTopic(partitions: Iterable<Told>): Answer['responses'] {
  const topics = new Map<string, PartitionAnswer[]>();
  for (const { asked, answer } of partitions) {
    const known = topics.get(asked.topicId);
    if (known) known.push(answer);
    else topics.set(asked.topicId, [answer]);
  }
  return [...topics].map(([topicId, partitions]) => ({ topicId, partitions }));
}
