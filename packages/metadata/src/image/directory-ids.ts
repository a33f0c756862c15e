/** Log directory ids that name no directory (KIP-858): the first hundred uuids are reserved for such meanings. */

import { type Uuid, uuidToBytes } from '@ottla/protocol';

/** Written before directories had ids. */
export const migratingDirectory: Uuid = 'AAAAAAAAAAAAAAAAAAAAAA';
/** The broker has not yet said in which of its directories the replica is. */
export const unassignedDirectory: Uuid = 'AAAAAAAAAAAAAAAAAAAAAQ';
/** The directory failed, and with it the replica. */
export const lostDirectory: Uuid = 'AAAAAAAAAAAAAAAAAAAAAg';

export function isReservedDirectory(id: Uuid): boolean {
  const bytes = uuidToBytes(id);
  return bytes.every((byte, index) => (index < 15 ? byte === 0 : byte < 100));
}

/** A broker that never told its directories (before 3.7-IV2) is taken at its word that it is alive. */
export function isOnlineDirectory(id: Uuid, onlineDirectories: readonly Uuid[]): boolean {
  if (id === unassignedDirectory || id === migratingDirectory) return true;
  if (id === lostDirectory) return false;
  return onlineDirectories.length === 0 || onlineDirectories.includes(id);
}
