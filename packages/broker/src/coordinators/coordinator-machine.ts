import type { KafkaError } from '@ottla/protocol';

/** The time of an operation. Records and retention use the wall clock; timers the monotonic one. */
export type Moment = { readonly wallMs: number; readonly monotonicMs: number };

/** What an operation of a coordinator wants to become true; see `Outcome` of @ottla/coordinator. */
export type MachineOutcome<Record, Continuation, Response> = {
  readonly records: readonly Record[];
  readonly response: Response;
  readonly answers: readonly { readonly token: number; readonly response: unknown }[];
  readonly continuation?: Continuation | undefined;
  readonly atomic: boolean;
};

/** A coordinator's state machine, as far as the shell around it needs to know. `GroupCoordinator` is one. */
export interface CoordinatorMachine<Record, Continuation> {
  replay(record: Record, position: { readonly offset: number; readonly producerId: number }): void;
  replayTransactionEnd(producerId: number, isCommit: boolean, offset: number): void;
  /** The log goes on at this offset: what is before holds nothing for the machine, or was replayed. */
  skipTo(nextOffset: number): void;
  commitTo(endOffset: number): void;
  rollbackTo(offset: number): void;
  continueWith(
    continuation: Continuation,
    error: KafkaError | null,
    moment: Moment,
  ): MachineOutcome<Record, Continuation, undefined>;
  activate(moment: Moment): MachineOutcome<Record, Continuation, undefined>;
  unload(moment: Moment): MachineOutcome<Record, Continuation, undefined>;
  nextWakeMs(): number | undefined;
  wake(moment: Moment): MachineOutcome<Record, Continuation, undefined> | undefined;
}

/** Records of a machine as keys and values of its partition. */
export interface RecordCodec<Record> {
  encode(record: Record): { readonly key: Uint8Array; readonly value: Uint8Array | null };
  /** Null: a type of a later release, to be skipped. Throws for a version it does not know: going on would lose state. */
  decode(key: Uint8Array, value: Uint8Array | null): Record | null;
}
