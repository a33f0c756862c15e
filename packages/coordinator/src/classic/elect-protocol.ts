import { inJavaHashOrder } from '@ottla/protocol';
import type { ClassicMember } from './classic-member.ts';

/**
 * The protocol with the most votes. Each member votes for the first in its own list that all members support. Equal votes are decided
 * as in Kafka, by the order of Java's hash map, so that a group does not change its assignor when it moves between brokers.
 */
export function electProtocol(members: Iterable<ClassicMember>, candidates: ReadonlySet<string>): string {
  const votes = new Map<string, number>();
  for (const member of members) {
    const choice = member.protocols.find(({ name }) => candidates.has(name));
    if (choice === undefined) throw new Error(`member ${member.memberId} supports none of the group's protocols`);
    votes.set(choice.name, (votes.get(choice.name) ?? 0) + 1);
  }
  let winner: string | undefined;
  for (const name of inJavaHashOrder([...votes.keys()])) {
    if (winner === undefined || votes.get(name)! > votes.get(winner)!) winner = name;
  }
  if (winner === undefined) throw new Error('a group without members has no protocol to choose');
  return winner;
}
