import type { Deadlines } from '../deadlines.ts';
import type { GroupConfig } from '../group-config.ts';
import type { Turn } from '../outcome.ts';
import type { ClassicGroup } from './classic-group.ts';

/** What the operations of the classic protocol work with: one group, in one turn. */
export type ClassicTurn = {
  readonly group: ClassicGroup;
  readonly turn: Turn;
  readonly config: GroupConfig;
  readonly deadlines: Deadlines<GroupDeadline>;
};

/** What is to happen at a deadline. */
export type GroupDeadline =
  | { readonly type: 'SessionExpired'; readonly groupId: string; readonly memberId: string }
  | { readonly type: 'InitialRebalanceDelayed'; readonly groupId: string; readonly delayMs: number; readonly remainingMs: number }
  | { readonly type: 'JoinPhaseExpired'; readonly groupId: string }
  | { readonly type: 'SyncPhaseExpired'; readonly groupId: string; readonly generationId: number }
  | { readonly type: 'RetentionDue' };

export const sessionKey = (groupId: string, memberId: string): string => `session ${groupId.length} ${groupId} ${memberId}`;
export const joinKey = (groupId: string): string => `join ${groupId}`;
export const syncKey = (groupId: string): string => `sync ${groupId}`;
