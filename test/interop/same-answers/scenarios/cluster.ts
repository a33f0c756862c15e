import {
  AlterPartitionReassignments,
  AlterReplicaLogDirs,
  DescribeLogDirs,
  DescribeQuorum,
  type DescribeQuorumResponse,
  ListPartitionReassignments,
  Produce,
  UnregisterBroker,
} from '@ottla/protocol';
import { versionsOf } from '../plain.ts';
import { batch } from './batches.ts';
import { makeTopic, type Scenario } from './scenario.ts';

type ReplicaState = DescribeQuorumResponse['topics'][number]['partitions'][number]['observers'][number];

export const clusterScenarios: readonly Scenario[] = [
  {
    name: 'DescribeLogDirs',
    async run(probe) {
      const topicId = await makeTopic(probe, 'dld', { partitions: 2 });
      await probe.ask(
        'fill',
        Produce,
        13,
        { acks: 1, timeoutMs: 5000, topicData: [{ topicId, partitionData: [{ index: 0, records: batch(['a', 'b']) }] }] },
        { quiet: true },
      );
      const some = [{ topic: 'dld', partitions: [0, 1, 7] }];
      await probe.askInEachVersion('some', DescribeLogDirs, { topics: some });
      await probe.askInEachVersion('unknown', DescribeLogDirs, {
        topics: [
          { topic: 'dld-unknown', partitions: [0] },
          { topic: 'a b', partitions: [0] },
        ],
      });
      await probe.askInEachVersion('none', DescribeLogDirs, { topics: [] });
      await probe.askInEachVersion('twice', DescribeLogDirs, { topics: [...some, { topic: 'dld', partitions: [1, 1] }] });
      const all = await probe.ask('all', DescribeLogDirs, 4, { topics: null }, { quiet: true });
      probe.note(
        'all',
        all!.results.map(({ errorCode, topics }) => ({
          errorCode,
          topics: topics.map(({ name }) => name).filter((name) => name.startsWith('d') || name.startsWith('__')),
        })),
      );
    },
  },
  {
    name: 'AlterReplicaLogDirs',
    async run(probe) {
      const longest = 'l'.repeat(213);
      for (const name of ['arl', longest, `${longest}l`]) await makeTopic(probe, name);
      const all = await probe.ask('all', DescribeLogDirs, 4, { topics: [] }, { quiet: true });
      const own = all!.results[0]!.logDir;
      const asked = (path: string, name: string, partitions: number[]) => ({ dirs: [{ path, topics: [{ name, partitions }] }] });
      await probe.askInEachVersion('where it is', AlterReplicaLogDirs, asked(own, 'arl', [0]));
      await probe.askInEachVersion('nowhere', AlterReplicaLogDirs, asked('/nowhere', 'arl', [0, 1]));
      await probe.askInEachVersion('a relative path', AlterReplicaLogDirs, asked('nowhere', 'arl', [0]));
      await probe.askInEachVersion('with a slash', AlterReplicaLogDirs, asked(`${own}/`, 'arl', [0]));
      await probe.askInEachVersion('no partition', AlterReplicaLogDirs, asked(own, 'arl', [7]));
      await probe.askInEachVersion('no topic', AlterReplicaLogDirs, asked(own, 'arl-unknown', [0]));
      await probe.askInEachVersion('no topic, nowhere', AlterReplicaLogDirs, asked('/nowhere', 'arl-unknown', [0]));
      await probe.askInEachVersion('the metadata log', AlterReplicaLogDirs, asked(own, '__cluster_metadata', [0]));
      await probe.askInEachVersion('the longest name', AlterReplicaLogDirs, asked(own, longest, [0]));
      await probe.askInEachVersion('a longer name', AlterReplicaLogDirs, asked('/nowhere', `${longest}l`, [0]));
      await probe.askInEachVersion('twice', AlterReplicaLogDirs, {
        dirs: [...asked('/nowhere', 'arl', [0]).dirs, ...asked(own, 'arl', [0, 0]).dirs],
      });
      await probe.askInEachVersion('nothing', AlterReplicaLogDirs, { dirs: [] });
    },
  },
  {
    name: 'DescribeQuorum',
    async run(probe) {
      const asked = (topicName: string, partitionIndex: number) => ({
        topics: [{ topicName, partitions: [{ partitionIndex }] }],
      });
      await probe.askInEachVersion('another topic', DescribeQuorum, asked('dq', 0));
      await probe.askInEachVersion('another partition', DescribeQuorum, asked('__cluster_metadata', 1));
      await probe.askInEachVersion('nothing', DescribeQuorum, { topics: [] });
      await probe.askInEachVersion('two', DescribeQuorum, {
        topics: [...asked('__cluster_metadata', 0).topics, ...asked('__cluster_metadata', 0).topics],
      });
      for (const version of versionsOf(DescribeQuorum)) {
        const answer = await probe.ask('the quorum', DescribeQuorum, version, asked('__cluster_metadata', 0), { quiet: true });
        const [partition] = answer!.topics[0]!.partitions;
        const shown = ({ replicaId, logEndOffset, lastFetchTimestamp, lastCaughtUpTimestamp }: ReplicaState) => ({
          replicaId,
          isFar: logEndOffset > 0,
          hasFetched: lastFetchTimestamp > 0,
          hasCaughtUp: lastCaughtUpTimestamp > 0,
        });
        probe.note(`v${version}`, {
          errors: [answer!.errorCode, answer!.errorMessage, partition!.errorCode, partition!.errorMessage],
          leaderId: partition!.leaderId,
          isCommitted: partition!.highWatermark > 0,
          voters: partition!.currentVoters.map(shown),
          observers: partition!.observers.map(shown),
          listeners: answer!.nodes.map(({ nodeId, listeners }) => ({
            nodeId,
            listeners: listeners.map(({ name, host }) => `${name} ${host}`),
          })),
        });
      }
    },
  },
  {
    name: 'reassignments',
    async run(probe) {
      await makeTopic(probe, 'ra', { partitions: 2 });
      const ask = (what: string, ...topics: object[]) =>
        probe.ask(what, AlterPartitionReassignments, 1, { topics: topics as never, timeoutMs: 5000 });
      const to = (name: string, partitionIndex: number, replicas: number[] | null) => ({
        name,
        partitions: [{ partitionIndex, replicas }],
      });
      await ask('nothing');
      await ask('to itself', to('ra', 0, [1]));
      await ask('to an unknown broker', to('ra', 0, [2]));
      await ask('to nobody', to('ra', 0, []));
      await ask('twice to one', to('ra', 0, [1, 1]));
      await ask('cancel', to('ra', 0, null));
      await ask('an unknown partition', to('ra', 9, [1]));
      await ask('an unknown topic', to('ra-unknown', 0, [1]));
      await probe.ask('under way', ListPartitionReassignments, 0, { topics: null });
      await probe.ask('under way, of one', ListPartitionReassignments, 0, {
        topics: [
          { name: 'ra', partitionIndexes: [0, 9] },
          { name: 'ra-unknown', partitionIndexes: [0] },
        ],
      });
    },
  },
  {
    name: 'UnregisterBroker',
    async run(probe) {
      for (const brokerId of [7, -1]) await probe.ask(`broker ${brokerId}`, UnregisterBroker, 0, { brokerId });
    },
  },
];
