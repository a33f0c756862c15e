import { BrokerConnection } from '@ottla/network';
import {
  type Api,
  errorName,
  errorOfCode,
  FindCoordinator,
  KafkaError,
  Metadata,
  ShareAcknowledge,
  ShareFetch,
  ShareGroupHeartbeat,
  type Uuid,
  type Writable,
} from '@ottla/protocol';
import { tellError } from '../node-log.ts';
import { SimulatedClient } from './simulated-client.ts';

type Acquired = {
  readonly partitionIndex: number;
  readonly topicId: Uuid;
  readonly firstOffset: number;
  readonly lastOffset: number;
};
/** With one leader; a session of it ends when anything goes wrong. */
type Session = { readonly connection: BrokerConnection; epoch: number };

const acknowledgeTypes = { accept: 1, release: 2, reject: 3 } as const;
type Settlement = keyof typeof acknowledgeTypes;
const lostMembership = new Set(['FENCED_MEMBER_EPOCH', 'UNKNOWN_MEMBER_ID', 'STALE_MEMBER_EPOCH']);

/** A member of a share group (KIP-932): it is given records one by one, and accepts them, gives them back, refuses them, or forgets them. */
export class ShareClient extends SimulatedClient {
  #coordinator: BrokerConnection | undefined;
  readonly #sessions = new Map<number, Session>();
  readonly #topicNames = new Map<Uuid, string>();
  #memberId = '';
  #memberEpoch = 0;
  #nextHeartbeatMs = 0;
  #assigned: readonly { readonly topicId: Uuid; readonly partitions: readonly number[] }[] = [];

  protected async doNext(): Promise<void> {
    if (this.nowMs >= this.#nextHeartbeatMs) await this.#heartbeat();
    if (this.#assigned.length === 0) return;
    for (const leader of await this.#leaders()) {
      try {
        await this.#takeFrom(leader);
      } catch (error) {
        this.note(`share session with ${leader.id}: ${tellError(error)}`);
        this.#sessions.get(leader.id)?.connection.close();
        this.#sessions.delete(leader.id);
      }
    }
  }

  async #heartbeat(): Promise<void> {
    if (this.#memberId === '') this.#memberId = Buffer.from(this.random.bytes(16)).toString('base64url');
    const response = await this.#ask(ShareGroupHeartbeat, {
      groupId: this.plan.group!,
      memberId: this.#memberId,
      memberEpoch: this.#memberEpoch,
      subscribedTopicNames: this.topics.map(({ name }) => name),
    });
    const error = errorOfCode(response.errorCode);
    if (error && lostMembership.has(errorName(response.errorCode))) {
      this.note(`heartbeat: ${tellError(error)}`);
      this.#memberEpoch = 0;
      return;
    }
    if (error) throw error;
    this.#memberEpoch = response.memberEpoch;
    this.#nextHeartbeatMs = this.nowMs + Math.min(response.heartbeatIntervalMs, 500);
    if (response.assignment) this.#assigned = response.assignment.topicPartitions;
  }

  /** Who leads what is assigned. */
  async #leaders(): Promise<{ id: number; host: string; port: number; topics: Map<Uuid, number[]> }[]> {
    const { topics, brokers } = await this.#ask(Metadata, { topics: this.topics.map(({ name }) => ({ name })) });
    const leaders = new Map<number, Map<Uuid, number[]>>();
    for (const { topicId, name, partitions } of topics) {
      if (name !== null) this.#topicNames.set(topicId, name);
      const assigned = this.#assigned.find((each) => each.topicId === topicId)?.partitions ?? [];
      for (const { partitionIndex, leaderId } of partitions) {
        if (!assigned.includes(partitionIndex) || leaderId < 0) continue;
        let ofLeader = leaders.get(leaderId);
        if (!ofLeader) leaders.set(leaderId, (ofLeader = new Map()));
        ofLeader.set(topicId, [...(ofLeader.get(topicId) ?? []), partitionIndex]);
      }
    }
    return brokers.flatMap(({ nodeId, host, port }) => {
      const led = leaders.get(nodeId);
      return led ? [{ id: nodeId, host, port, topics: led }] : [];
    });
  }

  async #takeFrom({
    id,
    host,
    port,
    topics,
  }: {
    id: number;
    host: string;
    port: number;
    topics: Map<Uuid, number[]>;
  }): Promise<void> {
    let session = this.#sessions.get(id);
    if (!session) this.#sessions.set(id, (session = { connection: await this.#connect(host, port), epoch: 0 }));
    const beganMs = this.nowMs;
    const answer = await session.connection.send(ShareFetch, {
      ...{ groupId: this.plan.group!, memberId: this.#memberId, shareSessionEpoch: session.epoch++ },
      ...{ maxWaitMs: 100, minBytes: 1, maxBytes: 1 << 20, maxRecords: 20, batchSize: 20 },
      topics: [...topics].map(([topicId, partitions]) => ({
        topicId,
        partitions: partitions.map((partitionIndex) => ({ partitionIndex, acknowledgementBatches: [] })),
      })),
    });
    throwIfError(answer.errorCode);
    const acquired: Acquired[] = [];
    for (const { topicId, partitions } of answer.responses) {
      for (const { partitionIndex, errorCode, acquiredRecords } of partitions) {
        if (errorCode !== 0) this.note(`share fetch of ${partitionIndex}: ${errorName(errorCode)}`);
        for (const { firstOffset, lastOffset, deliveryCount } of acquiredRecords) {
          acquired.push({ topicId, partitionIndex, firstOffset, lastOffset });
          this.hear({
            type: 'acquired',
            ...this.#place(topicId, partitionIndex),
            firstOffset,
            lastOffset,
            deliveryCount,
            beganMs,
          });
        }
      }
    }
    if (acquired.length > 0) await this.#settle(session, acquired);
  }

  async #settle(session: Session, acquired: readonly Acquired[]): Promise<void> {
    const settled = acquired
      .flatMap((range) => [...this.#pieces(range)])
      .flatMap((batch) => {
        const how = this.settlement();
        return how === undefined ? [] : [{ ...batch, how }];
      });
    if (settled.length === 0) return;
    for (const { topicId, partitionIndex, firstOffset, lastOffset, how } of settled)
      this.hear({ type: 'settling', ...this.#place(topicId, partitionIndex), firstOffset, lastOffset, how });
    const answer = await session.connection.send(ShareAcknowledge, {
      ...{ groupId: this.plan.group!, memberId: this.#memberId, shareSessionEpoch: session.epoch++ },
      topics: [...Map.groupBy(settled, ({ topicId }) => topicId)].map(([topicId, ofTopic]) => ({
        topicId,
        partitions: [...Map.groupBy(ofTopic, ({ partitionIndex }) => partitionIndex)].map(([partitionIndex, batches]) => ({
          partitionIndex,
          acknowledgementBatches: batches.map(({ firstOffset, lastOffset, how }) => ({
            ...{ firstOffset, lastOffset, acknowledgeTypes: [acknowledgeTypes[how]] },
          })),
        })),
      })),
    });
    throwIfError(answer.errorCode);
    for (const { topicId, partitions } of answer.responses) {
      for (const { partitionIndex, errorCode } of partitions) {
        if (errorCode !== 0) {
          this.note(`acknowledgement of ${partitionIndex}: ${errorName(errorCode)}`);
          continue;
        }
        for (const { firstOffset, lastOffset, how, ...batch } of settled) {
          if (batch.topicId !== topicId || batch.partitionIndex !== partitionIndex || how === 'release') continue;
          this.hear({ type: 'settled', ...this.#place(topicId, partitionIndex), firstOffset, lastOffset, atMs: this.nowMs });
        }
      }
    }
  }

  /** It does not decide about all that it was given in the same way. */
  *#pieces({ firstOffset, lastOffset, ...place }: Acquired): Generator<Acquired> {
    for (let first = firstOffset; first <= lastOffset; ) {
      const last = Math.min(lastOffset, first + this.random.below(6));
      yield { ...place, firstOffset: first, lastOffset: last };
      first = last + 1;
    }
  }

  /** What it says of a batch that it was given; undefined: nothing. */
  protected settlement(): Settlement | undefined {
    const drawn = this.random.fraction();
    return drawn < 0.75 ? 'accept' : drawn < 0.85 ? 'release' : drawn < 0.95 ? 'reject' : undefined;
  }

  #place(topicId: Uuid, partition: number): { client: string; group: string; topic: string; partition: number } {
    return { client: this.process, group: this.plan.group!, topic: this.#topicNames.get(topicId) ?? topicId, partition };
  }

  async #ask<Request, Response>(api: Api<Request, Response>, request: Writable<Request>): Promise<Response> {
    this.#coordinator ??= await this.#findCoordinator();
    return this.#coordinator.send(api, request);
  }

  async #findCoordinator(): Promise<BrokerConnection> {
    const servers = this.common.bootstrapServers;
    const [host, port] = servers[this.random.below(servers.length)]!.split(':') as [string, string];
    const anyBroker = await this.#connect(host, Number(port));
    try {
      const { coordinators } = await anyBroker.send(FindCoordinator, { keyType: 0, coordinatorKeys: [this.plan.group!] });
      const [found] = coordinators;
      throwIfError(found?.errorCode ?? 15);
      return await this.#connect(found!.host, found!.port);
    } finally {
      anyBroker.close();
    }
  }

  #connect(host: string, port: number): Promise<BrokerConnection> {
    return BrokerConnection.connect({
      ...this.runtime,
      address: { host, port },
      clientId: this.process,
      connectTimeoutMs: 2_000,
      requestTimeoutMs: 4_000,
    });
  }

  /** The coordinator may be another one now; the member is still who it was. */
  protected override async beginAnew(): Promise<void> {
    this.#coordinator?.close();
    this.#coordinator = undefined;
  }

  protected async close(): Promise<void> {
    for (const { connection } of this.#sessions.values()) connection.close();
    this.#sessions.clear();
    if (this.#memberEpoch > 0) {
      await this.#ask(ShareGroupHeartbeat, {
        ...{ groupId: this.plan.group!, memberId: this.#memberId, memberEpoch: -1, subscribedTopicNames: null },
      }).catch(() => {});
    }
    this.#coordinator?.close();
    this.#coordinator = undefined;
  }
}

/** Accepts all that is left. */
export class LastShareClient extends ShareClient {
  protected override settlement(): Settlement {
    return 'accept';
  }
}

function throwIfError(errorCode: number): void {
  const error = errorOfCode(errorCode);
  if (error instanceof KafkaError) throw error;
}
