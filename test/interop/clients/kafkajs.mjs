/** KafkaJS, driven by worker.mjs. */
import { bootstrap, Inbox, load, memberOperations, Positions, serve, text } from './worker.mjs';

const { CompressionTypes, ConfigResourceTypes, Kafka, logLevel } = load('kafkajs');

const kafka = new Kafka({
  clientId: 'kafkajs',
  brokers: [bootstrap],
  logLevel: logLevel.ERROR,
  retry: { initialRetryTime: 50, retries: 6 },
});
const admin = kafka.admin();
await admin.connect();

const compression = { none: CompressionTypes.None, gzip: CompressionTypes.GZIP };

async function produce({ topic, records, codec = 'none', acks = 'all', idempotent = false }) {
  const producer = kafka.producer({ idempotent, allowAutoTopicCreation: false });
  await producer.connect();
  try {
    const messages = records.map(({ key, value, headers, partition, timestamp }) => ({
      key,
      value,
      partition,
      timestamp: timestamp === undefined ? undefined : String(timestamp),
      headers: Object.fromEntries(headers ?? []),
    }));
    await producer.send({ topic, messages, acks: { 0: 0, 1: 1, all: -1 }[acks], compression: compression[codec] });
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

async function read({ topic, partition, start, count }) {
  let offset = start;
  if (start === 'earliest') offset = (await admin.fetchTopicOffsets(topic)).find((place) => place.partition === partition).low;
  else if (typeof start === 'object') {
    offset = (await admin.fetchTopicOffsetsByTimestamp(topic, start.timestamp)).find(
      (place) => place.partition === partition,
    ).offset;
  }
  const inbox = new Inbox();
  const consumer = kafka.consumer({ groupId: `read-${process.pid}-${Math.random()}`, maxWaitTimeInMs: 200 }); // KafkaJS reads in groups only
  // Where a first attempt to join fails, run() is over before there is a group to seek in.
  const joined = new Promise((resolve) => consumer.on(consumer.events.GROUP_JOIN, resolve));
  await consumer.connect();
  try {
    await consumer.subscribe({ topic, fromBeginning: true });
    await consumer.run({
      autoCommit: false,
      eachMessage: async ({ partition: from, message }) => {
        if (from === partition && Number(message.offset) >= Number(offset)) inbox.push(plain(from, message));
      },
    });
    await joined;
    consumer.seek({ topic, partition, offset: String(offset) });
    return await inbox.take(count);
  } finally {
    await consumer.disconnect();
  }
}

async function join({ group, topics, clientId }) {
  const inbox = new Inbox();
  const positions = new Positions();
  let assigned = [];
  const client = new Kafka({ clientId: clientId ?? 'kafkajs', brokers: [bootstrap], logLevel: logLevel.NOTHING });
  const consumer = client.consumer({ groupId: group, sessionTimeout: 10_000, heartbeatInterval: 500, maxWaitTimeInMs: 200 });
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    assigned = Object.entries(payload.memberAssignment).flatMap(([topic, partitions]) => partitions.map((p) => [topic, p]));
  });
  consumer.on(consumer.events.CRASH, ({ payload }) => payload.restart || inbox.fail(payload.error));
  await consumer.connect();
  await consumer.subscribe({ topics, fromBeginning: true });
  await consumer.run({
    autoCommit: false,
    eachMessage: async ({ topic, partition, message }) => {
      positions.passed({ topic, partition, offset: message.offset });
      inbox.push(plain(partition, message));
    },
  });
  return {
    inbox,
    assignment: () => assigned,
    commit: () =>
      consumer.commitOffsets(positions.all().map(([topic, partition, offset]) => ({ topic, partition, offset: String(offset) }))),
    leave: () => consumer.disconnect(),
  };
}

async function topicConfig({ topic, name }) {
  const answer = await admin.describeConfigs({
    includeSynonyms: false,
    resources: [{ type: ConfigResourceTypes.TOPIC, name: topic }],
  });
  const entry = answer.resources[0].configEntries.find((config) => config.configName === name);
  return { value: entry.configValue, isDefault: entry.configSource !== 1 };
}

const numbers = (places, field) => places.sort((a, b) => a.partition - b.partition).map((place) => Number(place[field]));

serve(
  {
    cluster: async () => {
      const { clusterId, controller, brokers } = await admin.describeCluster();
      return {
        clusterId,
        controllerId: controller,
        brokers: brokers.map(({ nodeId, host, port }) => ({ id: nodeId, host, port })),
      };
    },
    createTopic: async ({ topic, partitions, configs = {} }) => {
      const configEntries = Object.entries(configs).map(([name, value]) => ({ name, value }));
      const created = await admin.createTopics({
        topics: [{ topic, numPartitions: partitions, replicationFactor: 1, configEntries }],
      });
      if (!created) throw Object.assign(new Error('false: the topic exists already'), { code: 36 });
    },
    deleteTopic: ({ topic }) => admin.deleteTopics({ topics: [topic] }),
    topics: async () => (await admin.listTopics()).sort(),
    partitions: async ({ topic }) => (await admin.fetchTopicMetadata({ topics: [topic] })).topics[0].partitions.length,
    addPartitions: ({ topic, total }) => admin.createPartitions({ topicPartitions: [{ topic, count: total }] }),
    topicConfig,
    setTopicConfig: ({ topic, name, value }) =>
      admin.alterConfigs({ resources: [{ type: ConfigResourceTypes.TOPIC, name: topic, configEntries: [{ name, value }] }] }),
    offsets: async ({ topic }) => {
      const places = await admin.fetchTopicOffsets(topic);
      return { earliest: numbers(places, 'low'), latest: numbers(places, 'high') };
    },
    deleteRecords: ({ topic, partition, before }) =>
      admin.deleteTopicRecords({ topic, partitions: [{ partition, offset: String(before) }] }),
    produce,
    read,
    ...memberOperations(join),
    committed: async ({ group, topic, partition }) => {
      const [found] = await admin.fetchOffsets({ groupId: group, topics: [topic] });
      const offset = Number(found.partitions.find((place) => place.partition === partition)?.offset ?? -1);
      return offset < 0 ? null : offset;
    },
    setGroupOffset: ({ group, topic, partition, offset }) =>
      admin.setOffsets({ groupId: group, topic, partitions: [{ partition, offset: String(offset) }] }),
    groups: async () => (await admin.listGroups()).groups.map((group) => group.groupId).sort(),
    describeGroup: async ({ group }) => {
      const { groups } = await admin.describeGroups([group]);
      return { state: groups[0].state, members: groups[0].members.length };
    },
    deleteGroup: ({ group }) => admin.deleteGroups([group]).then(() => null),
  },
  (error) => error?.code ?? error?.errors?.[0]?.code ?? error?.cause?.code ?? error?.groups?.[0]?.errorCode,
);
