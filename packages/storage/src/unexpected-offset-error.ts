import { KafkaError } from '@ottla/protocol';

/** A follower was given batches that begin below its log end. */
export class UnexpectedOffsetError extends KafkaError {
  readonly firstOffset: number;
  readonly lastOffset: number;
  constructor(message: string, { firstOffset, lastOffset }: { firstOffset: number; lastOffset: number }) {
    super('UNKNOWN_SERVER_ERROR', message);
    this.firstOffset = firstOffset;
    this.lastOffset = lastOffset;
  }
}
