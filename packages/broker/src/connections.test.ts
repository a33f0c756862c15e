import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AlterClientQuotas, Fetch, Metadata } from '@ottla/protocol';
import { TestNode, valuesIn } from './testing-node.ts';

const CLUSTER = { type: 4, name: '' };
const THIS_BROKER = { type: 4, name: '1' };

test('a connection that is idle for connections.max.idle.ms is closed, one in use is not', async () => {
  const node = await TestNode.start({ settings: { 'connections.max.idle.ms': '10000' } });
  const idle = await node.connect();
  const busy = await node.connect();
  for (let second = 0; second < 9; second++) {
    await node.advance(1_000);
    await busy.ask(Metadata, { topics: [] });
  }
  assert.deepEqual([idle.connection.closed, busy.connection.closed], [false, false]);
  await node.advance(2_000);
  assert.deepEqual([idle.connection.closed, busy.connection.closed], [true, false]);
  await node.stop();
});

test('a connection whose request is under way is not idle', async () => {
  const node = await TestNode.start({ settings: { 'connections.max.idle.ms': '10000' } });
  const client = await node.client();
  await client.createTopic('orders');
  const polling = client.later(Fetch, await client.fetchRequest('orders', { maxWaitMs: 25_000 }));
  await node.advance(24_000);
  assert.equal(client.connection.closed, false);
  assert.deepEqual(valuesIn(await node.run(polling)), []);
  await node.stop();
});

test('beyond max.connections a connection waits for another to close', async () => {
  const node = await TestNode.start({
    settings: { 'max.connections': '2', 'inter.broker.listener.name': 'INTERNAL', ...twoListeners },
  });
  const first = await node.connect();
  await node.connect();
  let opened = false;
  const third = node.dial().then((connection) => {
    opened = true;
    return connection;
  });
  await node.advance(2_000);
  assert.equal(opened, false);
  // The listener of the other brokers is not held up by clients.
  const broker = await node.connect({ port: 9094 });
  assert.equal((await broker.ask(Metadata, { topics: [] })).clusterId, node.server.clusterId);
  await broker.connection.close();
  await first.connection.close();
  await node.run(third);
  assert.equal(opened, true);
  await node.stop();
});

const twoListeners = {
  listeners: 'PLAINTEXT://node:9092,INTERNAL://node:9094,CONTROLLER://node:9093',
  'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT',
};

test('the limits of an address are refused at once, and change while the broker runs', async () => {
  const node = await TestNode.start({
    settings: { 'max.connections.per.ip': '2', 'max.connections.per.ip.overrides': 'friend:3' },
  });
  const admin = await node.connect({ host: 'admin' });
  const host = 'crowd';
  await node.connect({ host });
  await node.connect({ host });
  await assert.rejects(node.connect({ host }), /closed/);
  for (let count = 0; count < 3; count++) await node.connect({ host: 'friend' });
  await assert.rejects(node.connect({ host: 'friend' }), /closed/);

  assert.equal(await admin.configure(CLUSTER, { 'max.connections.per.ip': '3' }), 'NONE');
  await node.connect({ host });
  await assert.rejects(node.connect({ host }), /closed/);
  assert.equal(await admin.configure(THIS_BROKER, { 'max.connections.per.ip': '4' }), 'NONE');
  await node.connect({ host });
  assert.equal(await admin.configure(THIS_BROKER, { 'max.connections.per.ip': null }), 'NONE');
  await assert.rejects(node.connect({ host }), /closed/);
  await node.stop();
});

test('a listener may have a limit of its own', async () => {
  const node = await TestNode.start({ settings: { 'listener.name.plaintext.max.connections': '1' } });
  const first = await node.connect();
  let opened = false;
  const second = node.dial().then(() => (opened = true));
  await node.advance(2_000);
  assert.equal(opened, false);
  assert.equal(await first.configure(THIS_BROKER, { 'listener.name.plaintext.max.connections': '2' }), 'NONE');
  await node.run(second);
  await node.stop();
});

/** Rates are taken over a second. */
const shortWindows = { 'quota.window.num': '2', 'quota.window.size.seconds': '1' };

test('beyond max.connection.creation.rate the next connection is taken later, but not those of other brokers', async () => {
  const node = await TestNode.start({
    settings: { 'max.connection.creation.rate': '1', ...shortWindows, 'inter.broker.listener.name': 'INTERNAL', ...twoListeners },
  });
  const first = await node.connect();
  const opens = () => {
    const state = { opened: false };
    const opening = node.dial().then(() => (state.opened = true));
    return { state, opening };
  };
  const second = opens();
  await node.advance(500);
  assert.equal(second.state.opened, false);
  const broker = await node.connect({ port: 9094 });
  assert.equal((await broker.ask(Metadata, { topics: [] })).clusterId, node.server.clusterId);
  await node.advance(1_000);
  assert.equal(second.state.opened, true);

  assert.equal(await first.configure(CLUSTER, { 'max.connection.creation.rate': '1000' }), 'NONE');
  const third = opens();
  await node.advance(100);
  assert.equal(third.state.opened, true);
  assert.equal(await first.configure(THIS_BROKER, { 'listener.name.plaintext.max.connection.creation.rate': '1' }), 'NONE');
  const fourth = opens();
  await node.advance(100);
  assert.equal(fourth.state.opened, false);
  await node.run(fourth.opening);
  await node.stop();
});

test('the quota of new connections holds for the address that has one, and for the others where there is a default', async () => {
  const node = await TestNode.start({ settings: shortWindows });
  const admin = await node.connect({ host: '10.0.0.1' });
  const limit = (entityName: string | null, value: number) =>
    admin.ask(AlterClientQuotas, {
      entries: [{ entity: [{ entityType: 'ip', entityName }], ops: [{ key: 'connection_creation_rate', value, remove: false }] }],
      validateOnly: false,
    });
  const { entries } = await limit('10.0.0.7', 1);
  assert.equal(entries[0]!.errorCode, 0);
  await node.connect({ host: '10.0.0.7' });
  await assert.rejects(node.connect({ host: '10.0.0.7' }), /closed/);
  for (let count = 0; count < 3; count++) await node.connect({ host: '10.0.0.8' });
  await limit(null, 1);
  await node.connect({ host: '10.0.0.9' });
  await assert.rejects(node.connect({ host: '10.0.0.9' }), /closed/);
  await node.advance(2_000);
  await node.connect({ host: '10.0.0.7' });
  await node.stop();
});

test('a request larger than socket.request.max.bytes closes its connection', async () => {
  const node = await TestNode.start({ settings: { 'socket.request.max.bytes': '2000' } });
  const client = await node.client();
  await client.createTopic('orders');
  assert.equal((await client.produce('orders', ['x'.repeat(1_000)])).error, 'NONE');
  await assert.rejects(client.produce('orders', ['x'.repeat(2_000)]), /NETWORK_EXCEPTION|closed/);
  assert.equal((await node.connect()).connection.closed, false);
  await node.stop();
});

test('what is no request closes the connection, and the broker serves the next', async () => {
  const node = await TestNode.start();
  const { network } = node.world.machine('stranger').boot();
  const socket = await node.run(network.connect({ host: 'node', port: 9092 }));
  let ended = false;
  socket.onClose = () => (ended = true);
  socket.write([Buffer.from('GET / HTTP/1.1\r\nHost: node\r\n\r\n')]);
  await node.advance(1_000);
  assert.equal(ended, true);
  assert.equal((await (await node.client()).ask(Metadata, { topics: [] })).clusterId, node.server.clusterId);
  assert.deepEqual(node.logs.at('error'), []);
  await node.stop();
});
