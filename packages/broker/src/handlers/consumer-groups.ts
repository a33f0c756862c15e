import { groupVersionFeature } from '@ottla/metadata';
import { ConsumerGroupDescribe, ConsumerGroupHeartbeat, KafkaError } from '@ottla/protocol';
import { withGroupOperations } from '../authorized-operations.ts';
import { whoAsks } from './groups.ts';
import { type Handler, handler, type RequestContext } from './handler.ts';

/** The APIs of the consumer group protocol (KIP-848): their rules, once it is enabled, are the coordinator's. */
export const consumerGroupHandlers = [
  handler(ConsumerGroupHeartbeat, (request, context) => {
    requireEnabled(context);
    return context.broker.groups.consumer.heartbeat(request, whoAsks(context));
  }),
  handler(
    ConsumerGroupDescribe,
    async (request, context) => {
      requireEnabled(context);
      const { groups } = await context.broker.groups.consumer.describe(request);
      return { groups: withGroupOperations(groups ?? [], request) };
    },
    ({ errorCode }, { groupIds }) => ({ groups: groupIds.map((groupId) => ({ groupId, errorCode })) }),
  ),
] as unknown as Handler[];

/** Throws UNSUPPORTED_VERSION: the API is there, and the cluster does not use it. */
function requireEnabled({ broker }: RequestContext): void {
  const isEnabled =
    broker.config.get('group.coordinator.rebalance.protocols').includes('consumer') &&
    broker.metadata.image.features.level(groupVersionFeature) >= 1;
  if (!isEnabled) throw new KafkaError('UNSUPPORTED_VERSION');
}
