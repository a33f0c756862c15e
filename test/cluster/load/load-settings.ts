/**
 * Load in numbered records, by programs of several client libraries that all do the same:
 *
 * - Plain streams, each sent in order to one partition by an idempotent producer. Stream 7's fourth record is `7:3:` and padding.
 * - Writers of transactions, each transaction over several partitions. The second record of the fifth transaction of writer 2 is
 *   `2:4:1:` and padding. Some are aborted on purpose, some because a record could not be sent.
 * - If so asked, the one member of a group, which reads the plain topic and commits what it has read.
 *
 * A program says `ready` on standard output when it begins, ends what it does on a line of standard input, and notes what it was told in
 * a file, an outcome a line:
 *
 *     a STREAM NUMBER OFFSET               acknowledged
 *     f STREAM NUMBER REASON               given up
 *     s STREAM COUNT                       so many were sent, in the end
 *     t WRITER TRANSACTION OUTCOME COUNT   committed, aborted, or unknown, with so many records
 *     g GROUP PARTITION OFFSET END COUNT   the member was given so many records, from this offset up to that
 *     c GROUP PARTITION OFFSET             it was told that this is committed: where to go on
 *     n TEXT                               for people
 */
export type LoadSettings = {
  readonly bootstrap: string;
  readonly seed: number;
  readonly valueBytes: number;
  readonly plain: {
    readonly topic: string;
    readonly partitions: number;
    readonly streams: readonly number[];
    readonly recordsPerSecond: number;
  };
  readonly transactional: {
    readonly topic: string;
    readonly partitions: number;
    readonly writers: readonly number[];
    readonly recordsPerSecond: number;
    /** Records of a transaction, at most. */
    readonly recordsAtMost: number;
  };
  /** Of the member; null for none. */
  readonly group: string | null;
  readonly outcomes: string;
};

export const loadPrograms = ['ottla', 'java', 'librdkafka'] as const;
export type LoadProgram = (typeof loadPrograms)[number];
