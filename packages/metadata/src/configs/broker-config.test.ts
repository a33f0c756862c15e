import assert from 'node:assert/strict';
import { test } from 'node:test';
import { brokerConfigs } from './broker-configs.ts';
import { resolveListeners } from './check-broker-config.ts';
import { effectiveBrokerConfig, noProperties } from './config-layers.ts';
import type { ConfigTable } from './define-configs.ts';
import { effectiveTopicConfig } from './effective-topic-config.ts';
import { parseBrokerConfig } from './parse-broker-config.ts';
import { topicConfigs } from './topic-configs.ts';

const smallest = `
process.roles=broker,controller
node.id=7
listeners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093
controller.listener.names=CONTROLLER
controller.quorum.voters=7@127.0.0.1:9093
`;

test('values are typed, defaults fill the rest, and node.id counts as broker.id', () => {
  const { config, properties, warnings } = parseBrokerConfig(`${smallest}log.segment.bytes = 1048576`);
  assert.equal(config['log.segment.bytes'], 1048576);
  assert.deepEqual(config['process.roles'], ['broker', 'controller']);
  assert.equal(config['broker.id'], 7);
  assert.equal(properties.get('broker.id'), '7');
  assert.equal(config['auto.create.topics.enable'], true);
  assert.deepEqual(warnings, []);
});

test('what is unknown or not honoured yet is warned about, never swallowed', () => {
  const { warnings, notices } = parseBrokerConfig(
    `${smallest}log.segmnt.bytes=1\nnum.io.threads=4\nnum.network.threads=2\nconnections.max.reauth.ms=5\nlistener.name.plaintext.ssl.keystore.type=PEM`,
  );
  assert.deepEqual(warnings, [
    'log.segmnt.bytes is not a broker config of Kafka 4.3.1: it is ignored',
    'connections.max.reauth.ms, listener.name.plaintext.ssl.keystore.type are set, but Ottla does not act on them yet',
  ]);
  assert.deepEqual(notices, [
    'num.io.threads, num.network.threads have no meaning in Ottla: Ottla runs on one event loop: there are no such threads.',
  ]);
});

test('a lone idle setting is told in the singular', () => {
  const { warnings, notices } = parseBrokerConfig(`${smallest}num.io.threads=4\nconnections.max.reauth.ms=5`);
  assert.deepEqual(warnings, ['connections.max.reauth.ms is set, but Ottla does not act on it yet']);
  assert.deepEqual(notices, ['num.io.threads has no meaning in Ottla: Ottla runs on one event loop: there are no such threads.']);
});

test('listeners split into those of brokers and of controllers, with what each advertises', () => {
  const { config, properties } = parseBrokerConfig(`${smallest}advertised.listeners=PLAINTEXT://example.org:19092`);
  const { brokerListeners, controllerListeners, advertisedBrokerListeners, advertisedControllerListeners } = resolveListeners(
    config,
    properties,
  );
  assert.deepEqual(brokerListeners, [{ name: 'PLAINTEXT', host: '127.0.0.1', port: 9092, securityProtocol: 'PLAINTEXT' }]);
  assert.deepEqual(controllerListeners, [{ name: 'CONTROLLER', host: '127.0.0.1', port: 9093, securityProtocol: 'PLAINTEXT' }]);
  assert.deepEqual(advertisedBrokerListeners, [
    { name: 'PLAINTEXT', host: 'example.org', port: 19092, securityProtocol: 'PLAINTEXT' },
  ]);
  assert.deepEqual(advertisedControllerListeners, controllerListeners);
});

test("a topic takes its own value, else the broker's, converting hours and minutes", () => {
  const { config } = parseBrokerConfig(
    `${smallest}log.roll.hours=2\nlog.retention.minutes=3\nlog.flush.scheduler.interval.ms=44`,
  );
  const plain = effectiveTopicConfig(noProperties, config);
  assert.equal(plain['segment.ms'], 7_200_000);
  assert.equal(plain['retention.ms'], 180_000);
  assert.equal(plain['flush.ms'], 44);
  assert.equal(effectiveTopicConfig(new Map([['retention.ms', '-1']]), config)['retention.ms'], -1);
  const dynamicDefault = new Map([['log.roll.ms', '5']]);
  const dynamicBroker = new Map([['log.roll.ms', '6']]);
  const changed = effectiveBrokerConfig(config, { dynamicDefault, dynamicBroker });
  assert.equal(effectiveTopicConfig(noProperties, changed)['segment.ms'], 6);
});

test('every topic config names broker configs that exist and have its type', () => {
  for (const [name, definition] of Object.entries(topicConfigs as ConfigTable)) {
    for (const broker of definition.broker) assert.ok(Object.hasOwn(brokerConfigs, broker), `${name} <- ${broker}`);
    const first = definition.broker[0];
    if (first !== undefined) assert.equal((brokerConfigs as ConfigTable)[first]!.type, definition.type, name);
  }
});

test('what is honoured is documented, and what has no meaning here says why', () => {
  for (const table of [brokerConfigs, topicConfigs] as ConfigTable[]) {
    for (const [name, { honoured, doc }] of Object.entries(table)) assert.equal(honoured !== false, doc !== '', name);
  }
});
