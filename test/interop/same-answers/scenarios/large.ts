import {
  CreateTopics,
  DescribeGroups,
  Fetch,
  IncrementalAlterConfigs,
  JoinGroup,
  ListOffsets,
  Metadata,
  OffsetCommit,
  Produce,
  SyncGroup,
} from '@ottla/protocol';
import { batch } from './batches.ts';
import { coordinatorReady } from './groups.ts';
import { makeTopic, type Scenario } from './scenario.ts';

const many = 20_000;

export const largeScenarios: readonly Scenario[] = [
  {
    name: 'large requests',
    async run(probe) {
      await coordinatorReady(probe);
      const topicId = await makeTopic(probe, 'big');
      const partitions = Array.from({ length: many }, (_, index) => index);
      const errorsOf = (what: string, codes: readonly number[]): void => {
        const counted = new Map<number, number>();
        for (const code of codes) counted.set(code, (counted.get(code) ?? 0) + 1);
        probe.note(what, Object.fromEntries([...counted].map(([code, count]) => [`${code}`, count])));
      };
      const quiet = { quiet: true };
      const ends = await probe.ask(
        'ends',
        ListOffsets,
        7,
        {
          replicaId: -1,
          topics: [{ name: 'big', partitions: partitions.map((partitionIndex) => ({ partitionIndex, timestamp: -1 })) }],
        },
        quiet,
      );
      errorsOf(
        'ends of many',
        ends!.topics[0]!.partitions.map(({ errorCode }) => errorCode),
      );
      const fetched = await probe.ask(
        'many',
        Fetch,
        16,
        {
          maxWaitMs: 0,
          minBytes: 0,
          sessionId: 0,
          sessionEpoch: 0,
          topics: [
            { topicId, partitions: partitions.map((partition) => ({ partition, fetchOffset: 0, partitionMaxBytes: 100 })) },
          ],
        },
        quiet,
      );
      errorsOf(
        'fetch of many',
        fetched!.responses[0]!.partitions.map(({ errorCode }) => errorCode),
      );
      const produced = await probe.ask(
        'many',
        Produce,
        13,
        {
          acks: -1,
          timeoutMs: 30_000,
          topicData: [{ topicId, partitionData: partitions.map((index) => ({ index, records: batch(['x']) })) }],
        },
        quiet,
      );
      errorsOf(
        'produce to many',
        produced!.responses[0]!.partitionResponses.map(({ errorCode }) => errorCode),
      );
      const described = await probe.ask(
        'many',
        Metadata,
        12,
        { topics: partitions.map((index) => ({ name: `none-${index}` })), allowAutoTopicCreation: false },
        quiet,
      );
      errorsOf(
        'metadata of many',
        described!.topics.map(({ errorCode }) => errorCode),
      );
      const committed = await probe.ask(
        'many',
        OffsetCommit,
        8,
        {
          groupId: 'big',
          topics: [
            {
              name: 'big',
              partitions: partitions.map((partitionIndex) => ({ partitionIndex, committedOffset: 1, committedMetadata: '' })),
            },
          ],
        },
        quiet,
      );
      errorsOf(
        'commit of many',
        committed!.topics[0]!.partitions.map(({ errorCode }) => errorCode),
      );
      const commit = await probe.ask(
        'much',
        OffsetCommit,
        8,
        {
          groupId: 'big',
          topics: Array.from({ length: 500 }, () => ({
            name: 'big',
            partitions: [{ partitionIndex: 0, committedOffset: 1, committedMetadata: 'x'.repeat(4000) }],
          })),
        },
        quiet,
      );
      errorsOf(
        'commit of 2 MB',
        commit!.topics.flatMap((topic) => topic.partitions.map(({ errorCode }) => errorCode)).slice(0, 1),
      );
      const joining = {
        groupId: 'heavy',
        sessionTimeoutMs: 60_000,
        rebalanceTimeoutMs: 60_000,
        protocolType: 'p',
        protocols: [{ name: 'p', metadata: new Uint8Array(2 << 20) }],
      };
      const { memberId } = (await probe.ask('heavy', JoinGroup, 4, joining, quiet))!;
      const joined = await probe.ask('heavy', JoinGroup, 4, { ...joining, memberId }, quiet);
      probe.note('a member with 2 MB of metadata', [joined!.errorCode, joined!.generationId]);
      const synced = await probe.ask(
        'heavy',
        SyncGroup,
        4,
        { groupId: 'heavy', memberId, generationId: 1, assignments: [{ memberId, assignment: new Uint8Array(100) }] },
        quiet,
      );
      probe.note('and its assignment', [synced!.errorCode, synced!.assignment.length]);
      const state = await probe.ask('heavy', DescribeGroups, 5, { groups: ['heavy'] }, quiet);
      probe.note('then', [state!.groups[0]!.groupState, state!.groups[0]!.members.length]);
      const light = { ...joining, groupId: 'light', protocols: [{ name: 'p', metadata: new Uint8Array(1) }] };
      const other = (await probe.ask('light', JoinGroup, 4, light, quiet))!.memberId;
      await probe.ask('light', JoinGroup, 4, { ...light, memberId: other }, quiet);
      const assigned = await probe.ask(
        'light',
        SyncGroup,
        4,
        {
          groupId: 'light',
          memberId: other,
          generationId: 1,
          assignments: [{ memberId: other, assignment: new Uint8Array(2 << 20) }],
        },
        quiet,
      );
      probe.note('an assignment of 2 MB', [assigned!.errorCode, assigned!.assignment.length]);
      const after = await probe.ask('light', DescribeGroups, 5, { groups: ['light'] }, quiet);
      probe.note('then, light', [after!.groups[0]!.groupState, after!.groups[0]!.members.length]);
      const configs = Array.from({ length: 2000 }, (_, index) => ({ name: `no.such.config.${index}`, value: 'x' }));
      const created = await probe.ask(
        'many configs',
        CreateTopics,
        7,
        { topics: [{ name: 'big-configs', numPartitions: 1, replicationFactor: 1, configs }] },
        quiet,
      );
      probe.note('a topic with many unknown configs', created!.topics[0]!.errorCode);
      const topics = Array.from({ length: 11_000 }, (_, index) => ({
        name: `big-${index}`,
        numPartitions: 1,
        replicationFactor: 1,
      }));
      const refused = await probe.ask('many', CreateTopics, 7, { topics, validateOnly: true }, quiet);
      errorsOf(
        '11000 topics',
        refused!.topics.map(({ errorCode }) => errorCode),
      );
      const resources = Array.from({ length: 5000 }, (_, index) => ({
        resourceType: 2,
        resourceName: `none-${index}`,
        configs: [],
      }));
      const altered = await probe.ask('many', IncrementalAlterConfigs, 1, { resources }, quiet);
      errorsOf(
        'configs of many',
        altered!.responses.map(({ errorCode }) => errorCode),
      );
      for (const value of ['x'.repeat(32_767), 'x'.repeat(20_000)])
        await probe.ask(`a value of ${value.length}`, IncrementalAlterConfigs, 1, {
          resources: [{ resourceType: 16, resourceName: 'long', configs: [{ name: 'metrics', configOperation: 0, value }] }],
        });
      await probe.ask(
        'a name of 32767',
        IncrementalAlterConfigs,
        1,
        {
          resources: [
            {
              resourceType: 16,
              resourceName: 'y'.repeat(32_767),
              configs: [{ name: 'interval.ms', configOperation: 0, value: '1000' }],
            },
          ],
          validateOnly: true,
        },
        quiet,
      );
    },
  },
];
