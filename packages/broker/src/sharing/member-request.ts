import { KafkaError } from '@ottla/protocol';
import type { BrokerParts } from '../broker-parts.ts';

/** Of a member of a share group, as ShareFetch and ShareAcknowledge name him. */
export type ShareMember = { readonly groupId: string; readonly memberId: string; readonly epoch: number };

const LONGEST_MEMBER_ID = 36;

/** Throws UNSUPPORTED_VERSION where share groups are turned off, INVALID_REQUEST. Whether the group has such a member is not asked. */
export function shareMember(
  request: { groupId: string | null; memberId: string | null; shareSessionEpoch: number },
  { metadata }: BrokerParts,
): ShareMember {
  if (metadata.image.features.level('share.version') < 1)
    throw new KafkaError('UNSUPPORTED_VERSION', 'share groups are turned off in this cluster: see the feature share.version');
  const { groupId, memberId, shareSessionEpoch: epoch } = request;
  if (groupId === null) throw new KafkaError('INVALID_REQUEST', 'a group id is missing');
  if (memberId === null || memberId === '' || memberId.length > LONGEST_MEMBER_ID)
    throw new KafkaError('INVALID_REQUEST', `a member id has 1 to ${LONGEST_MEMBER_ID} characters`);
  return { groupId, memberId, epoch };
}
