import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { messageNamed } from '../scripts/vectors/codecs.ts';
import {
  ApiVersions,
  apiByKey,
  apis,
  type Codec,
  CreateTopics,
  Fetch,
  InitProducerId,
  KafkaError,
  Metadata,
  Produce,
  ProtocolError,
  Reader,
  readRequestHeader,
  type Writable,
  Writer,
  ZERO_UUID,
} from './index.ts';

function encoded<T>(codec: Codec<T>, message: Writable<T>, version: number): Uint8Array {
  const writer = new Writer();
  codec.write(writer, message, version);
  return writer.bytes();
}

function hasName(name: string): (error: unknown) => boolean {
  return (error) => error instanceof KafkaError && error.name === name;
}

test('an empty object is written as the defaults, in every version of every API', () => {
  for (const { request, response } of apis) {
    for (const codec of [request, response]) {
      for (let version = codec.minVersion; version <= codec.maxVersion; version++) {
        const bytes = encoded(codec, {}, version);
        const reader = new Reader(bytes);
        const message = codec.read(reader, version);
        assert.equal(reader.remaining, 0);
        assert.deepEqual(encoded(codec, message, version), bytes, `${codec.name} v${version}`);
      }
    }
  }
});

test('a field that the version lacks reads as its default', () => {
  const message = Fetch.request.read(new Reader(encoded(Fetch.request, {}, 4)), 4);
  assert.equal(message.maxBytes, 0x7fffffff);
  assert.equal(message.sessionEpoch, -1);
  assert.deepEqual(message.forgottenTopicsData, []);
  const metadata = Metadata.request.read(new Reader(encoded(Metadata.request, { topics: null }, 1)), 1);
  assert.equal(metadata.topics, null);
  assert.equal(metadata.allowAutoTopicCreation, true);
});

test('a field that the version lacks is dropped where it is ignorable or at its default, and refused otherwise', () => {
  const named = { topicData: [{ name: 'orders', topicId: ZERO_UUID, partitionData: [] }] };
  assert.ok(encoded(Produce.request, named, 13).length > 0);
  assert.ok(encoded(Metadata.request, { allowAutoTopicCreation: true }, 3).length > 0);
  assert.throws(() => encoded(Metadata.request, { allowAutoTopicCreation: false }, 3), hasName('UNSUPPORTED_VERSION'));
  assert.throws(() => encoded(InitProducerId.request, { enable2Pc: true }, 5), hasName('UNSUPPORTED_VERSION'));
  assert.throws(
    () => encoded(Metadata.request, { unknownTags: [{ tag: 9, data: new Uint8Array(1) }] }, 3),
    hasName('UNSUPPORTED_VERSION'),
  );
});

test('a null where the version has none is refused', () => {
  assert.throws(() => encoded(Metadata.request, { topics: null }, 0), hasName('UNSUPPORTED_VERSION'));
});

test('a version that a message does not have is refused, both ways', () => {
  for (const version of [-1, 2, 14, 99]) {
    assert.throws(() => encoded(Produce.request, {}, version), hasName('UNSUPPORTED_VERSION'));
    assert.throws(() => Produce.request.read(new Reader(new Uint8Array(99)), version), hasName('UNSUPPORTED_VERSION'));
  }
});

test('unknown tags are kept and written back', () => {
  const unknownTags = [
    { tag: 100, data: Uint8Array.of(1, 2) },
    { tag: 4_000_000, data: new Uint8Array(300) },
  ];
  const bytes = encoded(ApiVersions.request, { clientSoftwareName: 'x', unknownTags }, 3);
  const message = ApiVersions.request.read(new Reader(bytes), 3);
  assert.deepEqual(message.unknownTags, unknownTags);
  assert.deepEqual(encoded(ApiVersions.request, message, 3), bytes);
});

test('a tagged field that does not end where it says is refused', () => {
  // The cluster id, tag 0 of FetchRequest: its size says 3, its content takes 2.
  const good = encoded(Fetch.request, { clusterId: 'c' }, 12);
  const at = good.length - 4;
  assert.deepEqual([...good.subarray(at)], [0, 2, 2, 0x63]);
  assert.throws(
    () => Fetch.request.read(new Reader(Uint8Array.of(...good.subarray(0, at), 0, 3, 2, 0x63, 0)), 12),
    ProtocolError,
  );
});

test('a known tag in a version that lacks it is refused', () => {
  const bytes = encoded(Fetch.request, { replicaState: { replicaId: 3, replicaEpoch: 1 } }, 15);
  // v12 opens with the replica id, which v15 has in its tag instead.
  assert.throws(() => Fetch.request.read(new Reader(Uint8Array.of(0, 0, 0, 0, ...bytes)), 12), ProtocolError);
});

test('ten thousand tagged fields are the most', () => {
  const tags = new Uint8Array(3 + 2 * 10_001);
  tags.set([0x91, 0x4e, 0]); // 10,001
  assert.throws(() => ApiVersions.request.read(new Reader(Buffer.concat([Uint8Array.of(1, 1), tags])), 3), ProtocolError);
});

test('a huge array of a tiny frame costs nothing', () => {
  const frame = new Uint8Array(40);
  frame.set([0x7f, 0xff, 0xff, 0xff]);
  const before = process.memoryUsage().arrayBuffers + process.memoryUsage().heapUsed;
  for (let round = 0; round < 1000; round++) {
    assert.throws(() => CreateTopics.request.read(new Reader(frame), 2), ProtocolError);
  }
  assert.ok(process.memoryUsage().arrayBuffers + process.memoryUsage().heapUsed - before < 64 * 1024 * 1024);
});

test('many small arrays do not add up to more than four million elements', () => {
  // ProduceRequest v9: five topics of 999,999 partitions without records, six bytes each.
  const partitions = new Uint8Array(6 * 999_999);
  const topic = [1, 0xc0, 0x84, 0x3d]; // no name, uvarint 999,999 + 1
  const topics = Array.from({ length: 5 }, () => [Uint8Array.from(topic), partitions, Uint8Array.of(0)]).flat();
  const frame = Buffer.concat([Uint8Array.of(0, 0, 1, 0, 0, 0, 0, 6), ...topics, Uint8Array.of(0)]);
  assert.throws(() => Produce.request.read(new Reader(frame), 9), /more than 4000000 elements/);
});

/** One vector of every message and version: the one with most in it. */
const fullVectors = messageVectors().filter((vector) => vector.case === 'full');

test('a body cut off anywhere is a protocol error and nothing else', () => {
  for (const { message, version, hex } of fullVectors) {
    const bytes = Buffer.from(hex, 'hex');
    const { codec } = messageNamed(message)!;
    for (let length = 0; length < bytes.length; length += bytes.length > 400 ? 7 : 1) {
      assert.throws(
        () => codec.read(new Reader(bytes, 0, length), version),
        ProtocolError,
        `${message} v${version} cut to ${length}`,
      );
    }
  }
});

test('mutated bodies decode or are refused by a KafkaError', () => {
  const mutation = fc.record({
    vector: fc.constantFrom(...fullVectors),
    changes: fc.array(fc.record({ at: fc.nat(), byte: fc.constantFrom(0, 1, 2, 0x7f, 0x80, 0xfe, 0xff) }), {
      minLength: 1,
      maxLength: 6,
    }),
  });
  fc.assert(
    fc.property(mutation, ({ vector, changes }) => {
      const bytes = Buffer.from(vector.hex, 'hex');
      for (const { at, byte } of changes) if (bytes.length > 0) bytes[at % bytes.length] = byte;
      const { codec } = messageNamed(vector.message)!;
      try {
        codec.read(new Reader(bytes), vector.version);
      } catch (error) {
        assert.ok(error instanceof KafkaError, `${vector.message} v${vector.version}: ${error}`);
      }
    }),
    { numRuns: 5000 },
  );
});

test('random bytes decode or are refused by a KafkaError', () => {
  const codecs = apis.flatMap(({ request, response }) => [request, response]);
  fc.assert(
    fc.property(fc.constantFrom(...codecs), fc.nat({ max: 20 }), fc.uint8Array({ maxLength: 120 }), (codec, version, bytes) => {
      try {
        codec.read(new Reader(bytes), version);
      } catch (error) {
        assert.ok(error instanceof KafkaError, `${codec.name} v${version}: ${error}`);
      }
    }),
    { numRuns: 5000 },
  );
});

test('a request of an unknown API has no header that could be read', () => {
  assert.equal(apiByKey(4), undefined);
  assert.equal(apiByKey(-1), undefined);
  assert.throws(() => readRequestHeader(new Reader(Uint8Array.of(0x7f, 0, 0, 0, 0, 0, 0, 0, 0, 0))), hasName('INVALID_REQUEST'));
  assert.throws(() => readRequestHeader(new Reader(Uint8Array.of(0, 18, 0, 3, 0, 0))), ProtocolError);
});

function messageVectors(): { message: string; version: number; case: string; hex: string }[] {
  const folder = new URL('../vectors/messages/', import.meta.url);
  return readdirSync(folder).flatMap((file) =>
    readFileSync(new URL(file, folder), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line)),
  );
}
