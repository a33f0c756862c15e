/**
 * What clients did and saw, as the workload writes it down: an event a line, as JSON. Times are milliseconds of one monotonic clock
 * that all clients share. A process is one life of one client; what it did stands in the order in which it did it. Every value is sent
 * once only, so a value names its sending. Partitions are written `topic-number`.
 */
export type Isolation = 'read_committed' | 'read_uncommitted';

export type Seen = readonly [partition: string, offset: number, value: string];

export type Sending = {
  readonly partition: string;
  readonly value: string;
  /** Told by the broker; null when it did not acknowledge, or nobody waited for it. */
  readonly offset: number | null;
};

/** What was read at once, between two moments. */
export type Polled = {
  readonly isolation: Isolation;
  readonly beganMs: number;
  readonly endedMs: number;
  readonly records: readonly Seen[];
};

/** Part of a transaction, in their order. */
export type Step =
  | { readonly send: Sending }
  | { readonly poll: Polled }
  /** From here these partitions are read from elsewhere: they were assigned anew, or sought in. */
  | { readonly placed: readonly string[] }
  /** Given to the transaction for this group: the next offset to read, by partition. */
  | { readonly offsets: Readonly<Record<string, number>>; readonly group: string };

export type Transaction = {
  readonly type: 'transaction';
  readonly process: string;
  readonly transactionalId: string;
  readonly beganMs: number;
  /** When commit was first asked for; null when it never was, and then nothing of it may ever be seen as committed. */
  readonly commitBeganMs: number | null;
  readonly endedMs: number;
  /** As the client was told; `unknown` when it asked for a commit and was told neither that it is done nor that it will not be. */
  readonly outcome: 'committed' | 'aborted' | 'unknown';
  readonly steps: readonly Step[];
};

export type HistoryEvent =
  | Transaction
  /** A producer of this id was initialized, which fences all that were before it. */
  | {
      readonly type: 'initialized';
      readonly process: string;
      readonly transactionalId: string;
      readonly beganMs: number;
      readonly endedMs: number;
    }
  /** Outside transactions. */
  | ({ readonly type: 'send'; readonly process: string } & Sending)
  | ({ readonly type: 'poll'; readonly process: string } & Polled)
  | { readonly type: 'placed'; readonly process: string; readonly partitions: readonly string[] }
  /** A whole partition, read from its first record to its end when everything was over. */
  | {
      readonly type: 'final';
      readonly isolation: Isolation;
      readonly partition: string;
      readonly endOffset: number;
      readonly records: readonly (readonly [offset: number, value: string])[];
    }
  /** What a group has committed when everything was over. */
  | { readonly type: 'groupOffsets'; readonly group: string; readonly offsets: Readonly<Record<string, number>> }
  /** For people: errors that clients were told, kills. */
  | { readonly type: 'note'; readonly atMs: number; readonly process: string; readonly text: string };

export function parseHistory(lines: string): HistoryEvent[] {
  return lines
    .split('\n')
    .filter((line) => line.length > 0)
    .map((line) => JSON.parse(line) as HistoryEvent);
}
