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

/**
 * Tells the controller in which log directory a replica is, or is about to be (KIP-858): all of one turn in one request, and of each replica
 * only the last word. The controller judges all of a request by what was before it, so the second of two about one replica could be lost.
 */
export class DirectoryAssignments {
  readonly #options: DirectoryAssignmentsOptions;
  /** By `keyOf`. */
  #waiting = new Map<string, Assignment>();
  #isSending = false;
  #isStopped = false;

  constructor(options: DirectoryAssignmentsOptions) {
    this.#options = options;
  }

  /**
   * Resolves when the metadata says so, or when a later assignment of the replica has taken the place of this one. Rejects when the partition
   * is gone; anything else is tried again.
   */
  assign(topicId: Uuid, index: number, directoryId: Uuid): Promise<void> {
    return new Promise((resolve, reject) => {
      const assignment = { topicId, index, directoryId, resolve, reject };
      const key = keyOf(assignment);
      const earlier = this.#waiting.get(key);
      this.#waiting.delete(key);
      this.#waiting.set(key, assignment);
      earlier?.resolve();
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
    const batch = [...this.#waiting.values()].slice(0, assignmentsPerRequest);
    for (const assignment of batch) this.#waiting.delete(keyOf(assignment));
    let delayMs = 0;
    try {
      const errors = await this.#submit(batch);
      for (const [at, assignment] of batch.entries()) {
        const refusal = errorOfCode(errors[at]!);
        if (refusal) assignment.reject(refusal);
        else assignment.resolve();
      }
    } catch (error) {
      this.#putBack(batch);
      delayMs = retryMs;
      if (!this.#isStopped)
        this.#options.logger.warn('the controller could not be told where replicas are: it is told again', {
          replicas: batch.length,
          error,
        });
    } finally {
      this.#isSending = false;
    }
    if (this.#waiting.size > 0) this.#sendSoon(delayMs);
  }

  /** Before all others, but for those about which there has been a later word. */
  #putBack(batch: readonly Assignment[]): void {
    const later = this.#waiting;
    this.#waiting = new Map();
    for (const assignment of batch) {
      if (later.has(keyOf(assignment))) assignment.resolve();
      else this.#waiting.set(keyOf(assignment), assignment);
    }
    for (const [key, assignment] of later) this.#waiting.set(key, assignment);
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

const keyOf = ({ topicId, index }: { topicId: Uuid; index: number }): string => `${topicId}:${index}`;

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
