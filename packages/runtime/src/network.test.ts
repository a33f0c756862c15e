import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { IoError, memoryRuntime, nodeRuntime, type Runtime, type Socket } from './index.ts';

/** Each runs a test's body; the memory one makes time pass until it is done. */
const implementations: Record<string, (body: (runtime: Runtime) => Promise<void>) => Promise<void>> = {
  'the network of Node.js': (body) => body(nodeRuntime()),
  'the network in memory': (body) => {
    const runtime = memoryRuntime({ seed: 1, wires: { fragmentation: 0.3 } });
    return runtime.runUntil(body(runtime));
  },
};

const anyPort = { host: '127.0.0.1', port: 0 };
const fails = (code: string) => (error: unknown) => error instanceof IoError && error.code === code;

/** What a socket received, and its end. */
class Inbox {
  bytes = Buffer.alloc(0);
  closed: { error?: Error } | undefined;
  #waiting: (() => void)[] = [];

  constructor(readonlySocket: Socket) {
    readonlySocket.onData = (chunk) => {
      this.bytes = Buffer.concat([this.bytes, chunk]);
      this.#wake();
    };
    readonlySocket.onClose = (error) => {
      assert.equal(this.closed, undefined, 'onClose is called once');
      this.closed = { error };
      this.#wake();
    };
  }

  async until(done: () => boolean): Promise<void> {
    while (!done()) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

/** A connected pair, and what closes the listener. */
async function connected({ network }: Runtime, onServerSocket: (socket: Socket) => void = () => {}) {
  let accept!: (accepted: { socket: Socket; inbox: Inbox }) => void;
  const accepted = new Promise<{ socket: Socket; inbox: Inbox }>((resolve) => (accept = resolve));
  const listener = await network.listen(anyPort, (socket) => {
    const inbox = new Inbox(socket);
    onServerSocket(socket);
    accept({ socket, inbox });
  });
  const socket = await network.connect(listener.address);
  const client = { socket, inbox: new Inbox(socket) };
  return { client, server: await accepted, listener };
}

for (const [name, run] of Object.entries(implementations)) {
  describe(`${name} keeps the contract of Network:`, () => {
    test('bytes arrive in order in both directions, then the end', () =>
      run(async (runtime) => {
        const { client, server, listener } = await connected(runtime);
        assert.deepEqual(client.socket.remote, server.socket.local);
        assert.deepEqual(client.socket.local, server.socket.remote);
        client.socket.write([Buffer.from('hello '), Buffer.alloc(0), Buffer.from('world')]);
        client.socket.write([Buffer.from('!')]);
        await server.inbox.until(() => server.inbox.bytes.length === 12);
        assert.equal(server.inbox.bytes.toString(), 'hello world!');
        server.socket.write([Buffer.from('bye')]);
        server.socket.end();
        await client.inbox.until(() => client.inbox.closed !== undefined);
        assert.equal(client.inbox.bytes.toString(), 'bye');
        assert.equal(client.inbox.closed?.error, undefined);
        await server.inbox.until(() => server.inbox.closed !== undefined);
        assert.equal(server.inbox.closed?.error, undefined);
        await listener.close();
      }));

    test('what is sent at once after accepting reaches a client that has just connected', () =>
      run(async (runtime) => {
        const { client, listener } = await connected(runtime, (socket) => {
          socket.write([Buffer.from('welcome')]);
          socket.end();
        });
        await client.inbox.until(() => client.inbox.closed !== undefined);
        assert.equal(client.inbox.bytes.toString(), 'welcome');
        await listener.close();
      }));

    test('a reader that pauses makes the writer wait, and loses nothing', () =>
      run(async (runtime) => {
        const { client, server, listener } = await connected(runtime, (socket) => socket.pause());
        const chunk = Buffer.alloc(1 << 20, 'x');
        let written = 0;
        const drained = new Promise<void>((resolve) => (client.socket.onDrain = resolve));
        while (client.socket.write([chunk]) && written < 200) written++;
        written++;
        assert.ok(client.socket.queuedBytes > 0);
        assert.equal(server.inbox.bytes.length, 0);
        server.socket.resume();
        await drained;
        assert.equal(client.socket.queuedBytes, 0);
        await server.inbox.until(() => server.inbox.bytes.length === written * chunk.length);
        client.socket.destroy();
        await listener.close();
      }));

    test('nothing is delivered after pause until resume', () =>
      run(async (runtime) => {
        const { client, server, listener } = await connected(runtime);
        const receive = server.socket.onData;
        let paused = false;
        server.socket.onData = (chunk) => {
          assert.equal(paused, false);
          receive(chunk);
          paused = true;
          server.socket.pause();
          runtime.timers.after(1, () => {
            paused = false;
            server.socket.resume();
          });
        };
        for (let i = 0; i < 20; i++) client.socket.write([Buffer.alloc(50_000)]);
        client.socket.end();
        await server.inbox.until(() => server.inbox.closed !== undefined);
        assert.equal(server.inbox.bytes.length, 1_000_000);
        await listener.close();
      }));

    test('what many sockets receive at the same time is not mixed up, though it lands in the same memory', () =>
      run(async ({ network }) => {
        const inboxes: Inbox[] = [];
        const all = Promise.withResolvers<void>();
        const listener = await network.listen(anyPort, (socket) => {
          if (inboxes.push(new Inbox(socket)) === 5) all.resolve();
        });
        const clients = await Promise.all(Array.from({ length: 5 }, () => network.connect(listener.address)));
        for (const [index, client] of clients.entries()) {
          for (let part = 0; part < 10; part++) client.write([Buffer.alloc(20_000, index + 1)]);
          client.end();
        }
        await all.promise;
        for (const inbox of inboxes) await inbox.until(() => inbox.closed !== undefined);
        for (const { bytes } of inboxes) assert.ok(bytes.length === 200_000 && bytes.every((byte) => byte === bytes[0]));
        assert.equal(new Set(inboxes.map(({ bytes }) => bytes[0])).size, clients.length);
        await listener.close();
      }));

    test('a chunk that is kept beyond the call is used again', () =>
      run(async (runtime) => {
        const { client, server, listener } = await connected(runtime);
        const kept: Uint8Array[] = [];
        const receive = server.socket.onData;
        server.socket.onData = (chunk) => {
          kept.push(chunk);
          receive(chunk);
        };
        for (const text of ['first', 'other']) {
          const before = server.inbox.bytes.length;
          client.socket.write([Buffer.from(text)]);
          await server.inbox.until(() => server.inbox.bytes.length === before + 5);
        }
        assert.equal(server.inbox.bytes.toString(), 'firstother');
        assert.notEqual(Buffer.from(kept[0]!).toString(), 'first'.slice(0, kept[0]!.length));
        client.socket.destroy();
        await listener.close();
      }));

    test('destroying one end closes both, and writing then does nothing', () =>
      run(async (runtime) => {
        const { client, server, listener } = await connected(runtime);
        server.socket.destroy();
        await client.inbox.until(() => client.inbox.closed !== undefined);
        await server.inbox.until(() => server.inbox.closed !== undefined);
        assert.equal(client.socket.write([Buffer.from('x')]), true);
        assert.equal(server.socket.write([Buffer.from('x')]), true);
        server.socket.destroy();
        server.socket.end();
        await listener.close();
      }));

    test('what was written is told to have been sent once, in order, and may then become anything', () =>
      run(async (runtime) => {
        const { client, server, listener } = await connected(runtime, (socket) => socket.pause());
        const told: number[] = [];
        const expected: Buffer[] = [];
        let isWriting = true;
        for (let index = 0; index < 40; index++) {
          const parts = [0, 1, 2].slice(index % 3).map((part) => Buffer.alloc(100_000 * part + 7, 97 + (index % 26)));
          expected.push(...parts.map((part) => Buffer.from(part)));
          client.socket.write(parts, () => {
            assert.equal(isWriting, false, 'never within the write');
            told.push(index);
            for (const part of parts) part.fill(0);
          });
        }
        isWriting = false;
        await new Promise<void>((resolve) => runtime.timers.after(20, resolve));
        assert.ok(told.length < 40, 'the reader has taken nothing yet');
        server.socket.resume();
        const sent = Buffer.concat(expected);
        await server.inbox.until(() => server.inbox.bytes.length === sent.length);
        assert.ok(server.inbox.bytes.equals(sent));
        await new Promise<void>((resolve) => client.socket.write([], resolve));
        await new Promise<void>((resolve) => runtime.timers.after(1, resolve));
        assert.deepEqual(
          told,
          Array.from({ length: 40 }, (_, index) => index),
        );
        client.socket.destroy();
        await listener.close();
      }));

    for (const [how, close] of Object.entries({
      'by its owner': (mine: Socket) => mine.destroy(),
      'by its peer': (_mine: Socket, peers: Socket) => peers.destroy(),
    })) {
      test(`what is not sent when a connection is closed ${how} is told all the same, once`, () =>
        run(async (runtime) => {
          const { client, server, listener } = await connected(runtime, (socket) => socket.pause());
          let told = 0;
          const write = () => client.socket.write([Buffer.alloc(1 << 20), Buffer.alloc(1 << 20)], () => void told++);
          for (let index = 0; index < 10; index++) write();
          await new Promise<void>((resolve) => runtime.timers.after(20, resolve));
          assert.ok(told < 10);
          close(client.socket, server.socket);
          write();
          await client.inbox.until(() => client.inbox.closed !== undefined);
          write();
          await new Promise<void>((resolve) => runtime.timers.after(20, resolve));
          assert.equal(told, 12);
          await listener.close();
        }));
    }

    test('onClose is never called within the call that closes', () =>
      run(async (runtime) => {
        const { client, listener } = await connected(runtime);
        client.socket.destroy();
        assert.equal(client.inbox.closed, undefined);
        await client.inbox.until(() => client.inbox.closed !== undefined);
        await listener.close();
      }));

    test('a port has one listener, and none once it is closed', () =>
      run(async ({ network }) => {
        const listener = await network.listen(anyPort, (socket) => socket.destroy());
        assert.notEqual(listener.address.port, 0);
        assert.equal(listener.address.host, anyPort.host);
        await assert.rejects(
          network.listen(listener.address, () => {}),
          fails('EADDRINUSE'),
        );
        await listener.close();
        await assert.rejects(network.connect(listener.address), fails('ECONNREFUSED'));
        await (await network.listen(listener.address, () => {})).close();
      }));
  });
}

test('an IPv4 client of a listener for all addresses has an IPv4 address', async () => {
  const { network } = nodeRuntime();
  let accept!: (socket: Socket) => void;
  const accepted = new Promise<Socket>((resolve) => (accept = resolve));
  const listener = await network.listen({ host: '::', port: 0 }, (socket) => accept(socket));
  const client = await network.connect({ host: '127.0.0.1', port: listener.address.port });
  const server = await accepted;
  assert.deepEqual([server.remote.host, server.local.host], ['127.0.0.1', '127.0.0.1']);
  client.destroy();
  server.destroy();
  await listener.close();
});
