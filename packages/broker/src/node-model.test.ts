import assert from 'node:assert/strict';
import { test } from 'node:test';
import { batchesOf, Fetch } from '@ottla/protocol';
import type { SeededRandom } from '@ottla/runtime';
import { TestNode, valuesIn } from './testing-node.ts';

/** What clients were told, and so what must be there. */
type Expected = { values: string[]; endOffset: number; readonly flushEach: boolean; retentionMs: string | undefined };
type Model = Map<string, Expected>;

const names = ['orders', 'payments', 'a.b-c_d'];

/** What a consumer finds that reads until it has reached the end. */
async function readAll(node: TestNode, topic: string): Promise<{ values: string[]; endOffset: number }> {
  const client = await node.client();
  const endOffset = await client.offset(topic, -1);
  const values: string[] = [];
  for (let offset = 0; offset < endOffset; ) {
    const answer = await client.ask(Fetch, await client.fetchRequest(topic, { offset }));
    const batches = [...batchesOf(answer.responses[0]!.partitions[0]!.records!)];
    // Unflushed segments may be lost in a power failure while the next one's name is not: then the last offsets lead nowhere.
    if (batches.length === 0) break;
    values.push(...valuesIn(answer));
    offset = batches.at(-1)!.nextOffset;
  }
  return { values, endOffset };
}

async function requireModel(node: TestNode, model: Model, { powerFailed = false } = {}): Promise<void> {
  const client = await node.client();
  assert.deepEqual(await client.topicNames(), [...model.keys()].sort());
  for (const [topic, expected] of model) {
    const { flushEach, retentionMs } = expected;
    const found = await readAll(node, topic);
    if (powerFailed && !flushEach) {
      assert.ok(found.endOffset <= expected.endOffset, topic);
      assert.deepEqual(
        found.values,
        expected.values.filter((value) => found.values.includes(value)),
        topic,
      );
      Object.assign(expected, found);
    }
    assert.deepEqual(found, { values: expected.values, endOffset: expected.endOffset }, topic);
    assert.equal((await client.describe({ type: 2, name: topic })).configs['retention.ms'], retentionMs ?? '604800000');
  }
}

/** One thing that happens, and what it makes of the model. */
async function step(node: TestNode, model: Model, random: SeededRandom, at: number): Promise<void> {
  const client = await node.client();
  const topic = names[random.below(names.length)]!;
  const known = model.get(topic);
  const dice = random.below(20);
  if (dice < 3) {
    const flushEach = random.chance(0.5);
    const error = await client.createTopic(topic, {
      'internal.segment.bytes': '600',
      ...(flushEach ? { 'flush.messages': '1' } : {}),
    });
    assert.equal(error, known ? 'TOPIC_ALREADY_EXISTS' : 'NONE');
    if (!known) model.set(topic, { values: [], endOffset: 0, flushEach, retentionMs: undefined });
  } else if (dice === 3) {
    assert.equal(await client.deleteTopic(topic), known ? 'NONE' : 'UNKNOWN_TOPIC_OR_PARTITION');
    model.delete(topic);
    client.forget(topic);
  } else if (dice === 4 && known) {
    known.retentionMs = random.chance(0.3) ? undefined : String(1_000_000_000 + at);
    assert.equal(await client.configure({ type: 2, name: topic }, { 'retention.ms': known.retentionMs ?? null }), 'NONE');
  } else if (dice === 5) {
    await node.advance(random.below(20_000));
  } else if (dice === 6) {
    await node.restart();
    await requireModel(node, model);
  } else if (dice === 7) {
    node.machine.kill();
    await node.start();
    await requireModel(node, model);
  } else if (dice === 8) {
    node.machine.crash();
    await node.start();
    await requireModel(node, model, { powerFailed: true });
  } else if (known) {
    const values = Array.from({ length: 1 + random.below(4) }, (_, index) => `${at}.${index}${'x'.repeat(random.below(80))}`);
    const codec = random.chance(0.3) ? ('gzip' as const) : ('none' as const);
    const produced = await client.produce(topic, values, { codec });
    assert.deepEqual([produced.error, produced.baseOffset], ['NONE', known.endOffset]);
    known.values.push(...values);
    known.endOffset += values.length;
  }
}

for (const seed of [1, 2, 3, 6]) {
  test(`topics, records and configs are what clients were told, through stops, kills and power failures (seed ${seed})`, async () => {
    const node = await TestNode.start({ seed, machine: { tornWrites: seed % 2 === 0 } });
    const model: Model = new Map();
    const random = node.world.random.fork('steps');
    for (let at = 0; at < 60; at++) await step(node, model, random, at);
    await requireModel(node, model);
    assert.deepEqual(node.logs.at('error'), []);
    await node.stop();
  });
}
