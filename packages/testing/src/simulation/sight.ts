import type { ServerParts } from '@ottla/broker';
import type { SimulatedCluster, SimulatedNode } from './simulated-cluster.ts';

export type Replica = ReturnType<NonNullable<ServerParts['partitions']>['get']> & object;
export type ReplicaLog = Replica['log'];
export type Image = ServerParts['metadata']['image'];

/** What can be seen of a node that runs. */
export type NodeSight = { readonly node: SimulatedNode; readonly parts: ServerParts };

export type ReplicaSight = {
  readonly node: SimulatedNode;
  readonly replica: Replica;
  /** Topic id and number. */
  readonly key: string;
  /** Of this replica, from when the process has it until it gives it up. */
  readonly life: string;
};

/** What promises look at: the insides of all nodes, at a moment in which nothing is under way on any of them. */
export type Sight = {
  readonly cluster: SimulatedCluster;
  readonly nowMs: number;
  /** Those that run, whether or not anybody can reach them. */
  readonly nodes: readonly NodeSight[];
  /** Every replica on them. */
  readonly replicas: readonly ReplicaSight[];
  /** Those of which something may be otherwise than at the look before. */
  readonly changed: readonly ReplicaSight[];
  readonly changedNodes: readonly NodeSight[];
};

/** Looks at a cluster again and again, and only at what may have changed. */
export class Onlooker {
  readonly #cluster: SimulatedCluster;
  readonly #views: readonly NodeView[];
  #nodes: readonly NodeSight[] = [];
  #replicas: readonly ReplicaSight[] = [];

  constructor(cluster: SimulatedCluster) {
    this.#cluster = cluster;
    this.#views = cluster.nodes.map((node) => new NodeView(node));
  }

  /** At the nodes to which something happened since the last look. Undefined: nothing that anybody looks at is otherwise. */
  lookAtTouched(): Sight | undefined {
    const { touched } = this.#cluster.world;
    if (touched.size === 0) return undefined;
    const changed: ReplicaSight[] = [];
    const changedNodes: NodeSight[] = [];
    let isOtherwise = false;
    for (const view of this.#views) {
      if (!touched.has(view.node.host)) continue;
      if (view.look(changed)) isOtherwise = true;
      if (view.isChanged && view.sight) changedNodes.push(view.sight);
    }
    touched.clear();
    if (isOtherwise) this.#gather();
    else if (changed.length === 0 && changedNodes.length === 0) return undefined;
    return this.#sight(changed, changedNodes);
  }

  /** At everything, as if all of it had changed. */
  lookAtAll(): Sight {
    this.#cluster.world.touched.clear();
    const ignored: ReplicaSight[] = [];
    for (const view of this.#views) view.look(ignored);
    this.#gather();
    return this.#sight(this.#replicas, this.#nodes);
  }

  #gather(): void {
    this.#nodes = this.#views.flatMap(({ sight }) => sight ?? []);
    this.#replicas = this.#views.flatMap((view) => view.replicas);
  }

  #sight(changed: readonly ReplicaSight[], changedNodes: readonly NodeSight[]): Sight {
    const nowMs = this.#cluster.world.time.nowMs;
    return { cluster: this.#cluster, nowMs, nodes: this.#nodes, replicas: this.#replicas, changed, changedNodes };
  }
}

/** What was seen of a node last. */
class NodeView {
  readonly node: SimulatedNode;
  sight: NodeSight | undefined;
  replicas: readonly ReplicaSight[] = [];
  /** Of the node itself, at the last look. */
  isChanged = false;
  readonly #views = new Map<Replica, ReplicaView>();
  #looks = 0;
  #lives = 0;
  #replicasSeen = 0;
  #appliedOffset = -1;
  #highWatermark = -1;
  #nextOffset = -1;
  #epoch = -1;
  #leaderId: number | null = null;
  #isLeader = false;

  constructor(node: SimulatedNode) {
    this.node = node;
  }

  /** Adds the replicas that changed. True: there are others than before, or the node began or ended. */
  look(changed: ReplicaSight[]): boolean {
    const { parts, lives } = this.node;
    let isOtherwise = false;
    if (parts !== this.sight?.parts || lives !== this.#lives) {
      this.sight = parts && { node: this.node, parts };
      if (lives !== this.#lives || !parts) this.#forget();
      this.#lives = lives;
      isOtherwise = true;
    }
    this.isChanged = isOtherwise || this.node.hasNewElectionState;
    if (!parts) return isOtherwise;
    const hasMoreMetadata = parts.metadata.appliedOffset !== this.#appliedOffset;
    if (this.#notes(parts)) this.isChanged = true;
    const looks = ++this.#looks;
    let seen = 0;
    for (const replica of parts.partitions ?? []) {
      const { log } = replica;
      if (log.isClosed) continue;
      let view = this.#views.get(replica);
      if (!view) {
        view = new ReplicaView(this.node, replica, ++this.#replicasSeen);
        this.#views.set(replica, view);
        isOtherwise = true;
      }
      seen++;
      view.lookedAt = looks;
      // What a node has been told of a partition is a part of what is looked at.
      if (view.notes() || hasMoreMetadata) changed.push(view.sight);
    }
    if (seen < this.#views.size) {
      for (const [replica, { lookedAt }] of this.#views) if (lookedAt !== looks) this.#views.delete(replica);
      isOtherwise = true;
    }
    if (isOtherwise) this.replicas = Array.from(this.#views.values(), ({ sight }) => sight);
    return isOtherwise;
  }

  #forget(): void {
    this.#views.clear();
    this.replicas = [];
    this.#appliedOffset = this.#highWatermark = this.#nextOffset = this.#epoch = -1;
  }

  /** Keeps what is to be seen now; true if it is otherwise than before. */
  #notes({ quorum, metadata }: ServerParts): boolean {
    const { appliedOffset } = metadata;
    const { highWatermark, nextOffset, isLeader } = quorum;
    const { leaderId, leaderEpoch } = quorum.leaderAndEpoch;
    const isSame =
      appliedOffset === this.#appliedOffset &&
      highWatermark === this.#highWatermark &&
      nextOffset === this.#nextOffset &&
      leaderEpoch === this.#epoch &&
      leaderId === this.#leaderId &&
      isLeader === this.#isLeader;
    if (isSame) return false;
    this.#appliedOffset = appliedOffset;
    this.#highWatermark = highWatermark;
    this.#nextOffset = nextOffset;
    this.#epoch = leaderEpoch;
    this.#leaderId = leaderId;
    this.#isLeader = isLeader;
    return true;
  }
}

/** What was seen of a replica last. */
class ReplicaView {
  readonly sight: ReplicaSight;
  lookedAt = 0;
  #highWatermark = -1;
  #lastStableOffset = -1;
  #logStartOffset = -1;
  #logEndOffset = -1;
  #leaderEpoch = -1;
  #isLeader = false;
  #isr: readonly number[] = [];

  constructor(node: SimulatedNode, replica: Replica, ordinal: number) {
    const key = `${replica.topicId} ${replica.index}`;
    // Who is given up by a reassignment and comes back by the next one begins anew.
    this.sight = { node, replica, key, life: `${node.id} ${ordinal} ${key}` };
  }

  /** Keeps what is to be seen now; true if it is otherwise than before. */
  notes(): boolean {
    const { highWatermark, lastStableOffset, leaderEpoch, isLeader, isr, log } = this.sight.replica;
    const { logStartOffset, logEndOffset } = log;
    const isSame =
      highWatermark === this.#highWatermark &&
      lastStableOffset === this.#lastStableOffset &&
      logStartOffset === this.#logStartOffset &&
      logEndOffset === this.#logEndOffset &&
      leaderEpoch === this.#leaderEpoch &&
      isLeader === this.#isLeader &&
      isr === this.#isr;
    if (isSame) return false;
    this.#highWatermark = highWatermark;
    this.#lastStableOffset = lastStableOffset;
    this.#logStartOffset = logStartOffset;
    this.#logEndOffset = logEndOffset;
    this.#leaderEpoch = leaderEpoch;
    this.#isLeader = isLeader;
    this.#isr = isr;
    return true;
  }
}
