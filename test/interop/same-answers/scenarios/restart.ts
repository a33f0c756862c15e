import {
  AlterUserScramCredentials,
  DescribeClientQuotas,
  DescribeConfigs,
  DescribeGroups,
  DescribeProducers,
  DescribeUserScramCredentials,
  Fetch,
  ListConfigResources,
  ListGroups,
  ListOffsets,
  Metadata,
  OffsetFetch,
  OffsetForLeaderEpoch,
  Produce,
} from '@ottla/protocol';
import { eventually } from '../../processes.ts';
import { batch } from './batches.ts';
import type { Scenario } from './scenario.ts';

const written = ['p', 'pb', 'pr-compacted', 'pr-append-time', 'pr-packed', 'ps', 'f', 'lo', 'dr'];

const someGroups = [
  'kept',
  'lg-stable',
  ...Array.from({ length: 10 }, (_, version) => [`jg-${version}`, `off-${Math.max(2, version)}`]).flat(),
];

/** Asked when all else is done and both nodes have been stopped cleanly and started again. */
export const restartScenarios: readonly Scenario[] = [
  {
    name: 'after a restart',
    async run(probe) {
      await eventually('groups and logs are loaded', async () => {
        const list = await probe.ask('list', ListGroups, 4, {}, { quiet: true });
        const ends = await probe.ask(
          'ends',
          ListOffsets,
          7,
          { replicaId: -1, topics: written.map((name) => ({ name, partitions: [{ partitionIndex: 0, timestamp: -1 }] })) },
          { quiet: true },
        );
        const listed = new Set(list?.groups.map(({ groupId }) => groupId));
        // A coordinator lists what it has loaded so far, partition by partition.
        const isLoaded = someGroups.every((groupId) => listed.has(groupId));
        return isLoaded && ends?.topics.every(({ partitions }) => partitions[0]!.errorCode === 0);
      });
      const all = await probe.ask('all topics', Metadata, 12, { topics: null }, { quiet: true });
      probe.note(
        'topics',
        all!.topics
          .map(
            ({ name, topicId, partitions }) =>
              `${name} ${probe.idNames.get(topicId) ?? ''} ${partitions.map(({ partitionIndex, isrNodes }) => `${partitionIndex} ${isrNodes}`)}`,
          )
          .sort(),
      );
      for (const timestamp of [-1, -2, -3, 1_600_000_000_002]) {
        // The leader epochs, and so the answers' epochs, grow with each start of a broker by what is its own affair.
        const answer = await probe.ask(
          'offsets',
          ListOffsets,
          7,
          { replicaId: -1, topics: written.map((name) => ({ name, partitions: [{ partitionIndex: 0, timestamp }] })) },
          { quiet: true },
        );
        probe.note(
          `offsets at ${timestamp}`,
          answer!.topics
            .map(
              ({ name, partitions }) =>
                `${name} ${partitions[0]!.errorCode} ${partitions[0]!.offset} ${partitions[0]!.timestamp > 1_700_000_000_000 ? 'now' : partitions[0]!.timestamp}`,
            )
            .sort(),
        );
      }
      const epochs = await probe.ask(
        'epochs',
        OffsetForLeaderEpoch,
        4,
        { replicaId: -1, topics: written.map((topic) => ({ topic, partitions: [{ partition: 0, leaderEpoch: 0 }] })) },
        { quiet: true },
      );
      probe.note(
        'where epoch 0 ends',
        epochs!.topics
          .map(({ topic, partitions }) => `${topic} ${partitions[0]!.leaderEpoch} ${partitions[0]!.endOffset}`)
          .sort(),
      );
      for (const topic of written)
        await probe.ask(topic, Fetch, 12, {
          maxWaitMs: 0,
          minBytes: 0,
          topics: [{ topic, partitions: [{ partition: 0, fetchOffset: topic === 'dr' ? 5 : 0, partitionMaxBytes: 10_000_000 }] }],
        });
      await probe.ask('all', ListGroups, 5, {});
      await probe.ask('groups', DescribeGroups, 5, { groups: ['off-member', 'off-8', 'lg-stable', 'kept', 'one'] });
      await probe.ask('offsets', OffsetFetch, 8, {
        groups: ['off-2', 'off-8', 'off-9', 'off-member'].map((groupId) => ({ groupId, topics: null })),
      });
      const producers = await probe.ask(
        'producers',
        DescribeProducers,
        0,
        { topics: [{ name: 'ps', partitionIndexes: [0, 1, 2, 3] }] },
        { quiet: true },
      );
      probe.note(
        'producers',
        producers!.topics[0]!.partitions.map(
          ({ partitionIndex, errorCode, activeProducers }) =>
            `${partitionIndex} ${errorCode} ${activeProducers.map(({ producerId, producerEpoch, lastSequence }) => `${probe.idNames.get(producerId) ?? producerId} ${producerEpoch} ${lastSequence}`).sort()}`,
        ).sort(),
      );
      const again = (what: string, producerId: number, baseSequence: number, partition: number) =>
        probe.ask(what, Produce, 9, {
          acks: -1,
          timeoutMs: 5000,
          topicData: [
            {
              name: 'ps',
              partitionData: [{ index: partition, records: batch(['again'], { producerId, producerEpoch: 0, baseSequence }) }],
            },
          ],
        });
      await again('the last batch once more', 777, 6, 1);
      await again('the next batch', 777, 7, 1);
      await again('a gap', 777, 19, 1);
      await probe.ask('all', ListConfigResources, 1, {});
      for (const name of ['iac', 'ac', 'ct-c', 'live', 'pr-timed'])
        await probe.ask(name, DescribeConfigs, 4, {
          resources: [{ resourceType: 2, resourceName: name, configurationKeys: null }],
          includeSynonyms: true,
        });
      await probe.ask('all', DescribeClientQuotas, 1, { components: [] });
      await probe.ask('all', DescribeUserScramCredentials, 0, { users: null });
      await probe.ask('one less', AlterUserScramCredentials, 0, { deletions: [{ name: 'alice', mechanism: 2 }] });
    },
  },
];
