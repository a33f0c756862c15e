/** Each codec, written by one library and read by every other one that has it. */
import { test } from 'node:test';
import { type Codec, type LibraryName, libraries } from './clients/client.ts';
import { assertNumbered, freshTopic, numbered } from './expectations.ts';
import { againstEachTarget } from './targets/against.ts';

/** Libraries with codecs of their own: both confluent clients are librdkafka, and kcat is an older one. */
const speakers: readonly LibraryName[] = ['java', 'kcat', 'confluent-python', 'kafkajs', 'platformatic', 'kafka-python'];
const codecs: readonly Codec[] = ['none', 'gzip', 'snappy', 'lz4', 'zstd'];
const perWriter = 50;
/** Against Kafka, which is the judge, these show that what is expected is right: reading everything everywhere takes two minutes. */
const shownOnKafka: readonly Codec[] = ['none', 'zstd'];

againstEachTarget('codecs', (bench) => {
  for (const codec of codecs) {
    const able = speakers.filter((library) => libraries[library].codecs.includes(codec));

    test(`${codec}: written by each of ${able.join(', ')}, read by each`, async (t) => {
      if (bench.node.target === 'kafka' && !shownOnKafka.includes(codec)) return t.skip('shown with other codecs');
      for (const [index, writer] of able.entries()) {
        const topic = await freshTopic(bench.client('java'), `codec-${codec}-${index}`);
        await bench.client(writer).call('produce', { topic, records: numbered(perWriter), codec });
        for (const reader of able) {
          await t.test(`${writer} to ${reader}`, async () => {
            assertNumbered(
              await bench.client(reader).call('read', { topic, partition: 0, start: 'earliest', count: perWriter }),
              0,
              perWriter,
            );
          });
        }
      }
    });

    test(`${codec}: the broker recompresses with the topic's own compression.type`, async () => {
      const topic = await freshTopic(bench.client('java'), `recompressed-${codec}`, 1, {
        'compression.type': codec === 'none' ? 'uncompressed' : codec,
      });
      await bench
        .client('confluent-python')
        .call('produce', { topic, records: numbered(perWriter), codec: codec === 'gzip' ? 'lz4' : 'gzip' });
      for (const reader of ['java', 'confluent-python'] as const) {
        assertNumbered(
          await bench.client(reader).call('read', { topic, partition: 0, start: 'earliest', count: perWriter }),
          0,
          perWriter,
        );
      }
    });
  }
});
