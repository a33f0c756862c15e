import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IoError, MemoryFiles, SeededRandom, World } from '../index.ts';

const bytes = (text: string) => new TextEncoder().encode(text);
const fails = (code: string) => (error: unknown) => error instanceof IoError && error.code === code;
const crashing = (tornWrites = false, seed = 1) => new MemoryFiles({ crashes: { random: new SeededRandom(seed), tornWrites } });

function written(files: MemoryFiles, path: string, content: string) {
  const file = files.open(path, 'create');
  file.write(bytes(content), 0);
  return file;
}

test('a power loss takes what was not synced', () => {
  const files = crashing();
  const file = written(files, '/f', 'synced');
  file.sync();
  files.syncDirectory('/');
  file.write(bytes('SYNCED and more'), 0);
  files.crash();
  assert.equal(Buffer.from(files.readFile('/f')).toString(), 'synced');
  assert.throws(() => file.size(), fails('EBADF'));
});

test('a synced file whose directory was not synced has lost its name', () => {
  const files = crashing();
  files.makeDirectory('/d');
  files.syncDirectory('/');
  written(files, '/d/f', 'x').sync();
  files.crash();
  assert.deepEqual(files.list('/d'), []);
});

test('a rename counts once the directory is synced; before, the old name is back', () => {
  for (const synced of [false, true]) {
    const files = crashing();
    written(files, '/old', 'new content').sync();
    written(files, '/name', 'old content').sync();
    files.syncDirectory('/');
    files.rename('/old', '/name');
    if (synced) files.syncDirectory('/');
    files.crash();
    assert.deepEqual(files.list('/'), synced ? ['name'] : ['name', 'old']);
    assert.equal(Buffer.from(files.readFile('/name')).toString(), synced ? 'new content' : 'old content');
  }
});

test('writeFileDurably leaves the old or the new content at every point of a crash', () => {
  for (let crashAt = 0; crashAt < 12; crashAt++) {
    let operations = Number.NEGATIVE_INFINITY;
    const files = new MemoryFiles({
      crashes: { random: new SeededRandom(crashAt), tornWrites: true },
      fault: () => (operations++ === crashAt ? 'EIO' : undefined),
    });
    files.writeFileDurably('/f', 'the old content');
    operations = 0;
    let failed = false;
    try {
      files.writeFileDurably('/f', 'the new one');
    } catch {
      failed = true;
    }
    operations = Number.NEGATIVE_INFINITY;
    files.crash();
    const content = Buffer.from(files.readFile('/f')).toString();
    if (failed) assert.ok(['the old content', 'the new one'].includes(content), content);
    else assert.equal(content, 'the new one');
  }
});

test('torn writes leave any mixture of sectors, and never touch what was synced and left alone', () => {
  const outcomes = new Set<string>();
  for (let seed = 0; seed < 50; seed++) {
    const files = crashing(true, seed);
    const file = files.open('/f', 'create');
    file.write(new Uint8Array(200_000).fill(1), 0);
    file.sync();
    files.syncDirectory('/');
    file.write(new Uint8Array(4096).fill(2), 150_000);
    file.write(new Uint8Array(4096).fill(3), 200_000);
    files.crash();
    const content = files.readFile('/f');
    assert.ok(content.length >= 200_000 && content.length <= 204_096);
    assert.ok(content.subarray(0, 150_000).every((byte) => byte === 1));
    assert.ok(content.subarray(150_000, 154_096).every((byte) => byte === 1 || byte === 2));
    outcomes.add(`${content.length} ${content.filter((byte) => byte === 2).length}`);
  }
  assert.ok(outcomes.size > 10);
});

test('syncLater promises what was written before it, when it resolves', async () => {
  const world = new World({ seed: 1 });
  const machine = world.machine('a', { syncMs: () => 5 });
  const { files } = machine.boot();
  const file = files.open('/f', 'create');
  files.syncDirectory('/');
  file.write(bytes('first'), 0);
  const synced = file.syncLater();
  file.write(bytes('again'), 0);
  await world.runUntil(synced);
  file.write(bytes('third'), 0);
  file.syncLater().catch(() => {});
  machine.crash();
  await world.advance(10);
  assert.equal(Buffer.from(machine.files.readFile('/f')).toString(), 'first');
});

test('an older syncLater that finishes after a newer sync takes nothing back', async () => {
  const world = new World({ seed: 1 });
  const delays = [10, 1];
  const machine = world.machine('a', { syncMs: () => delays.shift()! });
  const { files } = machine.boot();
  const file = files.open('/f', 'create');
  files.syncDirectory('/');
  file.write(bytes('older'), 0);
  const syncs = [file.syncLater()];
  file.write(bytes('newer'), 0);
  syncs.push(file.syncLater());
  await world.runUntil(Promise.all(syncs));
  machine.crash();
  assert.equal(Buffer.from(machine.files.readFile('/f')).toString(), 'newer');
});

test('a killed process leaves its bytes, and its lock free', () => {
  const files = crashing();
  files.lock('/.lock');
  written(files, '/f', 'unsynced');
  files.kill();
  assert.equal(files.readFile('/f').length, 8);
  files.lock('/.lock').release();
});

test('a full disk takes what fits, and has room again when something is removed', () => {
  const files = new MemoryFiles({ capacityBytes: 100 });
  const file = files.open('/f', 'create');
  file.write(new Uint8Array(90), 0);
  assert.throws(() => file.write(new Uint8Array(20), 90), fails('ENOSPC'));
  assert.equal(file.size(), 100);
  file.write(new Uint8Array(100).fill(1), 0);
  assert.deepEqual(files.space('/'), { totalBytes: 100, usableBytes: 0 });
  const other = files.open('/g', 'create');
  assert.throws(() => other.write(new Uint8Array(1), 0), fails('ENOSPC'));
  files.remove('/f');
  other.write(new Uint8Array(100), 0);
  other.truncate(10);
  assert.equal(files.space('/').usableBytes, 90);
});

test('any operation can be made to fail', () => {
  const failing = new MemoryFiles({ fault: ({ kind, index }) => (kind === 'write' && index > 2 ? 'EIO' : undefined) });
  const file = failing.open('/f', 'create');
  file.write(bytes('a'), 0);
  file.size();
  assert.throws(() => file.write(bytes('b'), 1), fails('EIO'));
  assert.equal(file.size(), 1);
});
