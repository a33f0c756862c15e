import type { Partition } from '../replication/partition.ts';
import type { DeadLetters } from './state-change.ts';

export type DeadLetterOffice = {
  readonly groupId: string;
  readonly deadLetterTopic: string;
  readonly copiesDeadLetters: boolean;
};

/** Where records go that a share group will not deliver any more, if the group has a place for them. */
export interface DeadLetterQueue {
  /** Resolves when they are committed there. Rejects with a KafkaError, and then they are to be written again. */
  write(office: DeadLetterOffice, origin: Partition, letters: readonly DeadLetters[]): Promise<void>;
}
