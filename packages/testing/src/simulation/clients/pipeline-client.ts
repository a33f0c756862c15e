import { Consumer, nextOffsets, type Producer, stringDeserializer } from '@ottla/client';
import { partitionText, polledOf } from './reading-client.ts';
import { closeSoon } from './simulated-client.ts';
import { TransactionalClient, type Work } from './transactional-client.ts';

/** Exactly once from the first topic to the second: what it read, its results and its offsets are one transaction. */
export class PipelineClient extends TransactionalClient {
  #consumer: Consumer<string, string> | undefined;
  /** Assigned anew since the last transaction. */
  #placed: string[] = [];

  protected override async fill(producer: Producer, work: Work): Promise<void> {
    const [from, to] = [this.topics[0]!, this.topics[1] ?? this.topics[0]!];
    const consumer = (this.#consumer ??= this.#open(from.name));
    const isolation = 'read_committed';
    const beganMs = this.nowMs;
    const records = await consumer.poll({ timeoutMs: 500 });
    if (this.#placed.length > 0) work.steps.push({ placed: this.#placed });
    this.#placed = [];
    if (records.length === 0) return;
    work.steps.push({ poll: polledOf(records, { isolation, beganMs, endedMs: this.nowMs }) });
    for (const { offset, topic, partition } of records) {
      this.hear({ type: 'read', client: this.process, topic, partition, offset, isolation });
      this.sendInTransaction(producer, work, { topic: to.name, partition: offset % to.partitions });
    }
    const offsets = nextOffsets(records);
    const step = {
      offsets: Object.fromEntries(offsets.map((next) => [partitionText(next), next.offset])),
      group: this.plan.group!,
    };
    work.steps.push(step);
    await producer.sendOffsetsToTransaction(offsets, consumer.groupMetadata);
  }

  /** Its consumer is ahead of what is committed now. */
  protected override async aborted(): Promise<void> {
    await this.#leave();
  }

  #open(topic: string): Consumer<string, string> {
    const consumer = new Consumer<string, string>({
      ...this.common,
      clientId: this.process,
      groupId: this.plan.group!,
      autoOffsetReset: 'earliest',
      enableAutoCommit: false,
      isolationLevel: 'read_committed',
      sessionTimeoutMs: 2_500,
      heartbeatIntervalMs: 500,
      maxPollIntervalMs: 20_000,
      maxPollRecords: 20,
      keyDeserializer: stringDeserializer,
      valueDeserializer: stringDeserializer,
      fetchMaxWaitMs: 500,
    });
    consumer.subscribe([topic], { onAssigned: (assigned) => void this.#placed.push(...assigned.map(partitionText)) });
    return consumer;
  }

  async #leave(): Promise<void> {
    const consumer = this.#consumer;
    this.#consumer = undefined;
    await closeSoon(this.runtime, consumer?.close());
  }

  protected override async close(): Promise<void> {
    await this.#leave();
    await super.close();
  }
}
