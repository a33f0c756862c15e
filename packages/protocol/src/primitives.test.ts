import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { KafkaError, ProtocolError, Reader, Writer } from './index.ts';

function written(write: (writer: Writer) => void): Uint8Array {
  const writer = new Writer(16);
  write(writer);
  return writer.bytes();
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

/** Whatever is written is read back, and nothing is left over. */
function roundTrips<T>(arbitrary: fc.Arbitrary<T>, write: (writer: Writer, value: T) => void, read: (reader: Reader) => T): void {
  fc.assert(
    fc.property(arbitrary, (value) => {
      const reader = new Reader(written((writer) => write(writer, value)));
      assert.deepEqual(read(reader), value);
      assert.equal(reader.remaining, 0);
    }),
  );
}

const text = fc.string({ unit: 'grapheme', maxLength: 80 });
const data: fc.Arbitrary<Uint8Array> = fc.uint8Array({ maxLength: 300 });

test('integers round-trip', () => {
  roundTrips(
    fc.integer({ min: -128, max: 127 }),
    (writer, value) => writer.int8(value),
    (reader) => reader.int8(),
  );
  roundTrips(
    fc.integer({ min: -32768, max: 32767 }),
    (writer, value) => writer.int16(value),
    (reader) => reader.int16(),
  );
  roundTrips(
    fc.integer({ min: 0, max: 65535 }),
    (writer, value) => writer.uint16(value),
    (reader) => reader.uint16(),
  );
  roundTrips(
    fc.integer(),
    (writer, value) => writer.int32(value),
    (reader) => reader.int32(),
  );
  roundTrips(
    fc.nat({ max: 4294967295 }),
    (writer, value) => writer.uint32(value),
    (reader) => reader.uint32(),
  );
  roundTrips(
    fc.maxSafeInteger(),
    (writer, value) => writer.int64(value),
    (reader) => reader.int64(),
  );
  roundTrips(
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    (writer, value) => writer.bits64(value),
    (reader) => reader.bits64(),
  );
});

test('varints round-trip', () => {
  roundTrips(
    fc.nat({ max: 4294967295 }),
    (writer, value) => writer.uvarint(value),
    (reader) => reader.uvarint(),
  );
  roundTrips(
    fc.integer(),
    (writer, value) => writer.varint(value),
    (reader) => reader.varint(),
  );
  roundTrips(
    fc.maxSafeInteger(),
    (writer, value) => writer.varlong(value),
    (reader) => reader.varlong(),
  );
});

test('an int64 is the same bytes as a bigint of that value', () =>
  fc.assert(
    fc.property(fc.maxSafeInteger(), (value) => {
      assert.equal(hex(written((writer) => writer.int64(value))), hex(written((writer) => writer.bits64(BigInt(value)))));
    }),
  ));

test('the ends of int64 survive although no number holds them', () => {
  for (const end of ['7fffffffffffffff', '8000000000000000']) {
    const value = new Reader(Buffer.from(end, 'hex')).int64();
    assert.equal(hex(written((writer) => writer.int64(value))), end);
    const varlong = written((writer) => writer.varlong(value));
    assert.equal(new Reader(varlong).varlong(), value);
  }
});

test('an int64 that lost bits is refused, and what is no integer is a bug', () => {
  assert.throws(
    () => written((writer) => writer.int64(2 ** 60)),
    (error) => error instanceof KafkaError && error.name === 'INVALID_REQUEST',
  );
  assert.throws(() => written((writer) => writer.int64(0.5)), { name: 'AssertionError' });
  assert.throws(() => written((writer) => writer.int64(Number.NaN)), { name: 'AssertionError' });
});

test('strings and bytes round-trip in all four forms', () => {
  roundTrips(
    text,
    (writer, value) => writer.string(value),
    (reader) => reader.string(),
  );
  roundTrips(
    text,
    (writer, value) => writer.compactString(value),
    (reader) => reader.compactString(),
  );
  roundTrips(
    fc.option(text),
    (writer, value) => writer.nullableString(value),
    (reader) => reader.nullableString(),
  );
  roundTrips(
    fc.option(text),
    (writer, value) => writer.compactNullableString(value),
    (reader) => reader.compactNullableString(),
  );
  roundTrips(
    data,
    (writer, value) => writer.sizedBytes(value),
    (reader) => reader.bytes(),
  );
  roundTrips(
    data,
    (writer, value) => writer.compactBytes(value),
    (reader) => reader.compactBytes(),
  );
  roundTrips(
    fc.option(data),
    (writer, value) => writer.nullableBytes(value),
    (reader) => reader.nullableBytes(),
  );
  roundTrips(
    fc.option(data),
    (writer, value) => writer.compactNullableBytes(value),
    (reader) => reader.compactNullableBytes(),
  );
});

test('a string of 32767 bytes is written, a longer one is not', () => {
  assert.equal(written((writer) => writer.compactString('x'.repeat(32767))).length, 32767 + 3);
  assert.throws(() => written((writer) => writer.compactString('x'.repeat(32768))), KafkaError);
  const tooLong = written((writer) => writer.compactBytes(new Uint8Array(32768)));
  assert.throws(() => new Reader(tooLong).compactString(), ProtocolError);
  assert.throws(() => new Reader(tooLong).compactNullableString(), ProtocolError);
  const growing = written((writer) => writer.compactBytes(new Uint8Array(20_000).fill(0xff)));
  assert.throws(() => new Reader(growing).compactString(), ProtocolError, 'as U+FFFD it could not be written again');
  assert.throws(() => written((writer) => writer.string('ü'.repeat(16384))), KafkaError);
});

test('a boolean is true for any byte but zero', () => {
  const reader = new Reader(Uint8Array.of(0, 1, 2, 255));
  assert.deepEqual([reader.bool(), reader.bool(), reader.bool(), reader.bool()], [false, true, true, true]);
});

test('what is not UTF-8 reads as U+FFFD, as it does in Kafka', () => {
  assert.equal(new Reader(Uint8Array.of(0, 3, 0x61, 0xff, 0x62)).string(), 'a\ufffdb');
});

test('bytes are views on the input', () => {
  const input = Uint8Array.of(0, 0, 0, 2, 7, 8);
  const bytes = new Reader(input).bytes();
  assert.equal(bytes.buffer, input.buffer);
  assert.deepEqual([...bytes], [7, 8]);
});

test('a reader stays in its range', () => {
  const reader = new Reader(Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8), 2, 4);
  assert.equal(reader.int16(), 0x0304);
  assert.equal(reader.offset, 4);
  assert.throws(() => reader.int8(), ProtocolError);
  assert.throws(() => new Reader(new Uint8Array(4), 2, 5), RangeError);
});

test('a null where none may be is a protocol error', () => {
  const nulls: [number[], (reader: Reader) => unknown][] = [
    [[0xff, 0xff], (reader) => reader.string()],
    [[0], (reader) => reader.compactString()],
    [[0xff, 0xff, 0xff, 0xff], (reader) => reader.bytes()],
    [[0], (reader) => reader.compactBytes()],
    [[0xff, 0xff, 0xff, 0xff], (reader) => reader.arrayLength()],
    [[0], (reader) => reader.compactArrayLength()],
  ];
  for (const [bytes, read] of nulls) assert.throws(() => read(new Reader(Uint8Array.from(bytes))), ProtocolError);
  assert.equal(new Reader(Uint8Array.of(0xff, 0xff, 0xff, 0xff)).nullableArrayLength(), -1);
  assert.equal(new Reader(Uint8Array.of(0)).compactNullableArrayLength(), -1);
});

test('a length beyond what is left is refused before anything is allocated', () => {
  const frame = new Uint8Array(40);
  frame.set([0x7f, 0xff, 0xff, 0xff]);
  assert.throws(() => new Reader(frame).bytes(), ProtocolError);
  assert.throws(() => new Reader(frame).arrayLength(), ProtocolError);
  frame.set([0xff, 0xff, 0xff, 0xff, 0x0f]);
  for (const read of ['compactBytes', 'compactString', 'compactArrayLength', 'compactNullableArrayLength', 'tagCount'] as const) {
    assert.throws(() => new Reader(frame)[read](), ProtocolError, read);
  }
});

test('an array has at most a million elements, and each needs its bytes', () => {
  const many = new Uint8Array(4 + 2_000_000);
  new DataView(many.buffer).setInt32(0, 1_000_000);
  assert.equal(new Reader(many).arrayLength(2), 1_000_000);
  assert.throws(() => new Reader(many).arrayLength(3), ProtocolError);
  new DataView(many.buffer).setInt32(0, 1_000_001);
  assert.throws(() => new Reader(many).arrayLength(0), ProtocolError);
});

test('a varint that never ends is a protocol error', () => {
  const endless = new Uint8Array(20).fill(0xff);
  assert.throws(() => new Reader(endless).uvarint(), ProtocolError);
  assert.throws(() => new Reader(endless).varlong(), ProtocolError);
});

test('large bytes are referred to, not copied, and come out in order', () => {
  const large = new Uint8Array(8192).fill(7);
  const writer = new Writer(16);
  writer.int32(1);
  writer.sizedBytes(large);
  writer.int32(2);
  const chunks = writer.chunks();
  assert.equal(chunks.length, 3);
  assert.equal(chunks[1], large);
  assert.equal(writer.length, 4 + 4 + 8192 + 4);
  assert.equal(hex(Buffer.concat(chunks)), hex(writer.bytes()));
  writer.reset();
  assert.equal(writer.length, 0);
  assert.deepEqual(writer.chunks(), []);
});

test('a tagged field of any size gets its size before it', () =>
  fc.assert(
    fc.property(fc.constantFrom(0, 1, 127, 128, 200, 8192, 16383, 16384, 40000, 2097152), (length) => {
      const writer = new Writer(16);
      writer.int8(9);
      const start = writer.beginTag(3);
      writer.raw(new Uint8Array(length).fill(length & 0xff));
      writer.endTag(start);
      writer.int8(10);
      const reader = new Reader(writer.bytes());
      assert.equal(reader.int8(), 9);
      assert.equal(reader.uvarint(), 3);
      const end = reader.tagEnd();
      assert.equal(end - reader.offset, length);
      assert.ok(reader.raw(length).every((byte) => byte === (length & 0xff)));
      assert.equal(reader.int8(), 10);
      assert.equal(reader.remaining, 0);
    }),
    { numRuns: 30 },
  ));

test('tagged fields nest', () => {
  const writer = new Writer(16);
  const outer = writer.beginTag(0);
  const inner = writer.beginTag(1);
  writer.raw(new Uint8Array(300).fill(5));
  writer.endTag(inner);
  writer.endTag(outer);
  const reader = new Reader(writer.bytes());
  assert.equal(reader.uvarint(), 0);
  assert.equal(reader.tagEnd(), writer.length);
  assert.equal(reader.uvarint(), 1);
  assert.equal(reader.tagEnd(), writer.length);
});
