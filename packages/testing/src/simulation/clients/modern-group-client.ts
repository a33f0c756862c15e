import { Consumer, stringDeserializer } from '@ottla/client';
import { BrokerConnection } from '@ottla/network';
import {
  type Api,
  ConsumerGroupHeartbeat,
  errorName,
  errorOfCode,
  FindCoordinator,
  Metadata,
  OffsetCommit,
  OffsetFetch,
  type Uuid,
  type Writable,
} from '@ottla/protocol';
import { tellError } from '../node-log.ts';
import { partitionText, polledOf } from './reading-client.ts';
import { closeSoon, SimulatedClient } from './simulated-client.ts';

type Place = { readonly topic: string; readonly partition: number };
type Assigned = { readonly topicId: Uuid; readonly partitions: readonly number[] };

/** Told to a member that is none any more: it begins again from nothing. */
const lostMembership = new Set(['FENCED_MEMBER_EPOCH', 'UNKNOWN_MEMBER_ID', 'STALE_MEMBER_EPOCH']);
/** With topic names. */
const offsetVersion = 9;

/** A member of a group of KIP-848, whose coordinator assigns: it heartbeats, takes and gives up partitions, reads, and commits. */
export class ModernGroupClient extends SimulatedClient {
  #coordinator: BrokerConnection | undefined;
  #consumer: Consumer<string, string> | undefined;
  readonly #topicNames = new Map<Uuid, string>();
  #memberEpoch = 0;
  #nextHeartbeatMs = 0;
  #owned: readonly Assigned[] = [];

  protected async doNext(): Promise<void> {
    this.#consumer ??= this.#open();
    if (this.nowMs >= this.#nextHeartbeatMs) await this.#heartbeat();
    if (this.#places().length === 0) return;
    await this.#read(this.#consumer);
    if (this.random.chance(0.3)) await this.#commit();
  }

  get #group(): string {
    return this.plan.group!;
  }

  async #heartbeat(): Promise<void> {
    const response = await this.#ask(ConsumerGroupHeartbeat, {
      groupId: this.#group,
      memberId: this.process,
      memberEpoch: this.#memberEpoch,
      rebalanceTimeoutMs: 4_000,
      subscribedTopicNames: this.topics.map(({ name }) => name),
      topicPartitions: this.#owned.map(({ topicId, partitions }) => ({ topicId, partitions: [...partitions] })),
    });
    const error = errorOfCode(response.errorCode);
    if (error && lostMembership.has(errorName(response.errorCode))) {
      this.note(`heartbeat: ${tellError(error)}`);
      this.#memberEpoch = 0;
      await this.#own([]);
      return;
    }
    if (error) throw error;
    this.#memberEpoch = response.memberEpoch;
    this.#nextHeartbeatMs = this.nowMs + Math.min(response.heartbeatIntervalMs, 500);
    if (!response.assignment) return;
    await this.#own(response.assignment.topicPartitions);
    // What it has given up is told at once, so that others can have it.
    this.#nextHeartbeatMs = 0;
  }

  /** Commits what it gives up, and goes on with what it gets where the group has committed. */
  async #own(assigned: readonly Assigned[]): Promise<void> {
    if (this.#memberEpoch > 0 && this.#places().length > 0) await this.#commit();
    this.#owned = assigned;
    if (assigned.some(({ topicId }) => !this.#topicNames.has(topicId))) await this.#learnNames();
    const places = this.#places();
    this.#consumer?.assign(places);
    this.history.push({ type: 'placed', process: this.process, partitions: places.map(partitionText) });
    if (places.length === 0) return;
    const committed = await this.#committed(places);
    for (const place of places) this.#consumer?.seek(place, committed.get(partitionText(place)) ?? 0);
  }

  async #read(consumer: Consumer<string, string>): Promise<void> {
    const isolation = 'read_committed';
    const beganMs = this.nowMs;
    const records = await consumer.poll({ timeoutMs: 300 });
    if (records.length === 0) return;
    this.history.push({
      type: 'poll',
      process: this.process,
      ...polledOf(records, { isolation, beganMs, endedMs: this.nowMs }),
    });
    for (const { topic, partition, offset } of records) {
      this.hear({ type: 'read', client: this.process, topic, partition, offset, isolation });
    }
  }

  async #commit(): Promise<void> {
    const positions = this.#places().flatMap((place) => {
      const offset = this.#consumer?.position(place);
      return offset === undefined ? [] : [{ ...place, offset }];
    });
    if (positions.length === 0) return;
    const topics = [...Map.groupBy(positions, ({ topic }) => topic)].map(([name, all]) => ({
      name,
      partitions: all.map(({ partition, offset }) => ({ partitionIndex: partition, committedOffset: offset })),
    }));
    const answer = await this.#ask(
      OffsetCommit,
      { groupId: this.#group, memberId: this.process, generationIdOrMemberEpoch: this.#memberEpoch, topics },
      offsetVersion,
    );
    for (const { name, partitions } of answer.topics) {
      for (const { partitionIndex: partition, errorCode } of partitions) {
        const offset = positions.find((each) => each.topic === name && each.partition === partition)?.offset;
        if (errorCode !== 0 || offset === undefined) this.note(`commit of ${name}-${partition}: ${errorName(errorCode)}`);
        else this.hear({ type: 'committedOffset', client: this.process, group: this.#group, topic: name, partition, offset });
      }
    }
  }

  async #committed(places: readonly Place[]): Promise<Map<string, number>> {
    const topics = [...Map.groupBy(places, ({ topic }) => topic)].map(([name, all]) => ({
      name,
      partitionIndexes: all.map(({ partition }) => partition),
    }));
    const { groups } = await this.#ask(
      OffsetFetch,
      { groups: [{ groupId: this.#group, memberId: this.process, memberEpoch: this.#memberEpoch, topics }], requireStable: true },
      offsetVersion,
    );
    const [found] = groups;
    const error = found && errorOfCode(found.errorCode);
    if (error) throw error;
    const committed = new Map<string, number>();
    for (const { name, partitions } of found?.topics ?? []) {
      for (const { partitionIndex: partition, committedOffset, errorCode } of partitions) {
        const problem = errorOfCode(errorCode);
        if (problem) throw problem;
        if (committedOffset >= 0) committed.set(partitionText({ topic: name, partition }), committedOffset);
      }
    }
    return committed;
  }

  #places(): Place[] {
    return this.#owned.flatMap(({ topicId, partitions }) => {
      const topic = this.#topicNames.get(topicId);
      return topic === undefined ? [] : partitions.map((partition) => ({ topic, partition }));
    });
  }

  async #learnNames(): Promise<void> {
    const { topics } = await this.#ask(Metadata, { topics: this.topics.map(({ name }) => ({ name })) });
    for (const { topicId, name } of topics) if (name !== null) this.#topicNames.set(topicId, name);
  }

  async #ask<Request, Response>(api: Api<Request, Response>, request: Writable<Request>, version?: number): Promise<Response> {
    this.#coordinator ??= await this.#findCoordinator();
    return this.#coordinator.send(api, request, version === undefined ? {} : { version });
  }

  async #findCoordinator(): Promise<BrokerConnection> {
    const servers = this.common.bootstrapServers;
    const [host, port] = servers[this.random.below(servers.length)]!.split(':') as [string, string];
    const anyBroker = await this.#connect(host, Number(port));
    try {
      const { coordinators } = await anyBroker.send(FindCoordinator, { keyType: 0, coordinatorKeys: [this.#group] });
      const [found] = coordinators;
      const error = errorOfCode(found?.errorCode ?? 15);
      if (error) throw error;
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

  #open(): Consumer<string, string> {
    return new Consumer<string, string>({
      ...this.common,
      clientId: this.process,
      autoOffsetReset: 'earliest',
      isolationLevel: 'read_committed',
      keyDeserializer: stringDeserializer,
      valueDeserializer: stringDeserializer,
      fetchMaxWaitMs: 500,
    });
  }

  /** The coordinator may be another one now; the member is still who it was. */
  protected override async beginAnew(): Promise<void> {
    this.#coordinator?.close();
    this.#coordinator = undefined;
  }

  protected async close(): Promise<void> {
    if (this.#memberEpoch > 0) {
      await this.#ask(ConsumerGroupHeartbeat, { groupId: this.#group, memberId: this.process, memberEpoch: -1 }).catch(() => {});
    }
    this.#coordinator?.close();
    await closeSoon(this.runtime, this.#consumer?.close());
    this.#coordinator = undefined;
    this.#consumer = undefined;
  }
}
