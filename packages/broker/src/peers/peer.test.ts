import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { acceptConnections, type ServerListener } from '@ottla/network';
import {
  type Api,
  ApiVersions,
  apis,
  KafkaError,
  Metadata,
  Reader,
  readRequestHeader,
  Vote,
  Writer,
  writeResponseHeader,
} from '@ottla/protocol';
import { type Runtime, sleep, World } from '@ottla/runtime';
import { Peer, Peers } from './index.ts';

const address = { host: 'beta', port: 9093 };
const fails = (name: string) => (error: unknown) => error instanceof KafkaError && error.name === name;

type Node = { readonly listener: ServerListener; asked: number; connections: number };

/** A node that says its name for a cluster id, and knows Vote only up to version 1. */
async function listen(runtime: Runtime, name: string, delayMs = 0): Promise<Node> {
  const seen = new Set<number>();
  const node = { asked: 0, connections: 0 };
  const listener = await acceptConnections({
    ...runtime,
    address: { host: '', port: address.port },
    listenerName: 'CONTROLLER',
    onRequest: async (frame, connection) => {
      const reader = new Reader(frame);
      const { apiKey, apiVersion, correlationId } = readRequestHeader(reader);
      const api = apis.find((each) => each.apiKey === apiKey) as Api;
      seen.add(connection.id);
      node.connections = seen.size;
      const isVersions = (api as object) === ApiVersions;
      if (!isVersions) {
        node.asked++;
        await sleep(runtime.timers, delayMs);
      }
      const writer = new Writer();
      writeResponseHeader(writer, api, apiVersion, correlationId);
      const apiKeys = apis.map((each) => ({ ...each, maxVersion: each.apiKey === Vote.apiKey ? 1 : each.maxVersion }));
      api.response.write(writer, isVersions ? { apiKeys } : { clusterId: name }, apiVersion);
      return writer.chunks();
    },
  });
  return Object.assign(node, { listener });
}

function machines(seed: number) {
  const world = new World({ seed });
  const alpha = world.machine('alpha');
  const beta = world.machine('beta');
  const runtime = alpha.boot();
  const peer = (options: Partial<ConstructorParameters<typeof Peer>[0]> = {}) =>
    new Peer({ runtime, address, clientId: 'raft-client-1', requestTimeoutMs: 2_000, ...options });
  return { world, beta, runtime, peer };
}

const named = (clusterId: string | null) => assert.equal(clusterId, 'beta');

describe('a peer', () => {
  test('keeps one connection, made by the first request, and pipelines on it', async () => {
    const { world, beta, peer } = machines(1);
    const node = await listen(beta.boot(), 'beta');
    const to = peer();
    await world.advance(1_000);
    assert.equal(node.connections, 0);
    const answers = Promise.all(Array.from({ length: 20 }, () => to.send(Metadata, {})));
    for (const { clusterId } of await world.runUntil(answers)) named(clusterId);
    assert.deepEqual([node.asked, node.connections, to.requestsInFlight], [20, 1, 0]);
    to.close();
    await assert.rejects(to.send(Metadata, {}), fails('NETWORK_EXCEPTION'));
  });

  test('comes back to a node that was restarted, after a pause that grows with each failure', async () => {
    const { world, beta, peer } = machines(2);
    const to = peer({ reconnectBackoffMs: 50, reconnectBackoffMaxMs: 400 });
    const failedAtMs: number[] = [];
    while (failedAtMs.length < 7) {
      await assert.rejects(world.runUntil(to.send(Metadata, {})), fails('NETWORK_EXCEPTION'));
      failedAtMs.push(world.time.nowMs);
    }
    const pauses = failedAtMs.slice(1).map((atMs, index) => atMs - failedAtMs[index]!);
    for (const [index, pauseMs] of pauses.entries()) {
      const wantedMs = Math.min(50 * 2 ** index, 400);
      assert.ok(pauseMs > wantedMs * 0.79 && pauseMs < wantedMs * 1.25 + 5, `${pauseMs} instead of about ${wantedMs}`);
    }
    await listen(beta.boot(), 'beta');
    named((await world.runUntil(to.send(Metadata, {}))).clusterId);
    beta.kill();
    await world.advance(10);
    await listen(beta.boot(), 'beta');
    named((await world.runUntil(to.send(Metadata, {}))).clusterId);
  });

  test('gives up in time on a node that went silent, and on one that cannot be reached', async () => {
    const { world, beta, peer } = machines(3);
    await listen(beta.boot(), 'beta');
    const to = peer();
    await world.runUntil(to.send(Metadata, {}));
    beta.crash();
    const atMs = world.time.nowMs;
    await assert.rejects(world.runUntil(to.send(Metadata, {}, { timeoutMs: 500 })), fails('REQUEST_TIMED_OUT'));
    assert.ok(world.time.nowMs - atMs < 510);
    await assert.rejects(world.runUntil(to.send(Metadata, {}, { timeoutMs: 700 })), fails('REQUEST_TIMED_OUT'));
    assert.ok(world.time.nowMs - atMs < 1_220);
    // The connection that hangs since then is given up as well, and does not stand in the way of a new one.
    await listen(beta.boot(), 'beta');
    named((await world.runUntil(to.send(Metadata, {}, { timeoutMs: 15_000 }))).clusterId);
  });

  test('turns to another address, and what was on its way to the old one fails', async () => {
    const { world, beta, peer } = machines(4);
    const gamma = world.machine('gamma');
    await listen(beta.boot(), 'beta', 1_000);
    await listen(gamma.boot(), 'gamma');
    const to = peer();
    const slow = assert.rejects(to.send(Metadata, {}), fails('NETWORK_EXCEPTION'));
    await world.advance(100);
    to.lookAt({ host: 'gamma', port: 9093 });
    await world.runUntil(slow);
    assert.equal((await world.runUntil(to.send(Metadata, {}))).clusterId, 'gamma');
    const waiting = assert.rejects(to.send(Metadata, {}), fails('NETWORK_EXCEPTION'));
    to.lookAt({ host: 'nowhere', port: 9093 });
    await world.runUntil(waiting);
    await assert.rejects(world.runUntil(to.send(Metadata, {})), fails('NETWORK_EXCEPTION'));
  });

  test('speaks the highest common version within the bounds, and says when there is none', async () => {
    const { world, beta, peer } = machines(5);
    await listen(beta.boot(), 'beta');
    const to = peer();
    await assert.rejects(world.runUntil(to.send(Vote, {}, { minVersion: 2 })), fails('UNSUPPORTED_VERSION'));
    named((await world.runUntil(to.send(Metadata, {}, { maxVersion: 7 }))).clusterId);
  });

  test('takes no more than its limit', async () => {
    const { world, beta, peer } = machines(6);
    await listen(beta.boot(), 'beta', 100);
    const to = peer({ maxRequests: 2 });
    const taken = [to.send(Metadata, {}), to.send(Metadata, {})];
    await assert.rejects(to.send(Metadata, {}), fails('NETWORK_EXCEPTION'));
    await world.runUntil(Promise.all(taken));
    await world.runUntil(to.send(Metadata, {}));
  });
});

test('peers are the same for the same key, and those not asked for are let go', async () => {
  const { world, beta, runtime } = machines(7);
  await listen(beta.boot(), 'beta');
  const peers = new Peers<number>({ runtime, clientId: 'test' });
  const two = peers.at(2, address);
  await world.runUntil(two.send(Metadata, {}));
  assert.equal(peers.at(2, { ...address }), two);
  assert.ok(two.isConnected);
  const three = peers.at(3, address);
  peers.keepOnly((id) => id === 3);
  assert.ok(!two.isConnected);
  await world.runUntil(three.send(Metadata, {}));
  peers.close();
  await assert.rejects(three.send(Metadata, {}), fails('NETWORK_EXCEPTION'));
});
