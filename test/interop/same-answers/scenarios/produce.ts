import {
  compressionCodecs,
  DescribeProducers,
  Fetch,
  IncrementalAlterConfigs,
  InitProducerId,
  ListOffsets,
  Produce,
} from '@ottla/protocol';
import { eventually } from '../../processes.ts';
import type { Connection } from '../../targets/connection.ts';
import { versionsOf } from '../plain.ts';
import type { Probe } from '../probe.ts';
import { altered, batch, broken, buildBatch, buildLegacyMessageSet, records, someTime } from './batches.ts';
import { makeTopic, type Scenario, unknownId } from './scenario.ts';

type Send = {
  acks?: number;
  version?: number;
  partition?: number;
  transactionalId?: string;
  on?: Connection;
  clientId?: string;
  patienceMs?: number;
};

function producer(probe: Probe, topic: string, topicId: string) {
  return (
    what: string,
    data: Uint8Array | null,
    { acks = -1, version = 13, partition = 0, transactionalId, on, clientId, patienceMs }: Send = {},
  ) =>
    probe.ask(
      what,
      Produce,
      version,
      {
        transactionalId: transactionalId ?? null,
        acks,
        timeoutMs: 5000,
        topicData: [{ ...(version >= 13 ? { topicId } : { name: topic }), partitionData: [{ index: partition, records: data }] }],
      },
      {
        ...(on ? { on } : {}),
        ...(clientId === undefined ? {} : { clientId }),
        ...(patienceMs ? { patienceMs } : {}),
      },
    );
}

/** What the log holds now, batch by batch. */
async function readBack(probe: Probe, topicId: string): Promise<void> {
  await probe.ask('what was written', Fetch, 16, {
    maxWaitMs: 0,
    minBytes: 0,
    topics: [{ topicId, partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 10_000_000 }] }],
  });
}

/** Never 0, which a lucky first producer would get, and which would be hard to tell from other zeros. */
function newProducerId(probe: Probe): Promise<number> {
  return eventually('a producer id', async () => {
    const asked = { transactionalId: null, transactionTimeoutMs: 60_000 };
    const answer = await probe.ask('id', InitProducerId, 4, asked, { quiet: true });
    return answer!.errorCode === 0 ? answer!.producerId : 0;
  });
}

const recordCountAt = 57;
const lastOffsetDeltaAt = 23;
const attributesAt = 21;
const maxTimestampAt = 35;

export const produceScenarios: readonly Scenario[] = [
  {
    name: 'Produce',
    async run(probe) {
      const topicId = await makeTopic(probe, 'p', { partitions: 2 });
      const send = producer(probe, 'p', topicId);
      for (const version of versionsOf(Produce))
        for (const acks of [-1, 1]) await send(`acks ${acks}`, batch(['a', 'b']), { acks, version });
      for (const acks of [2, -2, 127, -32768]) {
        await send(`acks ${acks}`, batch(['a']), { acks });
        await send(`acks ${acks}`, batch(['a']), { acks, version: 3 });
      }
      const withoutAnswer = (what: string, data: Uint8Array, index = 0) =>
        probe.askWithoutAnswer(what, Produce, 13, {
          acks: 0,
          timeoutMs: 5000,
          topicData: [{ topicId, partitionData: [{ index, records: data }] }],
        });
      await withoutAnswer('acks 0', batch(['zero']));
      await withoutAnswer('acks 0 to an unknown partition', batch(['zero']), 9);
      await withoutAnswer(
        'acks 0 with a bad crc',
        broken(batch(['zero']), (bytes) => bytes.writeInt32BE(1, 17)),
      );
      for (const partition of [2, -1, 2147483647]) {
        await send(`partition ${partition}`, batch(['a']), { partition });
        await send(`partition ${partition}`, batch(['a']), { partition, version: 9 });
      }
      for (const version of [3, 9, 12]) {
        for (const name of ['p-unknown', 'a b', ''])
          await producer(probe, name, '')(`topic "${name}"`, batch(['a']), { version });
      }
      await producer(probe, '', unknownId)('an unknown id', batch(['a']));
      await producer(probe, '', 'AAAAAAAAAAAAAAAAAAAAAA')('the zero id', batch(['a']));
      for (const version of [3, 9, 13]) {
        await producer(probe, '__consumer_offsets', unknownId)('an internal topic', batch(['a']), { version });
        const both = version >= 13 ? { topicId } : { name: 'p' };
        const of = (...values: string[]) => ({ index: 0, records: batch(values) });
        await probe.ask('a topic twice', Produce, version, {
          acks: 1,
          timeoutMs: 5000,
          topicData: [
            { ...both, partitionData: [of('one')] },
            { ...both, partitionData: [of('two')] },
          ],
        });
        await probe.ask('a partition twice', Produce, version, {
          acks: 1,
          timeoutMs: 5000,
          topicData: [{ ...both, partitionData: [of('one'), of('two', 'three')] }],
        });
        await probe.ask('nothing', Produce, version, { acks: 1, timeoutMs: 5000, topicData: [] });
        await probe.ask('no partition', Produce, version, {
          acks: 1,
          timeoutMs: 5000,
          topicData: [{ ...both, partitionData: [] }],
        });
        await probe.ask('good and bad', Produce, version, {
          acks: -1,
          timeoutMs: 5000,
          topicData: [{ ...both, partitionData: [of('one'), { index: 7, records: batch(['x']) }] }],
        });
      }
      await readBack(probe, topicId);
    },
  },
  {
    name: 'Produce: bad batches',
    async run(probe) {
      const topicId = await makeTopic(probe, 'pb');
      const send = producer(probe, 'pb', topicId);
      const good = batch(['a', 'b', 'c']);
      const cases: [string, Uint8Array | null][] = [
        ['no bytes', Buffer.alloc(0)],
        ['a few bytes', Buffer.alloc(5)],
        ['zeros', Buffer.alloc(100)],
        ['noise', Buffer.from('noise'.repeat(30))],
        ['a header alone', good.subarray(0, 61)],
        ['half a header', good.subarray(0, 30)],
        ['one byte short', good.subarray(0, good.length - 1)],
        ['one byte more', Buffer.concat([good, Buffer.alloc(1)])],
        ['twenty bytes more', Buffer.concat([good, Buffer.alloc(20)])],
        ['two batches', Buffer.concat([good, good])],
        ['a batch and a half', Buffer.concat([good, good.subarray(0, 40)])],
        ['a wrong crc', broken(good, (bytes) => bytes.writeInt32BE(7, 17))],
        ['magic 3', broken(good, (bytes) => bytes.writeInt8(3, 16))],
        ['magic -1', broken(good, (bytes) => bytes.writeInt8(-1, 16))],
        ['magic 1 in a batch of 2', broken(good, (bytes) => bytes.writeInt8(1, 16))],
        ['magic 0 in a batch of 2', broken(good, (bytes) => bytes.writeInt8(0, 16))],
        ['length 0', broken(good, (bytes) => bytes.writeInt32BE(0, 8))],
        ['length -1', broken(good, (bytes) => bytes.writeInt32BE(-1, 8))],
        ['length too small', broken(good, (bytes) => bytes.writeInt32BE(48, 8))],
        ['length one less', broken(good, (bytes) => bytes.writeInt32BE(bytes.readInt32BE(8) - 1, 8))],
        ['length one more', broken(good, (bytes) => bytes.writeInt32BE(bytes.readInt32BE(8) + 1, 8))],
        ['length 2^31-1', broken(good, (bytes) => bytes.writeInt32BE(0x7fffffff, 8))],
        ['base offset 5', batch(['a'], { baseOffset: 5 })],
        ['base offset -1', broken(good, (bytes) => bytes.writeBigInt64BE(-1n, 0))],
        ['leader epoch 99', batch(['a'], { leaderEpoch: 99 })],
        [
          'no records',
          altered(good.subarray(0, 61) as Buffer, (bytes) => {
            bytes.writeInt32BE(49, 8);
            bytes.writeInt32BE(0, recordCountAt);
            bytes.writeInt32BE(-1, lastOffsetDeltaAt);
          }),
        ],
        ['record count 2 of 3', altered(good, (bytes) => bytes.writeInt32BE(2, recordCountAt))],
        ['record count 4 of 3', altered(good, (bytes) => bytes.writeInt32BE(4, recordCountAt))],
        [
          'record count 4, delta 3',
          altered(good, (bytes) => {
            bytes.writeInt32BE(4, recordCountAt);
            bytes.writeInt32BE(3, lastOffsetDeltaAt);
          }),
        ],
        [
          'record count 2, delta 1',
          altered(good, (bytes) => {
            bytes.writeInt32BE(2, recordCountAt);
            bytes.writeInt32BE(1, lastOffsetDeltaAt);
          }),
        ],
        ['record count -1', altered(good, (bytes) => bytes.writeInt32BE(-1, recordCountAt))],
        ['record count 2^31-1', altered(good, (bytes) => bytes.writeInt32BE(0x7fffffff, recordCountAt))],
        ['last offset delta 5', altered(good, (bytes) => bytes.writeInt32BE(5, lastOffsetDeltaAt))],
        ['last offset delta -1', altered(good, (bytes) => bytes.writeInt32BE(-1, lastOffsetDeltaAt))],
        ['codec 5', altered(good, (bytes) => bytes.writeInt16BE(5, attributesAt))],
        ['codec gzip, plain bytes', altered(good, (bytes) => bytes.writeInt16BE(1, attributesAt))],
        ['codec snappy, plain bytes', altered(good, (bytes) => bytes.writeInt16BE(2, attributesAt))],
        ['codec lz4, plain bytes', altered(good, (bytes) => bytes.writeInt16BE(3, attributesAt))],
        ['codec zstd, plain bytes', altered(good, (bytes) => bytes.writeInt16BE(4, attributesAt))],
        ['log append time', altered(good, (bytes) => bytes.writeInt16BE(8, attributesAt))],
        ['unknown attributes', altered(good, (bytes) => bytes.writeInt16BE(0x7f80, attributesAt))],
        ['a delete horizon', altered(good, (bytes) => bytes.writeInt16BE(64, attributesAt))],
        ['a control batch', altered(good, (bytes) => bytes.writeInt16BE(32, attributesAt))],
        ['a transactional batch without producer id', altered(good, (bytes) => bytes.writeInt16BE(16, attributesAt))],
        ['max timestamp too small', altered(good, (bytes) => bytes.writeBigInt64BE(5n, maxTimestampAt))],
        ['a record size that lies', altered(good, (bytes) => bytes.writeInt8(100, 61))],
        ['a record size below zero', altered(good, (bytes) => bytes.writeInt8(1, 61))],
        ['a record key size that lies', altered(good, (bytes) => bytes.writeInt8(120, 65))],
        ['a record offset delta that lies', altered(good, (bytes) => bytes.writeInt8(8, 64))],
        ['a record timestamp delta', altered(good, (bytes) => bytes.writeInt8(7, 63))],
        ['record attributes', altered(good, (bytes) => bytes.writeInt8(7, 62))],
        ['magic 1', Buffer.from(buildLegacyMessageSet({ magic: 1, records: records('old') }))],
        ['magic 0', Buffer.from(buildLegacyMessageSet({ magic: 0, records: [{ value: Buffer.from('old') }] }))],
        ['magic 1, two', Buffer.from(buildLegacyMessageSet({ magic: 1, records: records('old', 'older') }))],
        ['magic 1, gzip', Buffer.from(buildLegacyMessageSet({ magic: 1, codec: 'gzip', records: records('old', 'older') }))],
        ['no key, no value', Buffer.from(buildBatch({ records: [{ timestamp: someTime }] }))],
        ['no timestamp', Buffer.from(buildBatch({ records: [{ value: Buffer.from('x') }] }))],
        [
          'headers',
          Buffer.from(
            buildBatch({
              records: [
                {
                  timestamp: 5,
                  value: null,
                  headers: [
                    { key: '', value: null },
                    { key: 'h', value: Buffer.from('v') },
                  ],
                },
              ],
            }),
          ),
        ],
        ['too large', batch(['x'.repeat(1_048_588)])],
        ['just not too large', batch(['x'.repeat(1_048_588 - 75)])],
        ['a producer id without epoch', batch(['a'], { producerId: 5, baseSequence: 0 })],
        ['a producer id without sequence', batch(['a'], { producerId: 5, producerEpoch: 0 })],
        ['a sequence without producer id', batch(['a'], { baseSequence: 3 })],
      ];
      // Kafka never answers these, nor reads on.
      await send('null records', null, { on: await probe.connect(), patienceMs: 500 });
      for (const [what, data] of cases) await send(what, data);
      for (const [what, data] of cases) await send(what, data, { version: 7 });
      for (const [what, data] of cases.slice(0, 12)) await send(what, data, { version: 3, acks: 1 });
      for (const codec of compressionCodecs) {
        for (const version of [3, 6, 7, 13]) await send(`codec ${codec}`, batch(['a'.repeat(500), 'b'], { codec }), { version });
      }
      for (const codec of ['gzip', 'snappy', 'lz4', 'zstd'] as const) {
        const packed = batch(['a'.repeat(100), 'b'], { codec });
        await send(
          `${codec} with a lying count`,
          altered(packed, (bytes) => {
            bytes.writeInt32BE(5, recordCountAt);
            bytes.writeInt32BE(4, lastOffsetDeltaAt);
          }),
        );
        await send(
          `${codec} with fewer counted`,
          altered(packed, (bytes) => {
            bytes.writeInt32BE(1, recordCountAt);
            bytes.writeInt32BE(0, lastOffsetDeltaAt);
          }),
        );
        await send(
          `${codec} cut`,
          altered(packed.subarray(0, packed.length - 6) as Buffer, (bytes) => bytes.writeInt32BE(bytes.length - 12, 8)),
        );
        await send(
          `${codec} garbled`,
          altered(packed, (bytes) => bytes.fill(0x5a, 70, 80)),
        );
      }
      await readBack(probe, topicId);
    },
  },
  {
    name: 'Produce: topics with rules',
    async run(probe) {
      const compacted = await makeTopic(probe, 'pr-compacted', { configs: { 'cleanup.policy': 'compact' } });
      const toCompacted = producer(probe, 'pr-compacted', compacted);
      const keyless = (codec: 'none' | 'gzip') =>
        Buffer.from(
          buildBatch({
            codec,
            records: [
              { timestamp: someTime, key: Buffer.from('k'), value: Buffer.from('v') },
              { timestamp: someTime, value: Buffer.from('v') },
              { timestamp: someTime, value: Buffer.from('w') },
            ],
          }),
        );
      for (const version of [3, 7, 8, 13]) {
        await toCompacted('without key', keyless('none'), { version });
        await toCompacted('without key, gzip', keyless('gzip'), { version });
      }
      await toCompacted('with key', batch(['a']));
      const timed = await makeTopic(probe, 'pr-timed', {
        configs: { 'message.timestamp.before.max.ms': '1000', 'message.timestamp.after.max.ms': '1000' },
      });
      const toTimed = producer(probe, 'pr-timed', timed);
      for (const version of [3, 8, 13]) {
        await toTimed('too old', batch(['a', 'b']), { version });
        await toTimed(
          'too new',
          Buffer.from(buildBatch({ records: [{ timestamp: 4_000_000_000_000, value: Buffer.from('x') }] })),
          { version },
        );
        await toTimed('none', Buffer.from(buildBatch({ records: [{ value: Buffer.from('x') }] })), { version });
      }
      await toTimed('too old, gzip', batch(['a'], { codec: 'gzip' }));
      const future = await makeTopic(probe, 'pr-future');
      await producer(
        probe,
        'pr-future',
        future,
      )('from the future', Buffer.from(buildBatch({ records: [{ timestamp: 4_000_000_000_000, value: Buffer.from('x') }] })));
      await producer(
        probe,
        'pr-future',
        future,
      )(
        'from before 1970',
        altered(batch(['x']), (bytes) => {
          bytes.writeBigInt64BE(-5n, 27);
          bytes.writeBigInt64BE(-5n, maxTimestampAt);
        }),
      );
      const appended = await makeTopic(probe, 'pr-append-time', { configs: { 'message.timestamp.type': 'LogAppendTime' } });
      for (const codec of ['none', 'gzip'] as const)
        for (const version of [3, 13])
          await producer(probe, 'pr-append-time', appended)(`log append time, ${codec}`, batch(['a', 'b'], { codec }), {
            version,
          });
      await readBack(probe, appended);
      const small = await makeTopic(probe, 'pr-small', { configs: { 'max.message.bytes': '200' } });
      for (const size of [100, 129, 130, 131, 132, 133, 200, 1000])
        await producer(probe, 'pr-small', small)(`${size} bytes of value`, batch(['x'.repeat(size)]));
      await producer(probe, 'pr-small', small)('gzip that fits', batch(['x'.repeat(1000)], { codec: 'gzip' }));
      const packed = await makeTopic(probe, 'pr-packed', { configs: { 'compression.type': 'gzip' } });
      await producer(probe, 'pr-packed', packed)('none to gzip', batch(['x'.repeat(1000)]));
      await producer(probe, 'pr-packed', packed)('lz4 to gzip', batch(['x'.repeat(1000)], { codec: 'lz4' }));
      await readBack(probe, packed);
      const unpacked = await makeTopic(probe, 'pr-unpacked', { configs: { 'compression.type': 'uncompressed' } });
      await producer(probe, 'pr-unpacked', unpacked)('lz4 to none', batch(['x'.repeat(1000)], { codec: 'lz4' }));
      await producer(
        probe,
        'pr-unpacked',
        unpacked,
      )(
        'lz4 with a lying count',
        altered(batch(['a', 'b'], { codec: 'lz4' }), (bytes) => {
          bytes.writeInt32BE(5, recordCountAt);
          bytes.writeInt32BE(4, lastOffsetDeltaAt);
        }),
      );
      await readBack(probe, unpacked);
      const safe = await makeTopic(probe, 'pr-safe', { configs: { 'min.insync.replicas': '2' } });
      for (const acks of [-1, 1])
        for (const version of [3, 13])
          await producer(probe, 'pr-safe', safe)(`min.insync.replicas 2, acks ${acks}`, batch(['a']), { acks, version });
      const tiny = await makeTopic(probe, 'pr-segments', { configs: { 'segment.bytes': '1048576' } });
      await producer(probe, 'pr-segments', tiny)('larger than a segment', batch(['x'.repeat(1_048_570)]));
    },
  },
  {
    name: 'Produce: sequences',
    async run(probe) {
      const topicId = await makeTopic(probe, 'ps', { partitions: 4 });
      const send = producer(probe, 'ps', topicId);
      const producerId = await newProducerId(probe);
      probe.name(producerId, 'producer');
      const from = (baseSequence: number, count: number, producerEpoch = 0, id = producerId) =>
        batch(
          Array.from({ length: count }, (_, index) => `${baseSequence + index}`),
          { producerId: id, producerEpoch, baseSequence },
        );
      await send('from 0', from(0, 2));
      await send('again', from(0, 2));
      await send('again in v3', from(0, 2), { version: 3 });
      await send('again, other count', from(0, 1));
      await send('again, longer', from(0, 3));
      await send('next', from(2, 1));
      await send('gap', from(9, 1));
      await send('gap in v3', from(9, 1), { version: 3 });
      for (const sequence of [3, 4, 5, 6, 7, 8]) await send(`on to ${sequence}`, from(sequence, 1));
      await send('duplicate of the fifth last', from(4, 1));
      await send('duplicate of the sixth last', from(3, 1));
      await send('overlap', from(8, 2));
      await send('backwards', from(1, 1));
      await send('a new epoch not from 0', from(5, 1, 1));
      await send('a new epoch', from(0, 1, 1));
      await send('the old epoch', from(9, 1));
      await send('the old epoch in v3', from(9, 1), { version: 3 });
      await send('a jump of epochs', from(0, 1, 7));
      await send('epoch wraps', from(0, 1, 32767));
      await send('an unknown producer from 5', from(5, 1, 0, 777), { partition: 1 });
      await send('it goes on', from(6, 1, 0, 777), { partition: 1 });
      await send('it goes back', from(5, 1, 0, 777), { partition: 1 });
      await send('up to the last sequence', from(2147483646, 2, 0, 778), { partition: 2 });
      await send('and around', from(0, 2, 0, 778), { partition: 2 });
      await send('around inside a batch', from(2147483647, 3, 0, 779), { partition: 2 });
      await send('then', from(2, 1, 0, 779), { partition: 2 });
      await send('a negative sequence', from(-5, 1, 0, 780), { partition: 2 });
      await send('a negative epoch', from(0, 1, -5, 780), { partition: 2 });
      await send('a negative producer', from(0, 1, 0, -5), { partition: 2 });
      await send(
        'a transactional batch without a transaction',
        batch(['t'], { producerId, producerEpoch: 0, baseSequence: 0, isTransactional: true }),
        { partition: 3, transactionalId: 'tx' },
      );
      await send(
        'a transactional batch without transactional id',
        batch(['t'], { producerId, producerEpoch: 0, baseSequence: 0, isTransactional: true }),
        { partition: 3 },
      );
      await send('a transactional id without transactional batch', from(0, 1, 0, 790), { partition: 3, transactionalId: 'tx' });
      await send(
        'an idempotent control batch',
        batch(['c'], { producerId, producerEpoch: 0, baseSequence: 0, isControl: true }),
        { partition: 3 },
      );
      const asked = (...partitionIndexes: number[]) => ({ topics: [{ name: 'ps', partitionIndexes }] });
      await probe.ask('producers', DescribeProducers, 0, asked(0, 1, 2, 9, -1));
      await probe.ask('producers of nothing', DescribeProducers, 0, {
        topics: [
          { name: 'ps-unknown', partitionIndexes: [0] },
          { name: 'a b', partitionIndexes: [0] },
          { name: '', partitionIndexes: [] },
        ],
      });
      await probe.ask('producers twice', DescribeProducers, 0, { topics: [...asked(1, 1).topics, ...asked(1).topics] });
    },
  },
  {
    name: 'InitProducerId',
    async run(probe) {
      await newProducerId(probe);
      for (const version of versionsOf(InitProducerId)) {
        const answer = await probe.ask(
          'idempotent',
          InitProducerId,
          version,
          { transactionalId: null, transactionTimeoutMs: 0 },
          { quiet: true },
        );
        probe.note(`v${version}`, {
          errorCode: answer?.errorCode ?? 'none',
          producerEpoch: answer?.producerEpoch ?? -9,
          hasId: (answer?.producerId ?? -1) >= 0,
        });
      }
      const ask = (what: string, request: object) =>
        probe.ask(what, InitProducerId, 4, { transactionalId: null, transactionTimeoutMs: 60_000, ...request });
      await ask('an empty transactional id', { transactionalId: '' });
      await ask('a producer id without epoch', { producerId: 5 });
      await ask('an epoch without producer id', { producerEpoch: 5 });
      await ask('a producer id below -1', { producerId: -5, producerEpoch: 0 });
      const again = await probe.ask(
        'with id and epoch, not transactional',
        InitProducerId,
        4,
        { transactionalId: null, transactionTimeoutMs: 1, producerId: 5, producerEpoch: 5 },
        { quiet: true },
      );
      probe.note('with id and epoch', { errorCode: again?.errorCode ?? 'none', producerEpoch: again?.producerEpoch ?? -9 });
    },
  },
  {
    name: 'configs that act at once',
    async run(probe) {
      const topicId = await makeTopic(probe, 'live');
      const send = producer(probe, 'live', topicId);
      const quietly = { version: 13, acks: 1 };
      const setting = (resourceType: number, resourceName: string, name: string, value: string | null) =>
        probe.ask('set', IncrementalAlterConfigs, 1, {
          resources: [{ resourceType, resourceName, configs: [{ name, configOperation: value === null ? 1 : 0, value }] }],
        });
      await send('before', batch(['x'.repeat(1000)]), quietly);
      await setting(2, 'live', 'max.message.bytes', '200');
      await send('with a small max.message.bytes', batch(['x'.repeat(1000)]), quietly);
      await setting(2, 'live', 'max.message.bytes', null);
      await send('without it', batch(['x'.repeat(1000)]), quietly);
      await setting(4, '', 'message.max.bytes', '300');
      await send('with a small message.max.bytes', batch(['x'.repeat(1000)]), quietly);
      await setting(4, '1', 'message.max.bytes', '3000');
      await send('with a larger one for this broker', batch(['x'.repeat(1000)]), quietly);
      await setting(4, '1', 'message.max.bytes', null);
      await setting(4, '', 'message.max.bytes', null);
      await setting(2, 'live', 'compression.type', 'gzip');
      await setting(2, 'live', 'message.timestamp.type', 'LogAppendTime');
      await send('compressed, and with the time of the append', batch(['x'.repeat(1000)]), quietly);
      await setting(2, 'live', 'cleanup.policy', 'compact');
      await send(
        'without key',
        Buffer.from(buildBatch({ records: [{ value: Buffer.from('x'), timestamp: someTime }] })),
        quietly,
      );
      await setting(2, 'live', 'min.insync.replicas', '2');
      await send('without enough replicas', batch(['x']), { version: 13 });
      await readBack(probe, topicId);
    },
  },
  {
    name: 'after Produce',
    async run(probe) {
      await probe.ask('ends', ListOffsets, 5, {
        replicaId: -1,
        topics: ['p', 'pb', 'pr-compacted', 'pr-small', 'ps'].map((name) => ({
          name,
          partitions: [0, 1].map((partitionIndex) => ({ partitionIndex, timestamp: -1 })),
        })),
      });
    },
  },
];
