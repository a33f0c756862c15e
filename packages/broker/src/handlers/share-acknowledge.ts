import { ShareAcknowledge, type ShareAcknowledgeRequest, type ShareAcknowledgeResponse, type Writable } from '@ottla/protocol';
import { type Acknowledged, acknowledgeShared } from '../sharing/acknowledge-shared.ts';
import { shareMember } from '../sharing/member-request.ts';
import { FINAL_EPOCH } from '../sharing/share-session.ts';
import { handler, type RequestContext } from './handler.ts';
import { LeaderHints } from './leader-hints.ts';

const FIRST_VERSION_WITH_RENEW = 2;

/**
 * ShareAcknowledge: what became of records that a member of a share group was given (KIP-932).
 * v2 isRenewAck: the work goes on, and the records' locks begin anew (KIP-1222)
 */
export const shareAcknowledge = handler(ShareAcknowledge, acknowledge, ({ errorCode }) => ({ errorCode }));

async function acknowledge(
  request: ShareAcknowledgeRequest,
  context: RequestContext,
): Promise<Writable<ShareAcknowledgeResponse>> {
  const { broker, apiVersion } = context;
  const { sharing } = broker;
  const member = shareMember(request, broker);
  const session = sharing.sessions.acknowledge(member);
  const asked = request.topics.flatMap(({ topicId, partitions }) =>
    partitions
      .filter(({ acknowledgementBatches }) => acknowledgementBatches.length > 0)
      .map(({ partitionIndex, acknowledgementBatches }) => ({ topicId, index: partitionIndex, batches: acknowledgementBatches })),
  );
  const isRenewing = apiVersion >= FIRST_VERSION_WITH_RENEW;
  const rules = { highestType: isRenewing ? 4 : 3, isRenewAck: isRenewing && request.isRenewAck };
  const acknowledged = await acknowledgeShared({ shares: sharing.shares, runtime: broker.runtime }, member, asked, rules);
  if (member.epoch === FINAL_EPOCH) await sharing.closeSession(session);
  const { lockDurationMs } = sharing.shares.sharingOf(member.groupId);
  return {
    errorCode: 0,
    ...(isRenewing ? { acquisitionLockTimeoutMs: lockDurationMs } : {}),
    ...byTopic(acknowledged, context),
  };
}

type Answer = Writable<ShareAcknowledgeResponse>;
type PartitionAnswer = NonNullable<NonNullable<Answer['responses']>[number]['partitions']>[number];

function byTopic(acknowledged: readonly Acknowledged[], context: RequestContext): Pick<Answer, 'responses' | 'nodeEndpoints'> {
  const hints = new LeaderHints(context);
  const topics = new Map<string, PartitionAnswer[]>();
  for (const { topicId, index, errorCode, errorMessage } of acknowledged) {
    const currentLeader = hints.of(context.broker.partitions.topicName(topicId), index, errorCode);
    const partition = { partitionIndex: index, errorCode, errorMessage, ...(currentLeader && { currentLeader }) };
    const known = topics.get(topicId);
    if (known) known.push(partition);
    else topics.set(topicId, [partition]);
  }
  return {
    responses: [...topics].map(([topicId, partitions]) => ({ topicId, partitions })),
    nodeEndpoints: hints.endpoints(),
  };
}
