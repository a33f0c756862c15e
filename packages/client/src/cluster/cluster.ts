import type { BrokerConnection } from '@ottla/network';
import { errorOfCode, FindCoordinator, KafkaError, Metadata } from '@ottla/protocol';
import type { Address, Runtime } from '@ottla/runtime';
import type { CompleteClientConfig } from '../client-config.ts';
import { Backoff } from './backoff.ts';
import { parseBootstrapServers } from './bootstrap-servers.ts';
import { BrokerConnections, type Purpose } from './broker-connections.ts';
import { Informant } from './informant.ts';
import { MetadataCache, type Node, type TopicMetadata } from './metadata-cache.ts';
import { Pauses } from './pauses.ts';
import { within } from './within.ts';

export type ClusterOptions = {
  /** How errors call the client: "producer". */
  readonly client: string;
  /** Whether asking for the metadata of a topic may create it, where brokers do that. */
  readonly createsTopics: boolean;
  /** Topics that nobody has asked for or watched for so long are forgotten, and not asked for any more; never unless given. */
  readonly topicIdleMs?: number;
};

/** While fewer brokers than this are connected, another one is when an answer did not serve: with three, most likely two are not cut off. */
const enoughConnections = 3;

/** A broker that owes an answer for so long may hang: it is not asked about the cluster while there is another. */
const patienceMs = 2000;

/** How producer, consumer and admin see the brokers: who leads what, who coordinates whom, and a connection to each. */
export class Cluster {
  readonly runtime: Runtime;
  readonly metadata = new MetadataCache();
  readonly backoff: Backoff;
  readonly #config: CompleteClientConfig;
  readonly #options: ClusterOptions;
  readonly #pauses: Pauses;
  readonly #connections: BrokerConnections;
  readonly #bootstrapServers: readonly Address[];
  readonly #informant: Informant<BrokerConnection>;
  /** The topics that a refresh asks for, and since when nobody has asked for them. */
  readonly #interest = new Map<string, number>();
  readonly #coordinators = new Map<string, Node>();
  readonly #transactionCoordinators = new Map<string, Node>();
  #refreshing: Promise<void> | undefined;

  constructor(config: CompleteClientConfig, options: ClusterOptions) {
    this.runtime = config.runtime;
    this.#config = config;
    this.#options = options;
    this.#bootstrapServers = parseBootstrapServers(config.bootstrapServers);
    this.#pauses = new Pauses(this.runtime.timers, options.client);
    this.#connections = new BrokerConnections(config, this.#pauses);
    this.#informant = new Informant(this.runtime.random);
    this.backoff = new Backoff(this.runtime.random, { initialMs: config.retryBackoffMs, maxMs: config.retryBackoffMaxMs });
  }

  get closed(): boolean {
    return this.#pauses.closed;
  }

  /** Once around the bootstrap servers, without patience. Rejects with NETWORK_EXCEPTION when none of them answers. */
  async connect(): Promise<void> {
    await this.#firstOf(this.#bootstrapServers);
  }

  /**
   * A connection to some broker: one that is open if possible, and the same as the last time unless `askAnother` was called since. All known
   * brokers are tried, then the bootstrap servers.
   */
  async anyConnection(): Promise<BrokerConnection> {
    const nodes = [...this.metadata.nodes.values()];
    const openOf = (address: Address): BrokerConnection | undefined => this.#connections.open(address, 'default');
    const open = new Set([...nodes, ...this.#bootstrapServers].flatMap((address) => openOf(address) ?? []));
    // Nobody waits for it: that one may be the broker that is down.
    if (this.#informant.isDoubted && open.size < enoughConnections) this.#connectToOneOf(nodes.filter((node) => !openOf(node)));
    const lively = [...open].filter((connection) => !this.isSilent(connection));
    const connection = this.#informant.choose(lively);
    if (connection) return connection;
    const closed = [...this.#fromAnywhere(nodes), ...this.#fromAnywhere(this.#bootstrapServers)].filter(
      (address) => !openOf(address),
    );
    const opened = this.#firstOf(closed);
    if (open.size === 0) return this.#informant.choose([await opened])!;
    // Those that are silent may just be slow, and the others gone.
    const other = this.within(patienceMs, opened, () => new KafkaError('REQUEST_TIMED_OUT')).catch(() => undefined);
    return this.#informant.choose([(await other) ?? [...open][0]!])!;
  }

  /** Whether its broker owes an answer for so long that it may hang. */
  isSilent({ silentMs }: BrokerConnection): boolean {
    return silentMs >= patienceMs;
  }

  get patienceMs(): number {
    return patienceMs;
  }

  /** After a failure that another look at the cluster may mend: who answered last may be behind, so the next question goes to another. */
  askAnother(): void {
    this.#informant.doubt();
  }

  #fromAnywhere<Where>(addresses: readonly Where[]): Where[] {
    const first = addresses.length < 2 ? 0 : this.runtime.random.below(addresses.length);
    return [...addresses.slice(first), ...addresses.slice(0, first)];
  }

  #connectToOneOf(addresses: readonly Address[]): void {
    const [address] = this.#fromAnywhere(addresses);
    if (address) this.#connections.get(address, 'default').catch(() => {});
  }

  async #firstOf(addresses: readonly Address[]): Promise<BrokerConnection> {
    const problems = new Set<string>();
    for (const address of addresses) {
      try {
        return await this.#connections.get(address, 'default');
      } catch (error) {
        if (!(error instanceof KafkaError) || !error.retriable) throw error;
        problems.add(error.message);
      }
    }
    throw new KafkaError('NETWORK_EXCEPTION', `no broker answers: ${[...problems].join('; ')}`);
  }

  /** Rejects with LEADER_NOT_AVAILABLE for a node that the metadata does not know, and with what connecting ends in. */
  async connectionTo(nodeId: number, purpose: Purpose = 'default'): Promise<BrokerConnection> {
    const node = this.metadata.nodes.get(nodeId);
    if (!node) throw new KafkaError('LEADER_NOT_AVAILABLE', `broker ${nodeId} is not in the metadata: refresh it and retry`);
    try {
      return await this.#connections.get(node, purpose);
    } catch (error) {
      // It may be elsewhere by now, or gone for good: who tries again finds out.
      if (isRetriableError(error)) this.refreshMetadata().catch(() => {});
      throw error;
    }
  }

  /** The connection if it is open already, for callers that cannot wait. */
  openConnectionTo(nodeId: number, purpose: Purpose = 'default'): BrokerConnection | undefined {
    const node = this.metadata.nodes.get(nodeId);
    return node && this.#connections.open(node, purpose);
  }

  /** Asks for the brokers, and for all topics that were ever asked for with `topic`. Calls at the same time share one request. */
  refreshMetadata(): Promise<void> {
    this.#refreshing ??= this.anyConnection()
      .then((connection) => this.#refresh(connection))
      .finally(() => {
        this.#refreshing = undefined;
      });
    return this.#refreshing;
  }

  /**
   * Asks another broker than this one, whose word is in doubt: cut off from the controllers it says once more what was true then. Does nothing
   * where there is no other.
   */
  async refreshFromOtherThan(nodeId: number): Promise<void> {
    const others = [...this.metadata.nodes.values()].filter(({ id }) => id !== nodeId);
    if (others.length === 0) return;
    const opened = this.#firstOf(this.#fromAnywhere(others));
    await this.#refresh(await this.within(patienceMs, opened, () => new KafkaError('REQUEST_TIMED_OUT')));
  }

  get isMetadataOld(): boolean {
    return this.runtime.clock.monotonicMs() - this.metadata.updatedAtMs > this.#config.metadataMaxAgeMs;
  }

  async #refresh(connection: BrokerConnection): Promise<void> {
    this.#forgetIdleTopics();
    const response = await connection.send(Metadata, {
      topics: [...this.#interest.keys()].map((name) => ({ name })),
      allowAutoTopicCreation: this.#options.createsTopics,
    });
    const error = errorOfCode(response.errorCode);
    if (error?.name === 'REBOOTSTRAP_REQUIRED') {
      this.metadata.nodes.clear();
      this.askAnother();
      // It passes (KIP-1102): whoever asks again asks the bootstrap servers.
      throw new KafkaError('NETWORK_EXCEPTION', error.message, { cause: error });
    }
    if (error) throw error;
    this.metadata.apply(response, this.runtime.clock.monotonicMs());
  }

  /** From now on, refreshes ask for these topics too. */
  watch(topics: Iterable<string>): void {
    const nowMs = this.runtime.clock.monotonicMs();
    for (const topic of topics) this.#interest.set(topic, nowMs);
  }

  /** Who asks for a topic may create it: one that was deleted would come back with each refresh, for ever. */
  #forgetIdleTopics(): void {
    const { topicIdleMs = Number.POSITIVE_INFINITY } = this.#options;
    const oldestMs = this.runtime.clock.monotonicMs() - topicIdleMs;
    for (const [topic, usedMs] of this.#interest) {
      if (usedMs > oldestMs) continue;
      this.#interest.delete(topic);
      this.metadata.forget(topic);
    }
  }

  /** Waits for the topic's metadata if needed. Rejects with the last error when the time is over, or at once when it is final. */
  async topic(name: string, timeoutMs = this.#config.defaultApiTimeoutMs): Promise<TopicMetadata> {
    this.watch([name]);
    const known = this.metadata.topic(name);
    if (known) return known;
    return this.retry(timeoutMs, async () => {
      // Who waits for it has not lost interest.
      this.watch([name]);
      await this.refreshMetadata();
      // A refresh that was under way may not have asked for this topic.
      if (!this.metadata.topic(name) && !this.metadata.errorOf(name)) await this.refreshMetadata();
      const topic = this.metadata.topic(name);
      if (topic) return topic;
      const error = this.metadata.errorOf(name) ?? new KafkaError('UNKNOWN_TOPIC_OR_PARTITION');
      throw new KafkaError(error.name, `topic ${name}: ${error.message}`);
    });
  }

  /** Throws LEADER_NOT_AVAILABLE, UNKNOWN_TOPIC_OR_PARTITION. */
  leaderIdOf(topic: string, partition: number): number {
    const known = this.metadata.partition(topic, partition);
    if (!known) throw new KafkaError('UNKNOWN_TOPIC_OR_PARTITION', `there is no partition ${topic}-${partition}`);
    if (known.leaderId < 0) throw new KafkaError('LEADER_NOT_AVAILABLE', `partition ${topic}-${partition} has no leader`);
    return known.leaderId;
  }

  /** A connection to the group's coordinator. Call `forgetCoordinator` when it says it is not. */
  coordinatorOf(groupId: string, purpose: Purpose = 'default'): Promise<BrokerConnection> {
    return this.#coordinator(this.#coordinators, 'group', groupId, purpose);
  }

  /** As `coordinatorOf`, for a transactional id. */
  transactionCoordinatorOf(transactionalId: string): Promise<BrokerConnection> {
    return this.#coordinator(this.#transactionCoordinators, 'transaction', transactionalId, 'default');
  }

  async #coordinator(
    known: Map<string, Node>,
    keyType: keyof typeof keyTypes,
    key: string,
    purpose: Purpose,
  ): Promise<BrokerConnection> {
    const node = known.get(key) ?? (await this.#findCoordinator(keyType, key));
    known.set(key, node);
    try {
      return await this.#connections.get(node, purpose);
    } catch (error) {
      known.delete(key);
      throw error;
    }
  }

  /** -1 while unknown. */
  coordinatorIdOf(groupId: string): number {
    return this.#coordinators.get(groupId)?.id ?? -1;
  }

  forgetCoordinator(groupId: string): void {
    this.askAnother();
    this.#coordinators.delete(groupId);
  }

  forgetTransactionCoordinator(transactionalId: string): void {
    this.askAnother();
    this.#transactionCoordinators.delete(transactionalId);
  }

  async #findCoordinator(type: keyof typeof keyTypes, key: string): Promise<Node> {
    const connection = await this.anyConnection();
    const keyType = keyTypes[type];
    const isBatched = connection.versionFor(FindCoordinator) >= 4;
    const response = await connection.send(FindCoordinator, isBatched ? { keyType, coordinatorKeys: [key] } : { keyType, key });
    const answer = isBatched ? response.coordinators[0]! : response;
    const error = errorOfCode(answer.errorCode, answer.errorMessage);
    if (error) throw error;
    return { id: answer.nodeId, host: answer.host, port: answer.port, rack: null };
  }

  /** Repeats `attempt` after errors that may pass, with Kafka's backoff, until it succeeds or the time is over. */
  async retry<T>(timeoutMs: number, attempt: () => Promise<T>, isRetriable = isRetriableError): Promise<T> {
    const deadlineMs = this.runtime.clock.monotonicMs() + timeoutMs;
    for (let failures = 1; ; failures++) {
      try {
        this.#pauses.assertOpen();
        return await attempt();
      } catch (error) {
        this.#pauses.assertOpen();
        const delayMs = this.backoff.delayMs(failures);
        if (!isRetriable(error) || this.runtime.clock.monotonicMs() + delayMs > deadlineMs) throw error;
        this.askAnother();
        await this.#pauses.pause(delayMs);
      }
    }
  }

  /** Ends as `outcome` does, or with `late` when the time is over. What it waits for goes on. */
  within<T>(timeoutMs: number, outcome: Promise<T>, late: () => Error): Promise<T> {
    return within(this.runtime.timers, timeoutMs, outcome, late);
  }

  /** Rejects with ClientClosedError when the client closes meanwhile. */
  pause(delayMs: number): Promise<void> {
    return this.#pauses.pause(delayMs);
  }

  assertOpen(): void {
    this.#pauses.assertOpen();
  }

  /** Waits end with ClientClosedError; requests in flight have `graceMs` to be answered. */
  async close(graceMs = 0): Promise<void> {
    this.#pauses.close();
    await this.#connections.close(graceMs);
  }
}

/** As FindCoordinator numbers them. */
const keyTypes = { group: 0, transaction: 1 } as const;

export function isRetriableError(error: unknown): boolean {
  return error instanceof KafkaError && error.retriable;
}
