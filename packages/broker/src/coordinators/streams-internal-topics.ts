import type { InternalTopic } from '@ottla/coordinator';
import type { Clock, Logger } from '@ottla/runtime';
import type { CreateTopic } from '../topic-creation.ts';

/** Failures beyond this many are forgotten, the oldest first: their topics are only tried again sooner. */
const FAILURES_KEPT = 1000;

/**
 * Creates the repartition and changelog topics of streams groups, on behalf of whoever sent the heartbeat that needs them. A topic that many
 * members ask for at once is created once, and one that could not be created is not tried again with every heartbeat.
 */
export class StreamsInternalTopics {
  readonly #create: CreateTopic;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #inFlight = new Set<string>();
  readonly #failures = new Map<string, { readonly message: string; readonly untilMs: number }>();

  constructor({ create, clock, logger }: { readonly create: CreateTopic; readonly clock: Clock; readonly logger: Logger }) {
    this.#create = create;
    this.#clock = clock;
    this.#logger = logger;
  }

  /** Does not wait: the group finds the topics in the metadata. A failure counts for `retryAfterMs`. */
  create(topics: readonly InternalTopic[], retryAfterMs: number): void {
    for (const topic of topics) {
      if (this.#inFlight.has(topic.name) || this.failureOf(topic.name) !== undefined) continue;
      this.#inFlight.add(topic.name);
      this.#createOne(topic)
        .catch((error: unknown) => this.#failed(topic.name, error, retryAfterMs))
        .finally(() => this.#inFlight.delete(topic.name));
    }
  }

  /** Why a topic could not be created, if that was lately. */
  failureOf(topic: string): string | undefined {
    const failure = this.#failures.get(topic);
    if (failure === undefined || this.#clock.monotonicMs() < failure.untilMs) return failure?.message;
    this.#failures.delete(topic);
    return undefined;
  }

  async #createOne({ name, partitions, replicationFactor, topicConfigs }: InternalTopic): Promise<void> {
    await this.#create({
      name,
      numPartitions: partitions,
      replicationFactor: replicationFactor === 0 ? -1 : replicationFactor,
      configs: topicConfigs.map(({ key, value }) => ({ name: key, value })),
    });
    this.#failures.delete(name);
  }

  #failed(topic: string, error: unknown, retryAfterMs: number): void {
    const message = error instanceof Error ? error.message : String(error);
    this.#logger.warn('an internal topic of a streams group could not be created', { topic, reason: message });
    this.#failures.delete(topic);
    this.#failures.set(topic, { message, untilMs: this.#clock.monotonicMs() + retryAfterMs });
    for (const oldest of this.#failures.keys()) {
      if (this.#failures.size <= FAILURES_KEPT) break;
      this.#failures.delete(oldest);
    }
  }
}
