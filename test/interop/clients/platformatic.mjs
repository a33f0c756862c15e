/** @platformatic/kafka, driven by worker.mjs. */
import { bootstrap, Inbox, load, memberOperations, Positions, serve, text } from './worker.mjs';

const { Admin, Consumer, Producer, stringSerializers } = load('@platformatic/kafka');

const common = { clientId: 'platformatic', bootstrapBrokers: [bootstrap], metadataMaxAge: 500 };
const admin = new Admin(common);
const topicResource = 2;
const setOperation = 0;

async function produce({ topic, records, codec = 'none', acks = 'all', idempotent = false }) {
  const producer = new Producer({ ...common, serializers: stringSerializers });
  try {
    const messages = records.map(({ key, value, headers, partition, timestamp }) => ({
      topic,
      key: key ?? undefined,
      value: value ?? undefined,
      partition,
      timestamp: timestamp === undefined ? undefined : BigInt(timestamp),
      headers: new Map(headers ?? []),
    }));
    await producer.send({ messages, compression: codec, acks: { 0: 0, 1: 1, all: -1 }[acks], idempotent });
  } finally {
    await producer.close();
  }
}

function plain({ partition, offset, timestamp, key, value, headerEntries }) {
  const headers = headerEntries.map(([name, data]) => [text(name), text(data)]);
  return { partition, offset: Number(offset), timestamp: Number(timestamp), key: text(key), value: text(value), headers };
}

async function offsetsAt(topic, timestamp) {
  const partitions = await partitionsOf({ topic });
  const asked = Array.from({ length: partitions }, (_, partitionIndex) => ({ partitionIndex, timestamp: BigInt(timestamp) }));
  const [found] = await admin.listOffsets({ topics: [{ name: topic, partitions: asked }] });
  return found.partitions.sort((a, b) => a.partitionIndex - b.partitionIndex).map(({ offset }) => Number(offset));
}

async function read({ topic, partition, start, count }) {
  const earliest = await offsetsAt(topic, -2);
  if (typeof start === 'object') earliest[partition] = (await offsetsAt(topic, start.timestamp))[partition];
  else if (typeof start === 'number') earliest[partition] = start;
  const inbox = new Inbox();
  const consumer = new Consumer({ ...common, groupId: `read-${process.pid}-${Math.random()}`, maxWaitTime: 500 }); // it reads in groups only
  try {
    const offsets = earliest.map((offset, index) => ({ topic, partition: index, offset: BigInt(offset) }));
    const stream = await consumer.consume({ topics: [topic], mode: 'manual', offsets, autocommit: false });
    stream.on('error', (error) => inbox.fail(error));
    stream.on('data', (message) => message.partition === partition && inbox.push(plain(message)));
    return await inbox.take(count);
  } finally {
    await consumer.close(true);
  }
}

async function join({ group, topics, assignor = 'roundrobin', clientId }) {
  const inbox = new Inbox();
  const positions = new Positions();
  const consumer = new Consumer({
    ...common,
    clientId: clientId ?? 'platformatic',
    groupId: group,
    sessionTimeout: 10_000,
    rebalanceTimeout: 10_000,
    heartbeatInterval: 500,
    maxWaitTime: 300,
    protocols: [{ name: assignor, version: 0 }],
  });
  const stream = await consumer.consume({ topics, mode: 'committed', fallbackMode: 'earliest', autocommit: false });
  stream.on('error', (error) => inbox.fail(error));
  stream.on('data', (message) => {
    positions.passed(message);
    inbox.push(plain(message));
  });
  return {
    inbox,
    assignment: () => (consumer.assignments ?? []).flatMap(({ topic, partitions }) => partitions.map((p) => [topic, p])),
    commit: () =>
      consumer.commit({
        offsets: positions
          .all()
          .map(([topic, partition, offset]) => ({ topic, partition, offset: BigInt(offset), leaderEpoch: 0 })),
      }),
    leave: () => consumer.close(true),
  };
}

async function partitionsOf({ topic }) {
  const metadata = await admin.metadata({ topics: [topic], forceUpdate: true });
  return metadata.topics.get(topic).partitionsCount;
}

async function topicConfig({ topic, name }) {
  const [answer] = await admin.describeConfigs({
    resources: [{ resourceType: topicResource, resourceName: topic, configurationKeys: [name] }],
  });
  return { value: answer.configs[0].value, isDefault: answer.configs[0].configSource !== 1 };
}

/** The library wraps what the broker said in several layers. */
function errorCode(error) {
  if (!error) return null;
  if (typeof error.apiCode === 'number') return error.apiCode;
  for (const inner of [...(error.errors ?? []), error.cause]) {
    const code = errorCode(inner);
    if (code !== null) return code;
  }
  return null;
}

serve(
  {
    cluster: async () => {
      const metadata = await admin.metadata({ topics: [], forceUpdate: true });
      const brokers = [...metadata.brokers].map(([id, { host, port }]) => ({ id, host, port }));
      return { clusterId: metadata.id, controllerId: metadata.controllerId, brokers };
    },
    createTopic: ({ topic, partitions, configs = {} }) => {
      const entries = Object.entries(configs).map(([name, value]) => ({ name, value }));
      return admin.createTopics({ topics: [topic], partitions, replicas: 1, configs: entries }).then(() => null);
    },
    deleteTopic: ({ topic }) => admin.deleteTopics({ topics: [topic] }),
    topics: async () => (await admin.listTopics({ includeInternals: true })).sort(),
    partitions: partitionsOf,
    addPartitions: ({ topic, total }) => admin.createPartitions({ topics: [{ name: topic, count: total }] }),
    topicConfig,
    setTopicConfig: ({ topic, name, value }) =>
      admin.incrementalAlterConfigs({
        resources: [
          { resourceType: topicResource, resourceName: topic, configs: [{ name, value, configOperation: setOperation }] },
        ],
      }),
    offsets: async ({ topic }) => ({ earliest: await offsetsAt(topic, -2), latest: await offsetsAt(topic, -1) }),
    deleteRecords: ({ topic, partition, before }) =>
      admin.deleteRecords({ topics: [{ name: topic, partitions: [{ partition, offset: BigInt(before) }] }] }).then(() => null),
    produce,
    read,
    ...memberOperations(join),
    committed: async ({ group, topic, partition }) => {
      const [found] = await admin.listConsumerGroupOffsets({ groups: [group] });
      const place = found.topics.find(({ name }) => name === topic)?.partitions.find((one) => one.partitionIndex === partition);
      return place === undefined || place.committedOffset < 0n ? null : Number(place.committedOffset);
    },
    setGroupOffset: ({ group, topic, partition, offset }) =>
      admin.alterConsumerGroupOffsets({
        groupId: group,
        topics: [{ name: topic, partitionOffsets: [{ partition, offset: BigInt(offset) }] }],
      }),
    groups: async () => [...(await admin.listGroups()).keys()].sort(),
    describeGroup: async ({ group }) => {
      const { state, members } = (await admin.describeGroups({ groups: [group] })).get(group);
      return { state: state.replace(/^./, (first) => first.toUpperCase()).toString(), members: members.size };
    },
    deleteGroup: ({ group }) => admin.deleteGroups({ groups: [group] }),
  },
  errorCode,
);
