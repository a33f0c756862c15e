import { FindCoordinator, type FindCoordinatorResponse, KafkaError, partitionForGroup, type Writable } from '@ottla/protocol';
import { failureOf, handler, type RequestContext } from './handler.ts';

const GROUP = 0;
const NOBODY = { nodeId: -1, host: '', port: -1 };

type Coordinator = NonNullable<Writable<FindCoordinatorResponse>['coordinators']>[number];

/**
 * FindCoordinator: the broker that runs a group.
 * v1 keyType; v4 many keys at once (KIP-699)
 */
export const findCoordinator = handler(FindCoordinator, async (request, context): Promise<Writable<FindCoordinatorResponse>> => {
  if (context.apiVersion >= 4) {
    return { coordinators: await Promise.all(request.coordinatorKeys.map((key) => find(key, request.keyType, context))) };
  }
  const { key: _key, ...coordinator } = await find(request.key, request.keyType, context);
  return { ...coordinator, ...(coordinator.errorCode === 0 ? { errorMessage: 'NONE' } : {}) };
});

async function find(key: string, keyType: number, { broker, connection }: RequestContext): Promise<Coordinator> {
  try {
    if (keyType !== GROUP)
      throw new KafkaError(
        'INVALID_REQUEST',
        'this release of Ottla coordinates groups only: transactions and share groups come later',
      );
    const partitions = await broker.topicCreation.partitionCountOf('__consumer_offsets');
    const leader = broker.metadata.leaderOf('__consumer_offsets', partitionForGroup(key, partitions));
    const endpoint = leader === undefined ? undefined : broker.metadata.endpointOf(leader, connection.listenerName);
    if (!endpoint) throw new KafkaError('COORDINATOR_NOT_AVAILABLE', `the partition of group ${key} has no leader yet: retry`);
    return { key, errorCode: 0, errorMessage: '', ...endpoint };
  } catch (error) {
    return { key, ...failureOf(error), ...NOBODY };
  }
}
