import { readFileSync } from 'node:fs';
import {
  AddRaftVoter,
  type Api,
  BeginQuorumEpoch,
  DescribeCluster,
  DescribeQuorum,
  EndQuorumEpoch,
  errorName,
  Fetch,
  FetchSnapshot,
  RemoveRaftVoter,
  UpdateRaftVoter,
  Vote,
  type Writable,
} from '@ottla/protocol';
import { type Plain, versionsOf } from '../plain.ts';
import type { Probe } from '../probe.ts';
import type { Scenario } from './scenario.ts';

const topicName = '__cluster_metadata';
const topicId = 'AAAAAAAAAAAAAAAAAAAAAQ';
const otherDirectory = 'f3qa2q0ZQ5mZy1tJcKn0_A';

/** Who leads the quorum of the node that is asked: the node itself. */
type Quorum = {
  readonly clusterId: string;
  readonly directoryId: string;
  readonly leaderId: number;
  readonly leaderEpoch: number;
};

async function quorumOf(probe: Probe): Promise<Quorum> {
  const cluster = await probe.ask('cluster', DescribeCluster, 1, {}, { quiet: true });
  const asked = { topics: [{ topicName, partitions: [{ partitionIndex: 0 }] }] };
  const quorum = await probe.ask('quorum', DescribeQuorum, 2, asked, { quiet: true });
  const { leaderId, leaderEpoch } = quorum!.topics[0]!.partitions[0]!;
  const meta = readFileSync(`${probe.target.dataDirectory}/meta.properties`, 'utf8');
  return { clusterId: cluster!.clusterId, directoryId: /directory\.id=(.*)/.exec(meta)![1]!, leaderId, leaderEpoch };
}

/** Numbers that depend on how long a node has run: offsets, and epochs told from the leader's. */
const offsets = new Set(['highWatermark', 'lastStableOffset', 'logStartOffset', 'endOffset', 'size', 'position']);

/** Asks the controller's listener, each time on a new connection, in each version that can say it. */
async function askController<Request, Response>(
  probe: Probe,
  what: string,
  api: Api<Request, Response>,
  request: Writable<Request> | ((version: number) => Writable<Request>),
  versions: readonly number[] = versionsOf(api as Api),
): Promise<void> {
  const { leaderEpoch } = await quorumOf(probe);
  for (const version of versions) {
    const body = typeof request === 'function' ? (request as (version: number) => Writable<Request>)(version) : request;
    const on = await probe.connect('controller');
    const answer = await probe.ask(what, api, version, body, { on, quiet: true });
    probe.note(`${api.name} v${version}: ${what}`, answer === null ? '<none>' : shown(answer, '', leaderEpoch, probe));
    on.close();
  }
}

function shown(value: unknown, name: string, leaderEpoch: number, probe: Probe): Plain {
  if (value === null || value === undefined) return null;
  if (name === 'throttleTimeMs') return '<time>';
  // Ours say it in words of their own.
  if (name === 'errorMessage') return 'a message';
  if (value instanceof Uint8Array) return value.length === 0 ? 'no bytes' : 'bytes';
  if (Array.isArray(value)) return value.map((each) => shown(each, name, leaderEpoch, probe));
  if (typeof value === 'object')
    return Object.fromEntries(Object.entries(value).map(([field, inner]) => [field, shown(inner, field, leaderEpoch, probe)]));
  if (typeof value === 'number') {
    if (name === 'errorCode') return errorName(value);
    if (value === probe.target.controllerPort) return '<controller port>';
    if (offsets.has(name)) return value > 0 ? '> 0' : value;
    if (/epoch$/i.test(name) && value > 0) return `leader epoch ${value - leaderEpoch < 0 ? '' : '+ '}${value - leaderEpoch}`;
  }
  return typeof value === 'string'
    ? value.replaceAll(String(probe.target.controllerPort), '<controller port>')
    : (value as Plain);
}

export const quorumScenarios: readonly Scenario[] = [
  {
    name: 'Vote',
    async run(probe) {
      const { clusterId, directoryId, leaderId, leaderEpoch } = await quorumOf(probe);
      type Ballot = Partial<
        Record<'replicaEpoch' | 'replicaId' | 'lastOffsetEpoch' | 'lastOffset' | 'partitionIndex', number>
      > & {
        readonly preVote?: boolean;
        readonly voterDirectoryId?: string;
      };
      const ballot = (changes: Ballot = {}, around: { clusterId?: string | null; voterId?: number; topicName?: string } = {}) => {
        return (version: number) => ({
          clusterId: around.clusterId === undefined ? clusterId : around.clusterId,
          ...(version >= 1 ? { voterId: around.voterId ?? leaderId } : {}),
          topics: [
            {
              topicName: around.topicName ?? topicName,
              partitions: [
                {
                  partitionIndex: 0,
                  replicaEpoch: leaderEpoch,
                  replicaId: 77,
                  lastOffsetEpoch: Math.max(0, leaderEpoch - 1),
                  lastOffset: 1_000_000,
                  ...(version >= 1 ? { replicaDirectoryId: otherDirectory, voterDirectoryId: directoryId } : {}),
                  ...changes,
                },
              ],
            },
          ],
        });
      };
      await askController(probe, 'in the epoch of the leader', Vote, ballot());
      await askController(probe, 'asked before', Vote, ballot({ preVote: true }), [2]);
      await askController(
        probe,
        'asked before, of the epoch of the log',
        Vote,
        ballot({ preVote: true, lastOffsetEpoch: leaderEpoch }),
        [2],
      );
      await askController(probe, 'without a cluster', Vote, ballot({}, { clusterId: null }));
      await askController(probe, 'of another cluster', Vote, ballot({}, { clusterId: 'another' }));
      await askController(probe, 'of another topic', Vote, ballot({}, { topicName: 'another' }));
      await askController(probe, 'of another partition', Vote, ballot({ partitionIndex: 1 }));
      await askController(probe, 'to another voter', Vote, ballot({}, { voterId: 78 }), [1, 2]);
      await askController(probe, 'to another directory', Vote, ballot({ voterDirectoryId: otherDirectory }), [1, 2]);
      await askController(probe, 'to no voter', Vote, ballot({}, { voterId: -1 }), [1, 2]);
      // The two may be in different epochs, and that before the first is refused for another reason than the others.
      await askController(probe, 'of the epoch before the first', Vote, ballot({ replicaEpoch: 0, lastOffsetEpoch: 0 }));
      await askController(probe, 'of a log as new as the epoch', Vote, ballot({ lastOffsetEpoch: leaderEpoch }));
      await askController(
        probe,
        'of a log newer than the epoch',
        Vote,
        ballot({ preVote: true, lastOffsetEpoch: leaderEpoch + 1 }),
        [2],
      );
      await askController(probe, 'of a log that ends before it begins', Vote, ballot({ lastOffset: -1 }));
      await askController(probe, 'of a negative epoch', Vote, ballot({ replicaEpoch: -1, lastOffsetEpoch: -2 }));
      await askController(probe, 'of a negative replica', Vote, ballot({ replicaId: -1 }));
      await askController(probe, 'of nothing', Vote, { clusterId, topics: [] });
    },
  },
  {
    name: 'BeginQuorumEpoch and EndQuorumEpoch',
    async run(probe) {
      const { clusterId, directoryId, leaderId, leaderEpoch } = await quorumOf(probe);
      const partition = (name: string, index: number, fields: object) => [
        { topicName: name, partitions: [{ partitionIndex: index, ...fields }] },
      ];
      const begin = (changes: object = {}, voterDirectoryId = directoryId, name = topicName) => {
        return (version: number) => ({
          clusterId,
          ...(version >= 1 ? { voterId: leaderId } : {}),
          topics: partition(name, 0, {
            ...(version >= 1 ? { voterDirectoryId } : {}),
            leaderId,
            leaderEpoch,
            ...changes,
          }) as never,
          ...(version >= 1
            ? { leaderEndpoints: [{ name: 'CONTROLLER', host: '127.0.0.1', port: probe.target.controllerPort }] }
            : {}),
        });
      };
      // Kafka's controller stops when one is sent that names itself, or another leader of its epoch.
      await askController(probe, 'of an older epoch', BeginQuorumEpoch, begin({ leaderEpoch: leaderEpoch - 1 }));
      await askController(probe, 'of another topic', BeginQuorumEpoch, begin({}, directoryId, 'another'));
      await askController(probe, 'to another directory', BeginQuorumEpoch, begin({}, otherDirectory), [1]);
      await askController(probe, 'of a negative leader', BeginQuorumEpoch, begin({ leaderId: -1 }));
      await askController(probe, 'of another cluster', BeginQuorumEpoch, (version) => ({
        ...begin()(version),
        clusterId: 'another',
      }));
      await askController(probe, 'of nothing', BeginQuorumEpoch, { clusterId, topics: [] });

      const end = (changes: object = {}, name = topicName) => {
        return (version: number) => ({
          clusterId,
          topics: partition(name, 0, {
            leaderId,
            leaderEpoch,
            ...(version === 0
              ? { preferredSuccessors: [leaderId] }
              : { preferredCandidates: [{ candidateId: leaderId, candidateDirectoryId: directoryId }] }),
            ...changes,
          }) as never,
        });
      };
      await askController(probe, 'of an older epoch', EndQuorumEpoch, end({ leaderEpoch: leaderEpoch - 1 }));
      await askController(probe, 'of another topic', EndQuorumEpoch, end({}, 'another'));
      await askController(probe, 'of a negative leader', EndQuorumEpoch, end({ leaderId: -1 }));
      await askController(probe, 'of the leader, to itself', EndQuorumEpoch, end());
      await askController(probe, 'of another cluster', EndQuorumEpoch, (version) => ({
        ...end()(version),
        clusterId: 'another',
      }));
      await askController(probe, 'of nothing', EndQuorumEpoch, { clusterId, topics: [] });
    },
  },
  {
    name: 'Fetch of the metadata log, and FetchSnapshot',
    async run(probe) {
      const { clusterId, leaderEpoch } = await quorumOf(probe);
      const asked = (
        changes: object = {},
        around: { clusterId?: string; name?: string; id?: string; replicaId?: number } = {},
      ) => {
        const { replicaId = 88 } = around;
        return (version: number) => ({
          clusterId: around.clusterId ?? clusterId,
          ...(version < 15 ? { replicaId } : { replicaState: { replicaId, replicaEpoch: -1 } }),
          maxWaitMs: 0,
          minBytes: 0,
          maxBytes: 1_000_000,
          topics: [
            {
              ...(version < 13 ? { topic: around.name ?? topicName } : { topicId: around.id ?? topicId }),
              partitions: [
                {
                  partition: 0,
                  fetchOffset: 0,
                  ...(version >= 9 ? { currentLeaderEpoch: leaderEpoch } : {}),
                  ...(version >= 12 ? { lastFetchedEpoch: 0 } : {}),
                  partitionMaxBytes: 1_000_000,
                  ...(version >= 17 ? { replicaDirectoryId: otherDirectory } : {}),
                  ...changes,
                },
              ],
            },
          ],
        });
      };
      await askController(probe, 'from the start', Fetch, asked());
      await askController(probe, 'of an older epoch', Fetch, asked({ currentLeaderEpoch: leaderEpoch - 1 }), [12, 13, 18]);
      await askController(probe, 'of an epoch to come', Fetch, asked({ currentLeaderEpoch: leaderEpoch + 1 }), [12, 13, 18]);
      await askController(probe, 'of another cluster', Fetch, asked({}, { clusterId: 'another' }), [12, 13, 18]);
      await askController(probe, 'of another topic', Fetch, asked({}, { name: 'another', id: otherDirectory }), [12, 13, 18]);
      await askController(probe, 'of another partition', Fetch, asked({ partition: 1 }), [12, 13, 18]);
      await askController(probe, 'from a negative offset', Fetch, asked({ fetchOffset: -1 }), [12, 13, 18]);
      await askController(probe, 'of a negative epoch fetched', Fetch, asked({ lastFetchedEpoch: -1 }), [12, 13, 18]);
      await askController(
        probe,
        'of an epoch fetched that is to come',
        Fetch,
        asked({ lastFetchedEpoch: leaderEpoch + 1 }),
        [12, 13, 18],
      );
      await askController(
        probe,
        'behind the end',
        Fetch,
        asked({ fetchOffset: 1_000_000_000, lastFetchedEpoch: leaderEpoch }),
        [12, 13, 18],
      );
      await askController(probe, 'of nobody', Fetch, asked({}, { replicaId: -1 }), [12, 13, 18]);
      await askController(probe, 'of nothing', Fetch, { clusterId, topics: [] }, [12, 13, 18]);

      const snapshot = (changes: object = {}, around: object = {}, name = topicName) => ({
        clusterId,
        replicaId: 88,
        maxBytes: 1_000,
        topics: [
          {
            name,
            partitions: [
              {
                partition: 0,
                currentLeaderEpoch: leaderEpoch,
                snapshotId: { endOffset: 3, epoch: leaderEpoch },
                position: 0,
                ...changes,
              },
            ],
          },
        ],
        ...around,
      });
      await askController(probe, 'of another cluster', FetchSnapshot, snapshot({}, { clusterId: 'another' }));
    },
  },
  {
    name: 'AddRaftVoter, RemoveRaftVoter and UpdateRaftVoter',
    async run(probe) {
      const { clusterId, directoryId, leaderId, leaderEpoch } = await quorumOf(probe);
      const listeners = [{ name: 'CONTROLLER', host: '127.0.0.1', port: 1 }];
      const voter = { clusterId, timeoutMs: 1_000, voterId: 77, voterDirectoryId: otherDirectory, listeners };
      const answers: readonly [string, object][] = [
        ['of another cluster', { ...voter, clusterId: 'another' }],
        ['with a negative id', { ...voter, voterId: -1 }],
        ['with a reserved directory', { ...voter, voterDirectoryId: 'AAAAAAAAAAAAAAAAAAAAAA' }],
        ['without a listener', { ...voter, listeners: [] }],
        ['with another listener', { ...voter, listeners: [{ name: 'ANOTHER', host: '127.0.0.1', port: 1 }] }],
        ['that is one', { ...voter, voterId: leaderId, voterDirectoryId: directoryId }],
        ['with the id of one', { ...voter, voterId: leaderId }],
        ['that is not there', voter],
      ];
      for (const [what, request] of answers) await askController(probe, what, AddRaftVoter, request as typeof voter);
      const byBroker = async <Response extends { errorCode: number; errorMessage: string | null }>(
        answer: Promise<Response | null>,
      ) => {
        const { errorCode, errorMessage } = (await answer)!;
        probe.note('by a broker', { error: errorName(errorCode), hasMessage: errorMessage !== null });
      };
      await byBroker(probe.ask('', AddRaftVoter, 1, { ...voter, clusterId: 'another' }, { quiet: true }));
      const leaving = { clusterId, voterId: 77, voterDirectoryId: otherDirectory };
      await askController(probe, 'of another cluster', RemoveRaftVoter, { ...leaving, clusterId: 'another' });
      await askController(probe, 'that is none', RemoveRaftVoter, leaving);
      await askController(probe, 'with a negative id', RemoveRaftVoter, { ...leaving, voterId: -1 });
      await askController(probe, 'of another directory', RemoveRaftVoter, { ...leaving, voterId: leaderId });
      await askController(probe, 'the last one', RemoveRaftVoter, {
        ...leaving,
        voterId: leaderId,
        voterDirectoryId: directoryId,
      });
      await byBroker(probe.ask('', RemoveRaftVoter, 0, leaving, { quiet: true }));
      const update = {
        clusterId,
        currentLeaderEpoch: leaderEpoch,
        voterId: 77,
        voterDirectoryId: otherDirectory,
        listeners,
        kRaftVersionFeature: { minSupportedVersion: 0, maxSupportedVersion: 1 },
      };
      await askController(probe, 'of another cluster', UpdateRaftVoter, { ...update, clusterId: 'another' });
      await askController(probe, 'that is none', UpdateRaftVoter, update);
      await askController(probe, 'in an older epoch', UpdateRaftVoter, { ...update, currentLeaderEpoch: leaderEpoch - 1 });
      await askController(probe, 'in an epoch to come', UpdateRaftVoter, { ...update, currentLeaderEpoch: leaderEpoch + 1 });
      await askController(probe, 'with a negative id', UpdateRaftVoter, { ...update, voterId: -1 });
      await askController(probe, 'with a reserved directory', UpdateRaftVoter, {
        ...update,
        voterDirectoryId: 'AAAAAAAAAAAAAAAAAAAAAA',
      });
      await askController(probe, 'without a listener', UpdateRaftVoter, { ...update, listeners: [] });
      await askController(probe, 'that knows no kraft.version in force', UpdateRaftVoter, {
        ...update,
        voterId: leaderId,
        voterDirectoryId: directoryId,
        kRaftVersionFeature: { minSupportedVersion: 0, maxSupportedVersion: 0 },
      });
    },
  },
];
