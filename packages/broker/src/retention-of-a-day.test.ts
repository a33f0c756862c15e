/** A day of virtual time on a whole node: what is deleted, what is not, and when. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { buildBatch, errorName, Fetch, Produce } from '@ottla/protocol';
import { type TestClient, TestNode, valuesIn } from './testing-node.ts';

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
/** log.retention.check.interval.ms, as it is by default. */
const checkMs = 5 * minuteMs;
/** Of log.segment.delete.delay.ms, as it is by default, with the second in which it is looked at. */
const deleteDelayMs = minuteMs + 2_000;
const stepMs = 5 * minuteMs;

const settings = {
  // Neither says anything about retention, and each costs time.
  'broker.heartbeat.interval.ms': '60000',
  'broker.session.timeout.ms': '600000',
  'log.cleaner.backoff.ms': '60000',
  // The clients of a test have nothing to say for hours.
  'connections.max.idle.ms': `${48 * hourMs}`,
};

type Topic = { readonly name: string; readonly configs: Readonly<Record<string, string>> };

const byTime: Topic = { name: 'by-time', configs: { 'retention.ms': `${6 * hourMs}`, 'segment.ms': `${hourMs}` } };
const bySize: Topic = { name: 'by-size', configs: { 'retention.bytes': '20000', 'internal.segment.bytes': '4000' } };
const byBoth: Topic = {
  name: 'by-both',
  configs: { 'retention.ms': `${3 * hourMs}`, 'retention.bytes': '20000', 'internal.segment.bytes': '4000' },
};
const kept: Topic = { name: 'kept', configs: { 'retention.ms': '-1', 'segment.ms': `${hourMs}` } };
const topics = [byTime, bySize, byBoth, kept];

/** What is in a partition's directory, with the largest timestamp of each segment as the test produced it. */
class Observed {
  readonly #node: TestNode;
  readonly topic: string;
  /** By offset. */
  readonly timestamps: number[] = [];

  constructor(node: TestNode, topic: string) {
    this.#node = node;
    this.topic = topic;
  }

  get #names(): string[] {
    return this.#node.list(`/data/${this.topic}-0`);
  }

  get segments(): { baseOffset: number; bytes: number; largestTimestamp: number }[] {
    const logs = this.#names.filter((name) => name.endsWith('.log'));
    const bases = logs.map((name) => Number.parseInt(name, 10));
    return logs.map((name, index) => ({
      baseOffset: bases[index]!,
      bytes: this.#node.machine.files.stat(`/data/${this.topic}-0/${name}`)!.size,
      largestTimestamp: Math.max(-1, ...this.timestamps.slice(bases[index]!, bases[index + 1])),
    }));
  }

  get retiredCount(): number {
    return this.#names.filter((name) => name.endsWith('.deleted')).length;
  }
}

const nowOf = (node: TestNode): number => node.world.startMs + Math.floor(node.world.time.nowMs);

async function append(client: TestClient, to: Observed, timestamp: number, size = 400): Promise<void> {
  const value = `${to.timestamps.length}`.padEnd(size, '.');
  const { error, baseOffset } = await client.produce(to.topic, [value], { timestamp });
  assert.deepEqual([error, baseOffset], ['NONE', to.timestamps.length]);
  to.timestamps.push(timestamp);
}

/** Reads below the start are refused, and the start itself is there. */
async function assertBeginsAt(client: TestClient, topic: string, startOffset: number): Promise<void> {
  assert.equal(await client.offset(topic, -2), startOffset, topic);
  const fetch = async (offset: number) => (await client.ask(Fetch, await client.fetchRequest(topic, { offset }))).responses;
  if (startOffset > 0)
    assert.equal(errorName((await fetch(startOffset - 1))[0]!.partitions[0]!.errorCode), 'OFFSET_OUT_OF_RANGE');
  assert.equal(errorName((await fetch(startOffset))[0]!.partitions[0]!.errorCode), 'NONE');
}

test('for a day, segments go when they are older or more than allowed, not before and not much later', async () => {
  const node = await TestNode.start({ settings });
  const client = await node.client();
  for (const { name, configs } of topics) assert.equal(await client.createTopic(name, configs), 'NONE');
  const observed = topics.map(({ name }) => new Observed(node, name));
  const [time, size, both, all] = observed as [Observed, Observed, Observed, Observed];
  const mostGone = new Map<string, number>();
  for (let elapsedMs = 0; elapsedMs < 24 * hourMs; elapsedMs += stepMs) {
    for (const each of observed) await append(client, each, nowOf(node));
    await node.advance(stepMs);
    for (const each of observed) {
      const { segments } = each;
      mostGone.set(each.topic, segments[0]!.baseOffset);
      // Two files more a segment than names: they lie around for a minute, never until the next step.
      if (segments[0]!.baseOffset === 0) assert.equal(each.retiredCount, 0, each.topic);
    }
    const nowMs = nowOf(node);
    for (const [each, retentionMs] of [
      [time, 6 * hourMs],
      [both, 3 * hourMs],
    ] as const) {
      const oldest = each.segments[0]!;
      assert.ok(nowMs - oldest.largestTimestamp <= retentionMs + checkMs + 2_000, `${each.topic}: kept too long`);
    }
    // By time alone nothing went that was not due.
    const gone = time.timestamps[time.segments[0]!.baseOffset - 1];
    if (gone !== undefined) assert.ok(nowMs - gone > 6 * hourMs, 'deleted too early');
    for (const each of [size, both]) {
      const bytes = each.segments.reduce((total, segment) => total + segment.bytes, 0);
      // One step of growth lies between the last check and now.
      assert.ok(bytes - each.segments[0]!.bytes < 20_000 + 1_000, `${each.topic}: ${bytes} bytes`);
    }
    const bytes = size.segments.reduce((total, segment) => total + segment.bytes, 0);
    if (mostGone.get(size.topic)! > 0) assert.ok(bytes >= 20_000, `${bytes} bytes are less than may be kept`);
    assert.equal(all.segments[0]!.baseOffset, 0);
  }
  for (const each of observed) await assertBeginsAt(client, each.topic, each.segments[0]!.baseOffset);
  // An hour's segment holds 12 records, one each five minutes.
  assert.ok(time.segments[0]!.baseOffset % 12 === 0 && time.segments[0]!.baseOffset >= 16 * 12);
  assert.ok(time.segments.length >= 6 && time.segments.length <= 8, `${time.segments.length}`);
  assert.ok(mostGone.get('by-size')! > 200 && mostGone.get('by-both')! > 230);
  // What went is off the disk, too, once its delay is over.
  await node.advance(deleteDelayMs);
  await node.advance(deleteDelayMs);
  for (const each of observed) assert.ok(each.retiredCount === 0, `${each.topic}: ${each.retiredCount} files`);
  // And a restart finds the same beginning.
  const before = observed.map((each) => each.segments[0]!.baseOffset);
  await node.restart();
  const after = await node.client();
  for (const [index, each] of observed.entries()) await assertBeginsAt(after, each.topic, before[index]!);
  await node.stop();
});

test('what nobody writes to any more goes whole, the active segment too, and the offsets go on', async () => {
  const node = await TestNode.start({ settings });
  const client = await node.client();
  await client.createTopic('left', { 'retention.ms': `${6 * hourMs}` });
  const left = new Observed(node, 'left');
  for (let count = 0; count < 10; count++) await append(client, left, nowOf(node));
  await node.advance(6 * hourMs - minuteMs);
  assert.deepEqual(
    left.segments.map(({ baseOffset }) => baseOffset),
    [0],
  );
  await node.advance(minuteMs + checkMs + 2_000);
  assert.deepEqual(left.segments, [{ baseOffset: 10, bytes: 0, largestTimestamp: -1 }]);
  assert.deepEqual([await client.offset('left', -2), await client.offset('left', -1)], [10, 10]);
  // An empty segment has no age.
  await node.advance(7 * hourMs);
  assert.deepEqual(
    left.segments.map(({ baseOffset }) => baseOffset),
    [10],
  );
  assert.equal((await client.produce('left', ['more'])).baseOffset, 10);
  assert.deepEqual(await client.fetch('left', { offset: 10 }), ['more']);
  await node.stop();
});

test('a timestamp of the future keeps its segment and all behind it, until its time has come', async () => {
  const node = await TestNode.start({ settings });
  const client = await node.client();
  const configs = { 'retention.ms': `${2 * hourMs}`, 'segment.ms': `${hourMs}` };
  await client.createTopic('ahead', { ...configs, 'message.timestamp.after.max.ms': `${100 * hourMs}` });
  const ahead = new Observed(node, 'ahead');
  await append(client, ahead, nowOf(node) + 10 * hourMs);
  for (let count = 0; count < 11; count++) {
    await node.advance(hourMs);
    await append(client, ahead, nowOf(node));
  }
  assert.equal(await client.offset('ahead', -2), 0);
  await node.advance(hourMs + checkMs + 2_000);
  const startOffset = await client.offset('ahead', -2);
  assert.ok(startOffset > 0);
  assert.ok(ahead.timestamps.slice(0, startOffset).every((timestamp) => nowOf(node) - timestamp > 2 * hourMs));
  await node.stop();
});

test('compaction alone deletes nothing for its age; with delete, old keys go as well', async () => {
  const node = await TestNode.start({ settings });
  const client = await node.client();
  const shared = {
    'retention.ms': `${6 * hourMs}`,
    'segment.ms': `${hourMs}`,
    'min.cleanable.dirty.ratio': '0.01',
    'internal.segment.bytes': '1000',
  };
  // So large that compaction cannot put it into one segment with others, whose age would then be its own.
  const atMidnight = 'at midnight'.padEnd(800);
  await client.createTopic('latest', { ...shared, 'cleanup.policy': 'compact' });
  await client.createTopic('latest-of-late', { ...shared, 'cleanup.policy': 'compact,delete' });
  const put = async (topic: string, key: string, value: string): Promise<void> => {
    const record = { timestamp: nowOf(node), key: Buffer.from(key), value: Buffer.from(value) };
    const partitionData = [{ index: 0, records: new Uint8Array(buildBatch({ records: [record] })) }];
    const topicData = [{ name: topic, topicId: await client.topicId(topic), partitionData }];
    const { responses } = await client.ask(Produce, { acks: -1, timeoutMs: 30_000, topicData });
    assert.equal(errorName(responses[0]!.partitionResponses[0]!.errorCode), 'NONE');
  };
  const valuesOf = async (topic: string): Promise<Set<string>> => {
    const values = new Set<string>();
    const endOffset = await client.offset(topic, -1);
    for (let offset = await client.offset(topic, -2); offset < endOffset; offset++) {
      const response = await client.ask(Fetch, await client.fetchRequest(topic, { offset }));
      for (const value of valuesIn(response)) values.add(value);
    }
    return values;
  };
  for (let hour = 0; hour < 24; hour++) {
    for (const topic of ['latest', 'latest-of-late']) {
      if (hour === 0) await put(topic, 'once', atMidnight);
      for (let count = 0; count < 4; count++) await put(topic, `key ${count}`, `${hour}:${count}`);
    }
    await node.advance(hourMs);
  }
  const latest = await valuesOf('latest');
  assert.ok(latest.has(atMidnight));
  for (let count = 0; count < 4; count++) assert.ok(latest.has(`23:${count}`) && !latest.has(`2:${count}`));
  assert.equal(await client.offset('latest', -2), 0);
  const late = await valuesOf('latest-of-late');
  assert.ok(!late.has(atMidnight));
  for (let count = 0; count < 4; count++) assert.ok(late.has(`23:${count}`));
  assert.ok((await client.offset('latest-of-late', -2)) > 0);
  await node.stop();
});
