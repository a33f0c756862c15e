import {
  DeleteRecords,
  Fetch,
  type FetchRequest,
  ListOffsets,
  OffsetForLeaderEpoch,
  Produce,
  type Writable,
} from '@ottla/protocol';
import { versionsOf } from '../plain.ts';
import type { Probe } from '../probe.ts';
import { batch, someTime } from './batches.ts';
import { makeTopic, type Scenario, unknownId } from './scenario.ts';

type Asked = NonNullable<NonNullable<Writable<FetchRequest>['topics']>[number]['partitions']>[number];

async function fill(probe: Probe, topicId: string, partition: number, ...batches: Uint8Array[]): Promise<void> {
  for (const records of batches)
    await probe.ask(
      'fill',
      Produce,
      13,
      { acks: 1, timeoutMs: 5000, topicData: [{ topicId, partitionData: [{ index: partition, records }] }] },
      { quiet: true },
    );
}

/** A fetch that does not wait. */
function fetchOf(
  version: number,
  topic: { name: string; topicId: string },
  partitions: readonly Asked[],
  rest: Writable<FetchRequest> = {},
): Writable<FetchRequest> {
  return {
    maxWaitMs: 0,
    minBytes: 0,
    topics: [{ ...(version >= 13 ? { topicId: topic.topicId } : { topic: topic.name }), partitions }],
    ...rest,
  };
}

const from = (fetchOffset: number, rest: Asked = {}): Asked => ({
  partition: 0,
  fetchOffset,
  partitionMaxBytes: 1_048_576,
  ...rest,
});

export const fetchScenarios: readonly Scenario[] = [
  {
    name: 'Fetch',
    async run(probe) {
      const name = 'f';
      const topicId = await makeTopic(probe, name, { partitions: 2 });
      const topic = { name, topicId };
      await fill(probe, topicId, 0, batch(['a', 'b', 'c']), batch(['d', 'e']), batch(['f'.repeat(100)], { codec: 'gzip' }));
      for (const version of versionsOf(Fetch)) {
        for (const offset of [0, 1, 3, 6])
          await probe.ask(`from ${offset}`, Fetch, version, fetchOf(version, topic, [from(offset)]));
        for (const offset of [7, -1, -2, 1e15])
          await probe.ask(`from ${offset}, out of range`, Fetch, version, fetchOf(version, topic, [from(offset)]));
        await probe.ask('partition 7', Fetch, version, fetchOf(version, topic, [from(0, { partition: 7 })]));
        await probe.ask('partition -1', Fetch, version, fetchOf(version, topic, [from(0, { partition: -1 })]));
        await probe.ask('another topic', Fetch, version, fetchOf(version, { name: 'f-unknown', topicId: unknownId }, [from(0)]));
        await probe.ask(
          'a bad topic',
          Fetch,
          version,
          fetchOf(version, { name: 'a b', topicId: 'AAAAAAAAAAAAAAAAAAAAAA' }, [from(0)]),
        );
        await probe.ask('read committed', Fetch, version, fetchOf(version, topic, [from(0)], { isolationLevel: 1 }));
        await probe.ask('nothing', Fetch, version, { maxWaitMs: 0, minBytes: 0, topics: [] });
        await probe.ask('twice', Fetch, version, fetchOf(version, topic, [from(0), from(3)]));
        await probe.ask(
          'good and bad',
          Fetch,
          version,
          fetchOf(version, topic, [from(0), from(0, { partition: 9 }), from(0, { partition: 1 })]),
        );
      }
      for (const version of [9, 12, 13, 17]) {
        for (const currentLeaderEpoch of [-1, 0, 1, -2])
          await probe.ask(
            `leader epoch ${currentLeaderEpoch}`,
            Fetch,
            version,
            fetchOf(version, topic, [from(3, { currentLeaderEpoch })]),
          );
      }
      for (const version of [12, 16]) {
        for (const lastFetchedEpoch of [-2, -1, 0, 1, 5])
          for (const offset of [0, 3, 6, 9])
            await probe.ask(
              `last fetched epoch ${lastFetchedEpoch} at ${offset}`,
              Fetch,
              version,
              fetchOf(version, topic, [from(offset, { lastFetchedEpoch })]),
            );
        await probe.ask(
          'last fetched epoch and current',
          Fetch,
          version,
          fetchOf(version, topic, [from(6, { lastFetchedEpoch: 0, currentLeaderEpoch: 0 })]),
        );
        await probe.ask('a cluster id', Fetch, version, fetchOf(version, topic, [from(6)], { clusterId: 'another' }));
      }
      for (const [what, whole, part] of [
        ['1', 1, 1e6],
        ['0', 0, 1e6],
        ['-1', -1, 1e6],
        ['100', 100, 1e6],
        ['1e6, partition 1', 1e6, 1],
        ['1e6, partition 0', 1e6, 0],
        ['1e6, partition -1', 1e6, -1],
        ['1e6, partition 120', 1e6, 120],
        ['200, partition 200', 200, 200],
      ] as const) {
        await probe.ask(
          `max bytes ${what}`,
          Fetch,
          16,
          fetchOf(16, topic, [from(0, { partitionMaxBytes: part }), from(0, { partition: 1, partitionMaxBytes: part })], {
            maxBytes: whole,
          }),
        );
      }
      await fill(probe, topicId, 1, batch(['one', 'two']));
      await probe.ask(
        'two partitions, room for one',
        Fetch,
        16,
        fetchOf(16, topic, [from(0), from(0, { partition: 1 })], { maxBytes: 10 }),
      );
      await probe.ask(
        'two partitions, room for one, other order',
        Fetch,
        16,
        fetchOf(16, topic, [from(0, { partition: 1 }), from(0)], { maxBytes: 10 }),
      );
      for (const [minBytes, maxWaitMs] of [
        [1, 100],
        [100_000, 100],
        [100_000, 0],
        [-1, 100],
        [0, 1000],
        [1, -1],
      ]) {
        await probe.ask(
          `at the end, min bytes ${minBytes}, max wait ${maxWaitMs}`,
          Fetch,
          16,
          fetchOf(16, topic, [from(6)], { minBytes: minBytes!, maxWaitMs: maxWaitMs! }),
        );
        await probe.ask(
          `with data, min bytes ${minBytes}, max wait ${maxWaitMs}`,
          Fetch,
          16,
          fetchOf(16, topic, [from(0)], { minBytes: minBytes!, maxWaitMs: maxWaitMs! }),
        );
      }
      for (const version of [4, 7, 12])
        await probe.ask('isolation level 2', Fetch, version, fetchOf(version, topic, [from(0)], { isolationLevel: 2 }));
      for (const isolationLevel of [2, -1])
        await probe.ask(`isolation level ${isolationLevel}`, Fetch, 16, fetchOf(16, topic, [from(0)], { isolationLevel }));
      for (const replicaId of [-2, -3, 0, 1, 5]) {
        await probe.ask(`replica ${replicaId}`, Fetch, 12, fetchOf(12, topic, [from(0)], { replicaId }));
        await probe.ask(`replica ${replicaId}`, Fetch, 16, fetchOf(16, topic, [from(0)], { replicaState: { replicaId } }));
      }
      await probe.ask('with a rack', Fetch, 16, fetchOf(16, topic, [from(0)], { rackId: 'somewhere' }));
      const zstd = await makeTopic(probe, 'f-zstd');
      await fill(probe, zstd, 0, batch(['z'], { codec: 'zstd' }));
      for (const version of [4, 9, 10, 16])
        await probe.ask('zstd', Fetch, version, fetchOf(version, { name: 'f-zstd', topicId: zstd }, [from(0)]));
    },
  },
  {
    name: 'Fetch: waiting',
    async run(probe) {
      const topicId = await makeTopic(probe, 'fw');
      const waiter = await probe.connect();
      const wait = (what: string, minBytes: number) => {
        waiter.writeFrame(
          probe.frameOf(Fetch, 16, fetchOf(16, { name: 'fw', topicId }, [from(0)], { minBytes, maxWaitMs: 30_000 })),
        );
        return probe.receive(what, Fetch, 16, { on: waiter });
      };
      const first = wait('woken by a record', 1);
      await new Promise((resolve) => setTimeout(resolve, 100));
      await fill(probe, topicId, 0, batch(['a']));
      await first;
      const second = wait('woken by enough', 200);
      await new Promise((resolve) => setTimeout(resolve, 50));
      await fill(probe, topicId, 0, batch(['b'.repeat(20)]));
      await new Promise((resolve) => setTimeout(resolve, 50));
      await fill(probe, topicId, 0, batch(['c'.repeat(200)]));
      await second;
    },
  },
  {
    name: 'Fetch: sessions',
    async run(probe) {
      for (const version of [7, 12, 13, 18]) {
        const name = `fs-${version}`;
        const topicId = await makeTopic(probe, name, { partitions: 3 });
        const topic = { name, topicId };
        await fill(probe, topicId, 0, batch(['a']));
        const connection = await probe.connect();
        const ask = (
          what: string,
          sessionId: number,
          sessionEpoch: number,
          partitions: readonly Asked[],
          rest: Writable<FetchRequest> = {},
        ) =>
          probe.ask(
            what,
            Fetch,
            version,
            {
              ...fetchOf(version, topic, partitions),
              ...(partitions.length === 0 ? { topics: [] } : {}),
              sessionId,
              sessionEpoch,
              ...rest,
            },
            { on: connection },
          );
        const forgetting = (...partitions: number[]) => ({
          forgottenTopicsData: [{ ...(version >= 13 ? { topicId } : { topic: name }), partitions }],
        });
        const opened = await ask('open', 0, 0, [from(0), from(0, { partition: 1 }), from(0, { partition: 2 })]);
        const id = opened!.sessionId;
        probe.name(id, `session ${version}`);
        await ask('epoch 1, no change', id, 1, []);
        await ask('epoch 2, moved on', id, 2, [from(1)]);
        await ask('epoch 3, nothing new', id, 3, []);
        await fill(probe, topicId, 1, batch(['b', 'c']));
        await ask('epoch 4, news', id, 4, []);
        await ask('epoch 5, same news, not moved', id, 5, []);
        await ask('epoch 5 again', id, 5, []);
        await ask('epoch 9', id, 9, []);
        await ask('epoch 6, moved and forgetting', id, 6, [from(2, { partition: 1 })], forgetting(2));
        await fill(probe, topicId, 2, batch(['d']));
        await ask('epoch 7, news of a forgotten one', id, 7, []);
        await ask('epoch 8, forgetting an unknown one', id, 8, [], forgetting(9));
        await ask('epoch 9, out of range', id, 9, [from(99)]);
        await ask('epoch 10, still out of range', id, 10, []);
        await ask('epoch 11, unknown partition added', id, 11, [from(1), from(0, { partition: 8 })]);
        await ask('epoch 12, still unknown', id, 12, []);
        await ask('epoch 13, records deleted', id, 13, []);
        await ask('an unknown session', id === 77 ? 78 : 77, 1, []);
        await ask('a negative session', -5, 1, []);
        await ask('no session, epoch 1', 0, 1, [from(0)]);
        await ask('no session, epoch -1', 0, -1, [from(0)]);
        await ask('this session, epoch 0: a new one', id, 0, [from(0)]);
        await ask('the old one is gone', id, 14, []);
        const second = await ask('open another', 0, 0, [from(0)]);
        probe.name(second?.sessionId, `second session ${version}`);
        await ask('epoch -1: closed, and answered in full', second!.sessionId, -1, [from(0), from(0, { partition: 1 })]);
        await ask('closed', second!.sessionId, 1, []);
        const empty = await ask('open with nothing', 0, 0, []);
        probe.note(`v${version}, a session of nothing has an id`, (empty?.sessionId ?? 0) > 0);
        if (version >= 13) {
          const mixed = await ask('open with ids', 0, 0, [from(0)]);
          probe.name(mixed?.sessionId, 'mixed session');
          await probe.ask(
            'then a name',
            Fetch,
            12,
            {
              maxWaitMs: 0,
              minBytes: 0,
              sessionId: mixed!.sessionId,
              sessionEpoch: 1,
              topics: [{ topic: name, partitions: [from(0, { partition: 1 })] }],
            },
            { on: connection },
          );
          const unknown = await ask('open with an unknown id', 0, 0, [], {
            topics: [{ topicId: unknownId, partitions: [from(0)] }],
          });
          probe.name(unknown?.sessionId, 'session of an unknown id');
          await ask('still unknown', unknown!.sessionId, 1, []);
        }
      }
    },
  },
  {
    name: 'ListOffsets',
    async run(probe) {
      const name = 'lo';
      const topicId = await makeTopic(probe, name, { partitions: 2 });
      await fill(probe, topicId, 0, batch(['a', 'b', 'c']), batch(['d']), batch(['e', 'f'], { codec: 'lz4' }));
      const asked = (timestamp: number, rest: object = {}) => ({
        name,
        partitions: [
          { partitionIndex: 0, timestamp, ...rest },
          { partitionIndex: 1, timestamp, ...rest },
        ],
      });
      for (const version of versionsOf(ListOffsets)) {
        for (const timestamp of [
          -1,
          -2,
          -3,
          -4,
          -5,
          -6,
          -7,
          0,
          someTime,
          someTime + 1,
          someTime + 2,
          someTime + 3,
          4_000_000_000_000,
        ])
          await probe.ask(`at ${timestamp}`, ListOffsets, version, { replicaId: -1, topics: [asked(timestamp)] });
        await probe.ask('unknown', ListOffsets, version, {
          replicaId: -1,
          topics: [
            { name: 'lo-unknown', partitions: [{ partitionIndex: 0, timestamp: -1 }] },
            { name, partitions: [{ partitionIndex: 9, timestamp: -1 }] },
            { name: 'a b', partitions: [{ partitionIndex: 0, timestamp: -1 }] },
          ],
        });
        await probe.ask('nothing', ListOffsets, version, { replicaId: -1, topics: [] });
        if (version >= 2)
          for (const isolationLevel of [1, 2])
            await probe.ask(`isolation level ${isolationLevel}`, ListOffsets, version, {
              replicaId: -1,
              isolationLevel,
              topics: [asked(-1)],
            });
        await probe.ask('a partition twice', ListOffsets, version, {
          replicaId: -1,
          topics: [
            {
              name,
              partitions: [
                { partitionIndex: 0, timestamp: -1 },
                { partitionIndex: 0, timestamp: -2 },
              ],
            },
          ],
        });
        await probe.ask('a topic twice', ListOffsets, version, { replicaId: -1, topics: [asked(-1), asked(-2)] });
      }
      for (const currentLeaderEpoch of [-1, 0, 1, -2])
        await probe.ask(`leader epoch ${currentLeaderEpoch}`, ListOffsets, 7, {
          replicaId: -1,
          topics: [asked(-1, { currentLeaderEpoch })],
        });
      for (const replicaId of [-2, -3, 0, 1, 5])
        await probe.ask(`replica ${replicaId}`, ListOffsets, 7, { replicaId, topics: [asked(-1)] });
    },
  },
  {
    name: 'OffsetForLeaderEpoch',
    async run(probe) {
      const topicId = await makeTopic(probe, 'ole', { partitions: 2 });
      await fill(probe, topicId, 0, batch(['a', 'b', 'c']));
      const ask = (what: string, version: number, partition: object, topic = 'ole', replicaId = -1) =>
        probe.ask(what, OffsetForLeaderEpoch, version, {
          ...(version >= 3 ? { replicaId } : {}),
          topics: [{ topic, partitions: [{ partition: 0, leaderEpoch: 0, ...partition }] }],
        });
      for (const version of versionsOf(OffsetForLeaderEpoch)) {
        for (const leaderEpoch of [-2, -1, 0, 1, 9]) await ask(`epoch ${leaderEpoch}`, version, { leaderEpoch });
        for (const currentLeaderEpoch of [-1, 0, 1]) await ask(`current ${currentLeaderEpoch}`, version, { currentLeaderEpoch });
        await ask('an empty partition', version, { partition: 1 });
        await ask('an unknown partition', version, { partition: 7 });
        await ask('an unknown topic', version, {}, 'ole-unknown');
        await ask('a bad topic', version, {}, 'a b');
        await ask('twice', version, {});
      }
      for (const replicaId of [-2, 0, 1]) await ask(`replica ${replicaId}`, 4, {}, 'ole', replicaId);
      await probe.ask('twice', OffsetForLeaderEpoch, 4, {
        replicaId: -1,
        topics: [1, 2].map(() => ({
          topic: 'ole',
          partitions: [
            { partition: 0, leaderEpoch: 0 },
            { partition: 0, leaderEpoch: 5 },
          ],
        })),
      });
    },
  },
  {
    name: 'DeleteRecords',
    async run(probe) {
      const topicId = await makeTopic(probe, 'dr', { partitions: 2 });
      await fill(probe, topicId, 0, batch(['a', 'b', 'c']), batch(['d', 'e']));
      const ask = (what: string, version: number, offset: number, name = 'dr', partitionIndex = 0) =>
        probe.ask(what, DeleteRecords, version, {
          topics: [{ name, partitions: [{ partitionIndex, offset }] }],
          timeoutMs: 5000,
        });
      for (const [index, version] of versionsOf(DeleteRecords).entries()) {
        await ask('before 0', version, 0);
        await ask(`before ${index + 1}`, version, index + 1);
        await ask('before 1 again', version, 1);
        for (const offset of [6, -2, 1e15]) await ask(`before ${offset}`, version, offset);
        await ask('an unknown topic', version, 1, 'dr-unknown');
        await ask('a bad topic', version, 1, 'a b');
        await ask('an unknown partition', version, 1, 'dr', 7);
        await ask('an internal topic', version, 1, '__consumer_offsets');
        await ask('the metadata log', version, 1, '__cluster_metadata');
      }
      await probe.ask('twice', DeleteRecords, 2, {
        topics: [
          {
            name: 'dr',
            partitions: [
              { partitionIndex: 0, offset: 3 },
              { partitionIndex: 0, offset: 4 },
            ],
          },
          { name: 'dr', partitions: [{ partitionIndex: 1, offset: -1 }] },
        ],
        timeoutMs: 5000,
      });
      await probe.ask('then', ListOffsets, 7, {
        replicaId: -1,
        topics: [{ name: 'dr', partitions: [{ partitionIndex: 0, timestamp: -2 }] }],
      });
      for (const version of [12, 16])
        for (const offset of [0, 3, 4])
          await probe.ask(`from ${offset}`, Fetch, version, fetchOf(version, { name: 'dr', topicId }, [from(offset)]));
      await probe.ask('by time', ListOffsets, 7, {
        replicaId: -1,
        topics: [
          {
            name: 'dr',
            partitions: [
              { partitionIndex: 0, timestamp: 0 },
              { partitionIndex: 0, timestamp: -3 },
            ],
          },
        ],
      });
      await ask('all', 2, -1);
      await probe.ask('after all', ListOffsets, 7, {
        replicaId: -1,
        topics: [{ name: 'dr', partitions: [{ partitionIndex: 0, timestamp: -2 }] }],
      });
      for (const timestamp of [-1, -2, -3, 0])
        await probe.ask(`at ${timestamp} after all`, ListOffsets, 7, {
          replicaId: -1,
          topics: [{ name: 'dr', partitions: [{ partitionIndex: 0, timestamp }] }],
        });
      await probe.ask('epoch after all', OffsetForLeaderEpoch, 4, {
        replicaId: -1,
        topics: [{ topic: 'dr', partitions: [{ partition: 0, leaderEpoch: 0 }] }],
      });
      await makeTopic(probe, 'dr-compacted', { configs: { 'cleanup.policy': 'compact' } });
      await makeTopic(probe, 'dr-both', { configs: { 'cleanup.policy': 'compact,delete' } });
      await makeTopic(probe, 'dr-forever', { configs: { 'cleanup.policy': '' } });
      for (const topic of ['dr-compacted', 'dr-both', 'dr-forever']) await ask(topic, 2, -1, topic);
    },
  },
];
