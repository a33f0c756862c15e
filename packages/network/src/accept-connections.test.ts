import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type MemoryRuntime, memoryRuntime, nodeRuntime, type Runtime, type Socket, sleep } from '@ottla/runtime';
import {
  type AcceptOptions,
  acceptConnections,
  BorrowedParts,
  ConnectionQuota,
  FrameCutter,
  packFrames,
  type RequestHandler,
  type ServerConnection,
} from './index.ts';

/** Each runs a test's body; the memory one makes time pass until it is done. */
const worlds: Record<string, (body: (runtime: Runtime) => Promise<void>) => Promise<void>> = {
  'over TCP': (body) => body(nodeRuntime()),
  'over a simulated network': (body) => {
    const runtime: MemoryRuntime = memoryRuntime({ seed: 1, wires: { fragmentation: 0.3 } });
    return runtime.runUntil(body(runtime));
  },
};

const text = (bytes: Uint8Array) => Buffer.from(bytes).toString();
const echo: RequestHandler = (frame) => [new Uint8Array(frame)];

function listen(runtime: Runtime, options: Partial<AcceptOptions>) {
  const address = { host: '127.0.0.1', port: 0 };
  return acceptConnections({ ...runtime, address, listenerName: 'PLAINTEXT', onRequest: echo, ...options });
}

/** A client that knows frames and nothing more. */
class RawClient {
  readonly socket: Socket;
  readonly answers: string[] = [];
  closed = false;
  error: Error | undefined;
  readonly #cutter = new FrameCutter(1 << 30);
  #waiting: (() => void)[] = [];

  constructor(socket: Socket) {
    this.socket = socket;
    socket.onData = (chunk) => {
      this.#cutter.feed(chunk);
      for (let frame = this.#cutter.next(); frame; frame = this.#cutter.next()) this.answers.push(text(frame));
      this.#cutter.keep();
      this.#wake();
    };
    socket.onClose = (error) => {
      this.closed = true;
      this.error = error;
      this.#wake();
    };
  }

  static async connect(runtime: Runtime, server: { address: { host: string; port: number } }): Promise<RawClient> {
    return new RawClient(await runtime.network.connect(server.address));
  }

  send(...requests: string[]): void {
    this.socket.write(packFrames(requests.map((request) => [Buffer.from(request)])));
  }

  async until(done: () => boolean): Promise<void> {
    while (!done()) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  answered(count: number): Promise<void> {
    return this.until(() => this.answers.length >= count || this.closed);
  }

  ended(): Promise<void> {
    return this.until(() => this.closed);
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

/** A handler whose answers the test gives. */
class Manual {
  readonly requests: string[] = [];
  readonly connections: ServerConnection[] = [];
  readonly #answers = new Map<string, (answer: Uint8Array[] | null) => void>();
  readonly #failures = new Map<string, (error: Error) => void>();
  #waiting: (() => void)[] = [];

  readonly onRequest = (frame: Uint8Array, connection: ServerConnection): Promise<Uint8Array[] | null> => {
    const request = text(frame);
    this.requests.push(request);
    this.connections.push(connection);
    for (const resolve of this.#waiting.splice(0)) resolve();
    return new Promise((resolve, reject) => {
      this.#answers.set(request, resolve);
      this.#failures.set(request, reject);
    });
  };

  answer(request: string, answer: Uint8Array[] | null = [Buffer.from(request)]): void {
    this.#answers.get(request)!(answer);
  }

  fail(request: string): void {
    this.#failures.get(request)!(new Error('as it should'));
  }

  async received(count: number): Promise<void> {
    while (this.requests.length < count) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }
}

/** In virtual time alone: how many come in a while is up to the machine otherwise. */
describe('a server that limits how fast connections come', () => {
  const run = worlds['over a simulated network']!;

  test('takes the next connection later when they come too fast, each counted once', () =>
    run(async (runtime) => {
      const windows = { samples: 2, windowMs: 50 };
      const quota = new ConnectionQuota({ maxCreationRatePerListener: new Map([['PLAINTEXT', 20]]) }, windows);
      const server = await listen(runtime, { quota });
      const other = await listen(runtime, { quota, listenerName: 'OTHER' });
      const startMs = runtime.clock.monotonicMs();
      const clients: RawClient[] = [];
      for (let index = 0; index < 4; index++) {
        const client = await RawClient.connect(runtime, server);
        client.send(`${index}`);
        clients.push(client);
      }
      const unthrottled = await RawClient.connect(runtime, other);
      unthrottled.send('other');
      await unthrottled.answered(1);
      assert.deepEqual(clients.at(-1)!.answers, []);
      for (const client of clients) await client.answered(1);
      assert.deepEqual(
        clients.map(({ answers }) => answers),
        [['0'], ['1'], ['2'], ['3']],
      );
      // The first is within the rate; each of the others waits for a twentieth of a second.
      assert.ok(runtime.clock.monotonicMs() - startMs >= 3 * 45, `${runtime.clock.monotonicMs() - startMs} ms`);
      await Promise.all([server.close(), other.close()]);
    }));

  test('the rate of the broker holds for all listeners but the protected one', () =>
    run(async (runtime) => {
      const limits = { maxCreationRate: 0, protectedListener: 'INTERNAL' };
      const quota = new ConnectionQuota(limits, { samples: 2, windowMs: 200 });
      const server = await listen(runtime, { quota });
      const internal = await listen(runtime, { quota, listenerName: 'INTERNAL' });
      const client = await RawClient.connect(runtime, server);
      client.send('late');
      for (let index = 0; index < 3; index++) {
        const broker = await RawClient.connect(runtime, internal);
        broker.send('now');
        await broker.answered(1);
      }
      assert.deepEqual(client.answers, []);
      await client.answered(1);
      assert.deepEqual(client.answers, ['late']);
      await Promise.all([server.close(), internal.close()]);
    }));

  test('closes what comes too fast from one address, but not at once', () =>
    run(async (runtime) => {
      const quota = new ConnectionQuota({ creationRateOfIp: () => 10 }, { samples: 2, windowMs: 100 });
      const server = await listen(runtime, { quota });
      const first = await RawClient.connect(runtime, server);
      first.send('x');
      await first.answered(1);
      const startMs = runtime.clock.monotonicMs();
      const second = await RawClient.connect(runtime, server);
      second.send('y');
      await second.ended();
      assert.ok(runtime.clock.monotonicMs() - startMs >= 50);
      assert.deepEqual(second.answers, []);
      // It was not counted: a third one after the time of the first may come in.
      await sleep(runtime.timers, 100);
      const third = await RawClient.connect(runtime, server);
      third.send('z');
      await third.answered(1);
      assert.deepEqual(third.answers, ['z']);
      assert.equal(quota.total, 2);
      await server.close();
      assert.equal(quota.total, 0);
    }));
});

for (const [where, run] of Object.entries(worlds)) {
  describe(`a server ${where}`, () => {
    test('answers requests in the order they came, whenever the answers were ready', () =>
      run(async (runtime) => {
        const manual = new Manual();
        const server = await listen(runtime, { onRequest: manual.onRequest });
        const client = await RawClient.connect(runtime, server);
        client.send('a', 'b', 'c', 'd');
        await manual.received(4);
        assert.deepEqual(manual.requests, ['a', 'b', 'c', 'd']);
        manual.answer('c');
        manual.answer('b', null);
        await sleep(runtime.timers, 5);
        assert.deepEqual(client.answers, []);
        manual.answer('a');
        await client.answered(2);
        manual.answer('d');
        await client.answered(3);
        assert.deepEqual(client.answers, ['a', 'c', 'd']);
        await server.close();
      }));

    test('sends the answers that one turn makes ready in one write', () =>
      run(async (runtime) => {
        let writes = 0;
        const network = counting(runtime, () => writes++);
        const waiting: (() => void)[] = [];
        const onRequest: RequestHandler = (frame) => {
          const answer = [new Uint8Array(frame)];
          return text(frame) === 'now' ? answer : new Promise((resolve) => waiting.push(() => resolve(answer)));
        };
        const server = await listen(runtime, { network, onRequest });
        const client = await RawClient.connect(runtime, server);
        client.send('now');
        await client.answered(1);
        assert.equal(writes, 1);
        client.send('a', 'b', 'c');
        while (waiting.length < 3) await sleep(runtime.timers, 1);
        for (const answer of waiting) answer();
        await client.answered(4);
        assert.equal(writes, 2);
        await server.close();
      }));

    test('closes only the connection whose request fails, after the answers before it', () =>
      run(async (runtime) => {
        const manual = new Manual();
        const onRequest: RequestHandler = (frame, connection) => {
          if (text(frame) === 'bad') throw new Error('as it should');
          return manual.onRequest(frame, connection);
        };
        const closed: ServerConnection[] = [];
        const server = await listen(runtime, { onRequest, onClose: (connection) => closed.push(connection) });
        const [bad, worse, good] = [
          await RawClient.connect(runtime, server),
          await RawClient.connect(runtime, server),
          await RawClient.connect(runtime, server),
        ];
        bad.send('1', 'bad', 'never taken');
        worse.send('2', 'rejects', '3');
        good.send('4');
        await manual.received(5);
        assert.ok(!manual.requests.includes('never taken'));
        manual.fail('rejects');
        for (const request of ['1', '2', '3', '4']) manual.answer(request);
        await Promise.all([bad.ended(), worse.ended(), good.answered(1)]);
        assert.deepEqual([bad.answers, worse.answers, good.answers], [['1'], ['2'], ['4']]);
        while (closed.length < 2) await sleep(runtime.timers, 1);
        assert.deepEqual([closed.length, server.connections.size], [2, 1]);
        await server.close();
      }));

    test('closes on a hostile frame size, after answering what came before', () =>
      run(async (runtime) => {
        const server = await listen(runtime, { limits: { maxFrameBytes: 1000 } });
        for (const hostile of ['ffffffff', '80000000', '000003e9', '7fffffff', '47455420']) {
          const client = await RawClient.connect(runtime, server);
          client.send('fine');
          client.socket.write([Buffer.from(`${hostile}00`, 'hex')]);
          await client.ended();
          assert.deepEqual(client.answers, ['fine']);
        }
        await server.close();
      }));

    test('stops reading at its limit of requests in flight, and goes on below it', () =>
      run(async (runtime) => {
        const manual = new Manual();
        const server = await listen(runtime, { onRequest: manual.onRequest, limits: { maxRequestsInFlight: 3 } });
        const client = await RawClient.connect(runtime, server);
        const requests = Array.from({ length: 10 }, (_, index) => `r${index}`);
        client.send(...requests);
        await manual.received(3);
        await sleep(runtime.timers, 10);
        assert.equal(manual.requests.length, 3);
        for (const [index, request] of requests.entries()) {
          await manual.received(index + 1);
          manual.answer(request);
        }
        await client.answered(10);
        assert.deepEqual(client.answers, requests);
        await server.close();
      }));

    test('takes a request over its limit of bytes in flight only on its own', () =>
      run(async (runtime) => {
        const manual = new Manual();
        const server = await listen(runtime, { onRequest: manual.onRequest, limits: { maxRequestBytesInFlight: 10 } });
        const client = await RawClient.connect(runtime, server);
        client.send('a longer request', 'b');
        await manual.received(1);
        await sleep(runtime.timers, 5);
        assert.equal(manual.requests.length, 1);
        manual.answer('a longer request');
        await manual.received(2);
        manual.answer('b');
        await client.answered(2);
        await server.close();
      }));

    test('reads no further while a client does not take its answers', () =>
      run(async (runtime) => {
        let requests = 0;
        const answer = Buffer.alloc(1 << 20, 'x');
        const onRequest: RequestHandler = () => {
          requests++;
          return [answer];
        };
        const server = await listen(runtime, { onRequest, limits: { maxQueuedBytes: 100_000 } });
        const client = await RawClient.connect(runtime, server);
        client.socket.pause();
        for (let i = 0; i < 50; i++) client.send('more');
        await sleep(runtime.timers, 50);
        assert.ok(requests < 50, `${requests} were taken`);
        client.socket.resume();
        await client.answered(50);
        assert.equal(client.answers.length, 50);
        await server.close();
      }));

    test('closes connections that are idle, and not those that are not', () =>
      run(async (runtime) => {
        const onRequest: RequestHandler = async (taken) => {
          const frame = new Uint8Array(taken);
          if (text(frame) === 'slow') await sleep(runtime.timers, 150);
          return [frame];
        };
        const server = await listen(runtime, { onRequest, limits: { idleMs: 50 } });
        const idle = await RawClient.connect(runtime, server);
        const slow = await RawClient.connect(runtime, server);
        slow.send('slow');
        await idle.ended();
        assert.equal(slow.closed, false);
        await slow.answered(1);
        assert.deepEqual(slow.answers, ['slow']);
        await slow.ended();
        await server.close();
      }));

    test('mutes a throttled connection, but not its answers', () =>
      run(async (runtime) => {
        const onRequest: RequestHandler = (frame, connection) => {
          if (text(frame) === 'throttle') connection.throttle(40);
          return [new Uint8Array(frame)];
        };
        const server = await listen(runtime, { onRequest });
        const client = await RawClient.connect(runtime, server);
        const startMs = runtime.clock.monotonicMs();
        client.send('throttle', 'next');
        await client.answered(1);
        assert.ok(runtime.clock.monotonicMs() - startMs < 35);
        await client.answered(2);
        assert.ok(runtime.clock.monotonicMs() - startMs >= 39);
        assert.deepEqual(client.answers, ['throttle', 'next']);
        await server.close();
      }));

    test('closes a connection at once when its address has too many', () =>
      run(async (runtime) => {
        const quota = new ConnectionQuota({ maxConnectionsPerIp: 1 });
        const server = await listen(runtime, { quota });
        const first = await RawClient.connect(runtime, server);
        first.send('x');
        await first.answered(1);
        const second = await RawClient.connect(runtime, server);
        await second.ended();
        first.socket.destroy();
        await first.ended();
        while (quota.total > 0) await sleep(runtime.timers, 1);
        const third = await RawClient.connect(runtime, server);
        third.send('y');
        await third.answered(1);
        assert.deepEqual(third.answers, ['y']);
        await server.close();
      }));

    test('makes a connection beyond the broker limit wait until another closes', () =>
      run(async (runtime) => {
        const quota = new ConnectionQuota({ maxConnections: 1, protectedListener: 'INTERNAL' });
        const server = await listen(runtime, { quota, limits: { maxWaitingConnections: 1 } });
        const internal = await listen(runtime, { quota, listenerName: 'INTERNAL' });
        const first = await RawClient.connect(runtime, server);
        first.send('1');
        await first.answered(1);
        const second = await RawClient.connect(runtime, server);
        second.send('2');
        const third = await RawClient.connect(runtime, server);
        await third.ended();
        await sleep(runtime.timers, 5);
        assert.deepEqual(second.answers, []);
        first.socket.destroy();
        await second.answered(1);
        assert.deepEqual(second.answers, ['2']);
        const broker = await RawClient.connect(runtime, internal);
        broker.send('3');
        await broker.answered(1);
        await second.ended();
        assert.equal(quota.total, 1);
        await Promise.all([server.close(), internal.close()]);
        assert.equal(quota.total, 0);
      }));

    test('lets a waiting connection in when the limit is raised', () =>
      run(async (runtime) => {
        const quota = new ConnectionQuota({ maxConnectionsPerListener: new Map([['PLAINTEXT', 0]]) });
        const server = await listen(runtime, { quota });
        const client = await RawClient.connect(runtime, server);
        client.send('patient');
        await sleep(runtime.timers, 5);
        assert.deepEqual(client.answers, []);
        quota.limits = {};
        await client.answered(1);
        assert.deepEqual(client.answers, ['patient']);
        await server.close();
      }));

    test('when closing, lets requests in flight answer within the grace, and then closes', () =>
      run(async (runtime) => {
        const onRequest: RequestHandler = async (taken) => {
          const frame = new Uint8Array(taken);
          await sleep(runtime.timers, text(frame) === 'short' ? 20 : 1000);
          return [frame];
        };
        const server = await listen(runtime, { onRequest });
        const [short, long] = [await RawClient.connect(runtime, server), await RawClient.connect(runtime, server)];
        short.send('short');
        long.send('long');
        while ([...server.connections].filter((connection) => connection.requestsInFlight > 0).length < 2)
          await sleep(runtime.timers, 1);
        const startMs = runtime.clock.monotonicMs();
        await server.close(100);
        assert.ok(runtime.clock.monotonicMs() - startMs >= 99);
        await Promise.all([short.ended(), long.ended()]);
        assert.deepEqual([short.answers, long.answers], [['short'], []]);
        await assert.rejects(runtime.network.connect(server.address));
      }));

    test('a late answer is made in its turn, and when the client has taken the one before', () =>
      run(async (runtime) => {
        const made: string[] = [];
        const large = Buffer.alloc(8 << 20, 'x');
        const manual = new Manual();
        const onRequest: RequestHandler = (frame, connection) => {
          const request = text(frame);
          if (request === 'first') return manual.onRequest(frame, connection);
          return Promise.resolve(() => {
            made.push(request);
            return [large];
          });
        };
        const server = await listen(runtime, { onRequest, limits: { maxQueuedBytes: 1000 } });
        const client = await RawClient.connect(runtime, server);
        client.socket.pause();
        client.send('first', 'b', 'c', 'd');
        await manual.received(1);
        await sleep(runtime.timers, 5);
        assert.deepEqual(made, []);
        manual.answer('first');
        await sleep(runtime.timers, 5);
        assert.deepEqual(made, ['b']);
        client.socket.resume();
        await client.answered(4);
        assert.deepEqual(made, ['b', 'c', 'd']);
        assert.deepEqual(
          client.answers.map((answer) => answer.length),
          ['first'.length, large.length, large.length, large.length],
        );
        await server.close();
      }));

    test('what clients have yet to take is known, until they take it or leave', () =>
      run(async (runtime) => {
        const connections: ServerConnection[] = [];
        const onRequest: RequestHandler = () => [Buffer.alloc(16 << 20)];
        const server = await listen(runtime, { onRequest, onOpen: (connection) => void connections.push(connection) });
        const [slow, gone] = [await RawClient.connect(runtime, server), await RawClient.connect(runtime, server)];
        for (const client of [slow, gone]) {
          client.socket.pause();
          client.send('a');
        }
        while (connections.length < 2 || connections[0]!.queuedByAll < 32 << 20) await sleep(runtime.timers, 1);
        gone.socket.destroy();
        while (connections[0]!.queuedByAll > 17 << 20) await sleep(runtime.timers, 1);
        slow.socket.resume();
        await slow.answered(1);
        while (connections[0]!.queuedByAll > 0) await sleep(runtime.timers, 1);
        await server.close();
      }));

    test('a borrowed answer is given back once, when its bytes have left', () =>
      run(async (runtime) => {
        const bytes = 300_000;
        const released: number[] = [];
        let made = 0;
        const borrowed = () => {
          const index = made++;
          const part = Buffer.alloc(bytes, 97 + index);
          return new BorrowedParts([Buffer.from('>'), part], () => {
            released.push(index);
            part.fill(0);
          });
        };
        const onRequest: RequestHandler = (frame) => {
          if (text(frame) === 'at once') return borrowed();
          return text(frame) === 'late' ? Promise.resolve(borrowed) : Promise.resolve(borrowed());
        };
        const server = await listen(runtime, { onRequest });
        const client = await RawClient.connect(runtime, server);
        client.socket.pause();
        const kinds = ['at once', 'at once', 'promised', 'late', 'promised', 'late', 'late', 'at once'];
        const requests = Array.from({ length: 24 }, (_, index) => kinds[index % kinds.length]!);
        client.send(...requests);
        await sleep(runtime.timers, 20);
        assert.ok(released.length < 24, 'the client has taken nothing yet');
        client.socket.resume();
        await client.answered(24);
        // Made in another order than answered: a late one when its turn has come.
        const letters = client.answers.map((answer) => answer[1]!);
        assert.equal(new Set(letters).size, 24);
        for (const answer of client.answers) assert.equal(answer, `>${answer[1]!.repeat(bytes)}`);
        await sleep(runtime.timers, 20);
        assert.deepEqual(released.toSorted((a, b) => a - b), [...released.keys()]); // biome-ignore format: one line
        assert.equal(released.length, 24);
        client.socket.destroy();
        await server.close();
      }));

    test('a borrowed answer that nobody can take any more is given back once', () =>
      run(async (runtime) => {
        const bytes = 1_000_000;
        const released: string[] = [];
        const borrowed = (name: string) => new BorrowedParts([Buffer.alloc(bytes, 'x')], () => void released.push(name));
        const late = new Map<string, (answer: BorrowedParts) => void>();
        const onRequest: RequestHandler = (frame) => {
          const name = text(frame);
          if (name.startsWith('at once')) return borrowed(name);
          if (name === 'fails') return Promise.reject(new Error('as it should'));
          return new Promise<BorrowedParts>((resolve) => late.set(name, resolve));
        };
        const server = await listen(runtime, { onRequest, limits: { maxQueuedBytes: 100 * bytes } });
        const client = await RawClient.connect(runtime, server);
        client.socket.pause();
        // Of those, the first are on their way, the others wait for one that never comes.
        client.send('at once 1', 'at once 2', 'at once 3', 'at once 4', 'never 1', 'at once 5', 'never 2');
        await sleep(runtime.timers, 20);
        const [connection] = server.connections;
        assert.ok(released.length < 4);
        assert.ok(!released.includes('at once 5'));
        connection!.close();
        assert.ok(released.includes('at once 5'));
        late.get('never 2')!(borrowed('never 2'));
        await sleep(runtime.timers, 20);
        assert.deepEqual(released.toSorted(), ['at once 1', 'at once 2', 'at once 3', 'at once 4', 'at once 5', 'never 2']);
        client.socket.destroy();

        released.length = 0;
        const other = await RawClient.connect(runtime, server);
        other.send('fails', 'at once 1');
        await other.ended();
        assert.deepEqual(released, ['at once 1']);
        await server.close();
      }));

    test('a late answer that cannot be made closes the connection, after the earlier answers', () =>
      run(async (runtime) => {
        const onRequest: RequestHandler = (frame) =>
          text(frame) === 'ok'
            ? [new Uint8Array(frame)]
            : Promise.resolve(() => {
                throw new Error('as it should');
              });
        const server = await listen(runtime, { onRequest });
        const client = await RawClient.connect(runtime, server);
        client.send('ok', 'bad', 'ok');
        await client.ended();
        assert.deepEqual(client.answers, ['ok']);
        await server.close();
      }));

    test('whoever waits on behalf of a connection hears once that it is gone, unless that was called off', () =>
      run(async (runtime) => {
        const manual = new Manual();
        const server = await listen(runtime, { onRequest: manual.onRequest });
        const client = await RawClient.connect(runtime, server);
        client.send('a');
        await manual.received(1);
        const [connection] = manual.connections;
        const heard: string[] = [];
        connection!.onClosed(() => heard.push('kept'));
        connection!.onClosed(() => heard.push('called off'))();
        client.socket.destroy();
        while (!connection!.closed) await sleep(runtime.timers, 1);
        connection!.onClosed(() => heard.push('late'));
        assert.deepEqual(heard, ['kept', 'late']);
        await server.close();
      }));

    test('a client that leaves with requests in flight is forgotten', () =>
      run(async (runtime) => {
        const manual = new Manual();
        let closed: ServerConnection | undefined;
        const server = await listen(runtime, { onRequest: manual.onRequest, onClose: (connection) => (closed = connection) });
        const client = await RawClient.connect(runtime, server);
        client.send('a', 'b');
        await manual.received(2);
        client.socket.destroy();
        while (!closed) await sleep(runtime.timers, 1);
        manual.answer('a');
        manual.fail('b');
        await sleep(runtime.timers, 1);
        assert.equal(closed.closed, true);
        assert.equal(server.connections.size, 0);
        await server.close();
      }));
  });
}

/** The runtime's network, telling of each write of an accepted socket. */
function counting(runtime: Runtime, onWrite: () => void): Runtime['network'] {
  return {
    connect: (address, options) => runtime.network.connect(address, options),
    listen: (address, onSocket) =>
      runtime.network.listen(address, (socket) => {
        const { write } = socket;
        socket.write = (parts) => {
          onWrite();
          return write.call(socket, parts);
        };
        onSocket(socket);
      }),
  };
}
