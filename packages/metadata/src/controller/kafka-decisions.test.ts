/**
 * Random histories of five brokers that Kafka's own controller has decided: after each of its steps ours, in the same state, must decide on
 * the same records and give the same answer. test/interop/controller-decisions makes them.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import process from 'node:process';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { type BrokerHeartbeatRequest, KafkaError, type MetadataRecord } from '@ottla/protocol';
import { comparableRecords, type RecordInJson, recordFromJson } from '../../test/logged-record.ts';
import { clusterId, seededRandom } from '../../test/test-controller.ts';
import { parseBrokerConfig } from '../configs/index.ts';
import { MetadataImage } from '../image/metadata-image.ts';
import { BrokerConfigSchema } from './broker-config-schema.ts';
import * as brokers from './broker-registrations.ts';
import { BrokerSessions } from './broker-sessions.ts';
import { incrementalAlterConfigs } from './configs.ts';
import { type ControllerState, defaultControllerSettings } from './controller-state.ts';
import type { Decision, DecisionContext } from './decision.ts';
import { assignReplicasToDirectories } from './directories.ts';
import { balanceLeaders, electLeaders, electUncleanLeaders } from './elections.ts';
import { updateFeatures } from './feature-updates.ts';
import { fencing } from './fencing.ts';
import { alterPartition } from './in-sync-replicas.ts';
import { alterPartitionReassignments } from './reassignments.ts';
import { createPartitions, createTopics, deleteTopics } from './topics.ts';

type Step = {
  readonly op: string;
  readonly nowMs: number;
  readonly offset: number;
  readonly records: readonly RecordInJson[];
  readonly request?: never;
  readonly response?: Record<string, unknown>;
  readonly error?: string;
  // Where the request is not a request as it is on the wire.
  readonly brokerId: number;
  readonly name: string;
  readonly resourceType: number;
  readonly resourceName: string;
  readonly configOperation: number;
  readonly value?: string;
  readonly feature: string;
  readonly level: number;
  readonly upgradeType: number;
};

const schema = new BrokerConfigSchema(
  parseBrokerConfig({
    'node.id': '1',
    'process.roles': 'controller',
    'controller.listener.names': 'CONTROLLER',
    listeners: 'CONTROLLER://localhost:9093',
    'controller.quorum.bootstrap.servers': 'localhost:9093',
  }),
);

function freshState(): ControllerState {
  return {
    image: new MetadataImage(),
    sessions: new BrokerSessions(9_000),
    schema,
    settings: { ...defaultControllerSettings, clusterId, nodeId: 1, controllerIds: [1] },
  };
}

function replay({ image, sessions }: ControllerState, record: MetadataRecord, offset: number): void {
  image.replay(record, offset);
  if (record.type === 'RegisterBrokerRecord') sessions.registered(record.value.brokerId, offset);
  if (record.type === 'UnregisterBrokerRecord') sessions.unregistered(record.value.brokerId);
  if (record.type === 'BrokerRegistrationChangeRecord' && record.value.fenced > 0) sessions.end(record.value.brokerId);
}

const noAnswer = { response: {} };

function decide(state: ControllerState, step: Step, context: DecisionContext): Decision<object> {
  const { request } = step;
  switch (step.op) {
    case 'registerBroker':
      return brokers.registerBroker(state, request!, context);
    case 'brokerHeartbeat': {
      const heartbeat: object = { offlineLogDirs: [], cordonedLogDirs: null, ...(request as object | undefined) };
      return shutDownBehindAllOfKafka(state, step, () => brokers.brokerHeartbeat(state, heartbeat as never, context));
    }
    case 'unregisterBroker':
      return brokers.unregisterBroker(state, step);
    case 'fenceStale':
      return { records: fenceAsKafka(state, step), ...noAnswer };
    case 'createTopics':
      return createTopics(state, request!, context);
    case 'deleteTopics':
      return deleteTopics(state, {
        topics: [{ name: step.name, topicId: 'AAAAAAAAAAAAAAAAAAAAAA' }],
        topicNames: [],
        timeoutMs: 0,
      });
    case 'createPartitions':
      return createPartitions(state, request!, context);
    case 'alterPartition':
      return alterPartition(state, withLists(request!));
    case 'alterPartitionReassignments':
      return alterPartitionReassignments(state, request!);
    case 'electLeaders':
      return electLeaders(state, request!);
    case 'balanceLeaders':
      return { ...balanceLeaders(state, 1_000), ...noAnswer };
    case 'electUncleanLeaders':
      return { ...electUncleanLeaders(state, 1_000), ...noAnswer };
    case 'assignReplicasToDirs':
      return assignReplicasToDirectories(state, request!);
    case 'setConfig': {
      const { resourceType, resourceName, name, configOperation, value = null } = step;
      const resources = [{ resourceType, resourceName, configs: [{ name, configOperation, value }] }];
      return incrementalAlterConfigs(state, { resources, validateOnly: false });
    }
    case 'updateFeatures': {
      const { feature, level: maxVersionLevel, upgradeType } = step;
      const featureUpdates = [{ feature, maxVersionLevel, upgradeType, allowDowngrade: false }];
      return updateFeatures(state, { featureUpdates, timeoutMs: 0, validateOnly: false }, context);
    }
    default:
      throw new Error(`no step ${step.op}`);
  }
}

/** Where ours needs fewer records the log ends elsewhere, and with it what others must have heard before the broker may go. */
function shutDownBehindAllOfKafka<T>({ sessions }: ControllerState, step: Step, heartbeat: () => Decision<T>): Decision<T> {
  const { brokerId, brokerEpoch, currentMetadataOffset } = step.request as unknown as BrokerHeartbeatRequest;
  const wasShuttingDown = sessions.isShuttingDown(brokerId);
  const decision = heartbeat();
  const isEndElsewhere = decision.records.length !== step.records.length;
  if (isEndElsewhere && !wasShuttingDown && sessions.isShuttingDown(brokerId)) {
    sessions.end(brokerId);
    sessions.touch(brokerId, brokerEpoch, step.nowMs, currentMetadataOffset);
    sessions.enteredShutdown(brokerId, step.offset + step.records.length);
  }
  return decision;
}

/** Who of several goes first is up to a hash table. */
function fenceAsKafka(state: ControllerState, { records, nowMs }: Step): MetadataRecord[] {
  const fence = records.find(({ type }) => type === 'BROKER_REGISTRATION_CHANGE_RECORD');
  if (!fence) return [];
  const { brokerId } = fence.data as { brokerId: number };
  const broker = state.image.brokers.get(brokerId)!;
  assert.ok(!state.sessions.isValid(brokerId, broker.epoch, nowMs));
  state.sessions.end(brokerId);
  return fencing(state, broker).records;
}

/** Version 3 has no newIsr: our codec leaves the list empty. */
function withLists(request: { topics: { partitions: object[] }[] }): never {
  const topics = request.topics.map((topic) => ({
    ...topic,
    partitions: topic.partitions.map((partition) => ({ newIsr: [], ...partition })),
  }));
  return { ...request, topics } as never;
}

/** Ours tells the whole response, Kafka's what its request version has. */
function sameAnswer(step: Step, response: object): [unknown, unknown] {
  const expected = { ...step.response };
  const all = { ...response } as Record<string, unknown>;
  let actual = all;
  const single = (all['topics'] ?? all['results'] ?? all['responses']) as Record<string, unknown>[] | undefined;
  if (['createTopics', 'createPartitions', 'setConfig'].includes(step.op)) actual = single![0]!;
  if (step.op === 'updateFeatures') actual = all['errorCode'] !== 0 || !single?.length ? all : single[0]!;
  // Kafka's handler puts the same before it, which is not asked here.
  const message = actual['errorMessage'];
  if (step.op === 'updateFeatures' && typeof message === 'string')
    actual = {
      ...actual,
      errorMessage: message.replace(/^The update failed for all features since the following feature had an error: /, ''),
    };
  return [pick(actual, expected), pick(expected, expected)];
}

/** What of a value stands in the pattern, too; lists in the order of their text. */
function pick(value: unknown, pattern: unknown): unknown {
  if (Array.isArray(pattern) && Array.isArray(value)) {
    return value.map((each) => pick(each, pattern[0] ?? each)).sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
  }
  if (typeof pattern !== 'object' || pattern === null || typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.keys(pattern)
      .sort()
      .map((key) => [key, pick((value as never)[key], (pattern as never)[key])]),
  );
}

const file = process.env['OTTLA_CONTROLLER_DECISIONS'] ?? new URL('../../vectors/controller-decisions.jsonl.gz', import.meta.url);

test("after each step of Kafka's controller ours decides the same", () => {
  let state = freshState();
  let history = 0;
  const differences: string[] = [];
  const bytes = readFileSync(file);
  const lines = (bytes[0] === 0x1f ? gunzipSync(bytes) : bytes).toString().split('\n');
  lines.forEach((line, at) => {
    if (line === '') return;
    const step = JSON.parse(line) as Step;
    const written = step.records.map(recordFromJson);
    if (step.op === 'new') {
      state = freshState();
      history++;
    } else {
      try {
        compare(state, step, written, at);
      } catch (error) {
        if (!(error instanceof KafkaError && error.name === step.error))
          differences.push(`history ${history}, line ${at + 1}: ${step.op}: ${(error as Error).message}\n${line.slice(0, 1500)}`);
      }
    }
    written.forEach((record, index) => {
      replay(state, record, step.offset + index);
    });
  });
  assert.equal(
    differences.length,
    0,
    `${differences.length} differences in ${lines.length} steps:\n${differences.slice(0, Number(process.env['OTTLA_DIFFERENCES'] ?? 5)).join('\n\n')}`,
  );
});

function compare(state: ControllerState, step: Step, written: readonly MetadataRecord[], seed: number): void {
  const { records, response } = decide(state, step, { nowMs: step.nowMs, random: seededRandom(seed), nextOffset: step.offset });
  const brokerId = Number(step.request?.['brokerId']);
  // A broker that was let go may come back at once; Kafka's waits until its session would have ended.
  const isLetGo = state.image.brokers.get(brokerId)?.inControlledShutdown || !state.sessions.has(brokerId);
  if (step.error === 'DUPLICATE_BROKER_REGISTRATION' && isLetGo) return;
  // Unfenced and without a directory by one heartbeat, which no broker sends: Kafka's two answers to it contradict each other.
  const { offlineLogDirs = [] } = (step.request ?? {}) as { offlineLogDirs?: string[] };
  if (state.image.brokers.get(brokerId)?.fenced && offlineLogDirs.length > 0) return;
  if (step.op === 'createPartitions' && hasUnevenReplicas(state, step.request!)) return;
  // Kafka fails where the last leader known is no replica any more.
  if (step.op === 'alterPartitionReassignments' && JSON.stringify(step.response).includes('"errorCode":-1')) return;
  if (hasLeaderOutOfSync(state)) return;
  // Kafka may write a change twice where a heartbeat has two consequences for a partition.
  const matter = (each: readonly MetadataRecord[]) =>
    comparableRecords(withoutRepetition(each.flatMap((record) => whatMatters(state, record, step))));
  assert.deepEqual(matter(withTopicIdsOf(records, written)), matter(written));
  assert.equal(step.error, undefined);
  assert.deepEqual(...sameAnswer(step, response));
}

function withoutRepetition(records: readonly MetadataRecord[]): MetadataRecord[] {
  return [...new Map(records.map((record) => [JSON.stringify(record), record])).values()];
}

/** As while one is reassigned. Which partition then says how many replicas a new one has is up to a hash table in Kafka; ours asks the first. */
function hasUnevenReplicas({ image }: ControllerState, { topics }: { topics: { name: string }[] }): boolean {
  const partitions = [...image.topics.byName(topics[0]!.name)!.partitions()];
  return new Set(partitions.map(([, { replicas }]) => replicas.length)).size > 1;
}

/** A state that follows from that heartbeat with two consequences, and that ours mends sooner. */
function hasLeaderOutOfSync({ image }: ControllerState): boolean {
  const partitions = [...image.topics].flatMap((topic) => [...topic.partitions()]);
  return partitions.some(([, { leader, isr }]) => leader >= 0 && !isr.includes(leader));
}

/** Nothing of a record that changes nothing. */
function whatMatters({ image }: ControllerState, record: MetadataRecord, { op, brokerId, request }: Step): MetadataRecord[] {
  const { type, value } = record;
  if (type === 'BrokerRegistrationChangeRecord') {
    // That all directories are offline Kafka tells by a list that means no change; and it fences who is fenced.
    const fences = value.fenced !== 0 && image.brokers.get(value.brokerId)?.fenced !== value.fenced > 0;
    const isChange = fences || value.inControlledShutdown !== 0 || value.logDirs.length > 0 || value.cordonedLogDirs !== null;
    return isChange ? [record] : [];
  }
  if (type !== 'PartitionChangeRecord') return [record];
  const { topicId, partitionId, ...rest } = value;
  const { isr, elr } = image.topics.byId(topicId)!.partition(partitionId)!;
  // Kafka leaves who is unregistered among the eligible leaders.
  if (op === 'unregisterBroker' && elr.includes(brokerId)) return [];
  // Kafka still looks for a broker in partitions whose eligible leaders were cleared by a ClearElr record.
  const goesOrComes = op === 'unregisterBroker' ? brokerId : op === 'registerBroker' ? Number(request!['brokerId']) : undefined;
  if (goesOrComes !== undefined && ![...isr, ...elr].includes(goesOrComes)) return [];
  const changesNothing = Object.values({ ...rest, leader: null }).every((field) => field === null || field === -1);
  return changesNothing && rest.leader === -2 ? [] : [record];
}

/** New topics have ids of their own. */
function withTopicIdsOf(records: readonly MetadataRecord[], written: readonly MetadataRecord[]): MetadataRecord[] {
  const own = records.find(({ type }) => type === 'TopicRecord');
  const theirs = written.find(({ type }) => type === 'TopicRecord');
  if (own?.type !== 'TopicRecord' || theirs?.type !== 'TopicRecord') return [...records];
  return JSON.parse(JSON.stringify(records).replaceAll(own.value.topicId, theirs.value.topicId));
}
