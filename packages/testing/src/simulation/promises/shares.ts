/** Share groups: who is given which record, how often, and when no more. */
import { type ClusterPromise, promise } from './cluster-promise.ts';

const mostDeliveries = 5;

export const shares: readonly ClusterPromise[] = [
  promise(
    'settledIsNotDeliveredAgain',
    'a record that a share group has accepted or refused is not given to it again',
    (broken) => {
      /** By group and partition: of each offset, when a client heard that it is settled. */
      const settled = new Map<string, Map<number, { atMs: number; client: string }>>();
      return {
        hear(news) {
          if (news.type !== 'settled' && news.type !== 'acquired') return;
          const { group, topic, partition, client, firstOffset, lastOffset } = news;
          const place = `${group} ${topic}-${partition}`;
          let known = settled.get(place);
          if (!known) settled.set(place, (known = new Map()));
          for (let offset = firstOffset; offset <= lastOffset; offset++) {
            if (news.type === 'settled') {
              known.set(offset, { atMs: news.atMs, client });
              continue;
            }
            const before = known.get(offset);
            // Who asked before may have been given it before.
            if (before && before.atMs < news.beganMs) {
              broken(
                `${client} was given ${topic}-${partition}@${offset} for ${group}, which ${before.client} had settled at ${before.atMs}`,
              );
            }
          }
        },
      };
    },
  ),

  promise('deliveriesAreCounted', 'a share group is given a record as often as its limit says, and not more often', (broken) => ({
    hear(news) {
      if (news.type !== 'acquired') return;
      const { group, topic, partition, firstOffset, deliveryCount, client } = news;
      if (deliveryCount >= 1 && deliveryCount <= mostDeliveries) return;
      broken(`${client} was given ${topic}-${partition}@${firstOffset} for ${group} as delivery ${deliveryCount}`);
    },
  })),

  promise('onlyCommittedIsShared', 'no share group is given what is not committed', (broken, { ledger }) => ({
    hear(news) {
      if (news.type !== 'acquired') return;
      const { topic, partition, lastOffset, client } = news;
      if ((ledger.of(topic, partition)?.highestHighWatermark ?? 0) > lastOffset) return;
      broken(`${client} was given ${topic}-${partition}@${lastOffset}, of which no replica says that it is committed`);
    },
  })),
];
