import { FindCoordinator, type FindCoordinatorResponse, KafkaError, partitionForGroup, type Writable } from '@ottla/protocol';
import { type Failure, failureOf, handler, type RequestContext } from './handler.ts';

const GROUP = 0;
const NOBODY = { nodeId: -1, host: '', port: -1 };

type Coordinator = NonNullable<Writable<FindCoordinatorResponse>['coordinators']>[number];

/**
 * FindCoordinator: the broker that runs a group.
 * v1 keyType; v4 many keys at once (KIP-699)
 */
export const findCoordinator = handler(FindCoordinator, async (request, context): Promise<Writable<FindCoordinatorResponse>> => {
  const find = await finder(request.keyType, context);
  if (context.apiVersion >= 4) return { coordinators: request.coordinatorKeys.map(find) };
  const { key: _key, ...coordinator } = find(request.key);
  return { ...coordinator, ...(coordinator.errorCode === 0 ? { errorMessage: 'NONE' } : {}) };
});

/** What all keys have in common is found out once: a request may have very many. */
async function finder(keyType: number, { broker, connection }: RequestContext): Promise<(key: string) => Coordinator> {
  try {
    if (keyType !== GROUP)
      throw new KafkaError(
        'INVALID_REQUEST',
        'this release of Ottla coordinates groups only: transactions and share groups come later',
      );
    const partitions = await broker.topicCreation.partitionCountOf('__consumer_offsets');
    return (key) => {
      const leader = broker.metadata.leaderOf('__consumer_offsets', partitionForGroup(key, partitions));
      const endpoint = leader === undefined ? undefined : broker.metadata.endpointOf(leader, connection.listenerName);
      return endpoint ? { key, errorCode: 0, errorMessage: '', ...endpoint } : { key, ...noLeader(key), ...NOBODY };
    };
  } catch (error) {
    const failure = failureOf(error);
    return (key) => ({ key, ...failure, ...NOBODY });
  }
}

const noLeader = (key: string): Failure =>
  failureOf(new KafkaError('COORDINATOR_NOT_AVAILABLE', `the partition of group ${key} has no leader yet: retry`));
