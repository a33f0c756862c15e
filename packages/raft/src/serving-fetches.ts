import { type ErrorName, errors, type FetchRequest, type FetchResponse, type Writable } from '@ottla/protocol';
import type { RaftReply } from './effects.ts';
import type { Leadership } from './leadership.ts';
import { metadataTopic, metadataTopicId } from './metadata-partition.ts';
import type { RaftCore } from './raft-core.ts';
import { isOfAnotherCluster, leaderIn, nodeEndpointsFor, refusalByFollower } from './serving.ts';
import type { VoterKey } from './voter-set.ts';

type Asked = {
  readonly requestId: number;
  readonly listenerName: string;
  readonly request: FetchRequest;
  readonly partition: FetchRequest['topics'][number]['partitions'][number];
  readonly replica: VoterKey;
  readonly deadlineMs: number;
};

/**
 * Fetch of the metadata log, by followers and observers. An answer with nothing new waits for more to come, or for the high watermark to pass
 * the one that the follower knows (v18, KIP-1166), until its time is up.
 */
export class ServingFetches {
  readonly #core: RaftCore;
  /** A follower has more on its disk than before: the high watermark may move. */
  readonly #progressed: (leadership: Leadership) => void;
  #waiting: Asked[] = [];

  constructor(core: RaftCore, progressed: (leadership: Leadership) => void) {
    this.#core = core;
    this.#progressed = progressed;
  }

  answer(requestId: number, request: FetchRequest, listenerName: string): void {
    const core = this.#core;
    if (isOfAnotherCluster(core, request.clusterId)) {
      this.#refuse(requestId, 'INCONSISTENT_CLUSTER_ID');
      return;
    }
    const partition = partitionIn(request);
    if (!partition || request.maxWaitMs < 0) {
      this.#refuse(requestId, 'INVALID_REQUEST');
      return;
    }
    const replicaId = request.replicaState.replicaId >= 0 ? request.replicaState.replicaId : request.replicaId;
    const replica = { id: replicaId, directoryId: partition.replicaDirectoryId };
    const deadlineMs = core.nowMs + request.maxWaitMs;
    const asked: Asked = { requestId, listenerName, request, partition, replica, deadlineMs };
    // Who asks anew does not wait for the answer before any more.
    this.#answerWaiting(({ replica: waiting }) => waiting.id === replica.id && waiting.directoryId === replica.directoryId);
    this.#note(asked);
    if (!this.#answerIfNew(asked)) this.#waiting.push(asked);
  }

  /** By asking for what comes next it says what it has. */
  #note({ replica, partition: { currentLeaderEpoch, fetchOffset, lastFetchedEpoch } }: Asked): void {
    const { log, nowMs, epoch, state } = this.#core;
    if (state.name !== 'leader' || currentLeaderEpoch !== epoch || lastFetchedEpoch > epoch) return;
    if (log.check({ offset: fetchOffset, epoch: lastFetchedEpoch }).kind !== 'valid') return;
    state.fetched(replica, fetchOffset, log.endOffset, nowMs);
    this.#progressed(state);
  }

  /** Answers those whose waiting is over. Returns when that is to be looked at again. */
  poll(): number {
    const { nowMs, state } = this.#core;
    const stillWaiting: Asked[] = [];
    for (const asked of this.#waiting.splice(0)) {
      if (nowMs >= asked.deadlineMs || state.name !== 'leader') this.#complete(asked);
      else if (!this.#answerIfNew(asked)) stillWaiting.push(asked);
    }
    this.#waiting = stillWaiting;
    return this.#waiting.reduce((wakeMs, { deadlineMs }) => Math.min(wakeMs, deadlineMs), Number.POSITIVE_INFINITY);
  }

  #answerWaiting(isMeant: (asked: Asked) => boolean): void {
    const meant = this.#waiting.filter(isMeant);
    if (meant.length === 0) return;
    this.#waiting = this.#waiting.filter((asked) => !isMeant(asked));
    for (const asked of meant) this.#complete(asked);
  }

  #complete(asked: Asked): void {
    this.#core.reply(this.#replyTo(asked));
  }

  #answerIfNew(asked: Asked): boolean {
    const reply = this.#replyTo(asked);
    if (asked.request.maxWaitMs > 0 && !this.#isWorthSending(reply, asked)) return false;
    this.#core.reply(reply);
    return true;
  }

  #isWorthSending({ readLog, response }: FetchReply, { partition: { highWatermark } }: Asked): boolean {
    const { errorCode, divergingEpoch, snapshotId } = response.responses![0]!.partitions![0]!;
    if (readLog || errorCode !== 0 || divergingEpoch || snapshotId) return true;
    return this.#core.toldHighWatermark > highWatermark;
  }

  #replyTo(asked: Asked): FetchReply {
    const core = this.#core;
    const { log } = core;
    const { currentLeaderEpoch, fetchOffset, lastFetchedEpoch } = asked.partition;
    const isNonsense = fetchOffset < 0 || lastFetchedEpoch < 0 || currentLeaderEpoch < 0 || lastFetchedEpoch > currentLeaderEpoch;
    if (isNonsense) return this.#reply(asked, 'INVALID_REQUEST', {});
    const refusal = refusalByFollower(core, currentLeaderEpoch);
    if (refusal) return this.#reply(asked, refusal, {});
    const check = log.check({ offset: fetchOffset, epoch: lastFetchedEpoch });
    if (check.kind === 'diverging') {
      const { epoch, endOffset } = check;
      return this.#reply(asked, 'NONE', { divergingEpoch: { epoch, endOffset } });
    }
    if (check.kind === 'snapshot') return this.#reply(asked, 'NONE', { snapshotId: { ...check.snapshotId } });
    const reply = this.#reply(asked, 'NONE', {});
    const endOffset = log.writtenEndOffset;
    if (fetchOffset >= endOffset) return reply;
    const { maxBytes, partitionMaxBytes } = { ...asked.request, ...asked.partition };
    const ownMaxBytes = core.options.fetchMaxBytes ?? 1024 * 1024;
    const readLog = { startOffset: fetchOffset, endOffset, maxBytes: Math.min(maxBytes, partitionMaxBytes, ownMaxBytes) };
    return { ...reply, readLog };
  }

  #reply({ requestId, listenerName }: Asked, error: ErrorName, content: PartitionContent): FetchReply {
    const core = this.#core;
    return {
      requestId,
      api: 'fetch',
      response: {
        errorCode: 0,
        responses: [
          {
            topic: metadataTopic,
            topicId: metadataTopicId,
            partitions: [
              {
                partitionIndex: 0,
                errorCode: errors[error].code,
                highWatermark: error === 'NONE' ? core.toldHighWatermark : -1,
                logStartOffset: core.log.startOffset,
                currentLeader: leaderIn(core),
                records: nothing,
                ...content,
              },
            ],
          },
        ],
        nodeEndpoints: nodeEndpointsFor(core, listenerName),
      },
    };
  }

  #refuse(requestId: number, error: ErrorName): void {
    this.#core.reply({ requestId, api: 'fetch', response: { errorCode: errors[error].code } });
  }
}

type FetchReply = Extract<RaftReply, { readonly api: 'fetch' }>;
type PartitionContent = Pick<
  NonNullable<NonNullable<Writable<FetchResponse>['responses']>[number]['partitions']>[number],
  'divergingEpoch' | 'snapshotId'
>;

const nothing = new Uint8Array(0);

/** Requests up to v12 name no topic id, and are refused, as by Kafka. */
function partitionIn({ topics }: FetchRequest): Asked['partition'] | undefined {
  const [topic] = topics;
  if (topics.length !== 1 || topic?.topicId !== metadataTopicId || topic!.partitions.length !== 1) return undefined;
  return topic!.partitions[0]!.partition === 0 ? topic!.partitions[0] : undefined;
}
