import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import fc from 'fast-check';
import { errorCodeOf, KafkaError } from '../errors.ts';
import { type CompressionCodec, codecOfId, compress, compressionCodecs, decompress, idOfCodec } from './compression.ts';
import { lz4Compress, lz4Decompress } from './lz4.ts';
import { snappyCompress, snappyDecompress } from './snappy.ts';
import { xxh32 } from './xxh32.ts';

const codecs = compressionCodecs.filter((codec) => codec !== 'none');

/** The reference decoders that our own lz4 and snappy must agree with; safe here, because their input is good. */
type Reference = Record<
  'lz4Compress' | 'lz4Decompress' | 'snappyCompress' | 'snappyDecompress',
  (bytes: Uint8Array) => Uint8Array
>;
const reference = createRequire(import.meta.url)('@platformatic/wasm-utils') as Reference;

/** Text with matches near and far, overlapping or not: what block codecs have branches for. */
const compressible = fc
  .array(fc.tuple(fc.uint8Array({ maxLength: 40 }), fc.nat(300), fc.nat(), fc.nat(2)), { maxLength: 60 })
  .map((pieces) => {
    const bytes: number[] = [];
    for (const [literal, length, distance, kind] of pieces) {
      bytes.push(...literal);
      if (kind === 0 || bytes.length === 0) continue;
      const back = 1 + (distance % (kind === 1 ? Math.min(bytes.length, 9) : bytes.length));
      for (let count = 0; count < length; count++) bytes.push(bytes[bytes.length - back]!);
    }
    return Uint8Array.from(bytes);
  });

function equalBytes(left: Uint8Array, right: Uint8Array): void {
  assert.equal(Buffer.compare(left, right), 0, `${left.length} bytes differ from ${right.length}`);
}

function throwsCode(code: number, action: () => unknown): void {
  assert.throws(action, (error) => error instanceof KafkaError && errorCodeOf(error) === code);
}

const tooLarge = 10;
const unknownServerError = -1;

test('every codec gives back what it was given', () =>
  fc.assert(
    fc.property(fc.constantFrom<CompressionCodec>(...compressionCodecs), compressible, (codec, bytes) => {
      equalBytes(decompress(codec, compress(codec, bytes)), bytes);
    }),
    { numRuns: 300 },
  ));

test('more than one block, chunk or frame round-trips', () => {
  const bytes = new Uint8Array(1_000_003);
  for (let at = 0; at < bytes.length; at++) bytes[at] = at % 7 === 0 ? (at * 2654435761) >>> 24 : 65;
  for (const codec of codecs) equalBytes(decompress(codec, compress(codec, bytes)), bytes);
});

test('other decoders read what we write, and we what they write', () =>
  fc.assert(
    fc.property(compressible, (bytes) => {
      if (bytes.length > 0) {
        equalBytes(reference.lz4Decompress(lz4Compress(bytes)), bytes);
        equalBytes(lz4Decompress(reference.lz4Compress(bytes), 1 << 20), bytes);
      }
      equalBytes(snappyDecompress(reference.snappyCompress(bytes), 1 << 20), bytes);
      equalBytes(gunzipSync(compress('gzip', bytes)), bytes);
      equalBytes(zstdDecompressSync(compress('zstd', bytes)), bytes);
    }),
  ));

test('levels reach gzip and zstd', () => {
  const bytes = Buffer.from('abcdefgh'.repeat(50) + 'hgfedcba'.repeat(50));
  for (const [codec, level] of [
    ['gzip', 1],
    ['gzip', 9],
    ['zstd', -5],
    ['zstd', 19],
  ] as const) {
    equalBytes(decompress(codec, compress(codec, bytes, { level })), bytes);
  }
});

test('a bomb stops at the cap', () => {
  for (const codec of codecs) {
    const bomb = compress(codec, new Uint8Array(4_000_000));
    throwsCode(tooLarge, () => decompress(codec, bomb, { maxBytes: 3_999_999 }));
    throwsCode(tooLarge, () => decompress(codec, bomb, { maxBytes: 0 }));
    assert.equal(decompress(codec, bomb, { maxBytes: 4_000_000 }).length, 4_000_000);
  }
});

test('a claim of gigabytes by a few bytes is refused at once', () => {
  throwsCode(unknownServerError, () => decompress('snappy', Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0x0f, 0)));
  const frame = Uint8Array.of(0x04, 0x22, 0x4d, 0x18, 0b0110_1000, 0x70, 0, 0, 0, 0, 0xff, 0, 0, 0, 0, 0, 0, 0, 0);
  frame[14] = (xxh32(frame.subarray(4, 14)) >>> 8) & 255;
  throwsCode(tooLarge, () => decompress('lz4', frame));
});

test('input cut off anywhere is refused', () => {
  const bytes = Buffer.from('some text, some text, some more of the same text '.repeat(20));
  for (const codec of codecs) {
    const whole = compress(codec, bytes);
    for (let cut = 0; cut < whole.length; cut++) {
      // snappy's framing has no end mark: without any chunk after its header it is an empty stream.
      if (codec === 'snappy' && cut === 16) continue;
      throwsCode(unknownServerError, () => decompress(codec, whole.subarray(0, cut)));
    }
  }
});

test('damaged input ends in output or in a KafkaError', () =>
  fc.assert(
    fc.property(
      fc.constantFrom<CompressionCodec>(...codecs),
      compressible,
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 5 }),
      (codec, bytes, edits) => {
        const damaged = Uint8Array.from(compress(codec, bytes));
        for (const [where, byte] of edits) damaged[where % damaged.length] = byte;
        try {
          decompress(codec, damaged, { maxBytes: 1 << 20 });
        } catch (error) {
          assert.ok(error instanceof KafkaError, String(error));
        }
      },
    ),
    { numRuns: 2000 },
  ));

test('streams of several frames are read to their end', () => {
  const [left, right] = [Buffer.from('left'), Buffer.from('right')];
  equalBytes(decompress('gzip', Buffer.concat([gzipSync(left), gzipSync(right)])), Buffer.from('leftright'));
  const zstd = Buffer.concat([zstdCompressSync(left), zstdCompressSync(right)]);
  equalBytes(decompress('zstd', zstd), Buffer.from('leftright'));
  throwsCode(tooLarge, () => decompress('zstd', zstd, { maxBytes: 8 }));
  const thousands = Buffer.concat(new Array<Buffer>(5000).fill(zstdCompressSync(Buffer.alloc(0))));
  throwsCode(unknownServerError, () => decompress('zstd', thousands));
  equalBytes(decompress('snappy', Buffer.concat([snappyCompress(left), snappyCompress(right)])), Buffer.from('leftright'));
});

test('lz4 frames with content size and checksums are read, and the checksums of blocks heeded', () => {
  const block = Uint8Array.of(0x40, 1, 2, 3, 4);
  const frame = (flags: number, withTrailer: boolean): Uint8Array => {
    const head = Uint8Array.of(flags, 0x40, 4, 0, 0, 0, 0, 0, 0, 0);
    const checksum = Buffer.alloc(4);
    checksum.writeUInt32LE(xxh32(block));
    return Buffer.concat([
      Uint8Array.of(0x04, 0x22, 0x4d, 0x18),
      head,
      Uint8Array.of((xxh32(head) >>> 8) & 255, 5, 0, 0, 0),
      block,
      withTrailer ? checksum : Buffer.alloc(0),
      Buffer.alloc(4),
      Uint8Array.of(9, 9, 9, 9), // a content checksum, which nobody checks
    ]);
  };
  const good = frame(0b0111_1100, true);
  assert.deepEqual([...decompress('lz4', good)], [1, 2, 3, 4]);
  const damaged = good.slice();
  damaged[good.length - 9]! ^= 1;
  throwsCode(unknownServerError, () => decompress('lz4', damaged));
  throwsCode(unknownServerError, () => decompress('lz4', frame(0b0101_1100, true))); // dependent blocks
  throwsCode(unknownServerError, () => decompress('lz4', frame(0b0011_1100, true))); // another version
});

test('magic 0 has its own header checksum in lz4 frames, and reads either', () => {
  const bytes = Uint8Array.of(1, 2, 3);
  const [old, current] = [compress('lz4', bytes, { checksumCoversMagic: true }), compress('lz4', bytes)];
  assert.deepEqual([old[6], current[6]], [0x1a, 0x82]);
  for (const frame of [old, current]) equalBytes(decompress('lz4', frame, { checksumCoversMagic: true }), bytes);
  throwsCode(unknownServerError, () => decompress('lz4', old));
});

test('codecs have their ids, and unknown ids are an error', () => {
  for (const [id, codec] of compressionCodecs.entries()) {
    assert.equal(codecOfId(id), codec);
    assert.equal(idOfCodec(codec), id);
  }
  throwsCode(unknownServerError, () => codecOfId(5));
});
