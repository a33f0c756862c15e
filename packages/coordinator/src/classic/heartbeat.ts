import { errors, type HeartbeatRequest, type HeartbeatResponse, KafkaError, type Writable } from '@ottla/protocol';
import type { ClassicTurn } from './classic-turn.ts';
import { keepAlive } from './rebalance.ts';

/** Throws UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID, ILLEGAL_GENERATION, COORDINATOR_NOT_AVAILABLE. */
export function heartbeat(on: ClassicTurn, request: HeartbeatRequest): Writable<HeartbeatResponse> {
  const { group } = on;
  if (group.state === 'Dead') throw new KafkaError('COORDINATOR_NOT_AVAILABLE');
  group.validateMember(request.memberId, request.groupInstanceId);
  if (request.generationId !== group.generationId) {
    throw new KafkaError('ILLEGAL_GENERATION', `group ${group.groupId} is at generation ${group.generationId}`);
  }
  keepAlive(on, group.members.get(request.memberId)!);
  return { errorCode: group.state === 'PreparingRebalance' ? errors.REBALANCE_IN_PROGRESS.code : 0 };
}
