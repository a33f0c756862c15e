import { KafkaError } from '@ottla/protocol';
import type { Namesake, RaftNode } from '@ottla/raft';
import type { Runtime } from '@ottla/runtime';
import type { CorruptFileError } from '@ottla/storage';
import type { QuorumMember } from './quorum-opening.ts';
import type { QuorumRequests } from './quorum-requests.ts';
import { type SnapshotId, snapshotName } from './snapshot-files.ts';

type Options = {
  readonly logger: Runtime['logger'];
  readonly member: QuorumMember;
  readonly raft: RaftNode;
  readonly requests: QuorumRequests;
};

/** What keeps this node from its quorum, in words for an operator. Each is told once: it comes again and again until somebody does something. */
export class QuorumTroubles {
  readonly #options: Options;
  #damage: string | undefined;
  #refusedSnapshot: string | undefined;
  #namesakeEpoch: number | null = null;

  constructor(options: Options) {
    this.#options = options;
  }

  /** Where this node is in its search for a leader, and what may keep it from finding one. */
  get search(): string {
    const { member, raft, requests } = this.#options;
    const { leaderAndEpoch, voters, namesakeEpoch } = raft;
    const address = requests.addressOfOtherCluster;
    const told = [
      `(epoch ${leaderAndEpoch.leaderEpoch}, voters ${voters.ids.join(', ') || 'unknown'})`,
      ...(address ? [`${address} belongs to another cluster than ${member.clusterId}`] : []),
      ...(namesakeEpoch === null ? [] : [this.#ownIdLeads(namesakeEpoch)]),
      ...(voters.ids.length === 0 && asksItselfAlone(member) ? [nobodyToAsk] : []),
    ];
    return told.join(', and ');
  }

  /** The leader's disk stays as it is until somebody does something. */
  tellDamage(damage: string | null, leaderId: number | null): void {
    if (damage === null || damage === this.#damage) return;
    this.#damage = damage;
    this.#options.logger.error('the leader gives damaged batches of the metadata log: look at its disk', { leaderId, damage });
  }

  tellRefused(id: SnapshotId, error: CorruptFileError, leaderId: number | null): void {
    if (snapshotName(id) === this.#refusedSnapshot) return;
    this.#refusedSnapshot = snapshotName(id);
    this.#options.logger.error('the leader gave a snapshot that cannot be read: it is fetched again and again', {
      leaderId,
      error,
    });
  }

  /** @throws DUPLICATE_BROKER_REGISTRATION when the leader has this node's own id */
  tellNamesake(): void {
    const { logger, member, raft } = this.#options;
    const { namesakeEpoch, namesake } = raft;
    if (namesake) throw namesakeLeads(member.nodeId, namesake);
    if (namesakeEpoch !== null && namesakeEpoch !== this.#namesakeEpoch)
      logger.error('this node cannot find the leader of its quorum', { why: this.#ownIdLeads(namesakeEpoch) });
    this.#namesakeEpoch = namesakeEpoch;
  }

  #ownIdLeads(epoch: number): string {
    return `others say that node ${this.#options.member.nodeId}, which is this node's id, leads epoch ${epoch}: give each node a node.id of its own`;
  }
}

/** It was formatted to join others, or what its log knew of the quorum is gone. Nobody can ever tell it who the voters are. */
const asksItselfAlone = ({ bootstrapServers = [], controllerEndpoints }: QuorumMember): boolean =>
  bootstrapServers.length > 0 &&
  bootstrapServers.every(({ host, port }) => controllerEndpoints.some((own) => own.host === host && own.port === port));

const nobodyToAsk =
  'its metadata log knows no voters while controller.quorum.bootstrap.servers names this node alone: name the controllers of its cluster there, or ' +
  'bring back its __cluster_metadata-0; if it is to be a new cluster of its own, format an empty directory with --standalone';

function namesakeLeads(nodeId: number, { leaderEpoch, endpoints: [endpoint] }: Namesake): KafkaError {
  const where = endpoint ? ` at ${endpoint.host}:${endpoint.port}` : '';
  return new KafkaError(
    'DUPLICATE_BROKER_REGISTRATION',
    `another node${where} has the id of this one and leads epoch ${leaderEpoch} of the quorum: change node.id=${nodeId} to a number that no other ` +
      'node has, and format a directory for it',
  );
}
