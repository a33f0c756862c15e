import { OffsetForLeaderEpoch } from '@ottla/protocol';
import { handler, orFailure } from './handler.ts';

const UNDEFINED = { leaderEpoch: -1, endOffset: -1 };

/**
 * OffsetForLeaderEpoch: where a leader epoch ends in this log, so that a reader can tell whether its history was truncated.
 * v2 currentLeaderEpoch fences a client with stale metadata (KIP-320)
 */
export const offsetForLeaderEpoch = handler(OffsetForLeaderEpoch, (request, { broker }) => ({
  topics: request.topics.map(({ topic, partitions }) => ({
    topic,
    partitions: partitions.map((asked) =>
      orFailure(
        () => {
          const { log } = broker.partitions.leader(topic, asked.partition, asked.currentLeaderEpoch);
          return { partition: asked.partition, errorCode: 0, ...log.endOffsetForEpoch(asked.leaderEpoch) };
        },
        ({ errorCode }) => ({ partition: asked.partition, errorCode, ...UNDEFINED }),
      ),
    ),
  })),
}));
