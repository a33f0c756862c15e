/**
 * All that a node serves of its data, so that it can be laid beside what another one serves of the same directory: topics and
 * their settings, every batch and record, the offsets of each kind, where epochs end, which transactions were aborted, what is
 * known of producers, and the positions of groups.
 */
import {
  type BatchView,
  batchesOf,
  DescribeConfigs,
  DescribeProducers,
  Fetch,
  ListGroups,
  ListOffsets,
  Metadata,
  type MetadataResponse,
  OffsetFetch,
  OffsetForLeaderEpoch,
} from '@ottla/protocol';
import { eventually } from '../processes.ts';
import type { Plain } from '../same-answers/plain.ts';
import { type Entry, Probe } from '../same-answers/probe.ts';
import type { TargetNode } from '../targets/node.ts';

type Topic = MetadataResponse['topics'][number];
type Place = { readonly topic: string; readonly topicId: string; readonly partition: number };

export type Inventory = {
  readonly entries: readonly Entry[];
  /** Where internal topics ended, by "topic-partition". */
  readonly ends: ReadonlyMap<string, number>;
  readonly groups: readonly string[];
};

const quiet = { quiet: true };
const isInternal = (topic: string) => topic.startsWith('__');

/** Offsets are asked for by these, besides the special ones; records of the workload lie around them. */
const timestamps = [0, 1_700_000_000_000, 1_700_000_020_000, 1_700_000_999_000, 4_000_000_000_000];
const [latest, earliest, maxTimestamp] = [-1, -2, -3];

/**
 * A coordinator may write to its own topics as soon as it is there, when a member is overdue for one: of those, only what comes
 * before the `ends` of an earlier inventory is compared.
 */
export async function inventoryOf(node: TargetNode, before?: Inventory): Promise<Inventory> {
  const probe = new Probe(node);
  probe.begin('inventory');
  const ends = new Map<string, number>();
  try {
    const { topics } = (await probe.ask('topics', Metadata, 12, { topics: null }, quiet))!;
    for (const topic of topics.sort((one, other) => (one.name! < other.name! ? -1 : 1))) {
      probe.note(`topic ${topic.name}`, [topic.topicId, topic.partitions.length, topic.isInternal]);
      await noteSettings(probe, topic);
      for (const { partitionIndex: partition } of topic.partitions.sort(
        (one, other) => one.partitionIndex - other.partitionIndex,
      )) {
        const place = { topic: topic.name!, topicId: topic.topicId, partition };
        const name = `${place.topic}-${partition}`;
        const end = await offsetOf(probe, place, latest);
        ends.set(name, end.offset);
        if (!isInternal(place.topic)) await noteOffsets(probe, place);
        await noteRecords(probe, place, isInternal(place.topic) ? (before?.ends.get(name) ?? end.offset) : end.offset);
      }
    }
    const groups = await noteGroups(probe, before?.groups ?? []);
    return { entries: probe.take(), ends, groups };
  } finally {
    probe.closeAll();
  }
}

async function noteSettings(probe: Probe, { name }: Topic): Promise<void> {
  const resources = [{ resourceType: 2, resourceName: name!, configurationKeys: null }];
  const answer = await probe.ask('settings', DescribeConfigs, 4, { resources }, quiet);
  const own = answer!.results[0]!.configs.filter(({ configSource }) => configSource === 1);
  probe.note(`settings of ${name}`, own.map((one) => `${one.name}=${one.value}`).sort());
}

type Offset = { readonly offset: number; readonly timestamp: number; readonly leaderEpoch: number };

/** When the partition is led, and the node knows how far it is. */
function offsetOf(probe: Probe, place: Place, timestamp: number, isolationLevel = 0): Promise<Offset> {
  return eventually(`the offset of ${place.topic}-${place.partition} at ${timestamp}`, async () => {
    const topics = [{ name: place.topic, partitions: [{ partitionIndex: place.partition, timestamp }] }];
    const answer = await probe.ask('offsets', ListOffsets, 7, { replicaId: -1, isolationLevel, topics }, quiet);
    const found = answer!.topics[0]!.partitions[0]!;
    if (found.errorCode !== 0) throw new Error(`error code ${found.errorCode}`);
    return found;
  });
}

async function noteOffsets(probe: Probe, place: Place): Promise<void> {
  const name = `${place.topic}-${place.partition}`;
  const found: { [at: string]: Plain } = {};
  for (const timestamp of [latest, earliest, maxTimestamp, ...timestamps]) {
    const { offset, timestamp: at, leaderEpoch } = await offsetOf(probe, place, timestamp);
    // The epoch of an end is the leader's own, which grows with each start.
    found[`${timestamp}`] = timestamp === latest || timestamp === earliest ? offset : [`${offset}`, `${at}`, `${leaderEpoch}`];
  }
  found['last stable'] = (await offsetOf(probe, place, latest, 1)).offset;
  probe.note(`offsets of ${name}`, found);

  const topics = [{ name: place.topic, partitionIndexes: [place.partition] }];
  const producers = await probe.ask('producers', DescribeProducers, 0, { topics }, quiet);
  probe.note(
    `producers of ${name}`,
    producers!.topics[0]!.partitions[0]!.activeProducers.map(
      (one) =>
        `${one.producerId} epoch ${one.producerEpoch} sequence ${one.lastSequence} at ${one.lastTimestamp}, ` +
        `coordinator ${one.coordinatorEpoch}, transaction from ${one.currentTxnStartOffset}`,
    ).sort(),
  );
}

async function noteRecords(probe: Probe, place: Place, end: number): Promise<void> {
  const name = `${place.topic}-${place.partition}`;
  const { offset: start } = await offsetOf(probe, place, earliest);
  for (const [reader, isolationLevel] of [
    ['read_uncommitted', 0],
    ['read_committed', 1],
  ] as const) {
    const bound = Math.min(end, isolationLevel === 0 ? end : (await offsetOf(probe, place, latest, 1)).offset);
    const batches: { [batch: string]: Plain } = {};
    const epochs = new Set<number>();
    const aborted = new Set<string>();
    for (let position = start; position < bound; ) {
      const partitions = [{ partition: place.partition, fetchOffset: position, partitionMaxBytes: 4 << 20 }];
      const topics = [{ topicId: place.topicId, partitions }];
      const answer = await probe.ask('records', Fetch, 16, { maxWaitMs: 1000, minBytes: 1, isolationLevel, topics }, quiet);
      const { errorCode, records, abortedTransactions } = answer!.responses[0]!.partitions[0]!;
      if (errorCode !== 0) throw new Error(`${name} from ${position}: error code ${errorCode}`);
      for (const { producerId, firstOffset } of abortedTransactions ?? []) aborted.add(`${producerId} from ${firstOffset}`);
      for (const batch of batchesOf(records ?? new Uint8Array())) {
        if (batch.nextOffset <= position || batch.baseOffset >= bound) continue;
        batches[`from ${batch.baseOffset}`] = [headerOf(batch), ...recordsOf(batch)];
        epochs.add(batch.leaderEpoch);
        position = batch.nextOffset;
      }
    }
    if (isolationLevel === 0 && !isInternal(place.topic)) await noteEpochs(probe, place, epochs);
    probe.note(`${reader} ${name}`, batches);
    if (isolationLevel === 1) probe.note(`aborted in ${name}`, [...aborted].sort());
  }
}

async function noteEpochs(probe: Probe, { topic, partition }: Place, epochs: Iterable<number>): Promise<void> {
  const ends: { [epoch: string]: Plain } = {};
  for (const leaderEpoch of epochs) {
    const topics = [{ topic, partitions: [{ partition, leaderEpoch }] }];
    const answer = await probe.ask('epochs', OffsetForLeaderEpoch, 4, { replicaId: -1, topics }, quiet);
    const found = answer!.topics[0]!.partitions[0]!;
    ends[`${leaderEpoch}`] = [`${found.leaderEpoch}`, `${found.endOffset}`];
  }
  probe.note(`where the epochs of ${topic}-${partition} end`, ends);
}

function headerOf(batch: BatchView): string {
  const { baseOffset, lastOffset, leaderEpoch, codec, timestampType, maxTimestamp: newest } = batch;
  const { producerId, producerEpoch, baseSequence, recordsCount, isTransactional, isControl } = batch;
  return (
    `${baseOffset}..${lastOffset} epoch ${leaderEpoch} ${codec} ${timestampType} up to ${newest}, ${recordsCount} records` +
    `${producerId < 0 ? '' : ` of ${producerId} epoch ${producerEpoch} from ${baseSequence}`}` +
    `${isTransactional ? ' transactional' : ''}${isControl ? ' control' : ''}${batch.isCrcValid() ? '' : ' CRC WRONG'}`
  );
}

function recordsOf(batch: BatchView): string[] {
  const shown = (bytes: Uint8Array | null) => (bytes === null ? 'null' : shorten(Buffer.from(bytes).toString('latin1')));
  return Array.from(batch.records(), ({ offset, timestamp, sequence, key, value, headers }) => {
    const extra = headers.map((header) => ` ${header.key}:${shown(header.value)}`).join('');
    return `${offset} at ${timestamp} sequence ${sequence}: ${shown(key)}=${shown(value)}${extra}`;
  });
}

/** What is long is told by its ends and a sum of the rest. */
function shorten(text: string): string {
  if (text.length <= 60) return text;
  let sum = 0;
  for (let index = 0; index < text.length; index++) sum = (Math.imul(sum, 31) + text.charCodeAt(index)) | 0;
  return `${text.slice(0, 20)}…${text.length} ${sum}…${text.slice(-10)}`;
}

/** A coordinator lists what it has loaded so far: those that were there before are waited for. */
async function noteGroups(probe: Probe, expected: readonly string[]): Promise<string[]> {
  const groups = await eventually(`groups ${expected} are loaded`, async () => {
    const answer = await probe.ask('groups', ListGroups, 5, {}, quiet);
    const listed = answer!.groups.map(({ groupId }) => groupId).sort();
    return answer!.errorCode === 0 && expected.every((groupId) => listed.includes(groupId)) ? listed : null;
  });
  probe.note('groups', groups);
  for (const groupId of groups) {
    const found = await eventually(`the offsets of ${groupId}`, async () => {
      const answer = await probe.ask('positions', OffsetFetch, 8, { groups: [{ groupId, topics: null }] }, quiet);
      const [group] = answer!.groups;
      return group!.errorCode === 0 ? group! : null;
    });
    probe.note(
      `positions of ${groupId}`,
      found.topics
        .flatMap(({ name, partitions }) =>
          partitions.map(
            (one) =>
              `${name}-${one.partitionIndex} ${one.committedOffset} epoch ${one.committedLeaderEpoch} "${one.metadata}" ${one.errorCode}`,
          ),
        )
        .sort(),
    );
  }
  return groups;
}
