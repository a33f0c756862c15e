import { Consumer, stringDeserializer } from '@ottla/client';
import { tellError } from '../node-log.ts';
import { partitionText, polledOf } from './reading-client.ts';
import { closeSoon, SimulatedClient } from './simulated-client.ts';

/** A member of a classic group, which reads all topics with the others and commits what it has read. */
export class GroupClient extends SimulatedClient {
  #consumer: Consumer<string, string> | undefined;

  protected async doNext(): Promise<void> {
    const consumer = (this.#consumer ??= this.#open());
    const isolation = 'read_committed';
    const beganMs = this.nowMs;
    const records = await consumer.poll({ timeoutMs: 500 });
    if (records.length > 0) {
      this.history.push({
        type: 'poll',
        process: this.process,
        ...polledOf(records, { isolation, beganMs, endedMs: this.nowMs }),
      });
      for (const { topic, partition, offset } of records) {
        this.hear({ type: 'read', client: this.process, topic, partition, offset, isolation });
      }
    }
    if (this.random.chance(0.4)) await this.#commit(consumer);
    if (this.random.chance(0.01)) await this.beginAnew();
  }

  async #commit(consumer: Consumer<string, string>): Promise<void> {
    const group = this.plan.group!;
    const positions = consumer.assignment.flatMap((partition) => {
      const offset = consumer.position(partition);
      return offset === undefined ? [] : [{ ...partition, offset }];
    });
    if (positions.length === 0) return;
    try {
      await consumer.commit(positions);
    } catch (error) {
      this.note(`commit: ${tellError(error)}`);
      return;
    }
    for (const { topic, partition, offset } of positions) {
      this.hear({ type: 'committedOffset', client: this.process, group, topic, partition, offset });
    }
  }

  #open(): Consumer<string, string> {
    const { process } = this;
    const group = this.plan.group!;
    const consumer = new Consumer<string, string>({
      ...this.common,
      clientId: process,
      groupId: group,
      autoOffsetReset: 'earliest',
      enableAutoCommit: false,
      isolationLevel: 'read_committed',
      sessionTimeoutMs: 2_500,
      heartbeatIntervalMs: 500,
      maxPollIntervalMs: 20_000,
      keyDeserializer: stringDeserializer,
      valueDeserializer: stringDeserializer,
      fetchMaxWaitMs: 500,
    });
    consumer.subscribe(
      this.topics.map(({ name }) => name),
      {
        onAssigned: (assigned) => {
          const partitions = assigned.map(partitionText);
          this.history.push({ type: 'placed', process, partitions });
          const { generationId } = consumer.groupMetadata;
          this.hear({ type: 'assigned', client: process, group, generation: generationId, partitions });
        },
      },
    );
    return consumer;
  }

  protected async close(): Promise<void> {
    await closeSoon(this.runtime, this.#consumer?.close());
    this.#consumer = undefined;
  }
}
