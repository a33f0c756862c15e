import assert from 'node:assert/strict';
import { test } from 'node:test';
import { errors, type KafkaError, ListOffsets, Metadata, type MetadataResponse, OffsetFetch } from '@ottla/protocol';
import { Cluster } from '../cluster/cluster.ts';
import { interceptRequests } from '../testing/intercept-requests.ts';
import { SimulatedKafka } from '../testing/simulated-kafka.ts';
import type { Consumer } from './consumer.ts';

const [first, second] = [0, 1].map((partition) => ({ topic: 'log', partition })) as [Place, Place];
type Place = { readonly topic: string; readonly partition: number };

/** A topic of two partitions with a record in each. */
async function twoPartitions(): Promise<SimulatedKafka> {
  const simulation = await SimulatedKafka.start(1, { topics: [{ name: 'log', partitions: 2 }] });
  const producer = simulation.producer();
  await simulation.run(producer.sendAll([first, second].map((place) => ({ ...place, value: 'x' }))));
  await simulation.run(producer.close());
  return simulation;
}

/** What one poll after the other reads in this time, by partition. */
async function readFor(simulation: SimulatedKafka, consumer: Consumer, ms: number): Promise<number[]> {
  const { time } = simulation.world;
  const partitions: number[] = [];
  for (const endMs = time.nowMs + ms; time.nowMs < endMs; ) {
    for (const { partition } of await simulation.run(consumer.poll({ timeoutMs: 100 }))) partitions.push(partition);
  }
  return partitions;
}

/** A second member, which the first one does not keep waiting. */
async function joinedBeside(simulation: SimulatedKafka, consumer: Consumer): Promise<Consumer> {
  const other = simulation.consumer({ groupId: 'g' });
  other.subscribe(['log']);
  const others = [consumer, other].map(async (each) => {
    while (other.assignment.length === 0) await each.poll({ timeoutMs: 100 });
  });
  const beganMs = simulation.world.time.nowMs;
  await simulation.run(Promise.all(others));
  assert.ok(simulation.world.time.nowMs - beganMs < 10_000, 'the group waited for a position');
  return other;
}

for (const who of ['a member of a group', 'who was assigned its partitions'] as const) {
  test(`a partition without a leader does not keep ${who} from reading the others`, async (context) => {
    const simulation = await twoPartitions();
    let hasLeader = false;
    interceptRequests(context, async (api, send) => {
      const answer = await send();
      if (api !== Metadata || hasLeader) return answer;
      for (const { partitions } of (answer as MetadataResponse).topics) {
        for (const partition of partitions) if (partition.partitionIndex === 1) Object.assign(partition, { leaderId: -1 });
      }
      return answer;
    });
    const consumer = simulation.consumer({ groupId: 'g' });
    if (who === 'a member of a group') consumer.subscribe(['log']);
    else consumer.assign([first, second]);
    assert.deepEqual(await readFor(simulation, consumer, 5_000), [0]);
    hasLeader = true;
    assert.deepEqual(await readFor(simulation, consumer, 5_000), [1]);
    await simulation.run(Promise.all([consumer.close(), simulation.kafka.stop()]));
  });
}

test('a leader that refuses one partition is asked for it again, while the others are read and the group goes on', async (context) => {
  const simulation = await twoPartitions();
  let refusals = 0;
  interceptRequests(context, async (api, send) => {
    const answer = await send();
    if (api !== ListOffsets) return answer;
    for (const { partitions } of answer.topics) {
      for (const partition of partitions) {
        if (partition.partitionIndex !== 1) continue;
        Object.assign(partition, { errorCode: errors.NOT_LEADER_OR_FOLLOWER.code, offset: -1 });
        refusals++;
      }
    }
    return answer;
  });
  const consumer = simulation.consumer({ groupId: 'g' });
  consumer.subscribe(['log']);
  assert.deepEqual(await readFor(simulation, consumer, 5_000), [0]);
  assert.ok(refusals > 3 && refusals < 50, `it was asked ${refusals} times`);

  const other = await joinedBeside(simulation, consumer);
  await simulation.run(Promise.all([consumer.close(), other.close(), simulation.kafka.stop()]));
});

test('a coordinator that does not tell what is committed yet does not keep the member from joining again', async (context) => {
  const simulation = await twoPartitions();
  let isUnstable = true;
  interceptRequests(context, async (api, send) => {
    const answer = await send();
    if (api === OffsetFetch && isUnstable) {
      for (const { topics } of answer.groups) {
        for (const { partitions } of topics) {
          for (const partition of partitions) Object.assign(partition, { errorCode: errors.UNSTABLE_OFFSET_COMMIT.code });
        }
      }
    }
    return answer;
  });
  const consumer = simulation.consumer({ groupId: 'g' });
  consumer.subscribe(['log']);
  assert.deepEqual(await readFor(simulation, consumer, 2_000), []);
  const other = await joinedBeside(simulation, consumer);
  await simulation.run(other.close());
  isUnstable = false;
  assert.deepEqual((await readFor(simulation, consumer, 10_000)).sort(), [0, 1]);
  await simulation.run(Promise.all([consumer.close(), simulation.kafka.stop()]));
});

test('without a reset policy a partition that has no commit is told of, and the others are read', async () => {
  const simulation = await twoPartitions();
  const consumer = simulation.consumer({ groupId: 'g', autoOffsetReset: 'none' });
  consumer.assign([first, second]);
  await simulation.run(consumer.commit([{ ...first, offset: 0 }]));
  const read: number[] = [];
  const told = new Set<string>();
  for (let round = 0; round < 20; round++) {
    const polled = consumer.poll({ timeoutMs: 100 }).catch((error: KafkaError) => {
      told.add(`${error.name} ${error.message.split(' ')[0]}`);
      return [];
    });
    for (const { partition } of await simulation.run(polled)) read.push(partition);
  }
  assert.deepEqual([...told], ['OFFSET_OUT_OF_RANGE log-1']);
  assert.deepEqual(read, [0]);
  consumer.seek(second, 0);
  read.push(...(await readFor(simulation, consumer, 2_000)));
  assert.deepEqual(read.sort(), [0, 1]);
  await simulation.run(Promise.all([consumer.close(), simulation.kafka.stop()]));
});

test('where no record is as young as by_duration says, reading begins with the next', async () => {
  const simulation = await twoPartitions();
  await simulation.world.advance(60_000);
  const consumer = simulation.consumer({ autoOffsetReset: 'by_duration:PT1S' });
  consumer.assign([first]);
  assert.deepEqual(await readFor(simulation, consumer, 1_000), []);
  assert.equal(consumer.position(first), 1);
  await simulation.run(Promise.all([consumer.close(), simulation.kafka.stop()]));
});

test('a jump during the search for a position counts, not what the search finds', async () => {
  const simulation = await twoPartitions();
  for (let waitMs = 0; waitMs < 200; waitMs += 10) {
    const consumer = simulation.consumer();
    consumer.assign([first]);
    const polled = consumer.poll({ timeoutMs: 1_000 });
    await simulation.world.advance(waitMs);
    consumer.seekToEnd([first]);
    await simulation.run(polled);
    await readFor(simulation, consumer, 500);
    assert.equal(consumer.position(first), 1);
    await simulation.run(consumer.close());
  }
  await simulation.run(simulation.kafka.stop());
});

test('where nobody leads, another broker is asked who does', async (context) => {
  const simulation = await twoPartitions();
  interceptRequests(context, async (api, send) => {
    const answer = await send();
    if (api === ListOffsets)
      for (const { partitions } of answer.topics)
        for (const partition of partitions)
          Object.assign(partition, { errorCode: errors.NOT_LEADER_OR_FOLLOWER.code, offset: -1 });
    return answer;
  });
  const consumer = simulation.consumer({ groupId: 'g' });
  consumer.assign([first]);
  assert.deepEqual(await readFor(simulation, consumer, 1_000), []);
  const askAnother = context.mock.method(Cluster.prototype, 'askAnother');
  assert.deepEqual(await readFor(simulation, consumer, 5_000), []);
  assert.ok(askAnother.mock.callCount() > 0);
  await simulation.run(Promise.all([consumer.close(), simulation.kafka.stop()]));
});
