/** @confluentinc/kafka-javascript (librdkafka), driven by worker.mjs, through its promise API. */
import { bootstrap, Inbox, load, memberOperations, Positions, serve, text } from './worker.mjs';

const { KafkaJS } = load('@confluentinc/kafka-javascript');
const { ConsumerGroupStates, Kafka, logLevel } = KafkaJS;

const kafka = new Kafka({ 'bootstrap.servers': bootstrap, kafkaJS: { logLevel: logLevel.ERROR } });
const admin = kafka.admin();
await admin.connect();

async function produce({ topic, records, codec = 'none', acks = 'all', idempotent = false }) {
  const producer = kafka.producer({
    'compression.codec': codec,
    acks: { 0: 0, 1: 1, all: -1 }[acks],
    'enable.idempotence': idempotent,
    'linger.ms': 20,
  });
  await producer.connect();
  try {
    const messages = records.map(({ key, value, headers, partition, timestamp }) => ({
      key,
      value,
      partition,
      timestamp: timestamp === undefined ? undefined : String(timestamp),
      headers: Object.fromEntries(headers ?? []),
    }));
    await producer.send({ topic, messages });
  } finally {
    await producer.disconnect();
  }
}

function plain(partition, message) {
  const headers = Object.entries(message.headers ?? {}).flatMap(([name, value]) =>
    [value].flat().map((one) => [name, text(one)]),
  );
  const { offset, timestamp, key, value } = message;
  return { partition, offset: Number(offset), timestamp: Number(timestamp), key: text(key), value: text(value), headers };
}

function consumerOf({ group, clientId = 'confluent-javascript', assignor = 'range' }) {
  return kafka.consumer({
    'group.id': group,
    'client.id': clientId,
    'auto.offset.reset': 'earliest',
    'enable.auto.commit': false,
    'partition.assignment.strategy': assignor,
    'session.timeout.ms': 10_000,
    'heartbeat.interval.ms': 500,
  });
}

async function read({ topic, partition, start, count }) {
  let offset = start;
  if (start === 'earliest') offset = (await admin.fetchTopicOffsets(topic)).find((place) => place.partition === partition).low;
  else if (typeof start === 'object') {
    offset = (await admin.fetchTopicOffsetsByTimestamp(topic, start.timestamp)).find(
      (place) => place.partition === partition,
    ).offset;
  }
  const inbox = new Inbox();
  const consumer = consumerOf({ group: `read-${process.pid}-${Math.random()}` }); // its promise API reads in groups only
  await consumer.connect();
  try {
    await consumer.subscribe({ topics: [topic] });
    consumer.seek({ topic, partition, offset: String(offset) });
    await consumer.run({
      eachMessage: async ({ partition: from, message }) => {
        if (from === partition && Number(message.offset) >= Number(offset)) inbox.push(plain(from, message));
      },
    });
    return await inbox.take(count);
  } finally {
    await consumer.disconnect();
  }
}

async function join({ group, topics, assignor, clientId }) {
  const inbox = new Inbox();
  const positions = new Positions();
  const consumer = consumerOf({ group, clientId, assignor });
  await consumer.connect();
  await consumer.subscribe({ topics });
  await consumer.run({
    eachMessage: async ({ topic, partition, message }) => {
      positions.passed({ topic, partition, offset: message.offset });
      inbox.push(plain(partition, message));
    },
  });
  return {
    inbox,
    assignment: () => consumer.assignment().map(({ topic, partition }) => [topic, partition]),
    commit: () => commit(consumer, positions.all()),
    leave: () => consumer.disconnect(),
  };
}

/** The promise of commitOffsets() resolves when the request is on its way: waits until the broker tells the offsets back. */
async function commit(consumer, positions) {
  await consumer.commitOffsets(positions.map(([topic, partition, offset]) => ({ topic, partition, offset: String(offset) })));
  for (let attempts = 0; attempts < 100; attempts++) {
    const known = await consumer.committed(
      positions.map(([topic, partition]) => ({ topic, partition })),
      5000,
    );
    const arrived = ([topic, partition, offset]) =>
      known.some((one) => one.topic === topic && one.partition === partition && Number(one.offset) === offset);
    if (positions.every(arrived)) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error('the offsets did not arrive');
}

const stateNames = {
  [ConsumerGroupStates.STABLE]: 'Stable',
  [ConsumerGroupStates.EMPTY]: 'Empty',
  [ConsumerGroupStates.DEAD]: 'Dead',
};
const numbers = (places, field) => places.sort((a, b) => a.partition - b.partition).map((place) => Number(place[field]));

serve(
  {
    createTopic: async ({ topic, partitions, configs = {} }) => {
      const configEntries = Object.entries(configs).map(([name, value]) => ({ name, value }));
      const created = await admin.createTopics({
        topics: [{ topic, numPartitions: partitions, replicationFactor: 1, configEntries }],
      });
      if (!created) throw Object.assign(new Error('false: the topic exists already'), { code: 36 });
    },
    deleteTopic: ({ topic }) => admin.deleteTopics({ topics: [topic] }),
    topics: async () => (await admin.listTopics()).sort(),
    partitions: async ({ topic }) => (await admin.fetchTopicMetadata({ topics: [topic] }))[0].partitions.length,
    offsets: async ({ topic }) => {
      const places = await admin.fetchTopicOffsets(topic);
      return { earliest: numbers(places, 'low'), latest: numbers(places, 'high') };
    },
    deleteRecords: ({ topic, partition, before }) =>
      admin.deleteTopicRecords({ topic, partitions: [{ partition, offset: String(before) }] }).then(() => null),
    produce,
    read,
    ...memberOperations(join),
    committed: async ({ group, topic, partition }) => {
      const found = await admin.fetchOffsets({ groupId: group, topics: [{ topic, partitions: [partition] }] });
      const offset = Number(found[0]?.partitions.find((place) => place.partition === partition)?.offset ?? -1);
      return offset < 0 ? null : offset;
    },
    groups: async () => (await admin.listGroups()).groups.map((group) => group.groupId).sort(),
    describeGroup: async ({ group }) => {
      const { groups } = await admin.describeGroups([group]);
      if (groups[0].error) throw groups[0].error;
      return { state: stateNames[groups[0].state] ?? String(groups[0].state), members: groups[0].members.length };
    },
    deleteGroup: ({ group }) => admin.deleteGroups([group]).then(() => null),
  },
  (error) => error?.groups?.[0]?.error?.code ?? error?.errors?.[0]?.code ?? error?.code,
);
