/**
 * What is to happen at a deadline, as data. Those that groups of several protocols have are named once; what becomes of them is up to
 * the protocol that the group has by then.
 */
import type { ClassicDeadline } from './classic/classic-turn.ts';

export type GroupDeadline =
  | { readonly type: 'RetentionDue' }
  /** A member has not been heard of for its session timeout. */
  | { readonly type: 'SessionExpired'; readonly groupId: string; readonly memberId: string }
  /** A member has not given up what it was asked to at this epoch, within its rebalance timeout. */
  | { readonly type: 'RevocationExpired'; readonly groupId: string; readonly memberId: string; readonly memberEpoch: number }
  /** A classic member of a consumer group has not rejoined, or not synced, since it was told to. */
  | { readonly type: 'RejoinExpired'; readonly groupId: string; readonly memberId: string }
  | { readonly type: 'ResyncExpired'; readonly groupId: string; readonly memberId: string }
  /** Whoever was to be waited for at the beginning of a streams group has had the time to come. */
  | { readonly type: 'StreamsRebalanceDelayed'; readonly groupId: string }
  | ClassicDeadline;

/** Those that remove a member from a group whose coordinator decides who gets what. */
export type MemberDeadline = Extract<
  GroupDeadline,
  { type: 'SessionExpired' | 'RevocationExpired' | 'RejoinExpired' | 'ResyncExpired' }
>;

/** A deadline of one group. */
export type DeadlineOfGroup = Exclude<GroupDeadline, { type: 'RetentionDue' }>;

export const sessionKey = (groupId: string, memberId: string): string => `session ${groupId.length} ${groupId} ${memberId}`;
export const revocationKey = (groupId: string, memberId: string): string => `revocation ${groupId.length} ${groupId} ${memberId}`;
export const rejoinKey = (groupId: string, memberId: string): string => `rejoin ${groupId.length} ${groupId} ${memberId}`;
export const resyncKey = (groupId: string, memberId: string): string => `resync ${groupId.length} ${groupId} ${memberId}`;
export const streamsDelayKey = (groupId: string): string => `streams delay ${groupId}`;

export function memberDeadlineKey({ type, groupId, memberId }: MemberDeadline): string {
  switch (type) {
    case 'SessionExpired':
      return sessionKey(groupId, memberId);
    case 'RevocationExpired':
      return revocationKey(groupId, memberId);
    case 'RejoinExpired':
      return rejoinKey(groupId, memberId);
    case 'ResyncExpired':
      return resyncKey(groupId, memberId);
  }
}
