import { errors, KafkaError } from '@ottla/protocol';
import type { Runtime } from '@ottla/runtime';
import { failureOf } from '../handlers/handler.ts';
import { inSteps } from '../in-steps.ts';
import { type AcknowledgementBatch, AcknowledgeType } from './acknowledge-type.ts';
import type { ShareMember } from './member-request.ts';
import type { Shares } from './shares.ts';

export type AskedAcknowledgements = {
  readonly topicId: string;
  readonly index: number;
  readonly batches: readonly AcknowledgementBatch[];
};

export type Acknowledged = {
  readonly topicId: string;
  readonly index: number;
  readonly errorCode: number;
  readonly errorMessage: string | null;
};

export type AcknowledgeRules = {
  /** The highest acknowledge type of the request's version. */
  readonly highestType: number;
  /** The request says that it renews locks; otherwise it must not. */
  readonly isRenewAck: boolean;
};

/**
 * What became of each partition's acknowledgements, in the order asked, once it is known. Never rejects for one of them. A request may name very
 * many: what is more than some hundred comes in later turns.
 */
export function acknowledgeShared(
  { shares, runtime }: { readonly shares: Shares; readonly runtime: Pick<Runtime, 'clock' | 'timers'> },
  member: ShareMember,
  asked: readonly AskedAcknowledgements[],
  rules: AcknowledgeRules,
): Promise<Acknowledged[]> {
  return inSteps(asked, runtime, (one) => acknowledgePartition(shares, member, one, rules));
}

async function acknowledgePartition(
  shares: Shares,
  { groupId, memberId }: ShareMember,
  { topicId, index, batches }: AskedAcknowledgements,
  rules: AcknowledgeRules,
): Promise<Acknowledged> {
  try {
    requireWellFormed(batches, rules);
  } catch (error) {
    // What is wrong with the request itself is told without words, as Kafka does.
    return { topicId, index, errorCode: failureOf(error).errorCode, errorMessage: null };
  }
  const failure = shares.failureOf(topicId, index);
  if (failure !== undefined) return { topicId, index, errorCode: errors[failure].code, errorMessage: null };
  try {
    const share = shares.get(groupId, topicId, index);
    if (!share) throw new KafkaError('UNKNOWN_TOPIC_OR_PARTITION', `nobody of ${groupId} has records of that partition here`);
    await share.acknowledge(memberId, batches);
    return { topicId, index, errorCode: 0, errorMessage: null };
  } catch (error) {
    return { topicId, index, ...failureOf(error) };
  }
}

/** Throws INVALID_REQUEST. */
function requireWellFormed(batches: readonly AcknowledgementBatch[], { highestType, isRenewAck }: AcknowledgeRules): void {
  let before = -1;
  for (const { firstOffset, lastOffset, acknowledgeTypes } of batches) {
    const isOrdered = firstOffset <= lastOffset && firstOffset >= before;
    const isWhole = acknowledgeTypes.length === 1 || acknowledgeTypes.length === lastOffset - firstOffset + 1;
    if (!isOrdered || !isWhole)
      throw new KafkaError(
        'INVALID_REQUEST',
        `offsets ${firstOffset} to ${lastOffset} are not acknowledged in order, one by one or together`,
      );
    if (acknowledgeTypes.some((type) => type < 0 || type > highestType))
      throw new KafkaError('INVALID_REQUEST', `acknowledge types go from 0 to ${highestType}`);
    if (!isRenewAck && acknowledgeTypes.includes(AcknowledgeType.renew))
      throw new KafkaError('INVALID_REQUEST', 'a request that renews locks must say so');
    before = lastOffset;
  }
}
