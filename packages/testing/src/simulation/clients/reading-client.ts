import { Consumer, type ConsumerRecord, stringDeserializer, type TopicPartition } from '@ottla/client';
import type { Isolation, Polled, Seen } from '../../histories/history.ts';
import { closeSoon, SimulatedClient } from './simulated-client.ts';

type Texts = Consumer<string, string>;

export const partitionText = ({ topic, partition }: TopicPartition): string => `${topic}-${partition}`;

/** What it polled, as it is written down. */
export function polledOf(
  records: readonly ConsumerRecord<string, string>[],
  times: { readonly isolation: Isolation; readonly beganMs: number; readonly endedMs: number },
): Polled {
  return { ...times, records: records.map((record): Seen => [partitionText(record), record.offset, record.value ?? '']) };
}

/** Reads whole partitions of its own choice, keeping its place. */
export class ReadingClient extends SimulatedClient {
  #consumer: Texts | undefined;
  #isolation: Isolation = 'read_committed';

  protected async doNext(): Promise<void> {
    const consumer = (this.#consumer ??= this.#open());
    const beganMs = this.nowMs;
    const records = await consumer.poll({ timeoutMs: 500 });
    if (records.length === 0) return;
    const isolation = this.#isolation;
    this.history.push({
      type: 'poll',
      process: this.process,
      ...polledOf(records, { isolation, beganMs, endedMs: this.nowMs }),
    });
    for (const { topic, partition, offset } of records) {
      this.hear({ type: 'read', client: this.process, topic, partition, offset, isolation });
    }
  }

  #open(): Texts {
    this.#isolation = this.random.chance(0.5) ? 'read_committed' : 'read_uncommitted';
    const consumer = new Consumer<string, string>({
      ...this.common,
      clientId: this.process,
      autoOffsetReset: 'earliest',
      isolationLevel: this.#isolation,
      keyDeserializer: stringDeserializer,
      valueDeserializer: stringDeserializer,
      fetchMaxWaitMs: 500,
    });
    const { name, partitions } = this.topics[this.random.below(this.topics.length)]!;
    consumer.assign(Array.from({ length: partitions }, (_, partition) => ({ topic: name, partition })));
    return consumer;
  }

  protected async close(): Promise<void> {
    await closeSoon(this.runtime, this.#consumer?.close());
    this.#consumer = undefined;
  }
}
