import { KafkaError } from '@ottla/protocol';
import type { Logger } from '@ottla/runtime';

/** A topic as the controller is asked for it. */
export type NewTopic = {
  readonly name: string;
  /** -1: the cluster's default. */
  readonly numPartitions: number;
  readonly replicationFactor: number;
  readonly configs: readonly { name: string; value: string | null }[];
};

/** Answers once the topic is in this broker's metadata. Rejects with the controller's error. */
export type CreateTopic = (topic: NewTopic) => Promise<void>;

/** Each makes files and a record of the metadata log while everybody waits; Kafka has one request per broker under way. */
const maxInFlight = 200;

/**
 * Topics that come into being because somebody uses them: internal ones, and others where auto.create.topics.enable allows it.
 * A topic that many ask for at once is created once.
 */
export class TopicCreation {
  readonly #create: CreateTopic;
  readonly #logger: Logger;
  readonly #internalTopic: (name: string) => NewTopic | undefined;
  readonly #partitionCount: (topic: string) => number | undefined;
  readonly #inFlight = new Map<string, Promise<void>>();

  constructor(options: {
    create: CreateTopic;
    logger: Logger;
    /** How a topic is made that a coordinator keeps its state in; undefined for any other. */
    internalTopic: (name: string) => NewTopic | undefined;
    partitionCount: (topic: string) => number | undefined;
  }) {
    this.#create = options.create;
    this.#logger = options.logger;
    this.#internalTopic = options.internalTopic;
    this.#partitionCount = options.partitionCount;
  }

  /** How many partitions an internal topic has; it is created if absent. Throws COORDINATOR_NOT_AVAILABLE. */
  async partitionCountOf(internalTopic: string): Promise<number> {
    const existing = this.#partitionCount(internalTopic);
    if (existing !== undefined) return existing;
    try {
      await this.ensure(internalTopic);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.#logger.warn('an internal topic could not be created', { topic: internalTopic, reason });
      throw new KafkaError('COORDINATOR_NOT_AVAILABLE', `${internalTopic} could not be created: ${reason}`);
    }
    return this.#partitionCount(internalTopic) ?? 0;
  }

  /** So many topics are being created that no more should be begun for the asking. */
  get isBusy(): boolean {
    return this.#inFlight.size >= maxInFlight;
  }

  /** Creates the topic unless it exists. Rejects with the controller's error. */
  ensure(name: string, configs: NewTopic['configs'] = []): Promise<void> {
    if (this.#partitionCount(name) !== undefined) return Promise.resolve();
    let creation = this.#inFlight.get(name);
    if (!creation) {
      creation = this.#create(this.#internalTopic(name) ?? { name, numPartitions: -1, replicationFactor: -1, configs })
        .catch((error: unknown) => {
          if (!(error instanceof KafkaError && error.name === 'TOPIC_ALREADY_EXISTS')) throw error;
        })
        .finally(() => this.#inFlight.delete(name));
      this.#inFlight.set(name, creation);
    }
    return creation;
  }
}
