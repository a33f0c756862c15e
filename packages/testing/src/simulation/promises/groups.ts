/** Groups of consumers: who reads what, and from where. */
import { type ClusterPromise, promise } from './cluster-promise.ts';

export const groups: readonly ClusterPromise[] = [
  promise(
    'onePartitionOneMemberPerGeneration',
    'in one generation of a group a partition is assigned to one member',
    (broken) => {
      const owners = new Map<string, string>();
      return {
        hear(news) {
          if (news.type !== 'assigned') return;
          for (const partition of news.partitions) {
            const place = `${news.group} ${news.generation} ${partition}`;
            const owner = owners.get(place);
            if (owner !== undefined && owner !== news.client) {
              broken(
                `${partition} is assigned to ${news.client} in generation ${news.generation} of ${news.group}, and to ${owner}`,
              );
            }
            owners.set(place, news.client);
          }
        },
      };
    },
  ),

  promise('groupGenerationsAscend', 'a member hears of ascending generations of its group', (broken) => {
    const last = new Map<string, number>();
    return {
      hear(news) {
        if (news.type !== 'assigned') return;
        const who = `${news.group} ${news.client}`;
        const before = last.get(who) ?? -1;
        if (news.generation <= before) {
          broken(`${news.client} of ${news.group} was in generation ${before}, and then in ${news.generation}`);
        }
        last.set(who, news.generation);
      },
    };
  }),

  promise(
    'committedOffsetsAreReplicated',
    'a member is told that its offsets are committed when the record that says so is, not before',
    (broken, { ledger }) => ({
      hear(news) {
        if (news.type !== 'committedOffset') return;
        const { group, topic, partition, offset, client } = news;
        const committed = ledger.groupOffsets.get(`${group} ${topic}-${partition}`) ?? -1;
        if (committed < offset)
          broken(`${client} committed ${topic}-${partition}@${offset} for ${group}, and on replicas ${committed} is committed`);
      },
    }),
  ),

  promise('committedOffsetsNeverRegress', 'a group goes on from what its members have committed', (broken) => {
    const committed = new Map<string, { offset: number; client: string }>();
    return {
      hear(news) {
        if (news.type !== 'committedOffset') return;
        const place = `${news.group} ${news.topic}-${news.partition}`;
        const before = committed.get(place);
        if (!before || before.offset < news.offset) committed.set(place, { offset: news.offset, client: news.client });
      },
      judge(_sight, history) {
        for (const event of history) {
          if (event.type !== 'groupOffsets') continue;
          for (const [place, { offset, client }] of committed) {
            const [group, partition] = place.split(' ') as [string, string];
            if (group !== event.group) continue;
            const kept = event.offsets[partition] ?? -1;
            if (kept < offset) broken(`${client} committed ${partition}@${offset} for ${group}, which is at ${kept}`);
          }
        }
      },
    };
  }),
];
