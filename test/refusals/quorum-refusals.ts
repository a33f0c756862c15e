/** What the nodes of the metadata quorum ask one another. */
import {
  AddRaftVoter,
  BeginQuorumEpoch,
  DescribeCluster,
  DescribeQuorum,
  EndQuorumEpoch,
  Fetch,
  FetchSnapshot,
  RemoveRaftVoter,
  UpdateRaftVoter,
  Vote,
} from '@ottla/protocol';
import { type AskedNodes, until } from './asked-nodes.ts';
import { metadataRecords } from './metadata-log.ts';
import { clusterRow, epochRow, type Row, type Subject } from './refusal.ts';

const topicName = '__cluster_metadata';
const topicId = 'AAAAAAAAAAAAAAAAAAAAAQ';
const someDirectory = 'f3qa2q0ZQ5mZy1tJcKn0_A';

export type Quorum = {
  readonly clusterId: string;
  readonly leaderId: number;
  readonly leaderEpoch: number;
  readonly directories: ReadonlyMap<number, string>;
};

export async function quorumOf(nodes: AskedNodes): Promise<Quorum> {
  const { clusterId } = await nodes.ask({ id: nodes.ids[0]! }, DescribeCluster, 1, {});
  return until(nodes, 'the quorum is led', async () => {
    const asked = { topics: [{ topicName, partitions: [{ partitionIndex: 0 }] }] };
    const { errorCode, topics } = await nodes.ask({ id: nodes.ids[0]! }, DescribeQuorum, 2, asked);
    const partition = topics[0]?.partitions[0];
    if (errorCode !== 0 || !partition || partition.errorCode !== 0) return undefined;
    const { leaderId, leaderEpoch, currentVoters } = partition;
    const directories = new Map(currentVoters.map(({ replicaId, replicaDirectoryId }) => [replicaId, replicaDirectoryId]));
    return { clusterId, leaderId, leaderEpoch, directories };
  });
}

const ballot = (
  quorum: Quorum,
  voterId: number,
  from: { replicaId: number; replicaEpoch: number; lastOffsetEpoch?: number },
) => ({
  clusterId: quorum.clusterId,
  voterId,
  topics: [
    {
      topicName,
      partitions: [
        {
          ...{ partitionIndex: 0, replicaDirectoryId: quorum.directories.get(from.replicaId)! },
          ...{ voterDirectoryId: quorum.directories.get(voterId)!, lastOffsetEpoch: 0, lastOffset: 0, preVote: false, ...from },
        },
      ],
    },
  ],
});

/**
 * A vote of an epoch to come is believed, whoever asks for it: the leader steps down, and one is elected in an epoch later still. So
 * there are epochs that are past, and valid.
 */
async function pastEpochs(nodes: AskedNodes): Promise<Quorum> {
  const quorum = await quorumOf(nodes);
  if (quorum.leaderEpoch > 2) return quorum;
  const { leaderId, leaderEpoch } = quorum;
  const replicaId = nodes.ids.find((id) => id !== leaderId)!;
  const asked = ballot(quorum, leaderId, { replicaId, replicaEpoch: leaderEpoch + 2 });
  await nodes.ask({ id: leaderId, listener: 'controller' }, Vote, 2, asked);
  return until(nodes, 'a leader of a later epoch', async () => {
    const now = await quorumOf(nodes);
    return now.leaderEpoch > leaderEpoch + 2 ? now : undefined;
  });
}

export async function quorumRefusals(nodes: AskedNodes): Promise<Subject> {
  const quorum = await pastEpochs(nodes);
  const { clusterId, leaderId, leaderEpoch } = quorum;
  const followerId = nodes.ids.find((id) => id !== leaderId)!;
  const of = { partitionIndex: 0, leaderId, leaderEpoch };
  const fetched = {
    ...{ partition: 0, fetchOffset: 0, lastFetchedEpoch: 0, partitionMaxBytes: 1_000, currentLeaderEpoch: leaderEpoch },
    replicaDirectoryId: someDirectory,
  };
  const fetch = (id: number, around: object, partition: object = {}) =>
    nodes.ask({ id, listener: 'controller' }, Fetch, 17, {
      ...{ clusterId, replicaState: { replicaId: 88, replicaEpoch: -1 }, maxWaitMs: 0, minBytes: 0, ...around },
      topics: [{ topicId, partitions: [{ ...fetched, ...partition }] }],
    });
  const snapshot = (id: number, around: object, partition: object = {}) =>
    nodes.ask({ id, listener: 'controller' }, FetchSnapshot, 1, {
      ...{ clusterId, replicaId: 88, maxBytes: 1_000, ...around },
      topics: [
        {
          name: topicName,
          partitions: [
            {
              ...{ partition: 0, currentLeaderEpoch: leaderEpoch, position: 0, snapshotId: { endOffset: 0, epoch: 0 } },
              ...partition,
            },
          ],
        },
      ],
    });
  const listeners = [{ name: 'CONTROLLER', host: '127.0.0.1', port: 1 }];
  const update = (id: number, changes: object) =>
    nodes.ask({ id, listener: 'controller' }, UpdateRaftVoter, 0, {
      ...{ clusterId, currentLeaderEpoch: leaderEpoch, listeners, ...changes },
      ...{ voterId: followerId, voterDirectoryId: quorum.directories.get(followerId)! },
      kRaftVersionFeature: { minSupportedVersion: 0, maxSupportedVersion: 1 },
    });

  const rows: Row[] = [];
  for (const id of [leaderId, followerId]) {
    const isLeader = id === leaderId;
    const note = isLeader ? 'the leader' : 'a follower';
    const candidate = nodes.ids.find((each) => each !== leaderId && each !== id)!;
    const vote = (replicaEpoch: number, cluster = clusterId) =>
      nodes.ask({ id, listener: 'controller' }, Vote, 2, {
        ...ballot(quorum, id, { replicaId: candidate, replicaEpoch, lastOffsetEpoch: 0 }),
        clusterId: cluster,
      });
    const begin = (epoch: number, cluster = clusterId) =>
      nodes.ask({ id, listener: 'controller' }, BeginQuorumEpoch, 1, {
        ...{ clusterId: cluster, voterId: id, leaderEndpoints: listeners },
        topics: [
          {
            topicName,
            partitions: [{ ...of, leaderId: candidate, leaderEpoch: epoch, voterDirectoryId: quorum.directories.get(id)! }],
          },
        ],
      });
    const end = (epoch: number, cluster = clusterId) =>
      nodes.ask({ id, listener: 'controller' }, EndQuorumEpoch, 1, {
        ...{ clusterId: cluster, leaderEndpoints: [] },
        topics: [{ topicName, partitions: [{ ...of, leaderId: candidate, leaderEpoch: epoch, preferredCandidates: [] }] }],
      });
    // Who hears of an epoch to come in one of these moves to it: that is how epochs spread.
    rows.push(
      epochRow({
        api: Vote,
        field: 'topics.partitions.replicaEpoch',
        note,
        truth: leaderEpoch,
        older: 'FENCED_LEADER_EPOCH',
        ask: vote,
      }),
      epochRow({
        ...{ api: BeginQuorumEpoch, field: 'topics.partitions.leaderEpoch', note, truth: leaderEpoch, ask: begin },
        ...{ older: 'FENCED_LEADER_EPOCH', isAccepted: false }, // a second leader of an epoch is fatal
      }),
      epochRow({
        ...{ api: EndQuorumEpoch, field: 'topics.partitions.leaderEpoch', note, truth: leaderEpoch, ask: end },
        ...{ older: 'FENCED_LEADER_EPOCH', isAccepted: false },
      }),
      clusterRow(Vote, note, (cluster) => vote(leaderEpoch + 5, cluster)),
      clusterRow(BeginQuorumEpoch, note, (cluster) => begin(leaderEpoch + 5, cluster)),
      clusterRow(EndQuorumEpoch, note, (cluster) => end(leaderEpoch + 5, cluster)),
      clusterRow(Fetch, note, (cluster) => fetch(id, { clusterId: cluster })),
      clusterRow(FetchSnapshot, note, (cluster) => snapshot(id, { clusterId: cluster })),
      clusterRow(UpdateRaftVoter, note, (cluster) => update(id, { clusterId: cluster })),
      clusterRow(AddRaftVoter, note, (cluster) =>
        nodes.ask({ id, listener: 'controller' }, AddRaftVoter, 1, {
          ...{ clusterId: cluster, timeoutMs: 1_000, voterId: 88, voterDirectoryId: someDirectory, listeners },
        }),
      ),
      clusterRow(RemoveRaftVoter, note, (cluster) =>
        nodes.ask({ id, listener: 'controller' }, RemoveRaftVoter, 0, {
          ...{ clusterId: cluster, voterId: followerId, voterDirectoryId: quorum.directories.get(followerId)! },
        }),
      ),
      clusterRow(AddRaftVoter, `${note}, as a broker`, (cluster) =>
        nodes.ask({ id }, AddRaftVoter, 1, {
          ...{ clusterId: cluster, timeoutMs: 1_000, voterId: 88, voterDirectoryId: someDirectory, listeners },
        }),
      ),
      clusterRow(RemoveRaftVoter, `${note}, as a broker`, (cluster) =>
        nodes.ask({ id }, RemoveRaftVoter, 0, {
          ...{ clusterId: cluster, voterId: followerId, voterDirectoryId: quorum.directories.get(followerId)! },
        }),
      ),
      epochRow({
        ...{ api: Fetch, field: 'topics.partitions.currentLeaderEpoch', note, truth: leaderEpoch, isAccepted: isLeader },
        ...{ older: 'FENCED_LEADER_EPOCH', newer: 'UNKNOWN_LEADER_EPOCH' },
        ask: (epoch) => fetch(id, {}, { currentLeaderEpoch: epoch }),
      }),
      epochRow({
        ...{ api: FetchSnapshot, field: 'topics.partitions.currentLeaderEpoch', note, truth: leaderEpoch, isAccepted: false },
        ...{ older: 'FENCED_LEADER_EPOCH', newer: 'UNKNOWN_LEADER_EPOCH' },
        ask: (epoch) => snapshot(id, {}, { currentLeaderEpoch: epoch }),
      }),
      epochRow({
        ...{ api: UpdateRaftVoter, field: 'currentLeaderEpoch', note, truth: leaderEpoch, isAccepted: false },
        ...{ older: 'FENCED_LEADER_EPOCH', newer: 'UNKNOWN_LEADER_EPOCH' },
        ask: (epoch) => update(id, { currentLeaderEpoch: epoch }),
      }),
    );
  }
  return {
    rows,
    /** Which leader each node believes in, who votes, and everything that was decided. */
    async picture() {
      const believed = [];
      for (const id of nodes.ids) {
        const { responses } = await fetch(id, {}, { currentLeaderEpoch: 0 });
        believed.push({ id, ...responses[0]!.partitions[0]!.currentLeader });
      }
      const { directories } = await quorumOf(nodes);
      const records = (await metadataRecords(nodes, quorum)).filter(({ type }) => type !== 'NoOpRecord');
      return { believed, voters: [...directories.keys()].sort(), records: records.length, last: records.at(-1)?.type };
    },
  };
}
