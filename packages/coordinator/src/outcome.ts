import type { JoinGroupResponse, SyncGroupResponse, Writable } from '@ottla/protocol';
import type { MemberDeadline } from './group-deadline.ts';
import type { GroupRecord } from './group-record.ts';

/** The time of an operation, taken by the shell. Records and retention use the wall clock; timers the monotonic one. */
export type Moment = { readonly wallMs: number; readonly monotonicMs: number };

/** Names a JoinGroup or SyncGroup request that may have to wait for other members. The shell draws it and keeps who it stands for. */
export type Token = number;

/** What became of a request that was given a token. */
export type Answer =
  | { readonly api: 'JoinGroup'; readonly token: Token; readonly response: Writable<JoinGroupResponse> }
  | { readonly api: 'SyncGroup'; readonly token: Token; readonly response: Writable<SyncGroupResponse> };

/**
 * What an operation wants to become true. The shell, in this order: replays the records, sends the answers, appends the records, and
 * when they are committed gives out the response and calls `continueWith(continuation, null)`. If the append fails it rolls the
 * records back, reports the error instead of the response and calls `continueWith(continuation, error)`.
 */
export type Outcome<Response = undefined> = {
  readonly records: readonly GroupRecord[];
  readonly response: Response;
  /** Answers to waiting requests; they promise nothing that the records have to make true first. */
  readonly answers: readonly Answer[];
  readonly continuation?: Continuation;
  /** Whether the records may only be written together, in one batch. */
  readonly atomic: boolean;
};

/** What is still to do once the records of an operation are committed, or have failed to be. Plain data: it can be printed. */
export type Continuation =
  /** A member's time is up. If that could not be written, it is up again a little later. */
  | { readonly type: 'MemberExpired'; readonly groupId: string; readonly deadline: MemberDeadline }
  | {
      readonly type: 'ClassicMemberJoined';
      readonly groupId: string;
      readonly token: Token;
      readonly response: Writable<JoinGroupResponse> & { readonly memberId: string };
      readonly sessionTimeoutMs: number;
      readonly rebalanceTimeoutMs: number;
      /** The member's group is one of the classic protocol now. */
      readonly downgrades: boolean;
    }
  | {
      readonly type: 'ClassicMemberSynced';
      readonly groupId: string;
      readonly memberId: string;
      readonly token: Token;
      readonly response: Writable<SyncGroupResponse>;
      readonly sessionTimeoutMs: number;
    }
  | { readonly type: 'GroupCreated'; readonly groupId: string; readonly token: Token }
  | {
      readonly type: 'AssignmentStored';
      readonly groupId: string;
      readonly memberId: string;
      readonly generationId: number;
      readonly assignments: ReadonlyMap<string, Uint8Array>;
    }
  | {
      readonly type: 'StaticMemberReplaced';
      readonly groupId: string;
      readonly groupInstanceId: string;
      readonly token: Token;
      readonly apiVersion: number;
      readonly oldMemberId: string;
      readonly newMemberId: string;
      /** Of the group, which was stable then. */
      readonly generationId: number;
      readonly oldLeaderId: string | null;
      readonly oldProtocols: readonly MemberProtocol[];
      readonly oldRebalanceTimeoutMs: number;
      readonly oldSessionTimeoutMs: number;
    };

export type MemberProtocol = { readonly name: string; readonly metadata: Uint8Array };

/** Collects what one operation does. */
export class Turn {
  readonly moment: Moment;
  readonly records: GroupRecord[] = [];
  readonly answers: Answer[] = [];
  continuation: Continuation | undefined;

  constructor(moment: Moment) {
    this.moment = moment;
  }

  answerJoin(token: Token, response: Writable<JoinGroupResponse>): void {
    this.answers.push({ api: 'JoinGroup', token, response });
  }

  answerSync(token: Token, response: Writable<SyncGroupResponse>): void {
    this.answers.push({ api: 'SyncGroup', token, response });
  }

  outcome(): Outcome;
  outcome<Response>(response: Response): Outcome<Response>;
  outcome<Response>(response?: Response): Outcome<Response | undefined> {
    const { records, answers, continuation } = this;
    return { records, answers, continuation, response, atomic: true };
  }
}
