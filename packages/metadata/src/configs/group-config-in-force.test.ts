import assert from 'node:assert/strict';
import { test } from 'node:test';
import { groupConfigInForce } from './effective-topic-config.ts';
import { parseBrokerConfig } from './parse-broker-config.ts';

const broker = parseBrokerConfig({
  'process.roles': 'broker,controller',
  'node.id': '1',
  'controller.listener.names': 'CONTROLLER',
  listeners: 'PLAINTEXT://:0,CONTROLLER://:0',
  'controller.quorum.voters': '1@localhost:9093',
  'group.consumer.min.session.timeout.ms': '50000',
  'group.consumer.session.timeout.ms': '55000',
  'group.streams.max.standby.replicas': '1',
}).config;

test('what a group has set is kept within bounds that became narrower, and the rest is the broker’s', () => {
  const own = new Map([
    ['consumer.session.timeout.ms', '46000'],
    ['consumer.heartbeat.interval.ms', '99000'],
    ['streams.num.standby.replicas', '2'],
    ['share.auto.offset.reset', 'earliest'],
  ]);
  const config = groupConfigInForce(own, broker);
  assert.equal(config['consumer.session.timeout.ms'], 50_000);
  assert.equal(config['consumer.heartbeat.interval.ms'], 15_000);
  assert.equal(config['streams.num.standby.replicas'], 1);
  assert.equal(config['share.auto.offset.reset'], 'earliest');
  assert.equal(groupConfigInForce(new Map(), broker)['consumer.session.timeout.ms'], 55_000);
});
