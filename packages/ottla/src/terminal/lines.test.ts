import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Line, linesOf } from './lines.ts';

async function* cut(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function gather(chunks: AsyncIterable<Uint8Array>, mostBytes = 1000): Promise<{ lines: Line[]; error?: Error }> {
  const lines: Line[] = [];
  try {
    for await (const some of linesOf(chunks, mostBytes)) lines.push(...some);
  } catch (error) {
    return { lines, error: error as Error };
  }
  return { lines };
}

test('lines are the bytes that came in, however they were cut', () =>
  fc.assert(
    fc.asyncProperty(
      fc.array(fc.uint8Array().map((bytes) => bytes.filter((byte) => byte !== 0x0a && byte !== 0x0d))),
      fc.integer({ min: 1, max: 20 }),
      fc.boolean(),
      async (wanted, size, hasReturns) => {
        const input = Buffer.concat(wanted.flatMap((line) => [line, Buffer.from(hasReturns ? '\r\n' : '\n')]));
        const { lines } = await gather(cut(input, size));
        assert.deepEqual(
          lines.map(({ bytes }) => [...bytes]),
          wanted.map((line) => [...line]),
        );
        assert.deepEqual(
          lines.map(({ number }) => number),
          wanted.map((_, index) => index + 1),
        );
      },
    ),
  ));

test('the last line needs no end', async () => {
  const { lines } = await gather(cut(Buffer.from('a\nb'), 100));
  assert.deepEqual(
    lines.map(({ bytes }) => Buffer.from(bytes).toString()),
    ['a', 'b'],
  );
});

test('a line that is too long is refused by its number, after those before it', async () => {
  for (const size of [1, 3, 100]) {
    for (const end of ['', '\n', '\nc\n']) {
      const { lines, error } = await gather(cut(Buffer.from(`a\n1234\r\nb\n12345${end}`), size), 4);
      assert.equal(lines.length, 3, `chunks of ${size}`);
      assert.match(error!.message, /^line 4 is longer than the 4 bytes/);
    }
  }
});

test('a line that never ends is refused once it is too long', async () => {
  let given = 0;
  async function* endless(): AsyncGenerator<Uint8Array> {
    for (;;) {
      given += 1000;
      yield new Uint8Array(1000);
    }
  }
  const { error } = await gather(endless(), 10_000);
  assert.match(error!.message, /^line 1 is longer/);
  assert.ok(given <= 11_000);
});
