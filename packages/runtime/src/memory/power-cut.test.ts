import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryFiles, SeededRandom } from '../index.ts';

const page = 4096;
const sector = 512;
const seeds = 200;

/** What seeds leave of the same story, as a set of descriptions. */
function outcomes(story: (files: MemoryFiles) => void, describe: (files: MemoryFiles) => string): Map<string, number> {
  const found = new Map<string, number>();
  for (let seed = 0; seed < seeds; seed++) {
    const files = new MemoryFiles({ crashes: { random: new SeededRandom(seed), tornWrites: true } });
    story(files);
    files.crash();
    const outcome = describe(files);
    found.set(outcome, (found.get(outcome) ?? 0) + 1);
  }
  return found;
}

const filled = (byte: number, length: number) => new Uint8Array(length).fill(byte);

function synced(files: MemoryFiles, path: string, content: Uint8Array) {
  const file = files.open(path, 'create');
  file.write(content, 0);
  file.sync();
  files.syncDirectory('/');
  return file;
}

/** The bytes of each sector, if they are all the same; otherwise x. */
function sectorsOf(files: MemoryFiles, path: string): string {
  const bytes = files.readFile(path);
  let text = '';
  for (let start = 0; start < bytes.length; start += sector) {
    const [first, ...rest] = bytes.subarray(start, start + sector);
    text += rest.every((byte) => byte === first) ? first : 'x';
  }
  return text;
}

test('pages survive or not on their own, and a sector is never torn', () => {
  const found = outcomes(
    (files) => synced(files, '/f', filled(1, 3 * page)).write(filled(2, 3 * page), 0),
    (files) => sectorsOf(files, '/f'),
  );
  for (const outcome of found.keys()) assert.match(outcome, /^[12]{24}$/);
  for (const whole of ['1'.repeat(24), '1'.repeat(16) + '2'.repeat(8), '2'.repeat(8) + '1'.repeat(16)]) {
    assert.ok(found.has(whole), whole);
  }
  assert.ok([...found.keys()].some((outcome) => /12/.test(outcome.slice(0, 8)) && /21/.test(outcome.slice(0, 8))));
});

test('a size may be there and its page not, which then reads as zeros', () => {
  const found = outcomes(
    (files) => synced(files, '/f', filled(1, page)).write(filled(2, page), page),
    (files) => sectorsOf(files, '/f'),
  );
  for (const outcome of ['1'.repeat(8), '1'.repeat(8) + '0'.repeat(8), '1'.repeat(8) + '2'.repeat(8)]) {
    assert.ok(found.has(outcome), outcome);
  }
});

test('what was cut off does not come back behind what was written in its place', () => {
  const found = outcomes(
    (files) => {
      const file = synced(files, '/f', filled(1, 2 * page));
      file.truncate(0);
      file.write(filled(2, 2 * page), 0);
    },
    (files) => sectorsOf(files, '/f'),
  );
  for (const outcome of found.keys()) assert.ok(!outcome.includes('1') || outcome === '1'.repeat(16), outcome);
  assert.ok(found.has('1'.repeat(16)) && found.has('2'.repeat(16)));
});

test('the system may have written back a version that lies between', () => {
  const found = outcomes(
    (files) => {
      const file = synced(files, '/f', filled(1, page));
      for (const byte of [2, 3, 4]) file.write(filled(byte, page), 0);
    },
    (files) => sectorsOf(files, '/f'),
  );
  assert.ok([...found.keys()].some((outcome) => outcome.includes('2')));
});

test('the names of a directory are a moment of its history, and a rename is whole', () => {
  const found = outcomes(
    (files) => {
      files.makeDirectory('/d');
      files.syncDirectory('/');
      for (const name of ['a', 'b']) files.open(`/d/${name}`, 'create').close();
      files.rename('/d/a', '/d/c');
      files.remove('/d/b');
    },
    (files) => files.list('/d').join(),
  );
  assert.deepEqual([...found.keys()].sort(), ['', 'a', 'a,b', 'b,c', 'c']);
});

test('what another directory lost does not bind this one, unless a rename joins them', () => {
  const found = outcomes(
    (files) => {
      for (const name of ['/d', '/e']) files.makeDirectory(name);
      files.syncDirectory('/');
      files.open('/d/a', 'create').close();
      files.open('/e/b', 'create').close();
      files.rename('/d/a', '/e/a');
      files.syncDirectory('/d');
    },
    (files) => `${files.list('/d')} | ${files.list('/e')}`,
  );
  assert.deepEqual([...found.keys()], [' | a,b']);
});
