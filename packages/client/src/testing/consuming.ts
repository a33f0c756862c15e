import assert from 'node:assert/strict';
import { Consumer, type ConsumerConfig, Producer, stringDeserializer } from '@ottla/client';
import type { Kafka } from '@ottla/testing';
import type { TopicPartition } from '../topic-partition.ts';

export const log: TopicPartition = { topic: 'log', partition: 0 };

export function consumerOf(kafka: Kafka, config: Partial<ConsumerConfig<string, string>> = {}): Consumer<string, string> {
  return new Consumer({
    ...kafka,
    autoOffsetReset: 'earliest',
    keyDeserializer: stringDeserializer,
    valueDeserializer: stringDeserializer,
    ...config,
  });
}

export async function fill(kafka: Kafka, count: number, topic = 'log', partition?: number): Promise<void> {
  await using producer = new Producer(kafka);
  await producer.sendAll(Array.from({ length: count }, (_, index) => ({ topic, value: `value ${index}`, partition })));
}

export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (const deadlineMs = Date.now() + 60_000; Date.now() < deadlineMs; ) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.fail('it did not come to be within a minute');
}

/** Polls on and on, as an application does, until the condition holds. */
export async function pollUntil(consumer: Consumer, condition: () => boolean): Promise<void> {
  for (let round = 0; round < 1000 && !condition(); round++) await consumer.poll({ timeoutMs: 500 });
  assert.ok(condition(), 'it did not come to be');
}
