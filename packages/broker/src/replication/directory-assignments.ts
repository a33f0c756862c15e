import { AssignReplicasToDirs, type AssignReplicasToDirsRequest, errorOfCode, type Uuid } from '@ottla/protocol';
import type { Logger, Timers } from '@ottla/runtime';
import type { ControllerChannel } from '../controller/controller-channel.ts';

export type DirectoryAssignmentsOptions = {
  readonly brokerId: number;
  readonly brokerEpoch: () => number;
  readonly controller: ControllerChannel;
  readonly timers: Timers;
  readonly logger: Logger;
};

type Assignment = {
  readonly topicId: Uuid;
  readonly index: number;
  readonly directoryId: Uuid;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
};

/** As Kafka's brokers, to bound the records of one decision. */
const assignmentsPerRequest = 2_250;
const retryMs = 1_000;

/** Tells the controller in which log directory a replica is, or is about to be (KIP-858): all of one turn in one request. */
export class DirectoryAssignments {
  readonly #options: DirectoryAssignmentsOptions;
  #waiting: Assignment[] = [];
  #isSending = false;
  #isStopped = false;

  constructor(options: DirectoryAssignmentsOptions) {
    this.#options = options;
  }

  /** Resolves when the metadata says so. Rejects when the partition is gone; anything else is tried again. */
  assign(topicId: Uuid, index: number, directoryId: Uuid): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ topicId, index, directoryId, resolve, reject });
      this.#sendSoon(0);
    });
  }

  stop(): void {
    this.#isStopped = true;
  }

  #sendSoon(delayMs: number): void {
    if (this.#isSending || this.#isStopped) return;
    this.#isSending = true;
    this.#options.timers.after(delayMs, () => void this.#send());
  }

  async #send(): Promise<void> {
    const batch = this.#waiting.splice(0, assignmentsPerRequest);
    let delayMs = 0;
    try {
      const errors = await this.#submit(batch);
      for (const [at, assignment] of batch.entries()) {
        const refusal = errorOfCode(errors[at]!);
        if (refusal) assignment.reject(refusal);
        else assignment.resolve();
      }
    } catch (error) {
      this.#waiting.unshift(...batch);
      delayMs = retryMs;
      if (!this.#isStopped)
        this.#options.logger.warn('the controller could not be told where replicas are: it is told again', {
          replicas: batch.length,
          error,
        });
    } finally {
      this.#isSending = false;
    }
    if (this.#waiting.length > 0) this.#sendSoon(delayMs);
  }

  /** The error code of each. */
  async #submit(batch: readonly Assignment[]): Promise<number[]> {
    const { brokerId, brokerEpoch, controller } = this.#options;
    const request = requestOf(batch, { brokerId, brokerEpoch: brokerEpoch() });
    const response = await controller.send(AssignReplicasToDirs, request);
    const codes = new Map<string, number>();
    for (const { id, topics } of response.directories)
      for (const { topicId, partitions } of topics)
        for (const { partitionIndex, errorCode } of partitions) codes.set(`${id}/${topicId}/${partitionIndex}`, errorCode);
    return batch.map(({ topicId, index, directoryId }) => codes.get(`${directoryId}/${topicId}/${index}`) ?? 0);
  }
}

function requestOf(
  batch: readonly Assignment[],
  { brokerId, brokerEpoch }: { brokerId: number; brokerEpoch: number },
): AssignReplicasToDirsRequest {
  const directories = new Map<Uuid, Map<Uuid, Set<number>>>();
  for (const { topicId, index, directoryId } of batch) {
    const topics = directories.get(directoryId) ?? new Map<Uuid, Set<number>>();
    directories.set(directoryId, topics);
    const indexes = topics.get(topicId) ?? new Set<number>();
    topics.set(topicId, indexes.add(index));
  }
  return {
    brokerId,
    brokerEpoch,
    directories: [...directories].map(([id, topics]) => ({
      id,
      topics: [...topics].map(([topicId, indexes]) => ({
        topicId,
        partitions: [...indexes].map((partitionIndex) => ({ partitionIndex })),
      })),
    })),
  };
}
