import {
  type AlterPartition,
  type AlterPartitionRequest,
  type ErrorName,
  errorName,
  KafkaError,
  type Writable,
} from '@ottla/protocol';
import type { Logger, Timers } from '@ottla/runtime';
import type { AlteredPartition, IsrProposal } from './isr-state.ts';

/** What the controller says to a proposal. */
export type AlterAnswer = { readonly altered: AlteredPartition } | { readonly error: ErrorName };

type Altered = { readonly topic: string; readonly topicId: string; readonly index: number };

/** The answer comes once, or never, when the broker stops. */
export type SubmitAlteration = (partition: Altered, proposal: IsrProposal, onAnswer: (answer: AlterAnswer) => void) => void;

export type AlterPartitionManagerOptions = {
  readonly brokerId: number;
  readonly brokerEpoch: () => number;
  /** Of the active controller. */
  readonly send: (request: Writable<AlterPartitionRequest>) => Promise<ReturnType<typeof AlterPartition.response.read>>;
  readonly timers: Timers;
  readonly logger: Logger;
};

type Alteration = {
  readonly partition: Altered;
  readonly proposal: IsrProposal;
  readonly onAnswer: (answer: AlterAnswer) => void;
};

const retryMs = 50;
const RECOVERED = 0;
/** To bound one decision of the controller. */
const partitionsPerRequest = 10_000;

/**
 * Takes the changes of isrs that this broker proposes to the controller: all of a turn in one request, and one request at a time, so that
 * what is proposed meanwhile goes together too. A request that fails is sent again; what the controller says of a partition is for its leader.
 */
export class AlterPartitionManager {
  readonly #options: AlterPartitionManagerOptions;
  /** By topic id and partition: a partition has one change on its way. */
  readonly #unanswered = new Map<string, Alteration>();
  #isSending = false;
  #isStopped = false;

  constructor(options: AlterPartitionManagerOptions) {
    this.#options = options;
  }

  readonly submit: SubmitAlteration = (partition, proposal, onAnswer) => {
    // One of an epoch that is over gives way.
    this.#unanswered.set(keyOf(partition.topicId, partition.index), { partition, proposal, onAnswer });
    this.#sendAfter(0);
  };

  stop(): void {
    this.#isStopped = true;
    this.#unanswered.clear();
  }

  #sendAfter(delayMs: number): void {
    if (this.#isSending || this.#isStopped) return;
    this.#isSending = true;
    this.#options.timers.after(delayMs, () => void this.#send());
  }

  async #send(): Promise<void> {
    const batch = [...this.#unanswered.values()].slice(0, partitionsPerRequest);
    let delayMs = 0;
    if (this.#isStopped || batch.length === 0) {
      this.#isSending = false;
      return;
    }
    try {
      const answers = await this.#ask(batch);
      this.#answer(batch, answers);
      // Some of those that were refused try again.
      if ([...answers.values()].some((answer) => 'error' in answer)) delayMs = retryMs;
    } catch (error) {
      delayMs = retryMs;
      if (!this.#isStopped)
        this.#options.logger.info('the controller did not take changes of isrs: they are sent again', {
          partitions: batch.length,
          error,
        });
    }
    this.#isSending = false;
    if (this.#unanswered.size > 0) this.#sendAfter(delayMs);
  }

  /** Rejects with what the controller says of the request as a whole. */
  async #ask(batch: readonly Alteration[]): Promise<Map<string, AlterAnswer>> {
    const { brokerId, brokerEpoch, send } = this.#options;
    const response = await send({ brokerId, brokerEpoch: brokerEpoch(), topics: topicsOf(batch) });
    if (response.errorCode !== 0) throw new KafkaError(errorName(response.errorCode), 'the controller refused AlterPartition');
    const answers = new Map<string, AlterAnswer>();
    for (const { topicId, partitions } of response.topics)
      for (const { partitionIndex, errorCode, ...altered } of partitions)
        answers.set(keyOf(topicId, partitionIndex), errorCode === 0 ? { altered } : { error: errorName(errorCode) });
    return answers;
  }

  /** What the answer leaves out is sent again. */
  #answer(batch: readonly Alteration[], answers: ReadonlyMap<string, AlterAnswer>): void {
    for (const alteration of batch) {
      const key = keyOf(alteration.partition.topicId, alteration.partition.index);
      const answer = answers.get(key);
      if (!answer || this.#unanswered.get(key) !== alteration) continue;
      this.#unanswered.delete(key);
      this.#tell(alteration, answer);
      alteration.onAnswer(answer);
    }
  }

  #tell({ partition: { topic, index }, proposal }: Alteration, answer: AlterAnswer): void {
    const { logger } = this.#options;
    const fields = { topic, partition: index, isr: proposal.isr.map(({ brokerId }) => brokerId).join(',') };
    const verb = proposal.kind === 'expand' ? 'has grown' : 'has shrunk';
    if ('error' in answer) logger.info('the controller refuses a change of an isr', { ...fields, error: answer.error });
    else logger.info(`the isr of a partition ${verb}`, { ...fields, isr: answer.altered.isr.join(',') });
  }
}

const keyOf = (topicId: string, index: number): string => `${topicId}:${index}`;

function topicsOf(batch: readonly Alteration[]): Writable<AlterPartitionRequest>['topics'] {
  const topics = Map.groupBy(batch, ({ partition }) => partition.topicId);
  return [...topics].map(([topicId, alterations]) => ({
    topicId,
    partitions: alterations.map(({ partition, proposal }) => ({
      partitionIndex: partition.index,
      leaderEpoch: proposal.leaderEpoch,
      newIsrWithEpochs: proposal.isr,
      leaderRecoveryState: RECOVERED,
      partitionEpoch: proposal.partitionEpoch,
    })),
  }));
}
