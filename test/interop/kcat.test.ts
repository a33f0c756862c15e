import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { kcat, parseJsonLines } from './clients/kcat.ts';
import { expectOf, freshTopic } from './expectations.ts';
import { eventually } from './processes.ts';
import { nodeId } from './targets/node.ts';

expectOf('kcat', (bench) => {
  const run = (args: readonly string[], input = '') => kcat(['-b', bench.node.bootstrap, ...args], input);
  const topicOf = (name: string, partitions = 1) => freshTopic(bench.client('java'), name, partitions);

  test('kcat -L prints brokers, topics and partitions', async () => {
    await topicOf('kcat-listed', 2);
    const { stdout } = await run(['-L', '-t', 'kcat-listed']);
    const lines = stdout.split('\n').map((line) => line.trim());
    assert.ok(lines.includes(`broker ${nodeId} at 127.0.0.1:${bench.node.port} (controller)`), stdout);
    assert.ok(lines.includes('topic "kcat-listed" with 2 partitions:'), stdout);
    for (const p of [0, 1])
      assert.ok(lines.includes(`partition ${p}, leader ${nodeId}, replicas: ${nodeId}, isrs: ${nodeId}`), stdout);
  });

  test('kcat -L of a topic that does not exist creates it, as automatic creation is on', async () => {
    const made = async () => JSON.parse((await run(['-L', '-J', '-t', 'kcat-made-by-asking'])).stdout).topics[0];
    await eventually('made', async () => (await made()).partitions.length > 0);
    assert.equal((await made()).partitions.length, 1);
  });

  test('kcat -P -K writes keyed lines, and -C -f formats them', async () => {
    const topic = await topicOf('kcat-format');
    await run(['-P', '-t', topic, '-K', ':', '-H', 'a=1', '-H', 'b=two'], 'k1:v1\nk2:v2\n');
    const { stdout } = await run(['-C', '-t', topic, '-e', '-q', '-f', '%p|%o|%k|%s|%h|%K|%S\\n']);
    assert.equal(stdout, '0|0|k1|v1|a=1,b=two|2|2\n0|1|k2|v2|a=1,b=two|2|2\n');
  });

  test('kcat -o reads from the beginning, an offset, the end, and between timestamps', async () => {
    const topic = await topicOf('kcat-offsets');
    const at = 1_700_000_000_000;
    const records = Array.from({ length: 10 }, (_, i) => ({ partition: 0, key: null, value: `v${i}`, timestamp: at + i * 1000 }));
    await bench.client('java').call('produce', { topic, records });
    const read = async (...offsets: string[]) => {
      const { stdout } = await run(['-C', '-t', topic, '-p', '0', '-e', '-q', ...offsets.flatMap((offset) => ['-o', offset])]);
      return stdout.trim().split('\n').join(' ');
    };
    assert.equal(await read('beginning'), 'v0 v1 v2 v3 v4 v5 v6 v7 v8 v9');
    assert.equal(await read('6'), 'v6 v7 v8 v9');
    assert.equal(await read('-3'), 'v7 v8 v9');
    assert.equal(await read(`s@${at + 4000}`, `e@${at + 6000}`), 'v4 v5');
  });

  test('kcat -Q tells the offset for a timestamp', async () => {
    const topic = await topicOf('kcat-query');
    const at = 1_700_000_000_000;
    const records = [0, 1, 2].map((i) => ({ partition: 0, key: null, value: `v${i}`, timestamp: at + i * 1000 }));
    await bench.client('java').call('produce', { topic, records });
    const offsetAt = async (timestamp: number) => (await run(['-Q', '-t', `${topic}:0:${timestamp}`])).stdout.trim();
    assert.equal(await offsetAt(at), `${topic} [0] offset 0`);
    assert.equal(await offsetAt(at + 1), `${topic} [0] offset 1`);
    assert.equal(await offsetAt(at + 2000), `${topic} [0] offset 2`);
    assert.equal(await offsetAt(-2), `${topic} [0] offset 0`);
    assert.equal(await offsetAt(-1), `${topic} [0] offset 3`);
  });

  test('kcat -o beyond the end is out of range, and the reset policy decides', async () => {
    const topic = await topicOf('kcat-out-of-range');
    await run(['-P', '-t', topic], 'only\n');
    const reset = (policy: string) =>
      run(['-C', '-t', topic, '-p', '0', '-o', '99', '-e', '-q', '-X', `topic.auto.offset.reset=${policy}`]);
    assert.equal((await reset('earliest')).stdout, 'only\n');
    assert.equal((await reset('latest')).stdout, '');
  });

  test('kcat writes a megabyte in one record, and is refused more than the broker takes', async () => {
    const topic = await topicOf('kcat-large');
    const directory = mkdtempSync(join(tmpdir(), 'ottla-kcat-'));
    try {
      const file = (bytes: number) => {
        const path = join(directory, String(bytes));
        writeFileSync(path, 'x'.repeat(bytes));
        return path;
      };
      await run(['-P', '-t', topic, '-X', 'message.max.bytes=3000000', file(1_000_000)]);
      await assert.rejects(
        run(['-P', '-t', topic, '-X', 'message.max.bytes=3000000', file(1_100_000)]),
        /Message size too large/,
      );
      const { stdout } = await run(['-C', '-t', topic, '-e', '-q', '-f', '%o %S\\n']);
      assert.equal(stdout, '0 1000000\n');
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  test('kcat -G consumes as a group, and a second run resumes where the first one left', async () => {
    const topic = await topicOf('kcat-group', 2);
    await run(['-P', '-t', topic, '-p', '0'], 'a\nb\n');
    await run(['-P', '-t', topic, '-p', '1'], 'c\n');
    const options = ['-J', '-e', '-q', '-X', 'auto.offset.reset=earliest', '-X', 'auto.commit.interval.ms=100'];
    const consume = async () => {
      const { stdout } = await run([...options, '-G', 'kcat-balanced', topic]);
      return parseJsonLines(stdout)
        .map(({ value }) => value)
        .sort();
    };
    assert.deepEqual(await consume(), ['a', 'b', 'c']);
    await run(['-P', '-t', topic, '-p', '1'], 'd\n');
    assert.deepEqual(await consume(), ['d']);
  });
});
