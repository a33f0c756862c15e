import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IoError, type Runtime, type Socket, World, type WorldOptions } from '../index.ts';

const fails = (code: string) => (error: unknown) => error instanceof IoError && error.code === code;
const bytes = (text: string) => [Buffer.from(text)];

/** Two machines with a connection, and all that was heard on it, in order. */
async function pair(wires: WorldOptions['wires'] = {}) {
  const world = new World({ seed: 5, wires: { minLatencyMs: 1, maxLatencyMs: 2, fragmentation: 0, ...wires } });
  const [a, b] = [world.machine('a'), world.machine('b')];
  const [runtimeA, runtimeB] = [a.boot(), b.boot()];
  const heard: string[] = [];
  const listen = (name: string, socket: Socket): Socket => {
    socket.onData = (chunk) => heard.push(`${name} hears ${Buffer.from(chunk)}`);
    socket.onClose = (error) => heard.push(`${name} is told ${(error as IoError | undefined)?.code ?? 'the end'}`);
    return socket;
  };
  const accepted = Promise.withResolvers<Socket>();
  await runtimeB.network.listen({ host: '', port: 1 }, (socket) => accepted.resolve(listen('b', socket)));
  const client = listen('a', await world.runUntil(runtimeA.network.connect({ host: 'b', port: 1 })));
  return { world, a, b, runtimeA, runtimeB, client, server: await accepted.promise, heard };
}

test('lost packets come late, and never out of order', async () => {
  const { world, client, heard } = await pair();
  world.wires.trouble('a', 'b', { lossRate: 0.5 });
  for (let index = 0; index < 20; index++) client.write(bytes(String(index)));
  await world.advance(100);
  assert.ok(heard.length < 20, 'somebody has to wait for a packet that is sent again');
  await world.advance(60_000);
  assert.deepEqual(
    heard,
    Array.from({ length: 20 }, (_, index) => `b hears ${index}`),
  );
});

test('a way that loses everything ends in a connection that only its sender knows to be dead', async () => {
  const { world, client, server, heard } = await pair({ giveUpMs: 5_000 });
  world.wires.trouble('a', 'b', { lossRate: 1 }, { oneWay: true });
  client.write(bytes('anybody there?'));
  await world.advance(4_999);
  assert.deepEqual(heard, []);
  await world.advance(2);
  assert.deepEqual(heard, ['a is told ETIMEDOUT']);
  await world.advance(3_600_000);
  assert.equal(heard.length, 1, 'the other end is half-open');
  world.wires.heal();
  server.write(bytes('hello?'));
  await world.advance(10);
  assert.deepEqual(heard.slice(1), ['b is told ECONNRESET']);
});

test('a cut that lasts too long kills the connections that have something to send, and spares the others', async () => {
  const { world, client, heard } = await pair({ giveUpMs: 5_000 });
  world.wires.cut('a', 'b');
  await world.advance(60_000);
  world.wires.heal();
  client.write(bytes('1'));
  await world.advance(10);
  world.wires.cut('a', 'b');
  client.write(bytes('2'));
  await world.advance(6_000);
  assert.deepEqual(heard, ['b hears 1', 'a is told ETIMEDOUT']);
});

test('a way can be slow in one direction alone, until it heals', async () => {
  const { world, client, server, heard } = await pair();
  world.wires.trouble('a', 'b', { minLatencyMs: 500, maxLatencyMs: 600 }, { oneWay: true });
  client.write(bytes('slow'));
  server.write(bytes('fast'));
  await world.advance(3);
  assert.deepEqual(heard, ['a hears fast']);
  await world.advance(600);
  assert.deepEqual(heard.slice(1), ['b hears slow']);
  world.wires.heal('a', 'b');
  client.write(bytes('again'));
  await world.advance(3);
  assert.deepEqual(heard.slice(2), ['b hears again']);
});

test('an end that is lost leaves the other half-open until it sends', async () => {
  const { world, server, heard } = await pair();
  world.loseEnds('a', 'b');
  await world.advance(3_600_000);
  assert.deepEqual(heard, ['a is told ECONNRESET']);
  server.write(bytes('are you there?'));
  await world.advance(10);
  assert.deepEqual(heard.slice(1), ['b is told ECONNRESET']);
});

test('some ways can be cut while others stay open', async () => {
  const { world, runtimeB } = await pair();
  const c = world.machine('c').boot();
  world.wires.cut('a', 'b');
  await c.network.listen({ host: '', port: 1 }, () => {});
  await world.runUntil(runtimeB.network.connect({ host: 'c', port: 1 }));
});

/** Ticks every 10 ms, and notes when. */
function ticking(runtime: Runtime): number[] {
  const ticks: number[] = [];
  const tick = (): void => {
    ticks.push(runtime.clock.monotonicMs());
    runtime.timers.after(10, tick);
  };
  runtime.timers.after(10, tick);
  return ticks;
}

test('a stopped process hears nothing, and then everything at once and in order', async () => {
  const { world, b, client, heard, runtimeB } = await pair();
  const ticks = ticking(runtimeB);
  let isCancelled = false;
  const timer = runtimeB.timers.after(50, () => assert.ok(!isCancelled, 'cancelled when the process went on'));
  runtimeB.timers.after(45, () => {
    isCancelled = true;
    timer.cancel();
  });
  await world.advance(25);
  const before = ticks.length;
  b.pause();
  client.write(bytes('1'));
  await world.advance(500);
  client.write(bytes('2'));
  await world.advance(500);
  assert.deepEqual(heard, []);
  assert.equal(ticks.length, before);
  b.resume();
  await world.advance(0);
  assert.deepEqual(heard, ['b hears 1', 'b hears 2']);
  assert.equal(ticks.length, before + 1, 'what was due once is due once');
  await world.advance(25);
  assert.equal(ticks.length, before + 3);
});

test('the system takes connections for a stopped process, which finds them when it goes on', async () => {
  const { world, runtimeA, runtimeB, b } = await pair();
  let accepted = 0;
  await runtimeB.network.listen({ host: '', port: 2 }, (socket) => {
    accepted++;
    socket.write(bytes('welcome'));
  });
  b.pause();
  const socket = await world.runUntil(runtimeA.network.connect({ host: 'b', port: 2 }));
  let welcome = '';
  socket.onData = (chunk) => void (welcome += Buffer.from(chunk));
  await world.advance(100);
  assert.deepEqual([accepted, welcome], [0, '']);
  b.resume();
  await world.advance(10);
  assert.deepEqual([accepted, welcome], [1, 'welcome']);
});

test('the disk goes on for a stopped process, which hears of it later', async () => {
  const world = new World({ seed: 1 });
  const machine = world.machine('a', { syncMs: () => 5 });
  const { files } = machine.boot();
  const file = files.open('/f', 'create');
  files.syncDirectory('/');
  file.write(Buffer.from('kept'), 0);
  let isTold = false;
  void file.syncLater().then(() => (isTold = true));
  machine.pause();
  await world.advance(100);
  assert.equal(isTold, false);
  machine.crash();
  assert.equal(Buffer.from(machine.files.readFile('/f')).toString(), 'kept');
});

test('a process that is killed while it is stopped never hears of anything', async () => {
  const { world, b, client, heard } = await pair();
  b.pause();
  client.write(bytes('1'));
  await world.advance(10);
  b.kill();
  b.resume();
  await world.advance(10);
  assert.deepEqual(heard, ['a is told ECONNRESET']);
});

test('a wall clock can jump and run wrong, and time is measured right all the same', async () => {
  const world = new World({ seed: 1 });
  const machine = world.machine('a', { clockOffsetMs: 7 });
  const { clock } = machine.boot();
  const off = () => clock.nowMs() - world.startMs - clock.monotonicMs();
  await world.advance(1_000);
  assert.equal(off(), 7);
  machine.clock.jump(3_600_000);
  assert.equal(off(), 3_600_007);
  machine.clock.jump(-7_200_000);
  assert.equal(off(), -3_599_993);
  machine.clock.runAt(1.5);
  await world.advance(1_000);
  assert.equal(off(), -3_599_493);
  machine.clock.runAt(1);
  await world.advance(1_000);
  assert.equal(off(), -3_599_493);
  assert.equal(clock.monotonicMs(), 3_000);
});

test('a disk can fail, fill up and slow down while it is used, and be mended', async () => {
  const world = new World({ seed: 1 });
  const machine = world.machine('a', { syncMs: () => 1 });
  const { files } = machine.boot();
  files.makeDirectory('/one');
  files.makeDirectory('/other');
  const [one, other] = [files.open('/one/f', 'create'), files.open('/other/f', 'create')];
  machine.disk.fail('EIO', ['sync'], '/one');
  one.write(Buffer.from('x'), 0);
  await assert.rejects(one.syncLater(), fails('EIO'));
  await world.runUntil(other.syncLater());
  machine.disk.mend();
  machine.disk.syncMs = () => 1_000;
  const synced = one.syncLater();
  let isSynced = false;
  void synced.then(() => (isSynced = true));
  await world.advance(999);
  assert.equal(isSynced, false);
  await world.runUntil(synced);
  machine.disk.capacityBytes = 1;
  assert.throws(() => one.write(Buffer.from('more'), 1), fails('ENOSPC'));
  machine.disk.mend();
  one.write(Buffer.from('more'), 1);
});

test('a flipped bit is there for who reads now, and after the power failed', async () => {
  const world = new World({ seed: 1 });
  const machine = world.machine('a');
  const { files } = machine.boot();
  const file = files.open('/f', 'create');
  file.write(Buffer.from('abc'), 0);
  file.sync();
  files.syncDirectory('/');
  machine.files.flipBit('/f', 1, 0);
  assert.equal(Buffer.from(files.readFile('/f')).toString(), 'acc');
  machine.crash();
  assert.equal(Buffer.from(machine.files.readFile('/f')).toString(), 'acc');
  machine.files.flipBit('/f', 7, 0);
  assert.equal(machine.files.readFile('/f').length, 3, 'there is no such byte');
});

test('whoever looks on sees each thing that a process catches up on by itself', async () => {
  const { world, b, runtimeB } = await pair();
  let caughtUp = 0;
  b.pause();
  for (const ms of [5, 10, 15]) runtimeB.timers.after(ms, () => caughtUp++);
  await world.advance(100);
  const seen = new Set<number>();
  world.time.afterEach = () => seen.add(caughtUp);
  b.resume();
  await world.advance(10);
  assert.deepEqual([...seen], [0, 1, 2, 3]);
});
