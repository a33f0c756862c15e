import { CreatePartitions, CreateTopics, DeleteTopics, ElectLeaders, Metadata } from '@ottla/protocol';
import { makeTopic, type Scenario, unknownId } from './scenario.ts';

const one = { numPartitions: 1, replicationFactor: 1 };
const longName = 'x'.repeat(250);

export const topicScenarios: readonly Scenario[] = [
  {
    name: 'CreateTopics',
    async run(probe) {
      await makeTopic(probe, 'ct-known');
      await makeTopic(probe, 'ct.known.dots');
      await probe.askInEachVersion('validate', CreateTopics, { topics: [{ name: 'ct-validate', ...one }], validateOnly: true });
      await probe.askInEachVersion('create', CreateTopics, (version) => ({
        topics: [{ name: `ct-v${version}`, numPartitions: 2, replicationFactor: 1 }],
      }));
      await probe.askInEachVersion('existing', CreateTopics, { topics: [{ name: 'ct-known', ...one }] });
      await probe.askInEachVersion('defaults', CreateTopics, {
        topics: [{ name: 'ct-default', numPartitions: -1, replicationFactor: -1 }],
        validateOnly: true,
      });
      const ask = (what: string, ...topics: object[]) =>
        probe.ask(what, CreateTopics, 7, { topics, validateOnly: true } as never);
      await ask('nothing');
      await ask('twice', { name: 'ct-twice', ...one }, { name: 'ct-twice', ...one }, { name: 'ct-once', ...one });
      for (const name of ['', '.', '..', 'a b', 'a/b', 'ä', longName, longName.slice(1)])
        await ask(`the name "${name.slice(0, 10)}" (${name.length})`, { name, ...one });
      await ask('a name that collides', { name: 'ct_known_dots', ...one });
      await ask('two names that collide', { name: 'ct.x', ...one }, { name: 'ct_x', ...one });
      await ask('an internal name', { name: '__consumer_offsets', ...one });
      await ask('the metadata log', { name: '__cluster_metadata', ...one });
      for (const numPartitions of [0, -2, -1, 100_000])
        await ask(`${numPartitions} partitions`, { name: 'ct-n', numPartitions, replicationFactor: 1 });
      for (const replicationFactor of [0, -2, 2, 32767])
        await ask(`replication factor ${replicationFactor}`, { name: 'ct-n', numPartitions: 1, replicationFactor });
      const assigned = (...assignments: [number, number[]][]) => ({
        name: 'ct-a',
        numPartitions: -1,
        replicationFactor: -1,
        assignments: assignments.map(([partitionIndex, brokerIds]) => ({ partitionIndex, brokerIds })),
      });
      await ask('assigned', assigned([0, [1]], [1, [1]]));
      await ask('assigned out of order', assigned([1, [1]], [0, [1]]));
      await ask('assigned and counted', { ...assigned([0, [1]]), numPartitions: 1 });
      await ask('assigned and replicated', { ...assigned([0, [1]]), replicationFactor: 1 });
      await ask('assigned with a gap', assigned([0, [1]], [2, [1]]));
      await ask('assigned not from 0', assigned([1, [1]]));
      await ask('assigned twice', assigned([0, [1]], [0, [1]]));
      await ask('assigned to nobody', assigned([0, []]));
      await ask('assigned to an unknown broker', assigned([0, [9]]));
      await ask('assigned to one broker twice', assigned([0, [1, 1]]));
      await ask('assigned unevenly', assigned([0, [1]], [1, [1, 2]]));
      await ask('assigned to a negative broker', assigned([0, [-1]]));
      const configured = (...configs: [string, string | null][]) => ({
        name: 'ct-c',
        ...one,
        configs: configs.map(([name, value]) => ({ name, value })),
      });
      for (const config of configsToTry) await ask(`config ${config[0]}=${config[1]}`, configured(config));
      await ask('a config twice', configured(['retention.ms', '1'], ['retention.ms', '2']));
      await ask('config relations: local retention', configured(['retention.ms', '100'], ['local.retention.ms', '200']));
      await ask('config relations: lag', configured(['min.compaction.lag.ms', '200'], ['max.compaction.lag.ms', '100']));
      await ask(
        'several configs',
        configured(['retention.ms', '1'], ['cleanup.policy', 'compact,delete'], ['max.message.bytes', '77']),
      );
      await probe.ask('answered with configs', CreateTopics, 7, {
        topics: [configured(['retention.ms', '77'], ['cleanup.policy', 'compact'])],
      });
      await probe.ask('good and bad together', CreateTopics, 7, {
        topics: [
          { name: 'ct-good', ...one },
          { name: 'ct-bad', numPartitions: 0, replicationFactor: 1 },
        ],
      });
      await probe.ask('no time', CreateTopics, 7, { topics: [{ name: 'ct-fast', ...one }], timeoutMs: 0, validateOnly: true });
    },
  },
  {
    name: 'DeleteTopics',
    async run(probe) {
      for (const version of [1, 2, 3, 4, 5]) {
        await makeTopic(probe, 'dt');
        await probe.ask('by name', DeleteTopics, version, { topicNames: ['dt'], timeoutMs: 5000 });
        await probe.ask('unknown, bad, twice', DeleteTopics, version, {
          topicNames: ['dt-x', 'a b', '', 'dt-y', 'dt-y'],
          timeoutMs: 5000,
        });
      }
      await makeTopic(probe, 'dt-twice');
      await probe.ask('twice', DeleteTopics, 4, { topicNames: ['dt-twice', 'dt-twice'], timeoutMs: 5000 });
      await probe.ask('no time', DeleteTopics, 4, { topicNames: ['dt-x'], timeoutMs: 0 });
      await probe.ask('no time', DeleteTopics, 6, { topics: [{ name: 'dt-x' }], timeoutMs: -1 });
      const id = await makeTopic(probe, 'dt6');
      const ask = (what: string, ...topics: object[]) => probe.ask(what, DeleteTopics, 6, { topics, timeoutMs: 5000 } as never);
      await ask('nothing');
      await ask('by name and id', { name: 'dt6', topicId: id });
      await ask('by neither', { name: null });
      await ask('by an empty name', { name: '' });
      await ask('by an unknown id', { name: null, topicId: unknownId });
      await ask('by an unknown id, twice', { name: null, topicId: unknownId }, { name: null, topicId: unknownId });
      await ask('by name, then id of the same', { name: 'dt6' }, { name: null, topicId: id });
      await ask('twice by id', { name: null, topicId: id }, { name: null, topicId: id });
      await ask('unknown name', { name: 'dt-x' });
      await ask('bad name', { name: 'a b' });
      await ask('by id', { name: null, topicId: id });
      await ask('by id again', { name: null, topicId: id });
      await probe.ask('gone', Metadata, 12, { topics: [{ name: 'dt6' }], allowAutoTopicCreation: false });
    },
  },
  {
    name: 'CreatePartitions',
    async run(probe) {
      await makeTopic(probe, 'cp', { partitions: 2 });
      await probe.askInEachVersion('validate', CreatePartitions, {
        topics: [{ name: 'cp', count: 3, assignments: null }],
        timeoutMs: 5000,
        validateOnly: true,
      });
      const ask = (what: string, ...topics: object[]) =>
        probe.ask(what, CreatePartitions, 3, { topics, timeoutMs: 5000, validateOnly: true } as never);
      await ask('nothing');
      for (const count of [-1, 0, 1, 2, 20_000]) await ask(`to ${count}`, { name: 'cp', count, assignments: null });
      await ask('unknown topic', { name: 'cp-x', count: 3, assignments: null });
      await ask('bad name', { name: 'a b', count: 3, assignments: null });
      await ask('twice', { name: 'cp', count: 3, assignments: null }, { name: 'cp', count: 4, assignments: null });
      const assigned = (count: number, ...assignments: number[][]) => ({
        name: 'cp',
        count,
        assignments: assignments.map((brokerIds) => ({ brokerIds })),
      });
      await ask('assigned', assigned(3, [1]));
      await ask('assigned too few', assigned(4, [1]));
      await ask('assigned too many', assigned(3, [1], [1]));
      await ask('assigned to nobody', assigned(3, []));
      await ask('assigned an empty list', assigned(3));
      await ask('assigned to an unknown broker', assigned(3, [9]));
      await ask('assigned twice to one', assigned(3, [1, 1]));
      await ask('assigned to two', assigned(3, [1, 2]));
      await probe.ask('for real', CreatePartitions, 3, {
        topics: [{ name: 'cp', count: 3, assignments: null }],
        timeoutMs: 5000,
      });
      await probe.ask('again', CreatePartitions, 3, { topics: [{ name: 'cp', count: 3, assignments: null }], timeoutMs: 5000 });
      await probe.ask('no time', CreatePartitions, 3, { topics: [{ name: 'cp', count: 4, assignments: null }], timeoutMs: 0 });
      await probe.ask('after', Metadata, 12, { topics: [{ name: 'cp' }] });
    },
  },
  {
    name: 'ElectLeaders',
    async run(probe) {
      await makeTopic(probe, 'el', { partitions: 2 });
      const asked = (topicPartitions: object[] | null) => (version: number) =>
        ({ topicPartitions, timeoutMs: 5000, ...(version >= 1 ? { electionType: 0 } : {}) }) as never;
      await probe.askInEachVersion('preferred', ElectLeaders, asked([{ topic: 'el', partitions: [0, 1] }]));
      await probe.askInEachVersion(
        'unknown',
        ElectLeaders,
        asked([
          { topic: 'el', partitions: [7] },
          { topic: 'el-x', partitions: [0] },
          { topic: 'a b', partitions: [0] },
        ]),
      );
      await probe.askInEachVersion('twice', ElectLeaders, asked([{ topic: 'el', partitions: [0, 0] }]));
      await probe.askInEachVersion('none', ElectLeaders, asked([]));
      await probe.askInEachVersion('all', ElectLeaders, asked(null));
      for (const electionType of [1, 2, -1]) {
        await probe.ask(`type ${electionType}`, ElectLeaders, 2, {
          electionType,
          topicPartitions: [{ topic: 'el', partitions: [0] }],
          timeoutMs: 5000,
        });
        await probe.ask(`type ${electionType} for all`, ElectLeaders, 2, {
          electionType,
          topicPartitions: null,
          timeoutMs: 5000,
        });
      }
    },
  },
];

/** Good and bad values of each type of topic config. */
export const configsToTry: readonly [string, string | null][] = [
  ['no.such.config', '1'],
  ['', '1'],
  ['retention.ms', '-1'],
  ['retention.ms', '-2'],
  ['retention.ms', 'x'],
  ['retention.ms', ''],
  ['retention.ms', null],
  ['retention.ms', ' 5 '],
  ['retention.ms', '9223372036854775807'],
  ['retention.ms', '9223372036854775808'],
  ['retention.ms', '1.5'],
  ['retention.bytes', '-1'],
  ['max.message.bytes', '-1'],
  ['max.message.bytes', '0'],
  ['max.message.bytes', '2147483648'],
  ['segment.bytes', '13'],
  ['segment.bytes', '1048576'],
  ['segment.bytes', '1048575'],
  ['segment.ms', '0'],
  ['segment.index.bytes', '3'],
  ['cleanup.policy', 'delete'],
  ['cleanup.policy', 'delete,compact'],
  ['cleanup.policy', 'compact, delete'],
  ['cleanup.policy', ''],
  ['cleanup.policy', 'delete,delete'],
  ['cleanup.policy', 'purge'],
  ['cleanup.policy', 'DELETE'],
  ['compression.type', 'zstd'],
  ['compression.type', 'ZSTD'],
  ['compression.type', 'rar'],
  ['compression.gzip.level', '10'],
  ['compression.gzip.level', '-1'],
  ['compression.gzip.level', '0'],
  ['compression.lz4.level', '18'],
  ['compression.zstd.level', '23'],
  ['min.insync.replicas', '0'],
  ['min.insync.replicas', '2'],
  ['unclean.leader.election.enable', 'yes'],
  ['unclean.leader.election.enable', 'TRUE'],
  ['unclean.leader.election.enable', ''],
  ['message.timestamp.type', 'LogAppendTime'],
  ['message.timestamp.type', 'logappendtime'],
  ['message.timestamp.before.max.ms', '-1'],
  ['message.timestamp.difference.max.ms', '1'],
  ['message.format.version', '2.8'],
  ['message.downconversion.enable', 'true'],
  ['min.cleanable.dirty.ratio', '0.5'],
  ['min.cleanable.dirty.ratio', '1.5'],
  ['min.cleanable.dirty.ratio', '-0.1'],
  ['min.cleanable.dirty.ratio', 'NaN'],
  ['leader.replication.throttled.replicas', '*'],
  ['leader.replication.throttled.replicas', '0:1,1:1'],
  ['leader.replication.throttled.replicas', '0:x'],
  ['leader.replication.throttled.replicas', 'foo'],
  ['follower.replication.throttled.replicas', ''],
  ['preallocate', 'true'],
  ['index.interval.bytes', '-1'],
  ['flush.messages', '0'],
  ['flush.ms', '-1'],
  ['file.delete.delay.ms', '-1'],
  ['remote.storage.enable', 'true'],
  ['remote.storage.enable', 'maybe'],
  ['remote.log.copy.disable', 'true'],
  ['remote.log.delete.on.disable', 'true'],
  ['local.retention.ms', '-3'],
  ['local.retention.bytes', '-2'],
  ['delete.retention.ms', '-1'],
  ['max.compaction.lag.ms', '0'],
  ['min.compaction.lag.ms', '-1'],
  ['segment.jitter.ms', '-1'],
];
