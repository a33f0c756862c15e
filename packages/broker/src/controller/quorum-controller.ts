import type { Controller, Decision, DecisionContext, MetadataImage } from '@ottla/metadata';
import { KafkaError, type MetadataRecord } from '@ottla/protocol';
import type { LeaderAndEpoch } from '@ottla/raft';
import type { Runtime, Timer } from '@ottla/runtime';
import type { ClusterMetadata } from '../cluster-metadata.ts';
import type { CommittedBatch } from '../quorum/index.ts';
import { SteadyClock } from '../steady-clock.ts';

/** The part of the metadata quorum that the controller writes through. */
export type MetadataLog = {
  /** The offset that the next record appended will get, those still on their way to the disk counted. */
  readonly nextOffset: number;
  /** The disk was full a moment ago: appends are refused. */
  readonly isBlocked: boolean;
  /** A metadata transaction was begun and not ended: whoever began it is gone when a controller finds it, and it is hidden from all who listen. */
  readonly hasOpenTransaction: boolean;
  /** Throws where an append would be refused: a record that cannot be written, a batch that is too large, KAFKA_STORAGE_ERROR on a full disk. */
  requireWritable(records: readonly MetadataRecord[]): void;
  /** The batches that records which need not be atomic are to be appended in. Throws where appending them would be refused. */
  divide(records: readonly MetadataRecord[]): readonly (readonly MetadataRecord[])[];
  /**
   * One atomic batch. Resolves once it is committed. Rejects with KAFKA_STORAGE_ERROR when the disk is full: nothing was appended then, and what
   * was before has been heard. With NOT_CONTROLLER when this node does not lead, or no longer: nobody knows what becomes of it.
   */
  append(records: readonly MetadataRecord[]): Promise<{ baseOffset: number; lastOffset: number }>;
};

export type QuorumControllerOptions = {
  readonly controller: Controller;
  readonly nodeId: number;
  readonly log: MetadataLog;
  readonly runtime: Runtime;
  readonly metadata: ClusterMetadata;
  /** For an empty log. */
  readonly bootstrap: readonly MetadataRecord[];
  /** A broker in this process has registered, so the one of this node's id in the metadata is alive. */
  readonly hasRegisteredBroker: () => boolean;
  readonly onFatal: (error: unknown) => void;
};

/** A wake-up that comes later than this was held up by something long. */
const oversleptMs = 500;
/** So long a heartbeat waits for what is decided in parts: a broker that hears nothing for longer believes that the controller is gone. */
const partsMs = 1_000;
/** How often to look whether a full disk has room again. */
const blockedMs = 500;

/**
 * The controller of a node. While another leads it follows the metadata log, so that it can take over at once. While this node leads, it is
 * the active one: decides, lets the next request see the outcome, has it committed, and only then answers.
 * The node stops when the metadata log cannot be written: what it has decided since would be lost.
 */
export class QuorumController {
  readonly #options: QuorumControllerOptions;
  /** In which this is the active controller. */
  #activeEpoch: number | undefined;
  #leaderId: number | undefined;
  #activation: Promise<void> = Promise.resolve();
  /** A broker whose session lasts, because somebody has set the clock, could not register again. */
  readonly #clock: SteadyClock;
  /** The latest that is not known to be committed. */
  #lastCommit: Promise<void> | undefined;
  #wakeUp: Timer | undefined;
  #wakeAtMs = Number.POSITIVE_INFINITY;
  #stopped = false;
  /** The controller has replayed what is not committed yet. */
  #isAhead = false;

  constructor(options: QuorumControllerOptions) {
    this.#options = options;
    this.#clock = new SteadyClock(options.runtime.clock);
  }

  get isActive(): boolean {
    return this.#activeEpoch !== undefined;
  }

  /** Resolves when the first records of this reign are committed. Rejects with what is in the way of that. */
  get activation(): Promise<void> {
    return this.#activation;
  }

  /**
   * Answers once the decision is committed and this node has applied it. Rejects with the KafkaError of a decision that was refused, and with
   * NOT_CONTROLLER where this is not the active controller, or stopped being it meanwhile.
   */
  async submit<Response>(
    decide: (controller: Controller, context: DecisionContext) => Decision<Response>,
    apiVersion?: number,
  ): Promise<Response> {
    const { controller, log, runtime } = this.#options;
    const beganMs = this.#clock.nowMs;
    for (;;) {
      if (!this.isActive) throw notActive(this.#leaderId);
      const { records, response, isDivisible, isPartial, isAnswerOfPart } = decide(controller, {
        nowMs: this.#clock.nowMs,
        random: runtime.random,
        nextOffset: log.nextOffset,
        apiVersion,
      });
      // A session may have begun that ends before anything else is due.
      if (controller.nextWakeMs() < this.#wakeAtMs) this.#wakeBy(controller.nextWakeMs());
      if (records.length > 0) {
        await this.#commit(records, { isDivisible });
      } else {
        // It may build on what others have decided and may still lose.
        await this.#lastCommit;
      }
      if (!isPartial || (isAnswerOfPart && this.#clock.nowMs - beganMs >= partsMs)) return response;
    }
  }

  /** What is committed, in order. */
  heard({ records, baseOffset, leaderEpoch }: CommittedBatch): void {
    // An active controller has seen its records before anybody else.
    if (leaderEpoch === this.#activeEpoch) return;
    for (let index = 0; index < records.length; index++) this.#options.controller.replay(records[index]!, baseOffset + index);
  }

  /** Of a snapshot, which stands for everything before its end. */
  loaded(image: MetadataImage): void {
    this.#options.controller.restore(image.copy());
  }

  /** That this node leads is to be told when it has heard all that came before its epoch. */
  leaderChanged({ leaderId, leaderEpoch: epoch }: LeaderAndEpoch): void {
    this.#leaderId = leaderId ?? undefined;
    const isOwn = leaderId === this.#options.nodeId;
    if (isOwn && epoch === this.#activeEpoch) return;
    this.#renounce();
    if (isOwn && !this.#stopped) this.#activate(epoch);
  }

  stop(): void {
    this.#stopped = true;
    this.#wakeUp?.cancel();
  }

  #activate(epoch: number): void {
    const { runtime, onFatal } = this.#options;
    this.#activeEpoch = epoch;
    runtime.logger.info('this node is the active controller', { epoch });
    this.#activation = this.#begin();
    this.#activation.catch((error: unknown) => {
      if (isLossOfLead(error)) return;
      runtime.logger.error('the controller cannot begin its reign', { error });
      if (!this.#stopped) onFatal(error);
    });
    this.#tick();
  }

  async #begin(): Promise<void> {
    const { controller, log, runtime, bootstrap, hasRegisteredBroker } = this.#options;
    if (log.hasOpenTransaction)
      log.append([{ type: 'AbortTransactionRecord', version: 0, value: { reason: 'failover' } }]).catch(() => {});
    const context = { nowMs: this.#clock.nowMs, random: runtime.random, nextOffset: log.nextOffset };
    const { records } = controller.activate(bootstrap, context, { ownBrokerIsDead: !hasRegisteredBroker() });
    if (records.length > 0) await this.#commit(records);
  }

  /** Others go on from what is committed, and so will this one if it leads again. */
  #renounce(): void {
    if (this.#activeEpoch === undefined) return;
    this.#options.runtime.logger.info('this node is no longer the active controller', { epoch: this.#activeEpoch });
    this.#activeEpoch = undefined;
    this.#lastCommit = undefined;
    this.#wakeUp?.cancel();
    this.#takeBack();
    this.#options.controller.resign();
  }

  async #commit(records: readonly MetadataRecord[], { isDivisible = false } = {}): Promise<void> {
    const { controller, log } = this.#options;
    // What cannot be written must be refused before anybody sees it: afterwards the node could only stop.
    const batches = isDivisible ? log.divide(records) : [records];
    if (!isDivisible) log.requireWritable(records);
    // The decision may have had the quorum write something of its own.
    const nextOffset = log.nextOffset;
    for (let index = 0; index < records.length; index++) controller.replay(records[index]!, nextOffset + index);
    this.#isAhead = true;
    const commit = this.#append(batches).finally(() => {
      if (this.#lastCommit === commit) this.#lastCommit = undefined;
    });
    this.#lastCommit = commit;
    await commit;
  }

  /**
   * Batches of one decision follow each other in the log. Where the disk takes only the first of them, they are in the image that is gone back to;
   * where the lead is lost between them, whoever leads next begins with what is committed.
   */
  async #append(batches: readonly (readonly MetadataRecord[])[]): Promise<void> {
    const { log, metadata, onFatal } = this.#options;
    const epoch = this.#activeEpoch;
    try {
      const appended = await Promise.all(batches.map((records) => log.append(records)));
      for (const [at, records] of batches.entries()) this.#tell(records, appended[at]!.lastOffset);
      await metadata.whenApplied(appended.at(-1)!.lastOffset);
    } catch (error) {
      const isRefused = isLossOfLead(error) || (error instanceof KafkaError && error.name === 'KAFKA_STORAGE_ERROR');
      if (isRefused) {
        // Of an earlier reign nothing is left to take back.
        if (epoch === this.#activeEpoch) this.#takeBack();
        throw error;
      }
      // What was replayed cannot be taken back, so this controller no longer tells the truth.
      if (!this.#stopped) onFatal(error);
      throw error;
    }
  }

  /** What all of one turn decided is refused together, so the committed state is the one that everybody knows. */
  #takeBack(): void {
    if (!this.#isAhead) return;
    const { controller, metadata } = this.#options;
    this.#isAhead = false;
    controller.restore(metadata.image.copy(), this.isActive ? this.#clock.nowMs : undefined);
    // Brokers that are not fenced after all have a session again, which ends.
    if (this.isActive && controller.nextWakeMs() < this.#wakeAtMs) this.#wakeBy(controller.nextWakeMs());
  }

  #tell(records: readonly MetadataRecord[], lastOffset: number): void {
    const counts: Record<string, number> = {};
    for (const { type } of records) counts[type] = (counts[type] ?? 0) + 1;
    // Time's own record comes twice a second.
    if (records.length > (counts['NoOpRecord'] ?? 0))
      this.#options.runtime.logger.debug('the metadata log has new records', { ...counts, lastOffset });
  }

  /** The work that comes with time: fencing, balancing leaders, the idle record. */
  #tick(dueMs?: number): void {
    if (this.#stopped || !this.isActive) return;
    const { controller, log, runtime } = this.#options;
    const nowMs = this.#clock.nowMs;
    if (log.isBlocked) {
      this.#wakeAtMs = Number.NEGATIVE_INFINITY;
      this.#wakeUp = runtime.timers.after(blockedMs, () => this.#tick());
      return;
    }
    const lateMs = dueMs === undefined ? 0 : nowMs - dueMs;
    if (lateMs > oversleptMs) controller.overslept(lateMs, nowMs);
    const { records, wakeAtMs } = controller.tick({ nowMs, random: runtime.random, nextOffset: log.nextOffset });
    if (records.length > 0) this.#commit(records, { isDivisible: true }).catch(() => {});
    // An append that was refused may have ended the reign.
    if (!this.isActive) return;
    this.#wakeBy(wakeAtMs);
  }

  #wakeBy(wakeAtMs: number): void {
    const { timers } = this.#options.runtime;
    const nowMs = this.#clock.nowMs;
    const afterMs = Math.max(1, wakeAtMs - nowMs);
    this.#wakeAtMs = wakeAtMs;
    this.#wakeUp?.cancel();
    this.#wakeUp = timers.after(afterMs, () => this.#tick(nowMs + afterMs));
  }
}

const isLossOfLead = (error: unknown): boolean => error instanceof KafkaError && error.name === 'NOT_CONTROLLER';

function notActive(leaderId: number | undefined): KafkaError {
  const where =
    leaderId === undefined ? 'No controller appears to be active.' : `The active controller appears to be node ${leaderId}.`;
  return new KafkaError('NOT_CONTROLLER', where);
}
