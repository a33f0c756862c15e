import {
  DescribeCluster,
  DescribeTopicPartitions,
  type DescribeTopicPartitionsRequest,
  IncrementalAlterConfigs,
  Metadata,
  type Writable,
} from '@ottla/protocol';
import { eventually } from '../../processes.ts';
import { makeTopic, type Scenario, unknownId } from './scenario.ts';

const longName = 'x'.repeat(250);
const badNames = ['', '.', '..', 'a b', 'a/b', 'ä', longName, 'a\u0000b'];

export const metadataScenarios: readonly Scenario[] = [
  {
    name: 'Metadata',
    async run(probe) {
      const id = await makeTopic(probe, 'm-known', { partitions: 2 });
      const off = { allowAutoTopicCreation: false };
      await probe.askInEachVersion('nothing', Metadata, (version) => ({
        topics: version === 0 ? [{ name: 'm-known' }] : [],
        ...(version >= 4 ? off : {}),
      }));
      await probe.askInEachVersion('everything', Metadata, (version) => ({
        topics: version === 0 ? [] : null,
        ...(version >= 4 ? off : {}),
      }));
      await probe.askInEachVersion('a known topic', Metadata, (version) => ({
        topics: [{ name: 'm-known' }],
        ...(version >= 4 ? off : {}),
      }));
      await probe.askInEachVersion('a known topic, twice', Metadata, (version) => ({
        topics: [{ name: 'm-known' }, { name: 'm-known' }],
        ...(version >= 4 ? off : {}),
      }));
      await probe.askInEachVersion(
        'an unknown topic',
        Metadata,
        { topics: [{ name: 'm-unknown' }], ...off },
        { versions: [4, 5, 6, 7, 8, 9, 10, 11, 12, 13] },
      );
      for (const name of badNames) {
        const shown = `the name "${name.slice(0, 10)}"`;
        await probe.ask(shown, Metadata, 1, { topics: [{ name }] });
        await probe.ask(`${shown}, to be created`, Metadata, 12, { topics: [{ name }] });
        await probe.ask(`${shown}, not to be created`, Metadata, 12, { topics: [{ name }], ...off });
      }
      for (const version of [10, 11, 12, 13]) {
        await probe.ask('by id', Metadata, version, { topics: [{ topicId: id, name: null }], ...off });
        await probe.ask('by id and name', Metadata, version, { topics: [{ topicId: id, name: 'm-known' }], ...off });
        await probe.ask('by id and another name', Metadata, version, { topics: [{ topicId: id, name: 'm-other' }], ...off });
        await probe.ask('by an unknown id', Metadata, version, { topics: [{ topicId: unknownId, name: null }], ...off });
        await probe.ask('by the zero id', Metadata, version, { topics: [{ name: null }], ...off });
        await probe.ask('by id and by name', Metadata, version, {
          topics: [{ topicId: id, name: null }, { name: 'm-known' }],
          ...off,
        });
        await probe.ask('by known and unknown id', Metadata, version, {
          topics: [
            { topicId: id, name: null },
            { topicId: unknownId, name: null },
          ],
          ...off,
        });
        await probe.ask('by id twice', Metadata, version, {
          topics: [
            { topicId: id, name: null },
            { topicId: id, name: null },
          ],
          ...off,
        });
      }
      const operations = { includeTopicAuthorizedOperations: true, ...off };
      await probe.askInEachVersion(
        'with operations',
        Metadata,
        (version) => ({
          topics: [{ name: 'm-known' }],
          ...operations,
          ...(version <= 10 ? { includeClusterAuthorizedOperations: true } : {}),
        }),
        { versions: [8, 9, 10, 11, 12, 13] },
      );
      await probe.ask('with operations of an unknown topic', Metadata, 12, { topics: [{ name: 'm-unknown' }], ...operations });
    },
  },
  {
    name: 'automatic creation',
    async run(probe) {
      const created = (name: string): Promise<boolean> =>
        eventually(`${name} is created`, async () => {
          const asked = { topics: [{ name }], allowAutoTopicCreation: false };
          return (await probe.ask('wait', Metadata, 12, asked, { quiet: true }))!.topics[0]!.errorCode === 0;
        });
      await probe.ask('of a topic', Metadata, 12, { topics: [{ name: 'auto-1' }] }, { quiet: true });
      await created('auto-1');
      await probe.ask('done', Metadata, 12, { topics: [{ name: 'auto-1' }] });
      await probe.ask('in v1, without choice', Metadata, 1, { topics: [{ name: 'auto-2' }] }, { quiet: true });
      await created('auto-2');
      await makeTopic(probe, 'auto.3');
      await probe.ask('a colliding name', Metadata, 12, { topics: [{ name: 'auto_3' }] });
      await probe.ask('then', Metadata, 12, { topics: [{ name: 'auto_3' }], allowAutoTopicCreation: false });
      const switchTo = (value: string) =>
        probe.ask(`switch to ${value}`, IncrementalAlterConfigs, 1, {
          resources: [
            { resourceType: 4, resourceName: '1', configs: [{ name: 'auto.create.topics.enable', configOperation: 0, value }] },
          ],
        });
      await switchTo('false');
    },
  },
  {
    name: 'DescribeTopicPartitions',
    async run(probe) {
      await makeTopic(probe, 'dtp-a', { partitions: 3 });
      await makeTopic(probe, 'dtp-b', { partitions: 3 });
      const ask = (what: string, request: Writable<DescribeTopicPartitionsRequest>) =>
        probe.ask(what, DescribeTopicPartitions, 0, request);
      const both = [{ name: 'dtp-a' }, { name: 'dtp-b' }];
      await ask('two', { topics: both });
      await ask('a few', { topics: both, responsePartitionLimit: 2 });
      await ask('exactly', { topics: both, responsePartitionLimit: 3 });
      await ask('across', { topics: both, responsePartitionLimit: 4 });
      await ask('all', { topics: both, responsePartitionLimit: 6 });
      await ask('limit 0', { topics: both, responsePartitionLimit: 0 });
      await ask('limit -1', { topics: both, responsePartitionLimit: -1 });
      await ask('from a cursor', {
        topics: both,
        responsePartitionLimit: 2,
        cursor: { topicName: 'dtp-a', partitionIndex: 2 },
      });
      await ask('from a cursor in the second', { topics: both, cursor: { topicName: 'dtp-b', partitionIndex: 1 } });
      await ask('from a cursor past the end', { topics: both, cursor: { topicName: 'dtp-a', partitionIndex: 3 } });
      await ask('from a cursor between', { topics: both, cursor: { topicName: 'dtp-aa', partitionIndex: 1 } });
      await ask('from a negative cursor', { topics: both, cursor: { topicName: 'dtp-a', partitionIndex: -1 } });
      await ask('from a cursor with a bad name', { topics: both, cursor: { topicName: 'a b', partitionIndex: 0 } });
      await ask('from a cursor without name', { topics: both, cursor: { topicName: '', partitionIndex: 0 } });
      await ask('unknown', { topics: [{ name: 'dtp-c' }, ...both] });
      await ask('bad name', { topics: [{ name: 'a b' }] });
      await ask('twice', { topics: [...both, ...both] });
      await ask('unsorted', { topics: [...both].reverse(), responsePartitionLimit: 2 });
    },
  },
  {
    name: 'DescribeCluster',
    async run(probe) {
      await probe.askInEachVersion('plain', DescribeCluster, {});
      await probe.askInEachVersion('with operations', DescribeCluster, { includeClusterAuthorizedOperations: true });
      for (const endpointType of [0, 2, 3])
        await probe.askInEachVersion(`endpoint type ${endpointType}`, DescribeCluster, { endpointType });
      await probe.ask('with fenced', DescribeCluster, 2, { includeFencedBrokers: true });
    },
  },
];
