import type { KafkaError } from '@ottla/protocol';
import type { DeadlineOfGroup } from './group-deadline.ts';
import type { GroupRecord } from './group-record.ts';
import type { Continuation, Turn } from './outcome.ts';

/**
 * The part of the coordinator that knows one group protocol. Its operations (join, heartbeat, describe …) are methods of its own; these
 * are what the coordinator asks of every protocol.
 */
export interface GroupProtocol<Record extends GroupRecord = GroupRecord, Continuing extends Continuation = Continuation> {
  /** One of its records: the only place where what the log has of its groups changes. */
  replay(record: Record): void;
  /** The log has been read: what was only in memory begins anew. */
  activate(turn: Turn): void;
  /** The partition is led by another broker now: nobody must go on waiting here. */
  unload(turn: Turn): void;
  /** A deadline of a group that is of this protocol now, whatever it was when the deadline was set. */
  onDeadline(deadline: DeadlineOfGroup, turn: Turn): void;
  /** The records of one of its operations are committed, or failed to be written and have been rolled back. */
  continueWith?(continuation: Continuing, error: KafkaError | null, turn: Turn): void;
  /** Topics were created, changed or deleted; the view of topics has that already. Nothing is written: members ask soon. */
  onTopicsChanged?(names: ReadonlySet<string>): void;
}
