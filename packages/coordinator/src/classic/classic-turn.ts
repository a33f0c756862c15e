import type { Deadlines } from '../deadlines.ts';
import type { GroupCoordinatorConfig } from '../group-coordinator-config.ts';
import type { GroupDeadline } from '../group-deadline.ts';
import type { Turn } from '../outcome.ts';
import type { ClassicGroup } from './classic-group.ts';

/** What the operations of the classic protocol work with: one group, in one turn. */
export type ClassicTurn = {
  readonly group: ClassicGroup;
  readonly turn: Turn;
  readonly config: GroupCoordinatorConfig;
  readonly deadlines: Deadlines<GroupDeadline>;
};

/** The deadlines that only groups of the classic protocol have. */
export type ClassicDeadline =
  | { readonly type: 'InitialRebalanceDelayed'; readonly groupId: string; readonly delayMs: number; readonly remainingMs: number }
  | { readonly type: 'JoinPhaseExpired'; readonly groupId: string }
  | { readonly type: 'SyncPhaseExpired'; readonly groupId: string; readonly generationId: number };

export const joinKey = (groupId: string): string => `join ${groupId}`;
export const syncKey = (groupId: string): string => `sync ${groupId}`;
