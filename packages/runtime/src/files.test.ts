import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import fc from 'fast-check';
import { type Files, IoError, MemoryFiles, NodeFiles } from './index.ts';
import { SeededRandom } from './memory/random.ts';

const scratch = mkdtempSync(join(tmpdir(), 'ottla-files-'));
after(() => rmSync(scratch, { recursive: true, force: true }));
let directories = 0;

const implementations: Record<string, () => Files> = {
  NodeFiles: () => new NodeFiles(),
  MemoryFiles: () => new MemoryFiles(),
  'MemoryFiles that can crash': () => new MemoryFiles({ crashes: { random: new SeededRandom(1) } }),
};

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (content: Uint8Array) => new TextDecoder().decode(content);
const fails = (code: string) => (error: unknown) => error instanceof IoError && error.code === code;

for (const [name, create] of Object.entries(implementations)) {
  describe(`${name} keeps the contract of Files:`, () => {
    const setup = () => {
      const files = create();
      const directory = join(scratch, `d${directories++}`);
      files.makeDirectory(directory);
      return { files, at: (path: string) => join(directory, path) };
    };

    test('a directory is synced off the loop too, or the error says why not', async () => {
      const { files, at } = setup();
      files.makeDirectory(at('d'));
      files.open(at('d/f'), 'create').close();
      await files.syncDirectoryLater(at('d'));
      await assert.rejects(files.syncDirectoryLater(at('none')), fails('ENOENT'));
    });

    test('a file is made by the modes that make one, and kept or emptied as the mode says', () => {
      const { files, at } = setup();
      assert.throws(() => files.open(at('f'), 'read'), fails('ENOENT'));
      assert.throws(() => files.open(at('f'), 'update'), fails('ENOENT'));
      const file = files.open(at('f'), 'create');
      file.write(bytes('hello'), 0);
      file.close();
      for (const mode of ['read', 'update', 'create'] as const) {
        const again = files.open(at('f'), mode);
        assert.equal(again.size(), 5, mode);
        again.close();
      }
      const emptied = files.open(at('f'), 'truncate');
      assert.equal(emptied.size(), 0);
      emptied.close();
      assert.throws(() => files.open(at('no/f'), 'create'), fails('ENOENT'));
      assert.throws(() => files.open(at('f/g'), 'create'), fails('ENOTDIR'));
      assert.throws(() => files.open(at('.'), 'read'), fails('EISDIR'));
    });

    test('a file behaves as an array of bytes under write, writeAll, truncate and read', () => {
      const offset = fc.integer({ min: 0, max: 200_000 });
      const data = fc.uint8Array({ maxLength: 3000 });
      const step = fc.oneof(
        fc.record({ write: fc.array(data, { maxLength: 3 }), at: fc.option(offset, { nil: undefined }) }),
        fc.record({ truncate: offset }),
        fc.record({ read: fc.integer({ min: 0, max: 150_000 }), at: offset }),
      );
      fc.assert(
        fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
          const { files, at } = setup();
          const file = files.open(at('f'), 'create');
          let model = new Uint8Array();
          const resize = (size: number) => {
            const resized = new Uint8Array(size);
            resized.set(model.subarray(0, size));
            model = resized;
          };
          for (const step of steps) {
            if ('write' in step) {
              const position = step.at ?? model.length;
              const whole = Buffer.concat(step.write);
              if (step.write.length === 1) file.write(step.write[0]!, position);
              else file.writeAll(step.write, position);
              if (whole.length > 0) resize(Math.max(model.length, position + whole.length));
              model.set(whole, whole.length > 0 ? position : 0);
            } else if ('truncate' in step) {
              file.truncate(step.truncate);
              resize(step.truncate);
            } else {
              const target = new Uint8Array(step.read).fill(7);
              const expected = model.subarray(step.at, step.at + step.read);
              assert.equal(file.read(target, step.at), expected.length);
              assert.deepEqual(target.subarray(0, expected.length), expected);
              assert.ok(target.subarray(expected.length).every((byte) => byte === 7));
            }
            assert.equal(file.size(), model.length);
          }
          file.close();
          assert.deepEqual(files.readFile(at('f')), model);
        }),
        { numRuns: 60 },
      );
    });

    test('nothing is read from before the beginning of a file', () => {
      const { files, at } = setup();
      const file = files.open(at('f'), 'create');
      file.write(bytes('content'), 0);
      assert.throws(() => file.read(new Uint8Array(1), -5));
      file.close();
    });

    test('what a write was given may change afterwards', () => {
      const { files, at } = setup();
      const file = files.open(at('f'), 'create');
      const source = bytes('before');
      file.writeAll([source, source], 0);
      source.fill(0);
      file.close();
      assert.equal(text(files.readFile(at('f'))), 'beforebefore');
    });

    test('a file opened for reading cannot be changed, and a closed one cannot be used', async () => {
      const { files, at } = setup();
      files.open(at('f'), 'create').close();
      const file = files.open(at('f'), 'read');
      assert.throws(() => file.write(bytes('x'), 0), fails('EBADF'));
      assert.throws(() => file.truncate(0), fails('EINVAL'));
      file.close();
      file.close();
      assert.throws(() => file.size(), fails('EBADF'));
      assert.throws(() => file.read(new Uint8Array(1), 0), fails('EBADF'));
      await assert.rejects(file.syncLater(), fails('EBADF'));
    });

    test('syncLater finishes although the file is closed meanwhile', async () => {
      const { files, at } = setup();
      const file = files.open(at('f'), 'create');
      file.write(bytes('x'), 0);
      const synced = [file.syncLater(), file.syncLater()];
      file.close();
      await Promise.all(synced);
      file.close();
    });

    test('directories are made with their parents, listed in order, and removed with all in them', () => {
      const { files, at } = setup();
      files.makeDirectory(at('b/c'));
      files.makeDirectory(at('b/c'));
      files.open(at('b/f'), 'create').close();
      files.open(at('a'), 'create').close();
      assert.deepEqual(files.list(at('.')), ['a', 'b']);
      assert.deepEqual(files.list(at('b')), ['c', 'f']);
      assert.throws(() => files.list(at('no')), fails('ENOENT'));
      assert.throws(() => files.list(at('a')), fails('ENOTDIR'));
      assert.throws(() => files.makeDirectory(at('a')), fails('EEXIST'));
      assert.throws(() => files.makeDirectory(at('a/b')), fails('ENOTDIR'));
      files.removeDirectory(at('b'));
      files.removeDirectory(at('b'));
      assert.deepEqual(files.list(at('.')), ['a']);
    });

    test('stat tells files, directories and nothing apart', () => {
      const { files, at } = setup();
      const file = files.open(at('f'), 'create');
      file.truncate(10);
      file.close();
      files.setModifiedMs(at('f'), 1_700_000_000_123);
      assert.deepEqual(files.stat(at('f')), { size: 10, modifiedMs: 1_700_000_000_123, isDirectory: false });
      assert.equal(files.stat(at('.'))?.isDirectory, true);
      assert.equal(files.stat(at('no')), undefined);
      assert.equal(files.stat(at('f/g')), undefined);
      assert.throws(() => files.setModifiedMs(at('no'), 0), fails('ENOENT'));
    });

    test('rename moves files and directories, replacing a file and refusing a directory with content', () => {
      const { files, at } = setup();
      files.makeDirectory(at('d/sub'));
      files.makeDirectory(at('empty'));
      files.writeFileDurably(at('a'), 'a');
      files.writeFileDurably(at('b'), 'b');
      files.rename(at('a'), at('b'));
      assert.equal(text(files.readFile(at('b'))), 'a');
      assert.throws(() => files.rename(at('a'), at('c')), fails('ENOENT'));
      assert.throws(() => files.rename(at('b'), at('d')), fails('EISDIR'));
      assert.throws(() => files.rename(at('d'), at('b')), fails('ENOTDIR'));
      assert.throws(() => files.rename(at('empty'), at('d')), fails('ENOTEMPTY'));
      assert.throws(() => files.rename(at('d'), at('d/sub/x')), fails('EINVAL'));
      files.rename(at('d'), at('empty'));
      files.rename(at('empty'), at('moved'));
      files.rename(at('b'), at('b'));
      assert.deepEqual(files.list(at('.')), ['b', 'moved']);
      assert.deepEqual(files.list(at('moved')), ['sub']);
    });

    test('a removed or renamed file goes on for who has it open', () => {
      const { files, at } = setup();
      const file = files.open(at('f'), 'create');
      file.write(bytes('one'), 0);
      files.rename(at('f'), at('g'));
      file.write(bytes('two'), 3);
      assert.equal(text(files.readFile(at('g'))), 'onetwo');
      files.remove(at('g'));
      files.remove(at('g'));
      const content = new Uint8Array(6);
      assert.equal(file.read(content, 0), 6);
      assert.equal(text(content), 'onetwo');
      file.close();
      assert.throws(() => files.remove(at('.')), IoError);
    });

    test('writeFileDurably replaces the content and leaves nothing beside it', () => {
      const { files, at } = setup();
      files.writeFileDurably(at('f'), 'a long first content');
      files.writeFileDurably(at('f'), bytes('short'));
      assert.equal(text(files.readFile(at('f'))), 'short');
      assert.deepEqual(files.list(at('.')), ['f']);
      assert.throws(() => files.readFile(at('no')), fails('ENOENT'));
      assert.throws(() => files.writeFileDurably(at('no/f'), ''), fails('ENOENT'));
    });

    test('a lock has one holder, and may be taken again after its release', () => {
      const { files, at } = setup();
      const lock = files.lock(at('.lock'));
      assert.throws(() => files.lock(at('.lock')), fails('ELOCKED'));
      lock.release();
      lock.release();
      const again = files.lock(at('.lock'));
      lock.release();
      assert.throws(() => files.lock(at('.lock')), fails('ELOCKED'));
      again.release();
      assert.deepEqual(files.list(at('.')), ['.lock']);
      assert.throws(() => files.lock(at('no/.lock')), fails('ENOENT'));
    });

    test('space is that of the volume', () => {
      const { files, at } = setup();
      const { totalBytes, usableBytes } = files.space(at('.'));
      assert.ok(totalBytes >= usableBytes && usableBytes > 0);
      assert.throws(() => files.space(at('no')), fails('ENOENT'));
    });
  });
}

test('NodeFiles gives up on a directory that the file system will never make', { skip: process.platform !== 'linux' }, () => {
  assert.throws(() => new NodeFiles().makeDirectory('/proc/ottla/data'), {
    name: 'IoError',
    message: 'make directory /proc/ottla/data: no such file or directory (ENOENT)',
  });
});
