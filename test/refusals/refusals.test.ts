import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { BrokerConnection } from '@ottla/network';
import { DescribeQuorum } from '@ottla/protocol';
import { type Address, World } from '@ottla/runtime';
import { startKafka } from '@ottla/testing';
import { type AskedNodes, type ListenerOf, until } from './asked-nodes.ts';
import { refusedBy, subjects } from './refusals.ts';

/** Three nodes in virtual time. */
async function nodesIn(world: World): Promise<AskedNodes> {
  const runtime = world.machine('nodes').boot();
  const kafka = await startKafka({ nodes: 3, host: 'nodes', port: 9092, runtime });
  const { network, timers, clock } = world.machine('client').boot();
  const connect = (address: Address) => BrokerConnection.connect({ network, timers, clock, clientId: 'test', address });
  const connections = new Map<string, BrokerConnection>();
  const brokers = kafka.bootstrapServers.split(',').map((each) => Number(each.split(':')[1]));
  for (const [index, port] of brokers.entries()) connections.set(`broker ${index + 1}`, await connect({ host: 'nodes', port }));
  const nodes: AskedNodes = {
    ids: [1, 2, 3],
    ask: ({ id, listener = 'broker' as ListenerOf }, api, version, request) =>
      connections.get(`${listener} ${id}`)!.send(api, request, { version }),
    pause: () => new Promise((resolve) => timers.after(20, resolve)),
  };
  const controllers = await until(nodes, 'the quorum is led', async () => {
    const asked = { topics: [{ topicName: '__cluster_metadata', partitions: [{ partitionIndex: 0 }] }] };
    const answer = await nodes.ask({ id: 1 }, DescribeQuorum, 2, asked);
    return answer.nodes.length === 3 ? answer.nodes : undefined;
  });
  for (const { nodeId, listeners } of controllers) connections.set(`controller ${nodeId}`, await connect(listeners[0]!));
  return nodes;
}

const schemas = join(import.meta.dirname, '../../packages/protocol/schemas/messages');

/** `Vote.topics.partitions.replicaEpoch`, of every request that a schema describes. */
function fieldsOf(schema: string): string[] {
  const name = /^api (\w+)/m.exec(schema)?.[1];
  const request = /^request .*\n((?: .*\n)*)/m.exec(schema)?.[1] ?? '';
  const path: { readonly depth: number; readonly field: string }[] = [];
  return request.split('\n').flatMap((line) => {
    const found = /^( +)(\w+):/.exec(line);
    if (!found) return [];
    const depth = found[1]!.length;
    while (path.length > 0 && path.at(-1)!.depth >= depth) path.pop();
    path.push({ depth, field: found[2]! });
    return [[name, ...path.map(({ field }) => field)].join('.')];
  });
}

/** Where an epoch is told that is not compared with any, or not to refuse. */
const notRefused: Readonly<Record<string, string>> = {
  'BrokerRegistration.previousBrokerEpoch': 'tells a clean shutdown from another: the isr and elr hang on it',
  'ControllerRegistration.incarnationId': 'the last one that registers is the one',
  'Fetch.topics.partitions.lastFetchedEpoch': 'answered with where the logs diverge',
  'FetchSnapshot.topics.partitions.snapshotId.epoch': 'names the snapshot',
  'OffsetCommit.topics.partitions.committedLeaderEpoch': 'kept with the offset',
  'OffsetForLeaderEpoch.topics.partitions.leaderEpoch': 'what is asked for',
  'ReadShareGroupStateSummary.topics.partitions.leaderEpoch': 'Kafka gives the summary whatever it is',
  'StreamsGroupHeartbeat.endpointInformationEpoch': 'tells what the member has heard of',
  'StreamsGroupHeartbeat.topology.epoch': 'a member of another topology is told so in its status',
  'TxnOffsetCommit.topics.partitions.committedLeaderEpoch': 'kept with the offset',
  'Vote.topics.partitions.lastOffsetEpoch': 'tells whose log is longer',
};

test('every field of a request that says an epoch or a cluster has a row, or a reason to have none', async () => {
  const told = readdirSync(schemas)
    .flatMap((file) => fieldsOf(readFileSync(join(schemas, file), 'utf8')))
    .filter((field) => /(epoch|generationId|incarnationId|clusterId)$|EpochOr|OrMemberEpoch/i.test(field.split('.').at(-1)!));
  const world = new World({ seed: 1 });
  const asked = await world.runUntil(
    (async () => {
      const nodes = await nodesIn(world);
      const rows = [];
      for (const of of Object.values(subjects)) rows.push(...(await of(nodes)).rows);
      return new Set(rows.map(({ field }) => field));
    })(),
    3_600_000,
  );
  assert.ok(told.length > 50, `only ${told.length} fields are found`);
  assert.deepEqual(
    told.filter((field) => !asked.has(field) && !(field in notRefused)),
    [],
  );
  assert.deepEqual(
    Object.keys(notRefused).filter((field) => !told.includes(field) || asked.has(field)),
    [],
  );
});

for (const [subject, of] of Object.entries(subjects)) {
  test(`epochs and clusters that are wrong are refused by ${subject}, and change nothing`, async () => {
    const world = new World({ seed: 1 });
    const refused = await world.runUntil((async () => refusedBy(await of(await nodesIn(world))))(), 3_600_000);
    assert.deepEqual(
      refused.map(({ row, said }) => `${row}: ${said}`),
      refused.map(({ row, expected }) => `${row}: ${expected}`),
    );
  });
}
