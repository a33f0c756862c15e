/** What is written into the directories that are handed on: every kind of record that a log can hold, in several segments. */
import type { Client, Codec, Record } from '../clients/client.ts';

const codecs: readonly Codec[] = ['none', 'gzip', 'snappy', 'lz4', 'zstd'];
const segments = { 'segment.bytes': '1048576', 'retention.ms': '-1' };

export const compactedTopics = ['compacted', 'compacted-deleted'] as const;

const topics: { readonly [topic: string]: { readonly partitions: number; readonly configs: { [name: string]: string } } } = {
  plain: { partitions: 2, configs: { ...segments, 'index.interval.bytes': '512' } },
  stamped: { partitions: 1, configs: { ...segments, 'message.timestamp.type': 'LogAppendTime' } },
  idempotent: { partitions: 2, configs: segments },
  trimmed: { partitions: 1, configs: segments },
  transactional: { partitions: 2, configs: segments },
  compacted: { partitions: 1, configs: { ...segments, 'cleanup.policy': 'compact', 'min.cleanable.dirty.ratio': '0.01' } },
  'compacted-deleted': {
    partitions: 1,
    configs: { ...segments, 'cleanup.policy': 'compact,delete', 'min.cleanable.dirty.ratio': '0.01', 'compression.type': 'lz4' },
  },
};

export async function makeTopics(client: Client): Promise<void> {
  for (const [topic, { partitions, configs }] of Object.entries(topics))
    await client.call('createTopic', { topic, partitions, configs });
}

/** Where the topic `trimmed` begins after a round. */
export const trimmedTo = (round: number): number => round * 50 - 20;

/** Everything but transactions. Rounds count from 1; each writes other values, later. */
export async function write(client: Client, round: number): Promise<void> {
  const produce = (topic: string, records: Record[], codec: Codec = 'none', idempotent = false) =>
    client.call('produce', { topic, records, codec, idempotent });
  const firstTimestamp = 1_700_000_000_000 + round * 10_000;
  const some = (partition: number, count: number, what: string): Record[] =>
    Array.from({ length: count }, (_, index) => ({
      partition,
      key: index % 7 === 0 ? null : `key ${index}`,
      value: index % 11 === 0 ? null : `${what} ${index} of round ${round}`,
      timestamp: firstTimestamp + ((index * 37) % count), // not in order
      headers: index % 3 === 0 ? [['round', `${round}`] as [string, string], ['nothing', null] as [string, null]] : [],
    }));

  for (const codec of codecs) for (const partition of [0, 1]) await produce('plain', some(partition, 30, codec), codec);
  await produce('plain', filler(90, round));
  await produce('stamped', some(0, 20, 'stamped'), 'lz4');
  // Of now: a producer that wrote long ago may be forgotten.
  const once = (partition: number) => some(partition, 150, 'once').map(({ timestamp: _, ...record }) => record);
  for (const partition of [0, 1]) await produce('idempotent', once(partition), 'none', true);

  await produce('trimmed', some(0, 50, 'trimmed'));
  await client.call('deleteRecords', { topic: 'trimmed', partition: 0, before: trimmedTo(round) });

  for (const topic of compactedTopics) {
    for (const codec of codecs) await produce(topic, keyed(40, `${codec} in round ${round}`, firstTimestamp), codec);
    await produce(topic, tombstones(10 * round), 'none', true);
    await produce(topic, filler(60, round)); // so that what comes before is no longer in the segment that is written to
    await produce(topic, keyed(5, `the last of round ${round}`, firstTimestamp));
  }

  const group = `group of round ${round}`;
  await client.call('join', { member: group, group, topics: ['idempotent'] });
  await client.call('poll', { member: group, count: 300 });
  await client.call('commit', { member: group });
  await client.call('leave', { member: group });
  for (const partition of [0, 1])
    await client.call('setGroupOffset', { group: 'set by an admin', topic: 'plain', partition, offset: round * 10 + partition });
}

/** Committed, aborted and interleaved ones; the last is left open until the next round's producer of that name. */
export async function transact(client: Client, round: number): Promise<void> {
  const records = (topic: string, partition: number, count: number, what: string) =>
    Array.from({ length: count }, (_, index) => ({
      topic,
      partition,
      key: `key ${index}`,
      value: `${what} ${index}, round ${round}`,
    }));
  const offsets = (offset: number) => [{ topic: 'plain', partition: 0, offset }];
  const commit = (what: string, group: string, offset: number) =>
    client.call('transaction', {
      transactionalId: 'commits',
      records: [
        ...records('transactional', 0, 12, what),
        ...records('transactional', 1, 8, what),
        ...records('compacted', 0, 6, what),
      ],
      end: 'commit',
      group,
      offsets: offsets(offset),
    });
  const abort = (what: string, group: string, offset: number) =>
    client.call('transaction', {
      transactionalId: 'aborts',
      records: [...records('transactional', 0, 9, what), ...records('compacted', 0, 10, what)],
      end: 'abort',
      group,
      offsets: offsets(offset),
    });
  const between = () => client.call('produce', { topic: 'transactional', records: records('transactional', 0, 5, 'between') });

  await client.call('transaction', {
    transactionalId: 'left open',
    records: records('transactional', 1, 4, 'ended by the next'),
    end: 'commit',
  });
  await commit('committed', 'in transactions', round * 100 + 1);
  await abort('aborted', 'in transactions', round * 100 + 2);
  await between();
  await abort('aborted again', 'only in aborted ones', round * 100 + 3);
  await commit('committed again', 'in transactions', round * 100 + 4);
  await client.call('transaction', {
    transactionalId: 'left open',
    records: records('transactional', 1, 7, 'left open'),
    end: 'none',
    group: 'in an open one',
    offsets: offsets(round * 100 + 5),
  });
  await client.call('produce', { topic: 'transactional', records: records('transactional', 1, 3, 'behind an open one') });
}

const keyed = (count: number, what: string, timestamp: number): Record[] =>
  Array.from({ length: count }, (_, index) => ({ partition: 0, key: `key ${index}`, value: `${what}: ${index}`, timestamp }));

const tombstones = (first: number): Record[] =>
  Array.from({ length: 8 }, (_, index) => ({ partition: 0, key: `key ${first + index}`, value: null }));

/** Records of 20 KB that do not compress. */
function filler(count: number, seed: number): Record[] {
  let state = seed * 7919 + count;
  const letters = () => {
    let text = '';
    while (text.length < 20_000) text += (state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff).toString(36);
    return text;
  };
  return Array.from({ length: count }, (_, index) => ({ partition: 0, key: `filler ${index}`, value: letters() }));
}
