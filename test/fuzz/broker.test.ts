/**
 * Frames that were valid once, of every API and version that a broker and a controller advertise, spoiled in every way: the broker answers them
 * or closes that connection, complains of nothing, and serves everybody else as before.
 *
 * `FUZZ_SEED=n` replays a run, `FUZZ_SEED=random` looks for what the usual seed does not find, `FUZZ_SECONDS=n` looks longer,
 * `FUZZ_APIS=Produce,Fetch` at some only.
 */
import assert from 'node:assert/strict';
import process from 'node:process';
import { after, before, test } from 'node:test';
import { servedVersions } from '@ottla/broker';
import {
  AlterClientQuotas,
  AlterUserScramCredentials,
  type Api,
  ApiVersions,
  apiByKey,
  buildBatch,
  CreatePartitions,
  CreateTopics,
  DeleteGroups,
  DescribeQuorum,
  Fetch,
  FindCoordinator,
  IncrementalAlterConfigs,
  InitProducerId,
  JoinGroup,
  ListGroups,
  ListTransactions,
  Metadata,
  OffsetCommit,
  Produce,
  Reader,
  readRequestHeader,
  readResponseHeader,
  UnregisterBroker,
  type Writable,
  Writer,
  writeRequestHeader,
  writeSubscription,
  ZERO_UUID,
} from '@ottla/protocol';
import { MemoryFiles, nodeRuntime, SeededRandom } from '@ottla/runtime';
import { type Kafka, startKafka } from '@ottla/testing';
import { Connection } from '../interop/targets/connection.ts';
import { inventedFrame, type World } from './inventor.ts';
import { bodyMutations, framingMutations, withSize } from './mutations.ts';
import { WatchedLogger } from './watched-logger.ts';

const asked = process.env['FUZZ_SEED'] ?? '20261121';
const seed = asked === 'random' ? Math.floor(Math.random() * 2 ** 31) : Number(asked);
const chosen = process.env['FUZZ_APIS']?.split(',');
const seconds = Number(process.env['FUZZ_SECONDS'] ?? '8');

/** Valid ones, that only ask for strange things, come first: a spoiled one often ends its connection. */
const VALID_FRAMES = 4;
const SPOILED_FRAMES = 3;
const MAX_PARTITIONS = 8;
const KNOWN_MEMBERS = 6;
const MAX_MEMORY_GROWTH = 400 << 20;

const logger = new WatchedLogger();
const files = new MemoryFiles();
let kafka: Kafka;
let port: number;

async function start(): Promise<void> {
  const runtime = nodeRuntime({ logger, files });
  kafka = await startKafka({ runtime: { ...runtime, random: new SeededRandom(seed) }, settings });
  port = Number(kafka.bootstrapServers.split(':')[1]);
}

/** Whatever has a time to wait for should come to its end while the test looks on. */
const settings: Readonly<Record<string, string>> = {
  'group.min.session.timeout.ms': '1',
  'group.consumer.min.session.timeout.ms': '500',
  'group.consumer.session.timeout.ms': '500',
  'group.consumer.min.heartbeat.interval.ms': '100',
  'group.consumer.heartbeat.interval.ms': '100',
  'group.consumer.assignment.interval.ms': '10',
  'group.share.min.session.timeout.ms': '500',
  'group.share.session.timeout.ms': '500',
  'group.share.min.heartbeat.interval.ms': '100',
  'group.share.heartbeat.interval.ms': '100',
  'group.share.min.record.lock.duration.ms': '1000',
  'group.share.record.lock.duration.ms': '1000',
  'group.streams.min.session.timeout.ms': '500',
  'group.streams.session.timeout.ms': '500',
  'group.streams.min.heartbeat.interval.ms': '100',
  'group.streams.heartbeat.interval.ms': '100',
  'group.streams.initial.rebalance.delay.ms': '10',
  'transaction.state.log.num.partitions': '2',
  'transaction.state.log.replication.factor': '1',
  'transaction.state.log.min.isr': '1',
  'transaction.abort.timed.out.transaction.cleanup.interval.ms': '100',
  'share.coordinator.state.topic.num.partitions': '2',
  'share.coordinator.state.topic.replication.factor': '1',
  'share.coordinator.state.topic.min.isr': '1',
  'ottla.telemetry.directory': 'client-metrics',
};

before(start);
after(() => kafka?.stop());

test(`spoiled frames leave a broker unmoved (FUZZ_SEED=${seed})`, { timeout: (seconds + 60) * 1000 }, async () => {
  const random = new SeededRandom(seed);
  let health = new Health(await Connection.open(port));
  const topicId = await health.topicId('healthy');
  const world = worldOf(random, [await health.topicId('fuzz-a'), await health.topicId('fuzz-b')]);
  await health.check(topicId, 0);
  const before = process.memoryUsage();
  const controllerPort = await health.controllerPort();
  const versions = [...versionsServed('broker', port), ...versionsServed('controller', controllerPort)].filter(
    ({ api }) => chosen?.includes(api.name) ?? true,
  );
  const deadline = performance.now() + seconds * 1000;
  let [round, sent, answered] = [0, 0, 0];
  let last = '';
  try {
    while (performance.now() < deadline) {
      for (const { api, version, to } of versions) {
        if (round > 0 && performance.now() > deadline) break;
        last = `${api.name} v${version}, round ${round}`;
        const outcome = await spoil({ api, version, to }, random, world);
        sent += outcome.sent;
        answered += outcome.answered;
        assert.deepEqual(logger.complaints, []);
        if (random.below(8) === 0) await health.check(topicId, sent);
      }
      await health.check(topicId, sent);
      round++;
    }
    // What still waits is given up now.
    await new Promise((resolve) => setTimeout(resolve, 200));
    await health.check(topicId, sent);
    assert.deepEqual(logger.complaints, []);
    const inventory = await health.inventory();
    await kafka.stop();
    await start();
    health = new Health(await Connection.open(port));
    await health.check(topicId, sent);
    assert.deepEqual(await health.inventory(), inventory, 'what coordinators keep is what they load');
    assert.deepEqual(logger.complaints, []);
  } catch (error) {
    throw new Error(`FUZZ_SEED=${seed}: after ${sent} frames, the last ones ${last}`, { cause: error });
  }
  // Were all of them closed upon, nothing behind the codecs would have been tried.
  assert.ok(answered > sent / 10, `${answered} of ${sent} frames were answered`);
  const { rss } = process.memoryUsage();
  assert.ok(rss - before.rss < MAX_MEMORY_GROWTH, `memory grew from ${before.rss >> 20} to ${rss >> 20} MiB`);
  console.log(
    `${sent} frames of ${versions.length} API versions in ${round} rounds, ${answered} answered, memory ${before.rss >> 20} to ${rss >> 20} MiB`,
  );
});

test('texts that grow when they are decoded, and are then too long to be written, are refused', async () => {
  const health = new Health(await Connection.open(port));
  const topicId = await health.topicId('unmoved');
  const placeholder = '~'.repeat(20_000);
  const entity = [{ entityType: 'user', entityName: placeholder }];
  const configs = [{ name: 'metrics', configOperation: 0, value: placeholder }];
  const offsets = [{ name: 'unmoved', partitions: [{ partitionIndex: 0, committedOffset: 1, committedMetadata: '' }] }];
  const requests: [Api, number, object][] = [
    [AlterClientQuotas as Api, 1, { entries: [{ entity, ops: [{ key: 'producer_byte_rate', value: 1, remove: false }] }] }],
    [
      AlterUserScramCredentials as Api,
      0,
      {
        upsertions: [
          { name: placeholder, mechanism: 1, iterations: 4096, salt: new Uint8Array(4), saltedPassword: new Uint8Array(32) },
        ],
      },
    ],
    [IncrementalAlterConfigs as Api, 1, { resources: [{ resourceType: 16, resourceName: 'subscription', configs }] }],
    [
      IncrementalAlterConfigs as Api,
      1,
      {
        resources: [
          { resourceType: 16, resourceName: placeholder, configs: [{ name: 'interval.ms', configOperation: 0, value: '1000' }] },
        ],
      },
    ],
    [OffsetCommit as Api, 8, { groupId: placeholder, topics: offsets }],
    [
      JoinGroup as Api,
      9,
      {
        groupId: placeholder,
        sessionTimeoutMs: 10_000,
        rebalanceTimeoutMs: 10_000,
        groupInstanceId: placeholder,
        protocolType: 'p',
        protocols: [{ name: 'p', metadata: new Uint8Array(1) }],
      },
    ],
    [DeleteGroups as Api, 2, { groupsNames: [placeholder] }],
    [CreateTopics as Api, 7, { topics: [{ name: placeholder, numPartitions: 1, replicationFactor: 1 }] }],
    [Metadata as Api, 12, { topics: [{ name: placeholder }] }],
    [FindCoordinator as Api, 4, { coordinatorKeys: [placeholder] }],
  ];
  for (const [api, version, request] of requests) {
    const writer = new Writer();
    writeRequestHeader(writer, api, version, 1, 'fuzz');
    api.request.write(writer, request, version);
    const frame = Buffer.from(writer.bytes());
    for (let at = 0; at < frame.length; at++) if (frame[at] === 0x7e) frame[at] = 0xff;
    const connection = await Connection.open(port);
    connection.writeFrame(frame);
    await connection.reply(1000);
    connection.close();
    await health.check(topicId, 0, 'unmoved');
  }
  assert.deepEqual(logger.complaints.splice(0), []);
});

test('a request that makes more metadata than fits into one batch is refused', async () => {
  const health = new Health(await Connection.open(port));
  const topicId = await health.topicId('small');
  const configs = [{ name: 'metrics', configOperation: 0, value: 'x'.repeat(30_000) }];
  const resources = Array.from({ length: 400 }, (_, index) => ({
    resourceType: 16,
    resourceName: `subscription-${index}`,
    configs,
  }));
  const answer = await health.ask(IncrementalAlterConfigs, 1, { resources });
  assert.ok(answer.responses.length > 0 && answer.responses.every(({ errorCode }) => errorCode !== 0));
  await health.check(topicId, 0, 'small');
  assert.deepEqual(logger.complaints.splice(0), []);
});

/** A few mutants of one version on one connection, and one that spoils the framing at the end. */
async function spoil(
  { api, version, to }: Served,
  random: SeededRandom,
  world: World,
): Promise<{ sent: number; answered: number }> {
  const names = Object.keys(bodyMutations);
  const connection = await Connection.open(to);
  let sent = 0;
  for (let index = 0; index < VALID_FRAMES + SPOILED_FRAMES; index++) {
    const frame = inventedFrame(api, version, random, world);
    if (!frame) continue;
    const spoiled = bodyMutations[names[random.below(names.length)]!]!;
    const mutant = index < VALID_FRAMES ? Buffer.from(frame) : spoiled(Buffer.from(frame), random);
    if (isTooMuch(mutant)) continue;
    connection.write(withSize(mutant));
    sent++;
  }
  const frame = inventedFrame(api, version, random, world);
  const framings = Object.values(framingMutations);
  if (frame && !isTooMuch(Buffer.from(frame)))
    connection.write(framings[random.below(framings.length)]!(Buffer.from(frame), random));
  const answered = await answersOn(connection, random.below(4) === 0 ? 20 : 2, world);
  connection.close();
  return { sent: sent + 1, answered };
}

/** How many answers come, until the broker ends the connection or is silent for a while. */
async function answersOn(connection: Connection, patienceMs: number, world: World): Promise<number> {
  for (let answers = 0; ; answers++) {
    const reply = await connection.reply(patienceMs);
    if (reply.kind !== 'answer') return answers;
    // The ids that members are given are good for more than one request.
    const memberId = /[\w-]*[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/.exec(Buffer.from(reply.frame).toString('latin1'))?.[0];
    if (memberId !== undefined && !world.memberIds.includes(memberId)) {
      world.memberIds.push(memberId);
      if (world.memberIds.length > KNOWN_MEMBERS) world.memberIds.shift();
    }
  }
}

type Served = { readonly api: Api; readonly version: number; readonly to: number };

function versionsServed(listener: 'broker' | 'controller', to: number): Served[] {
  return servedVersions(listener, { clientTelemetry: listener === 'broker' }).flatMap(({ apiKey, minVersion, maxVersion }) => {
    const api = apiByKey(apiKey)!;
    const first = Math.max(minVersion, api.minVersion);
    return Array.from({ length: maxVersion - first + 1 }, (_, index) => ({ api, version: first + index, to }));
  });
}

/** Requests that a broker would rightly follow, and the test rather not. */
function isTooMuch(frame: Buffer): boolean {
  try {
    const reader = new Reader(frame);
    const { apiKey, apiVersion } = readRequestHeader(reader);
    if (apiKey === CreateTopics.apiKey) {
      const { topics } = CreateTopics.request.read(reader, apiVersion);
      return topics.length > MAX_PARTITIONS || topics.some(({ numPartitions }) => numPartitions > MAX_PARTITIONS);
    }
    if (apiKey === CreatePartitions.apiKey)
      return CreatePartitions.request.read(reader, apiVersion).topics.some(({ count }) => count > MAX_PARTITIONS);
    if (apiKey === UnregisterBroker.apiKey) return true;
    return false;
  } catch {
    return false;
  }
}

function worldOf(random: SeededRandom, ids: readonly string[]): World {
  const value = (text: string) => ({ value: Buffer.from(text), timestamp: Date.now() });
  const batch = (options: object, ...texts: string[]) => buildBatch({ records: texts.map(value), ...options });
  return {
    names: [
      'fuzz-a',
      'fuzz-a',
      'fuzz-a',
      'fuzz-a',
      'fuzz-a',
      'fuzz-b',
      'group',
      'member',
      '',
      'a b',
      'x'.repeat(300),
      '\u{1f40b}',
      '1',
      'consumer',
      'range',
      'retention.ms',
      'cleanup.policy',
      'compact',
      'user',
      'producer_byte_rate',
      'metadata.version',
      'Stable',
      'root',
      'uniform',
      'fuzz-.*',
      '(',
      'Ongoing',
      'group:f3qa2q0ZQ5mZy1tJcKn0_A:0',
    ],
    memberIds: [],
    ids: [...ids, ZERO_UUID, 'f3qa2q0ZQ5mZy1tJcKn0_A'],
    payloads: [
      batch({}, 'a', 'b'),
      batch({ codec: 'gzip' }, 'a', 'b'),
      batch({ codec: 'lz4' }, 'a'),
      batch({ codec: 'snappy' }, 'a'),
      batch({ codec: 'zstd' }, 'a'),
      batch({ producerId: 1, producerEpoch: 0, baseSequence: 0 }, 'a'),
      ...[0, 1, 2, 3].map((producerId) => batch({ producerId, producerEpoch: 0, baseSequence: 0, isTransactional: true }, 'a')),
      Buffer.from('0a0b120912070a016d2a020a00', 'hex'),
      new Uint8Array(0),
      random.bytes(100),
      writeSubscription({ topics: ['fuzz-a'] }, 3),
    ],
  };
}

/** A client that minds its own business. */
class Health {
  readonly #connection: Connection;
  #correlationId = 0;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  async topicId(name: string): Promise<string> {
    const topic = { name, numPartitions: 2, replicationFactor: 1 };
    const created = await this.ask(CreateTopics, 7, { topics: [topic], timeoutMs: 10_000 });
    assert.equal(created.topics[0]!.errorCode, 0);
    return created.topics[0]!.topicId;
  }

  async controllerPort(): Promise<number> {
    const topics = [{ topicName: '__cluster_metadata', partitions: [{ partitionIndex: 0 }] }];
    const { nodes } = await this.ask(DescribeQuorum, 2, { topics });
    return nodes[0]!.listeners[0]!.port;
  }

  /** What coordinators have been told, and must not forget. */
  async inventory(): Promise<object> {
    const typesFilter = ['consumer', 'share', 'streams'];
    const { groups } = await this.ask(ListGroups, 5, { statesFilter: [], typesFilter });
    const { transactionStates } = await this.ask(ListTransactions, 2, { stateFilters: [], producerIdFilters: [] });
    return {
      groups: groups.map(({ groupId, groupType }) => `${groupType} ${groupId}`).sort(),
      transactions: transactionStates.map(({ transactionalId, producerId }) => `${producerId} ${transactionalId}`).sort(),
    };
  }

  /** Looks for the topic, writes a record and reads it back. */
  async check(topicId: string, count: number, topicName = 'healthy'): Promise<void> {
    await this.ask(ApiVersions, 3, { clientSoftwareName: 'health', clientSoftwareVersion: '1' });
    const described = await this.ask(Metadata, 12, { topics: [{ topicId, name: null }] });
    assert.deepEqual(
      described.topics.map(({ name, errorCode }) => ({ name, errorCode })),
      [{ name: topicName, errorCode: 0 }],
    );
    const { errorCode } = await this.ask(InitProducerId, 4, { transactionalId: null, transactionTimeoutMs: 1 });
    assert.equal(errorCode, 0);
    const records = buildBatch({ records: [{ value: Buffer.from(`${count}`), timestamp: Date.now() }] });
    const produced = await this.ask(Produce, 13, {
      acks: -1,
      timeoutMs: 5000,
      topicData: [{ topicId, partitionData: [{ index: 0, records }] }],
    });
    const written = produced.responses[0]!.partitionResponses[0]!;
    assert.equal(written.errorCode, 0);
    const fetched = await this.ask(Fetch, 16, {
      maxWaitMs: 1000,
      minBytes: 1,
      topics: [{ topicId, partitions: [{ partition: 0, fetchOffset: written.baseOffset, partitionMaxBytes: 1 << 20 }] }],
    });
    const read = Buffer.from(fetched.responses[0]!.partitions[0]!.records!);
    assert.ok(read.subarray(61).equals(Buffer.from(records).subarray(61)), 'what was read is what was written');
  }

  async ask<Request, Response>(api: Api<Request, Response>, version: number, request: Writable<Request>): Promise<Response> {
    const writer = new Writer();
    writeRequestHeader(writer, api as Api, version, ++this.#correlationId, 'health');
    api.request.write(writer, request, version);
    this.#connection.writeFrame(Buffer.from(writer.bytes()));
    const reply = await this.#connection.reply(10_000);
    assert.equal(reply.kind, 'answer', `${api.name} of an honest client`);
    const reader = new Reader((reply as { frame: Uint8Array }).frame);
    assert.equal(readResponseHeader(reader, api as Api, version), this.#correlationId);
    return api.response.read(reader, version);
  }
}
