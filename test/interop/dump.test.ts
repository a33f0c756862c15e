/** Kafka's own tools read the files that a node has written, and find nothing to complain of. */
import assert from 'node:assert/strict';
import { cpSync, globSync, mkdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { before, test } from 'node:test';
import type { Codec } from './clients/client.ts';
import { freshTopic, numbered } from './expectations.ts';
import { FileTools } from './kafka/file-tools.ts';
import { eventually } from './processes.ts';
import { againstEachTarget } from './targets/against.ts';

const codecs: readonly Codec[] = ['none', 'gzip', 'snappy', 'lz4', 'zstd'];
const topic = 'dumped';
const group = 'dumpers';

againstEachTarget(
  'dump-log and metadata-shell',
  (bench) => {
    const files = () => new FileTools(bench.client('java'), bench.node);

    before(async () => {
      const java = bench.client('java');
      await freshTopic(java, topic, 1, { 'segment.bytes': '1048576', 'index.interval.bytes': '1024' });
      for (const codec of codecs) await java.call('produce', { topic, records: numbered(100), codec });
      const random = Array.from({ length: 1500 }, (_, i) => ({ partition: 0, key: `${i}`, value: `${i}`.padEnd(1000, '*') }));
      await bench.client('confluent-python').call('produce', { topic, records: random, idempotent: true }); // 1.5 MB: a second segment
      await java.call('join', { member: 'm', group, topics: [topic] });
      await java.call('poll', { member: 'm', count: 2000 });
      await java.call('commit', { member: 'm' });
      await java.call('leave', { member: 'm' });
      await java.call('setTopicConfig', { topic, name: 'retention.ms', value: '7200000' });
      await bench.node.stop();
      // The tools need no broker, but clients of one that is gone would go on looking for it.
      await bench.forget('java');
    });

    test('dump-log --deep-iteration reads every record of every codec', async () => {
      const dump = await files().dumpLog(`${topic}-0/*.log`, '--deep-iteration', '--print-data-log');
      assert.equal([...dump.matchAll(/^\| offset: \d+ .* payload: /gm)].length, 2000);
      for (const codec of codecs) assert.match(dump, new RegExp(`compresscodec: ${codec} .* isvalid: true`));
      assert.match(dump, /baseSequence: 0 .*producerId: \d+ producerEpoch: 0/);
    });

    test('dump-log finds the indexes, producer snapshots and checkpoints sound', async () => {
      for (const pattern of ['*.index', '*.timeindex', '*.snapshot']) await files().dumpLog(`${topic}-0/${pattern}`);
      assert.match(await files().dumpLog(`${topic}-0/*.index`, '--index-sanity-check'), /passed sanity check/);
      assert.match(await files().dumpLog(`${topic}-0/*.index`, '--verify-index-only'), /Dumping/);
    });

    test('dump-log --offsets-decoder reads the committed offsets and the group', async () => {
      const dump = await files().dumpLog('__consumer_offsets-*/*.log', '--offsets-decoder');
      assert.ok(dump.includes(`{"type":"1","data":{"group":"${group}","topic":"${topic}","partition":0}}`), dump);
      assert.ok(dump.includes(`{"type":"2","data":{"group":"${group}"}}`), dump);
      assert.match(dump, /"version":"4","data":\{"offset":2000,/);
    });

    test('dump-log --cluster-metadata-decoder reads the metadata log and its checkpoint', async () => {
      const dump = await files().dumpLog('__cluster_metadata-0/*.log', '--cluster-metadata-decoder');
      for (const type of [
        'REGISTER_BROKER_RECORD',
        'FEATURE_LEVEL_RECORD',
        'TOPIC_RECORD',
        'PARTITION_RECORD',
        'CONFIG_RECORD',
        'BROKER_REGISTRATION_CHANGE_RECORD',
      ]) {
        assert.ok(dump.includes(`"type":"${type}"`), type);
      }
      assert.match(dump, new RegExp(`"type":"TOPIC_RECORD","version":0,"data":\\{"name":"${topic}"`));
      assert.match(dump, /LeaderChange/);
      await files().dumpLog('__cluster_metadata-0/*.checkpoint', '--cluster-metadata-decoder');
    });

    test('metadata-shell shows the topics and configs of the metadata log', async () => {
      const copy = join(bench.node.directory, 'metadata-copy'); // the shell locks the directory that it reads
      mkdirSync(copy);
      for (const file of globSync(join(bench.node.dataDirectory, '__cluster_metadata-0', '*')))
        cpSync(file, join(copy, basename(file)), { recursive: true });
      const file = join(copy, '00000000000000000000.log');
      // The shell may answer before it has taken in all that it read, so it is asked again.
      const shows = (pattern: RegExp, ...words: string[]) =>
        eventually(`${words.join(' ')} shows ${pattern}`, async () =>
          pattern.test(await files().tool('metadata-shell', '--snapshot', file, ...words)),
        );
      await shows(new RegExp(`\\b${topic}\\b`), 'ls', '/image/topics/byName');
      await shows(/PartitionRegistration\(replicas=\[1\]/, 'cat', `/image/topics/byName/${topic}/0`);
      await shows(/7200000/, 'cat', `/image/configs/TOPIC:${topic}/retention.ms`);
    });
  },
  { 'offsets.topic.num.partitions': '2' },
);
