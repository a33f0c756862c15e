import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IoError, type Runtime, type Socket, sleep, World, type WorldOptions } from '../index.ts';

const fails = (code: string) => (error: unknown) => error instanceof IoError && error.code === code;

/** Three machines, two of which send the third what they made up; it writes that down and answers. */
async function story(options: WorldOptions): Promise<World> {
  const world = new World({ keepTrace: 50, ...options });
  const [server, ...clients] = ['a', 'b', 'c'].map((host) => world.machine(host).boot()) as [Runtime, ...Runtime[]];
  const log = server.files.open('/log', 'create');
  await server.network.listen({ host: '', port: 9092 }, (socket) => {
    socket.onData = (chunk) => {
      log.write(chunk, log.size());
      void log.syncLater().then(() => socket.write([chunk.slice(0, 1)]));
    };
  });
  const client = async (runtime: Runtime) => {
    const socket = await runtime.network.connect({ host: 'a', port: 9092 });
    let answers = 0;
    socket.onData = () => answers++;
    for (let i = 0; i < 20; i++) {
      await sleep(runtime.timers, runtime.random.below(10));
      socket.write([runtime.random.bytes(1 + runtime.random.below(100))]);
    }
    while (answers < 10) await sleep(runtime.timers, 1);
  };
  await world.runUntil(Promise.all(clients.map(client)));
  return world;
}

test('the same seed makes the same things happen, another seed others', async () => {
  const first = await story({ seed: 7 });
  const second = await story({ seed: 7 });
  const third = await story({ seed: 8 });
  assert.deepEqual(first.trace.lines, second.trace.lines);
  assert.equal(first.trace.hash, second.trace.hash);
  assert.equal(first.time.nowMs, second.time.nowMs);
  assert.ok(first.trace.events > 100);
  assert.notEqual(first.trace.hash, third.trace.hash);
});

test('timers fire in order of time, then of creation, and not when cancelled', async () => {
  const world = new World({ seed: 1 });
  const { timers, clock } = world.machine('a').boot();
  const startMs = clock.nowMs();
  const happened: string[] = [];
  const note = (text: string) => () => void happened.push(`${text} at ${clock.monotonicMs()}`);
  timers.after(5, note('late'));
  timers.after(1, () => {
    note('early')();
    timers.soon(note('soon'));
    void Promise.resolve().then(note('promise'));
  });
  timers.after(1, note('early too'));
  timers.after(2, note('never')).cancel();
  timers.after(7, note('after the end'));
  await world.advance(6);
  assert.deepEqual(happened, ['early at 1', 'promise at 1', 'soon at 1', 'early too at 1', 'late at 5']);
  assert.equal(clock.monotonicMs(), 6);
  assert.equal(clock.nowMs() - startMs, 6);
});

test('many timers in any order come out sorted', async () => {
  const world = new World({ seed: 2 });
  const seen: number[] = [];
  for (let i = 0; i < 500; i++) world.time.after(world.random.below(100), () => seen.push(world.time.nowMs));
  await world.advance(100);
  assert.equal(seen.length, 500);
  assert.deepEqual(
    seen,
    seen.toSorted((a, b) => a - b),
  );
});

test('waiting for what cannot happen fails, as does waiting too long', async () => {
  const world = new World({ seed: 1 });
  await assert.rejects(world.runUntil(new Promise(() => {})), /nothing more can happen/);
  const tick = () => void world.time.after(10, tick);
  tick();
  await assert.rejects(world.runUntil(new Promise(() => {}), 1000), /1000 ms of virtual time were not enough/);
});

test('an error thrown by a timer reaches whoever lets time pass', async () => {
  const world = new World({ seed: 1 });
  world
    .machine('a')
    .boot()
    .timers.after(1, () => assert.fail('as it should'));
  await assert.rejects(world.advance(5), /as it should/);
});

async function pair() {
  const world = new World({ seed: 3, wires: { minLatencyMs: 1, maxLatencyMs: 2, fragmentation: 0 } });
  const [a, b] = [world.machine('a'), world.machine('b')];
  const [runtimeA, runtimeB] = [a.boot(), b.boot()];
  const received: string[] = [];
  const closed: string[] = [];
  const watch = (name: string, socket: Socket) => {
    socket.onData = (chunk) => received.push(`${name}: ${Buffer.from(chunk)}`);
    socket.onClose = (error) => closed.push(`${name}: ${(error as IoError | undefined)?.code ?? 'end'}`);
  };
  let server!: Socket;
  await runtimeB.network.listen({ host: '', port: 1 }, (socket) => {
    server = socket;
    watch('b', socket);
  });
  const client = await world.runUntil(runtimeA.network.connect({ host: 'b', port: 1 }));
  watch('a', client);
  return { world, a, b, runtimeA, runtimeB, client, server, received, closed };
}

test('a cut keeps what is sent, in order, until it heals', async () => {
  const { world, client, server, received, closed } = await pair();
  client.write([Buffer.from('1')]);
  world.wires.cut('a', 'b', { oneWay: true });
  client.write([Buffer.from('2')]);
  server.write([Buffer.from('other way')]);
  await world.advance(1000);
  assert.deepEqual(received, ['a: other way']);
  client.write([Buffer.from('3')]);
  world.wires.heal();
  client.write([Buffer.from('4')]);
  await world.advance(10);
  assert.deepEqual(received.slice(1), ['b: 1', 'b: 2', 'b: 3', 'b: 4']);
  assert.deepEqual(closed, []);
});

test('connecting across a cut times out', async () => {
  const { world, runtimeA } = await pair();
  world.wires.cut('a', 'b');
  await assert.rejects(world.runUntil(runtimeA.network.connect({ host: 'b', port: 1 }, { timeoutMs: 50 })), fails('ETIMEDOUT'));
  await assert.rejects(world.runUntil(runtimeA.network.connect({ host: 'nowhere', port: 1 })), fails('EHOSTUNREACH'));
});

test('a dropped connection resets both ends', async () => {
  const { world, closed } = await pair();
  world.dropConnections('a', 'b');
  await world.advance(1);
  assert.deepEqual(closed.sort(), ['a: ECONNRESET', 'b: ECONNRESET']);
});

test('the peers of a killed process see resets, and its timers never fire', async () => {
  const { world, b, runtimeA, runtimeB, closed } = await pair();
  runtimeB.timers.after(1, () => assert.fail('it is dead'));
  b.kill();
  await world.advance(10);
  assert.deepEqual(closed, ['a: ECONNRESET']);
  await assert.rejects(world.runUntil(runtimeA.network.connect({ host: 'b', port: 1 })), fails('ECONNREFUSED'));
});

test('the peers of a machine without power hear nothing until it is back', async () => {
  const { world, b, client, closed } = await pair();
  b.crash();
  client.write([Buffer.from('anybody there?')]);
  await world.advance(60_000);
  assert.deepEqual(closed, []);
  b.boot();
  await world.advance(10);
  assert.deepEqual(closed, ['a: ECONNRESET']);
});
