import { AlterConfigs, DescribeConfigs, IncrementalAlterConfigs, ListConfigResources } from '@ottla/protocol';
import { versionsOf } from '../plain.ts';
import { makeTopic, type Scenario } from './scenario.ts';
import { configsToTry } from './topics.ts';

const topic = 2;
const broker = 4;
const brokerLogger = 8;
const clientMetrics = 16;
const group = 32;

const [set, remove, append, subtract] = [0, 1, 2, 3];

type Change = [name: string, value: string | null, operation?: number];

const changes = (list: readonly Change[]) =>
  list.map(([name, value, configOperation = set]) => ({ name, value, configOperation }));
const values = (list: readonly Change[]) => list.map(([name, value]) => ({ name, value }));

const brokerConfigsToTry: readonly Change[] = [
  ['log.retention.ms', '1000'],
  ['log.retention.ms', 'x'],
  ['log.cleaner.threads', '2'],
  ['log.cleaner.threads', '0'],
  ['log.cleaner.threads', '100'],
  ['num.io.threads', '9'],
  ['num.io.threads', '17'],
  ['num.io.threads', '0'],
  ['background.threads', '11'],
  ['message.max.bytes', '1000'],
  ['max.connections', '5000'],
  ['max.connections.per.ip', '-1'],
  ['max.connections.per.ip.overrides', 'localhost:10'],
  ['log.dirs', '/somewhere'],
  ['node.id', '7'],
  ['process.roles', 'broker'],
  ['no.such.config', '1'],
  ['listeners', 'PLAINTEXT://:1'],
  ['advertised.listeners', 'PLAINTEXT://elsewhere:1'],
  ['compression.type', 'zstd'],
  ['compression.type', 'rar'],
  ['log.cleanup.policy', 'compact'],
  ['min.insync.replicas', '0'],
  ['unclean.leader.election.enable', 'true'],
  ['auto.create.topics.enable', 'false'],
  ['delete.topic.enable', 'false'],
  ['num.partitions', '3'],
  ['default.replication.factor', '1'],
  ['follower.replication.throttled.rate', '1000'],
  ['leader.replication.throttled.rate', '-1'],
  ['log.flush.interval.messages', '0'],
  ['log.segment.bytes', '1'],
  ['log.message.timestamp.type', 'LogAppendTime'],
  ['ssl.keystore.location', '/tmp/keystore'],
  ['ssl.keystore.password', 'secret'],
  ['sasl.jaas.config', 'x'],
  ['metric.reporters', 'org.example.Reporter'],
  ['group.coordinator.threads', '2'],
  ['offsets.retention.minutes', '5'],
  ['transaction.partition.verification.enable', 'false'],
  ['producer.id.expiration.ms', '1000'],
  ['remote.log.manager.copy.max.bytes.per.second', '1000'],
  ['connections.max.idle.ms', '1000'],
  ['listener.name.plaintext.max.connections', '100'],
  ['listener.name.other.max.connections', '100'],
];

const groupConfigsToTry: readonly Change[] = [
  ['consumer.session.timeout.ms', '50000'],
  ['consumer.session.timeout.ms', '1'],
  ['consumer.session.timeout.ms', '10000000'],
  ['consumer.session.timeout.ms', 'x'],
  ['consumer.heartbeat.interval.ms', '6000'],
  ['consumer.heartbeat.interval.ms', '1'],
  ['share.session.timeout.ms', '50000'],
  ['share.auto.offset.reset', 'earliest'],
  ['share.auto.offset.reset', 'never'],
  ['share.isolation.level', 'read_committed'],
  ['share.record.lock.duration.ms', '20000'],
  ['share.record.lock.duration.ms', '1'],
  ['streams.num.standby.replicas', '1'],
  ['streams.num.standby.replicas', '100'],
  ['no.such.config', '1'],
];

const clientMetricsToTry: readonly Change[] = [
  ['interval.ms', '1000'],
  ['interval.ms', '1'],
  ['interval.ms', 'x'],
  ['metrics', 'org.apache.kafka.producer.,org.apache.kafka.consumer.'],
  ['metrics', '*'],
  ['match', 'client_id=a,client_software_name=.*'],
  ['match', 'client_id'],
  ['match', 'nothing=a'],
  ['match', 'client_id=['],
  ['no.such.config', '1'],
];

export const configScenarios: readonly Scenario[] = [
  {
    name: 'DescribeConfigs',
    async run(probe) {
      await makeTopic(probe, 'dc', { configs: { 'cleanup.policy': 'compact', 'max.message.bytes': '12345' } });
      for (const version of versionsOf(DescribeConfigs)) {
        const ask = (
          what: string,
          resourceType: number,
          resourceName: string,
          configurationKeys: string[] | null,
          rest: object = {},
        ) =>
          probe.ask(what, DescribeConfigs, version, { resources: [{ resourceType, resourceName, configurationKeys }], ...rest });
        await ask('a topic', topic, 'dc', null);
        await ask('a topic with synonyms', topic, 'dc', null, { includeSynonyms: true });
        await ask('some of a topic', topic, 'dc', ['cleanup.policy', 'retention.ms', 'no.such.config']);
        await ask('none of a topic', topic, 'dc', []);
        await ask('an unknown topic', topic, 'dc-unknown', null);
        await ask('a bad topic', topic, 'a b', null);
        await ask('an empty topic', topic, '', null);
        await ask('the broker', broker, '1', null, { includeSynonyms: true });
        await ask('some of the broker', broker, '1', [
          'log.retention.ms',
          'num.io.threads',
          'ssl.keystore.password',
          'no.such.config',
        ]);
        await ask('the default broker', broker, '', null, { includeSynonyms: true });
        await ask('another broker', broker, '2', null);
        await ask('a broker without number', broker, 'x', null);
        await ask('loggers of another', brokerLogger, '2', null);
        await ask('loggers of nobody', brokerLogger, '', null);
        await ask('loggers of x', brokerLogger, 'x', null);
        await ask('a group', group, 'dc-group', null, { includeSynonyms: true });
        await ask('a group without name', group, '', null);
        await ask('client metrics', clientMetrics, 'dc-metrics', null, { includeSynonyms: true });
        await ask('client metrics without name', clientMetrics, '', null);
        for (const type of [0, 1, 3, 64, -1]) await ask(`resource type ${type}`, type, 'x', null);
      }
      await probe.ask(
        'with documentation',
        DescribeConfigs,
        4,
        {
          resources: [{ resourceType: topic, resourceName: 'dc', configurationKeys: ['cleanup.policy'] }],
          includeDocumentation: true,
        },
        { quiet: true },
      );
      await probe.ask('nothing', DescribeConfigs, 4, { resources: [] });
      const dc = { resourceType: topic, resourceName: 'dc', configurationKeys: ['cleanup.policy'] };
      await probe.ask('twice', DescribeConfigs, 4, { resources: [dc, dc] });
    },
  },
  {
    name: 'IncrementalAlterConfigs',
    async run(probe) {
      await makeTopic(probe, 'iac');
      const ask = (what: string, resourceType: number, resourceName: string, list: readonly Change[], rest: object = {}) =>
        probe.ask(what, IncrementalAlterConfigs, 1, {
          resources: [{ resourceType, resourceName, configs: changes(list) }],
          ...rest,
        });
      const shown = ([name, value]: Change | [string, string | null]) => `${name}=${value}`;
      for (const config of configsToTry)
        await ask(`topic, ${shown(config)}`, topic, 'iac', [[config[0], config[1]]], { validateOnly: true });
      for (const config of brokerConfigsToTry) {
        await ask(`broker, ${shown(config)}`, broker, '1', [config], { validateOnly: true });
        await ask(`default broker, ${shown(config)}`, broker, '', [config], { validateOnly: true });
      }
      for (const config of groupConfigsToTry)
        await ask(`group, ${shown(config)}`, group, 'iac-group', [config], { validateOnly: true });
      for (const config of clientMetricsToTry)
        await ask(`client metrics, ${shown(config)}`, clientMetrics, 'iac-metrics', [config], { validateOnly: true });
      await ask('an unknown topic', topic, 'iac-unknown', [['retention.ms', '1']]);
      await ask('a bad topic', topic, 'a b', [['retention.ms', '1']]);
      await ask('no topic', topic, '', [['retention.ms', '1']]);
      await ask('another broker', broker, '2', [['log.retention.ms', '1']], { validateOnly: true });
      await ask('broker x', broker, 'x', [['log.retention.ms', '1']]);
      await ask('no group', group, '', [['consumer.session.timeout.ms', '50000']]);
      await ask('no client metrics', clientMetrics, '', [['interval.ms', '1000']]);
      for (const type of [0, 1, 64]) await ask(`resource type ${type}`, type, 'x', [['a', 'b']]);
      await ask('nothing', topic, 'iac', []);
      await ask('a name twice', topic, 'iac', [
        ['retention.ms', '1'],
        ['retention.ms', '2'],
      ]);
      await ask('a null value', topic, 'iac', [['retention.ms', null]]);
      await ask('a null to append', topic, 'iac', [['cleanup.policy', null, append]]);
      await ask('delete', topic, 'iac', [['retention.ms', null, remove]], { validateOnly: true });
      await ask('delete with value', topic, 'iac', [['retention.ms', '5', remove]], { validateOnly: true });
      await ask('delete of an unknown', topic, 'iac', [['no.such.config', null, remove]], { validateOnly: true });
      await ask('append', topic, 'iac', [['cleanup.policy', 'compact', append]]);
      await ask('append again', topic, 'iac', [['cleanup.policy', 'compact', append]]);
      await ask('append bad', topic, 'iac', [['cleanup.policy', 'purge', append]]);
      await ask('append to a number', topic, 'iac', [['retention.ms', '5', append]]);
      await ask('append to an unknown', topic, 'iac', [['no.such.config', '5', append]]);
      await ask('subtract', topic, 'iac', [['cleanup.policy', 'delete', subtract]]);
      await ask('subtract what is not there', topic, 'iac', [['cleanup.policy', 'delete', subtract]]);
      await ask('subtract the last', topic, 'iac', [['cleanup.policy', 'compact', subtract]]);
      await ask('subtract from a number', topic, 'iac', [['retention.ms', '5', subtract]]);
      await ask('operation 4', topic, 'iac', [['retention.ms', '5', 4]]);
      await ask('operation -1', topic, 'iac', [['retention.ms', '5', -1]]);
      await ask('set several', topic, 'iac', [
        ['retention.ms', '86400000'],
        ['segment.bytes', '2097152'],
        ['cleanup.policy', 'delete'],
      ]);
      await ask('one bad of two', topic, 'iac', [
        ['retention.ms', '5000'],
        ['segment.bytes', 'x'],
      ]);
      const one = { resourceType: topic, resourceName: 'iac', configs: changes([['retention.ms', '86400000']]) };
      await probe.ask('a resource twice', IncrementalAlterConfigs, 1, { resources: [one, one] });
      await probe.ask('two resources, one bad', IncrementalAlterConfigs, 1, {
        resources: [one, { ...one, resourceName: 'iac-unknown' }],
      });
      await probe.ask('none', IncrementalAlterConfigs, 1, { resources: [] });
      await ask('v-group', group, 'iac-group', [['consumer.session.timeout.ms', '50000']]);
      await ask('v-metrics', clientMetrics, 'iac-metrics', [
        ['interval.ms', '1000'],
        ['metrics', '*'],
      ]);
      await ask('broker', broker, '1', [
        ['log.cleaner.threads', '2'],
        ['log.retention.ms', '1234567'],
      ]);
      await ask('default broker', broker, '', [['message.max.bytes', '1234567']]);
      const describe = (what: string, resourceType: number, resourceName: string, keys: string[] | null) =>
        probe.ask(`${what} afterwards`, DescribeConfigs, 4, {
          resources: [{ resourceType, resourceName, configurationKeys: keys }],
          includeSynonyms: true,
        });
      await describe('topic', topic, 'iac', null);
      await describe('group', group, 'iac-group', null);
      await describe('client metrics', clientMetrics, 'iac-metrics', null);
      await describe('broker', broker, '1', [
        'log.cleaner.threads',
        'log.retention.ms',
        'message.max.bytes',
        'log.retention.hours',
      ]);
      await describe('default broker', broker, '', null);
      await describe('another broker', broker, '2', null);
      for (const version of versionsOf(ListConfigResources)) {
        await probe.ask('all', ListConfigResources, version, {});
        if (version >= 1)
          for (const resourceTypes of [
            [topic],
            [broker],
            [brokerLogger],
            [clientMetrics],
            [group],
            [topic, group],
            [0],
            [3],
            [99],
          ])
            await probe.ask(`types ${resourceTypes}`, ListConfigResources, version, { resourceTypes });
      }
      await ask('undo broker', broker, '1', [
        ['log.cleaner.threads', null, remove],
        ['log.retention.ms', null, remove],
      ]);
      await ask('undo default broker', broker, '', [['message.max.bytes', null, remove]]);
    },
  },
  {
    name: 'broker loggers',
    async run(probe) {
      const ask = (what: string, resourceName: string, list: readonly Change[], rest: object = {}) =>
        probe.ask(what, IncrementalAlterConfigs, 1, {
          resources: [{ resourceType: brokerLogger, resourceName, configs: changes(list) }],
          ...rest,
        });
      await ask('root', '1', [['root', 'INFO']]);
      await ask('an unknown logger', '1', [['no.such.Logger', 'INFO']]);
      await ask('a bad level', '1', [['root', 'LOUD']]);
      await ask('a lower case level', '1', [['root', 'info']]);
      await ask('no level', '1', [['root', null]]);
      await ask('delete root', '1', [['root', null, remove]]);
      await ask('append', '1', [['root', 'INFO', append]]);
      await ask('subtract', '1', [['root', 'INFO', subtract]]);
      await ask('another broker', '2', [['root', 'INFO']]);
      await ask('no broker', '', [['root', 'INFO']]);
      await ask('broker x', 'x', [['root', 'INFO']]);
      await ask('validate only', '1', [['root', 'INFO']], { validateOnly: true });
      await probe.ask('replaced', AlterConfigs, 2, {
        resources: [{ resourceType: brokerLogger, resourceName: '1', configs: [{ name: 'root', value: 'INFO' }] }],
      });
      await probe.ask('root', DescribeConfigs, 4, {
        resources: [{ resourceType: brokerLogger, resourceName: '1', configurationKeys: ['root'] }],
        includeSynonyms: true,
      });
    },
  },
  {
    name: 'AlterConfigs',
    async run(probe) {
      await makeTopic(probe, 'ac');
      for (const version of versionsOf(AlterConfigs)) {
        const ask = (what: string, resourceType: number, resourceName: string, list: readonly Change[], rest: object = {}) =>
          probe.ask(what, AlterConfigs, version, { resources: [{ resourceType, resourceName, configs: values(list) }], ...rest });
        await ask('a topic', topic, 'ac', [['retention.ms', '86400000']]);
        await ask('validate', topic, 'ac', [['retention.ms', '5']], { validateOnly: true });
        await ask('an unknown name', topic, 'ac', [['no.such.config', '5']]);
        await ask('a bad value', topic, 'ac', [['retention.ms', 'x']]);
        await ask('a null value', topic, 'ac', [['retention.ms', null]]);
        await ask('a name twice', topic, 'ac', [
          ['retention.ms', '1'],
          ['retention.ms', '2'],
        ]);
        await ask('an unknown topic', topic, 'ac-unknown', [['retention.ms', '5']]);
        await ask('a bad topic', topic, 'a b', [['retention.ms', '5']]);
        await ask('the broker', broker, '1', [['log.cleaner.threads', '1']], { validateOnly: true });
        await ask('the broker, read only', broker, '1', [['node.id', '1']], { validateOnly: true });
        await ask('the default broker', broker, '', [['log.retention.ms', '86400000']], { validateOnly: true });
        await ask('a group', group, 'ac-group', [['consumer.session.timeout.ms', '50000']]);
        await ask('no group', group, '', [['consumer.session.timeout.ms', '50000']]);
        await ask('client metrics', clientMetrics, 'ac-metrics', [['interval.ms', '1000']]);
        for (const type of [0, 1, 64]) await ask(`resource type ${type}`, type, 'x', [['a', 'b']]);
        await ask('nothing', topic, 'ac', []);
        const one = { resourceType: topic, resourceName: 'ac', configs: values([['retention.ms', '86400000']]) };
        await probe.ask('a resource twice', AlterConfigs, version, { resources: [one, one] }, { patienceMs: 400 });
      }
      await probe.ask('afterwards', DescribeConfigs, 4, {
        resources: [{ resourceType: topic, resourceName: 'ac', configurationKeys: ['retention.ms'] }],
        includeSynonyms: true,
      });
    },
  },
];
