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

  promise(
    'sharedRecordsAreNotLost',
    'a share group is done with a record when a member has accepted or refused it, or it was delivered as often as its limit says',
    (broken, { ledger }) => {
      /** Of each record, as `group topic-partition@offset`: what members have said about it, whether or not they were heard. */
      const said = new Map<string, Set<'accept' | 'release' | 'reject'>>();
      /** And how often it was delivered, by what members were told. */
      const delivered = new Map<string, number>();
      let looked = 0;
      return {
        hear(news) {
          if (news.type !== 'settling' && news.type !== 'acquired') return;
          for (let offset = news.firstOffset; offset <= news.lastOffset; offset++) {
            const record = `${news.group} ${news.topic}-${news.partition}@${offset}`;
            if (news.type === 'settling') said.set(record, (said.get(record) ?? new Set()).add(news.how));
            else delivered.set(record, Math.max(news.deliveryCount, delivered.get(record) ?? 0));
          }
        },
        look() {
          for (; looked < ledger.shareEndings.length; looked++) {
            const { shared, offset, how, deliveryCount } = ledger.shareEndings[looked]!;
            const record = `${shared.place}@${offset}`;
            const heard = said.get(record);
            if (heard?.has('accept') && how !== 'archived') continue;
            if (heard?.has('reject') && how !== 'acknowledged') continue;
            const deliveries = Math.max(deliveryCount, delivered.get(record) ?? 0);
            if (how === 'archived' && deliveries >= mostDeliveries) continue;
            // Of the last delivery nobody need have heard, and nothing need be written that the new start offset does not say.
            if (how === 'passed over' && deliveries >= mostDeliveries - 1) continue;
            broken(
              `${record} is ${how}, of which members said ${heard ? [...heard].join(' and ') : 'nothing'} after ${deliveries} deliveries`,
            );
          }
        },
      };
    },
  ),
];
