import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeMetricsData } from './otlp-metrics.ts';

type Vector = { readonly bytes: string; readonly json: object };

const vectors: Vector[] = readFileSync(new URL('../../vectors/otlp-metrics.jsonl', import.meta.url), 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as Vector);

const bytesOf = ({ bytes }: Vector): Buffer => Buffer.from(bytes, 'base64');

test('metrics are read as Java reads them', () => {
  for (const vector of vectors) assert.deepEqual(decodeMetricsData(bytesOf(vector)), vector.json);
  assert.ok(vectors.length > 50);
});

/** A field of a message inside a message inside … */
const nested = (depth: number): Buffer => {
  let bytes: Buffer = Buffer.alloc(0);
  // resourceMetrics[0].resource.attributes[0].value.arrayValue.values[0].arrayValue …
  for (let level = depth; level > 0; level--) {
    const tag = level === 1 ? 0x0a : level === 2 ? 0x0a : level === 3 ? 0x0a : level === 4 ? 0x12 : level % 2 === 1 ? 0x2a : 0x0a;
    const length: number[] = [];
    let rest = bytes.length;
    for (; rest > 0x7f; rest >>>= 7) length.push((rest & 0x7f) | 0x80);
    bytes = Buffer.concat([Buffer.from([tag, ...length, rest]), bytes]);
  }
  return bytes;
};

test('what is no message is told from what is unknown', () => {
  const accepted = (hex: string) => decodeMetricsData(Buffer.from(hex, 'hex'));
  assert.deepEqual(accepted(''), {});
  assert.deepEqual(accepted('0a00'), { resourceMetrics: [{}] });
  assert.deepEqual(accepted('0801'), {}, 'another wire type');
  assert.deepEqual(accepted('fa0703616263'), {}, 'an unknown field');
  assert.deepEqual(accepted('7b0a017c7c'.replace('0a017c', '0801')), {}, 'an unknown group');
  const refused = [
    '0a01',
    '0a',
    '00',
    '02',
    '0aff',
    '0affffffffffffffffff7f',
    '0c',
    '7b7c7c00',
    '7b0801',
    '7b08016c',
    '7f',
    '0affffffff0f',
  ];
  for (const hex of refused) assert.throws(() => accepted(hex), RangeError, hex);
  assert.throws(() => accepted('0a031a01ff'), TypeError, 'a text that is none');
});

test('a message that comes twice is merged, and of a oneof the last one stays', () => {
  // resource { droppedAttributesCount 5 } resource { attributes [{ key "a" }] } in one resourceMetrics
  assert.deepEqual(decodeMetricsData(Buffer.from('0a0b0a0210050a050a030a0161', 'hex')), {
    resourceMetrics: [{ resource: { droppedAttributesCount: 5, attributes: [{ key: 'a' }] } }],
  });
  // value { intValue 1 boolValue true }
  assert.deepEqual(decodeMetricsData(Buffer.from('0a0a0a080a06120418011001', 'hex')), {
    resourceMetrics: [{ resource: { attributes: [{ value: { boolValue: true } }] } }],
  });
});

test('nesting has an end', () => {
  decodeMetricsData(nested(99));
  assert.throws(() => decodeMetricsData(nested(101)), /nest deeper/);
  assert.throws(() => decodeMetricsData(nested(2000)), /nest deeper/);
});

test('spoiled bytes are read or refused, and what is read can be written', () => {
  const spoiled = fc.tuple(
    fc.nat(vectors.length - 1),
    fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { maxLength: 5 }),
  );
  fc.assert(
    fc.property(spoiled, ([at, changes]) => {
      const bytes = bytesOf(vectors[at]!);
      for (const [where, byte] of changes) if (bytes.length > 0) bytes[where % bytes.length] = byte;
      try {
        JSON.stringify(decodeMetricsData(bytes));
      } catch (error) {
        assert.ok(error instanceof RangeError || error instanceof TypeError, String(error));
        assert.doesNotMatch(String(error), /undefined|not a function|call stack/);
      }
    }),
    { numRuns: 2000 },
  );
});
