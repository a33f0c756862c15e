import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { FrameCutter, FrameSizeError, packFrames } from './index.ts';

const joined = (frames: readonly Uint8Array[]) => Buffer.concat(packFrames(frames.map((frame) => [frame])));

function cut(cutter: FrameCutter, chunks: Iterable<Uint8Array>): Uint8Array[] {
  const frames: Uint8Array[] = [];
  for (const chunk of chunks) {
    cutter.feed(chunk);
    for (let frame = cutter.next(); frame; frame = cutter.next()) frames.push(frame);
  }
  return frames;
}

function* inPieces(stream: Uint8Array, sizes: readonly number[]): Generator<Uint8Array> {
  for (let start = 0, i = 0; start < stream.length; i++) {
    const size = sizes.length > 0 ? sizes[i % sizes.length]! : stream.length;
    yield stream.slice(start, start + size);
    start += size;
  }
}

test('however a stream is cut into chunks, the same frames come out', () => {
  const frame = fc.oneof(fc.uint8Array({ maxLength: 50 }), fc.uint8Array({ minLength: 5000, maxLength: 20_000, size: 'max' }));
  const sizes = fc.array(fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 20_000 })), {
    minLength: 1,
    maxLength: 8,
  });
  fc.assert(
    fc.property(fc.array(frame, { maxLength: 3 }), sizes, (frames, sizes) => {
      const result = cut(new FrameCutter(1 << 20), inPieces(joined(frames), sizes));
      assert.equal(result.length, frames.length);
      for (const [index, expected] of frames.entries()) assert.ok(Buffer.from(expected).equals(result[index]!));
    }),
    { numRuns: 50 },
  );
});

test('parts large and small are packed in order', () => {
  const part = fc.oneof(fc.uint8Array({ maxLength: 10 }), fc.uint8Array({ minLength: 4096, maxLength: 5000 }));
  fc.assert(
    fc.property(fc.array(fc.array(part, { maxLength: 4 }), { maxLength: 4 }), (frames) => {
      const whole = frames.map((parts) => Buffer.concat(parts));
      const cutAgain = cut(new FrameCutter(1 << 20), [Buffer.concat(packFrames(frames))]);
      assert.deepEqual(cutAgain.map(String), whole.map(String));
      for (const large of frames.flat().filter((part) => part.length >= 4096)) assert.ok(packFrames(frames).includes(large));
    }),
  );
});

test('a frame inside one chunk is a view on it', () => {
  const stream = joined([Buffer.from('abc'), Buffer.from('defg')]);
  const frames = cut(new FrameCutter(100), [stream]);
  assert.deepEqual(
    frames.map((frame) => Buffer.from(frame).toString()),
    ['abc', 'defg'],
  );
  for (const frame of frames) assert.equal(frame.buffer, stream.buffer);
});

test('a negative or too large size is refused; the largest allowed is not', () => {
  const size = (value: number) => {
    const bytes = Buffer.alloc(4);
    bytes.writeInt32BE(value);
    return bytes;
  };
  for (const refused of [-1, -2147483648, 101, 2147483647]) {
    assert.throws(() => cut(new FrameCutter(100), [size(refused)]), FrameSizeError);
    assert.throws(() => cut(new FrameCutter(100), inPieces(size(refused), [1])), FrameSizeError);
  }
  assert.equal(cut(new FrameCutter(100), [size(100), Buffer.alloc(100)])[0]?.length, 100);
  assert.equal(cut(new FrameCutter(100), [size(0)])[0]?.length, 0);
});

test('a claimed size allocates nothing until its bytes come', () => {
  const claimed = 100_000_000;
  const cutter = new FrameCutter(claimed);
  const header = Buffer.alloc(4);
  header.writeInt32BE(claimed);
  const before = process.memoryUsage().arrayBuffers;
  cut(cutter, [header, Buffer.alloc(1000), Buffer.alloc(10_000)]);
  assert.ok(process.memoryUsage().arrayBuffers - before < 1_000_000);
});
