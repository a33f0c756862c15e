import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { brokerConfigs } from './broker-configs.ts';
import { clientMetricsConfigs } from './client-metrics-configs.ts';
import { ConfigError } from './config-error.ts';
import { noProperties, type Properties } from './config-layers.ts';
import { canonicalText, parseConfigValue } from './config-value.ts';
import type { ConfigTable } from './define-configs.ts';
import {
  configSources,
  type DescribedConfig,
  describeBroker,
  describeClientMetrics,
  describeDefaultBroker,
  describeGroup,
  describeTopic,
} from './describe-configs.ts';
import { groupConfigs } from './group-configs.ts';
import { parseBrokerConfig } from './parse-broker-config.ts';
import { topicConfigs } from './topic-configs.ts';
import { validateClientMetricsConfigs, validateGroupConfigs, validateTopicConfigs } from './validate-configs.ts';
import { validateDynamicChangeOnBroker } from './validate-dynamic-configs.ts';

const read = (file: string): string => readFileSync(new URL(`vectors/${file}`, import.meta.url), 'utf8');
const lines = <Line>(file: string): Line[] =>
  read(file)
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Line);

const tables: Record<string, ConfigTable> = {
  broker: brokerConfigs as ConfigTable,
  topic: topicConfigs as ConfigTable,
  group: groupConfigs as ConfigTable,
  'client-metrics': clientMetricsConfigs as ConfigTable,
};

test('every config reads, refuses and prints values as Kafka does', () => {
  type Line = { names: string[]; outcomes: [string, { value?: string; error?: string }][] };
  let checked = 0;
  for (const { names, outcomes } of lines<Line>('values.jsonl')) {
    for (const fullName of names) {
      const [table, name] = fullName.split(':') as [string, string];
      for (const [text, expected] of outcomes) {
        const definition = tables[table]![name]!;
        const outcome = attempt(() => {
          parseConfigValue(name, definition, text);
          return canonicalText(name, definition, text) ?? '[hidden]';
        });
        assert.deepEqual(
          outcome,
          expected.error ? { error: expected.error.replaceAll('$NAME', name) } : expected,
          `${fullName}=${text}`,
        );
        checked++;
      }
    }
  }
  assert.ok(checked > 4000, `${checked} values`);
});

const smallest = {
  'process.roles': 'broker,controller',
  'node.id': '1',
  listeners: 'PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093',
  'controller.listener.names': 'CONTROLLER',
  'controller.quorum.bootstrap.servers': 'localhost:9093',
  'log.dirs': '/tmp/x',
};

test("settings that do not fit together stop the start with Kafka's words", () => {
  const differing: string[] = [];
  for (const line of lines<{ set: Record<string, string | null>; error: string | null }>('server-properties.jsonl')) {
    const properties = Object.entries({ ...smallest, ...line.set }).filter(
      (entry): entry is [string, string] => entry[1] !== null,
    );
    const outcome = attempt(() => void parseBrokerConfig(Object.fromEntries(properties)));
    if ((outcome.error ?? null) !== line.error)
      differing.push(`${JSON.stringify(line.set)}\n  ${outcome.error}\n  ${line.error}`);
  }
  assert.deepEqual(differing, []);
});

test('changes are refused with the error and the words of a running Kafka', () => {
  type Line = { type: string; name: string; set: Record<string, string | null>; error: string | null; message: string | null };
  const { config, properties } = parseBrokerConfig(smallest);
  const layers = { static: properties, dynamicDefault: noProperties, dynamicBroker: new Map([['log.cleaner.threads', '2']]) };
  const differing: string[] = [];
  for (const { type, name, set, error, message } of lines<Line>('alter-configs.jsonl')) {
    if (message !== null && answeredElsewhere.some((each) => message.includes(each))) continue;
    const change: Properties = new Map(Object.entries(set).filter((entry): entry is [string, string] => entry[1] !== null));
    const outcome = attempt(() => {
      if (type === 'TOPIC') validateTopicConfigs({ properties: change, broker: config });
      else if (type === 'GROUP') validateGroupConfigs({ properties: change, broker: config });
      else if (type === 'CLIENT_METRICS') validateClientMetricsConfigs(name, change);
      else validateDynamicChangeOnBroker({ config, layers }, { properties: change, scope: name === '' ? 'cluster' : 'broker' });
    });
    if ((outcome.error ?? null) !== message || (outcome.errorName ?? null) !== error) {
      differing.push(`${type} ${JSON.stringify(set)}\n  ${outcome.errorName} ${outcome.error}\n  ${error} ${message}`);
    }
  }
  assert.deepEqual(differing, []);
});

/** The controller knows about ELR and the resource's name; Kafka's slip of a division by zero and its loading of classes are not ours. */
const answeredElsewhere = [
  'while ELR is enabled',
  'Default group resources',
  '/ by zero',
  'DynamicMetricsReporters',
  'Unknown topic config name: bar',
];

test("descriptions of every resource equal Kafka's, synonyms and their order included", () => {
  type Line = {
    resource: string;
    name: string;
    value: string | null;
    source: string;
    readOnly: boolean;
    sensitive: boolean;
    type: string;
    synonyms: [string, string | null, string][];
  };
  const { config, properties } = parseBrokerConfig(read('described.properties'));
  const layers = {
    static: properties,
    dynamicDefault: new Map(
      Object.entries({
        'log.retention.ms': '999999',
        'log.segment.bytes': '104857600',
        'log.roll.ms': '5000',
        'min.insync.replicas': '1',
      }),
    ),
    dynamicBroker: new Map(
      Object.entries({
        'log.retention.ms': '888888',
        'log.cleaner.threads': '2',
        'max.connections': '99',
        'listener.name.plaintext.ssl.keystore.type': 'PEM',
      }),
    ),
  };
  const state = { config, layers };
  const probe = {
    'segment.ms': '1234567',
    'cleanup.policy': 'compact, delete',
    'retention.ms': '+5000',
    'min.cleanable.dirty.ratio': '1e-4',
  };
  const ours: Record<string, DescribedConfig[]> = {
    'BROKER:1': describeBroker(state),
    'BROKER:': describeDefaultBroker(layers.dynamicDefault),
    'TOPIC:probe': describeTopic(new Map(Object.entries(probe)), state),
    'TOPIC:plain': describeTopic(noProperties, state),
    'GROUP:g': describeGroup(
      new Map([
        ['consumer.session.timeout.ms', '47000'],
        ['share.isolation.level', 'read_committed'],
      ]),
      state,
    ),
    'CLIENT_METRICS:m': describeClientMetrics(
      new Map([
        ['interval.ms', '100'],
        ['match', 'client_id=a'],
      ]),
    ),
  };
  const theirs = Map.groupBy(lines<Line>('described.jsonl'), (line) => line.resource);
  assert.deepEqual([...theirs.keys()].sort(), Object.keys(ours).sort());
  for (const [resource, expected] of theirs) {
    const described = ours[resource]!.map((each) => ({
      resource,
      name: each.name,
      value: each.value,
      source: sourceNames[each.configSource],
      readOnly: each.readOnly,
      sensitive: each.isSensitive,
      type: typeNames[each.configType],
      synonyms: each.synonyms.map(({ name, value, source }) => [name, value, sourceNames[source]]),
    }));
    const byName = (a: { name: string }, b: { name: string }): number => (a.name < b.name ? -1 : 1);
    assert.deepEqual(described.sort(byName), expected.sort(byName));
  }
});

const typeNames = ['UNKNOWN', 'BOOLEAN', 'STRING', 'INT', 'SHORT', 'LONG', 'DOUBLE', 'LIST', 'CLASS', 'PASSWORD'];
const sourceNames: Record<number, string> = {
  [configSources.topic]: 'DYNAMIC_TOPIC_CONFIG',
  [configSources.dynamicBroker]: 'DYNAMIC_BROKER_CONFIG',
  [configSources.dynamicDefaultBroker]: 'DYNAMIC_DEFAULT_BROKER_CONFIG',
  [configSources.staticBroker]: 'STATIC_BROKER_CONFIG',
  [configSources.default]: 'DEFAULT_CONFIG',
  [configSources.clientMetrics]: 'DYNAMIC_CLIENT_METRICS_CONFIG',
  [configSources.group]: 'DYNAMIC_GROUP_CONFIG',
};

function attempt(action: () => string | void): { value?: string; error?: string; errorName?: string } {
  try {
    const value = action();
    return value === undefined ? {} : { value };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return Object.defineProperty({ error: error.message }, 'errorName', { value: error.errorName, enumerable: false });
  }
}
