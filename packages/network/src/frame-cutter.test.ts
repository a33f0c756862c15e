import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { FrameBuffers, FrameCutter, FrameSizeError, packFrames } from './index.ts';

const joined = (frames: readonly Uint8Array[]) => Buffer.concat(packFrames(frames.map((frame) => [frame])));

function cut(cutter: FrameCutter, chunks: Iterable<Uint8Array>): Uint8Array[] {
  const frames: Uint8Array[] = [];
  for (const chunk of chunks) {
    cutter.feed(chunk);
    for (let frame = cutter.next(); frame; frame = cutter.next()) frames.push(frame);
    cutter.keep();
  }
  return frames;
}

/** Takes up to so many frames between two calls of keep, in turn, and overwrites what it must not look at any more. */
function cutViews(cutter: FrameCutter, chunks: Iterable<Uint8Array>, takes: readonly number[]): Buffer[] {
  const frames: Buffer[] = [];
  let round = 0;
  for (const chunk of chunks) {
    cutter.feed(chunk);
    for (let isUsedUp = false; !isUsedUp; ) {
      const views: Uint8Array[] = [];
      const atOnce = takes[round++ % takes.length]!;
      while (views.length < atOnce && !isUsedUp) {
        const frame = cutter.next();
        if (frame) views.push(frame);
        else isUsedUp = true;
      }
      // All views of one round are valid together, until its end.
      frames.push(...views.map((view) => Buffer.from(view)));
      for (const view of views) view.fill(0xdb);
      cutter.keep();
      chunk.fill(0xdb);
    }
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

test('views are whole until the next keep, however many are taken before it, and what is kept is not overwritten', () => {
  const frame = fc.oneof(fc.uint8Array({ maxLength: 50 }), fc.uint8Array({ minLength: 5000, maxLength: 20_000, size: 'max' }));
  const sizes = fc.array(fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 20_000 })), {
    minLength: 1,
    maxLength: 8,
  });
  // None, as long as the receiver has no room for what comes.
  const takes = fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 4 }).map((some) => [...some, 1]);
  const buffers = new FrameBuffers();
  fc.assert(
    fc.property(fc.array(frame, { maxLength: 6 }), sizes, takes, (frames, sizes, takes) => {
      const result = cutViews(new FrameCutter(1 << 20, buffers), inPieces(joined(frames), sizes), takes);
      assert.deepEqual(
        result.map((bytes) => bytes.toString('hex')),
        frames.map((bytes) => Buffer.from(bytes).toString('hex')),
      );
    }),
    { numRuns: 100 },
  );
});

test('a frame whose beginning was kept, and whose end comes with others while none may be taken, is whole', () => {
  const stream = joined([Buffer.from('abcdef'), Buffer.from('ghi'), Buffer.alloc(10_000, 'j')]);
  const cutter = new FrameCutter(1 << 20, new FrameBuffers());
  cutter.feed(stream.subarray(0, 6));
  assert.equal(cutter.next(), undefined);
  cutter.keep();
  cutter.feed(stream.subarray(6));
  cutter.keep();
  assert.equal(Buffer.from(cutter.next()!).toString(), 'abcdef');
  cutter.keep();
  assert.equal(Buffer.from(cutter.next()!).toString(), 'ghi');
  assert.equal(cutter.next()?.length, 10_000);
});

test('a buffer serves one frame after the other, and many frames do not make it keep more than its bound', () => {
  const buffers = new FrameBuffers({ maxIdleBytes: 100_000 });
  const cutter = new FrameCutter(1 << 20, buffers);
  const stream = joined(Array.from({ length: 50 }, (_, index) => Buffer.alloc(5000, index)));
  const spans = new Set<ArrayBufferLike>();
  for (const chunk of inPieces(stream, [3000])) {
    cutter.feed(chunk);
    for (let frame = cutter.next(); frame; frame = cutter.next()) {
      assert.ok(frame.every((byte) => byte === frame![0]));
      if (frame.buffer !== chunk.buffer) spans.add(frame.buffer);
    }
    cutter.keep();
  }
  assert.ok(spans.size <= 3, `${spans.size} buffers`);
  const leased = [10, 20_000, 50_000, 90_000].map((bytes) => buffers.lease(bytes));
  assert.deepEqual(
    leased.map(({ length }) => length),
    [4096, 32_768, 65_536, 131_072],
  );
  for (const buffer of leased) buffers.giveBack(buffer);
  assert.ok(buffers.idleBytes > 0 && buffers.idleBytes <= 100_000);
});

test('parts large and small are packed in order', () => {
  const part = fc.oneof(fc.uint8Array({ maxLength: 10 }), fc.uint8Array({ minLength: 4096, maxLength: 5000 }));
  fc.assert(
    fc.property(fc.array(fc.array(part, { maxLength: 4 }), { maxLength: 4 }), (frames) => {
      const whole = frames.map((parts) => Buffer.concat(parts));
      const cutAgain = cut(new FrameCutter(1 << 20), [Buffer.concat(packFrames(frames))]);
      assert.deepEqual(
        cutAgain.map((bytes) => Buffer.from(bytes).toString('hex')),
        whole.map((bytes) => bytes.toString('hex')),
      );
      for (const large of frames.flat().filter((part) => part.length >= 4096)) assert.ok(packFrames(frames).includes(large));
    }),
  );
});

test('a frame inside one chunk is a view on it, or has memory of its own for who keeps frames', () => {
  const stream = joined([Buffer.from('abc'), Buffer.from('defg')]);
  for (const buffers of [new FrameBuffers(), undefined]) {
    const frames = cut(new FrameCutter(100, buffers), [stream]);
    assert.deepEqual(
      frames.map((frame) => Buffer.from(frame).toString()),
      ['abc', 'defg'],
    );
    for (const frame of frames) assert.equal(frame.buffer === stream.buffer, buffers !== undefined);
  }
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
