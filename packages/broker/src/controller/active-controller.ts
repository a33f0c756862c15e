import type { Controller, Decision, DecisionContext } from '@ottla/metadata';
import { KafkaError, type MetadataRecord } from '@ottla/protocol';
import type { Runtime, Timer } from '@ottla/runtime';
import type { ClusterMetadata } from '../cluster-metadata.ts';

/** The part of the metadata quorum that the controller writes through. */
export type MetadataLog = {
  /** The offset that the next record appended will get, those still on their way to the disk counted. */
  readonly nextOffset: number;
  /** The disk was full a moment ago: appends are refused. */
  readonly isBlocked: boolean;
  /** Throws where an append would be refused: a record that cannot be written, a batch that is too large, KAFKA_STORAGE_ERROR on a full disk. */
  requireWritable(records: readonly MetadataRecord[]): void;
  /** One atomic batch. Resolves once it is committed. Rejects with KAFKA_STORAGE_ERROR when the disk is full: nothing was appended then. */
  append(records: readonly MetadataRecord[]): Promise<{ baseOffset: number; lastOffset: number }>;
};

/** A wake-up that comes later than this was held up by something long. */
const oversleptMs = 500;
/** How often to look whether a full disk has room again. */
const blockedMs = 500;

/**
 * The controller at work: decides, lets the next request see the outcome, makes it durable, and only then answers.
 * The node stops when the metadata log cannot be written: what it has decided since would be lost.
 */
export class ActiveController {
  readonly #controller: Controller;
  readonly #log: MetadataLog;
  readonly #runtime: Runtime;
  readonly #metadata: ClusterMetadata;
  readonly #onFatal: (error: unknown) => void;
  #wakeUp: Timer | undefined;
  #stopped = false;
  /** The controller has replayed what is not committed yet. */
  #isAhead = false;

  constructor(options: {
    controller: Controller;
    log: MetadataLog;
    runtime: Runtime;
    metadata: ClusterMetadata;
    onFatal: (error: unknown) => void;
  }) {
    this.#controller = options.controller;
    this.#log = options.log;
    this.#runtime = options.runtime;
    this.#metadata = options.metadata;
    this.#onFatal = options.onFatal;
  }

  /** Answers once the decision is committed and this node has applied it. Rejects with the KafkaError of a decision that was refused. */
  async submit<Response>(
    decide: (controller: Controller, context: DecisionContext) => Decision<Response>,
    apiVersion?: number,
  ): Promise<Response> {
    const nextOffset = this.#log.nextOffset;
    const { records, response } = decide(this.#controller, {
      nowMs: this.#runtime.clock.nowMs(),
      random: this.#runtime.random,
      nextOffset,
      apiVersion,
    });
    if (records.length > 0) {
      // What cannot be written must be refused before anybody sees it: afterwards the node could only stop.
      this.#log.requireWritable(records);
      await this.#commit(records, nextOffset);
    }
    return response;
  }

  /** Begins the work that comes with time: fencing, balancing leaders, the idle record. */
  start(): void {
    this.#tick();
  }

  stop(): void {
    this.#stopped = true;
    this.#wakeUp?.cancel();
  }

  async #commit(records: readonly MetadataRecord[], nextOffset: number): Promise<void> {
    for (let index = 0; index < records.length; index++) this.#controller.replay(records[index]!, nextOffset + index);
    this.#isAhead = true;
    try {
      const { lastOffset } = await this.#log.append(records);
      this.#tell(records, lastOffset);
      await this.#metadata.whenApplied(lastOffset);
    } catch (error) {
      if (error instanceof KafkaError && error.name === 'KAFKA_STORAGE_ERROR') {
        this.#takeBack();
        throw error;
      }
      // What was replayed cannot be taken back, so this controller no longer tells the truth.
      if (!this.#stopped) this.#onFatal(error);
      throw error;
    }
  }

  /** What all of one turn decided is refused together, so the committed state is the one that everybody knows. */
  #takeBack(): void {
    if (!this.#isAhead) return;
    this.#isAhead = false;
    this.#controller.restore(this.#metadata.image.toRecords(), this.#metadata.appliedOffset);
  }

  #tell(records: readonly MetadataRecord[], lastOffset: number): void {
    const counts: Record<string, number> = {};
    for (const { type } of records) counts[type] = (counts[type] ?? 0) + 1;
    // Time's own record comes twice a second.
    if (records.length > (counts['NoOpRecord'] ?? 0))
      this.#runtime.logger.debug('the metadata log has new records', { ...counts, lastOffset });
  }

  #tick(dueMs?: number): void {
    if (this.#stopped) return;
    const nowMs = this.#runtime.clock.nowMs();
    if (this.#log.isBlocked) {
      this.#wakeUp = this.#runtime.timers.after(blockedMs, () => this.#tick());
      return;
    }
    const lateMs = dueMs === undefined ? 0 : nowMs - dueMs;
    if (lateMs > oversleptMs) this.#controller.overslept(lateMs, nowMs);
    const nextOffset = this.#log.nextOffset;
    const { records, wakeAtMs } = this.#controller.tick({ nowMs, random: this.#runtime.random, nextOffset });
    if (records.length > 0) this.#commit(records, nextOffset).catch(() => {});
    const afterMs = Math.max(1, wakeAtMs - nowMs);
    this.#wakeUp = this.#runtime.timers.after(afterMs, () => this.#tick(nowMs + afterMs));
  }
}
