import { Reader } from '@ottla/protocol';
import type { ClassicGroup } from './classic-group.ts';
import { metadataOf } from './classic-member.ts';

/**
 * The topics that the members of a consumers' group subscribe to. Null when that cannot be known: another kind of group, or metadata
 * that is not of the consumer protocol.
 *
 * Every version of ConsumerProtocolSubscription begins with those of version 0: int16 version, then the array of topic names.
 */
export function subscribedTopicsOf(group: ClassicGroup): ReadonlySet<string> | null {
  if (!group.usesConsumerProtocol) return null;
  const topics = new Set<string>();
  if (group.members.size === 0) return topics;
  if (group.protocolName === null) return null;
  try {
    for (const member of group.members.values()) {
      const reader = new Reader(metadataOf(member, group.protocolName));
      reader.int16();
      for (let left = reader.arrayLength(); left > 0; left--) topics.add(reader.string());
    }
  } catch {
    return null;
  }
  return topics;
}
