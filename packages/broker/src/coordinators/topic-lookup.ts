import type { Uuid } from '@ottla/protocol';

/** Topics as the broker's metadata has them now. */
export interface TopicLookup {
  idOf(name: string): Uuid | undefined;
  nameOf(topicId: Uuid): string | undefined;
  hasPartition(name: string, partition: number): boolean;
}
