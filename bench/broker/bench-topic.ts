import assert from 'node:assert';
import { readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Admin } from '@ottla/client';
import { errorName, InitProducerId, type Uuid } from '@ottla/protocol';
import { ask } from './ask.ts';

/** A topic for one run: its data goes with it. */
export class BenchTopic {
  readonly name: string;
  readonly topicId: Uuid;
  readonly partitions: number;
  readonly #admin: Admin;
  readonly #dataDirectory: string | undefined;

  /** Resolves when each partition has a leader that answers. */
  static async create(
    { bootstrap, dataDirectory }: { readonly bootstrap: string; readonly dataDirectory?: string },
    partitions: number,
    configs: Readonly<Record<string, string>> = {},
  ): Promise<BenchTopic> {
    const admin = new Admin({ bootstrapServers: bootstrap });
    const name = `bench-${Date.now().toString(36)}-${topicsMade++}`;
    const created = await admin.createTopics([{ name, partitions, replicationFactor: 1, configs }]);
    const topic = new BenchTopic(name, created[0]!.topicId, partitions, admin, dataDirectory);
    assert.equal(await topic.recordsStored(), 0);
    return topic;
  }

  private constructor(name: string, topicId: Uuid, partitions: number, admin: Admin, dataDirectory: string | undefined) {
    this.name = name;
    this.topicId = topicId;
    this.partitions = partitions;
    this.#admin = admin;
    this.#dataDirectory = dataDirectory;
  }

  /** By ListOffsets, over all partitions. */
  async recordsStored(): Promise<number> {
    const asked = Array.from({ length: this.partitions }, (_, partition) => ({ topic: this.name, partition }));
    const earliest = await this.#admin.listOffsets(asked.map((one) => ({ ...one, at: 'earliest' })));
    const latest = await this.#admin.listOffsets(asked.map((one) => ({ ...one, at: 'latest' })));
    const sum = (offsets: readonly { offset: number }[]): number => offsets.reduce((total, { offset }) => total + offset, 0);
    return sum(latest) - sum(earliest);
  }

  /** A figure counts only when what was acknowledged is there. */
  async assertStored(recordsAcknowledged: number): Promise<void> {
    assert.equal(await this.recordsStored(), recordsAcknowledged, 'records stored beside records acknowledged');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#admin.deleteTopics([this.name]);
    await this.#admin.close();
    const deadlineMs = performance.now() + goneWithinMs;
    while (this.#hasFiles() && performance.now() < deadlineMs) await sleep(20);
  }

  /** Deleting goes on in the background, also under other names, and would be charged to whatever comes next. */
  #hasFiles(): boolean {
    return this.#dataDirectory !== undefined && readdirSync(this.#dataDirectory).some((file) => file.startsWith(this.name));
  }
}

const goneWithinMs = 5000;
let topicsMade = 0;

export async function newProducerIds(port: number, count: number): Promise<{ producerId: number; producerEpoch: number }[]> {
  const ids = [];
  while (ids.length < count) {
    const request = { transactionalId: null, transactionTimeoutMs: 60_000 };
    const { producerId, producerEpoch, errorCode } = await ask(port, InitProducerId, 4, request);
    // Kafka's broker asks its controller for a block of ids when the first one is wanted, and says so meanwhile.
    if (errorName(errorCode) === 'COORDINATOR_LOAD_IN_PROGRESS') {
      await sleep(20);
      continue;
    }
    assert.equal(errorCode, 0, 'error code of InitProducerId');
    ids.push({ producerId: Number(producerId), producerEpoch });
  }
  return ids;
}
