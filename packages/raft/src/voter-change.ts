import type { ErrorName } from '@ottla/protocol';
import type { Voter, VoterSet } from './voter-set.ts';

/** A change of voters that the leader has begun. There is one at a time. */
export type VoterChange = {
  readonly kind: 'add' | 'remove' | 'update';
  readonly requestId: number;
  /** Answered by then, come what may. */
  readonly deadlineMs: number;
  /** Of an addition or an update: as it will be recorded. */
  readonly voter: Voter | null;
  readonly isAnsweredOnCommit: boolean;
  /** Where the voters record lies; null while the new voter is looked at. */
  votersOffset: number | null;
};

/** Why the voters do not change. */
export type Refusal = { readonly error: ErrorName; readonly message: string };

export const inWords = (voters: VoterSet): string =>
  voters.voters.map(({ id, directoryId }) => `${id} (directory ${directoryId})`).join(', ');
