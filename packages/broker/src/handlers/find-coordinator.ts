import { keyOfText, textOfKey } from '@ottla/coordinator';
import { FindCoordinator, type FindCoordinatorResponse, KafkaError, partitionForGroup, type Writable } from '@ottla/protocol';
import { inSteps } from '../in-steps.ts';
import { OFFSETS_TOPIC, SHARE_STATE_TOPIC, TRANSACTIONS_TOPIC } from '../internal-topics.ts';
import { type Failure, failureOf, handler, orFailure, type RequestContext } from './handler.ts';

/** What can be looked up: the topic that the coordinator keeps its state in, and the text whose hash chooses its partition. */
type Kind = { readonly topic: string; readonly since: number; readonly textOf: (key: string) => string };

const kinds: ReadonlyMap<number, Kind> = new Map([
  [0, { topic: OFFSETS_TOPIC, since: 0, textOf: (groupId) => groupId }],
  [1, { topic: TRANSACTIONS_TOPIC, since: 1, textOf: (transactionalId) => transactionalId }],
  // Throws INVALID_REQUEST.
  [2, { topic: SHARE_STATE_TOPIC, since: 6, textOf: (key) => textOfKey(keyOfText(key)) }],
]);

const NOBODY = { nodeId: -1, host: '', port: -1 };

type Coordinator = NonNullable<Writable<FindCoordinatorResponse>['coordinators']>[number];

/**
 * FindCoordinator: the broker that runs a group, coordinates a transactional id, or keeps the state of a share partition.
 * v1 keyType; v4 many keys at once (KIP-699); v6 share partitions (KIP-932)
 */
export const findCoordinator = handler(FindCoordinator, async (request, context): Promise<Writable<FindCoordinatorResponse>> => {
  const keys = context.apiVersion >= 4 ? request.coordinatorKeys : [request.key];
  const find = await finder(request.keyType, keys, context);
  if (context.apiVersion >= 4) return { coordinators: await inSteps(keys, context.broker.runtime, find) };
  const { key: _key, ...coordinator } = find(request.key);
  return { ...coordinator, ...(coordinator.errorCode === 0 ? { errorMessage: 'NONE' } : {}) };
});

/** What all keys have in common is found out once: a request may have very many. */
async function finder(
  keyType: number,
  keys: readonly string[],
  { broker, connection, apiVersion }: RequestContext,
): Promise<(key: string) => Coordinator> {
  try {
    const kind = kinds.get(keyType);
    if (kind === undefined || apiVersion < kind.since)
      throw new KafkaError('INVALID_REQUEST', `there is no coordinator of key type ${keyType} in version ${apiVersion}`);
    const { topic, textOf } = kind;
    // Nobody's coordinator needs no topic.
    const partitions = keys.some((key) => isKey(kind, key)) ? await broker.topicCreation.partitionCountOf(topic) : 1;
    return (key) =>
      orFailure<Coordinator>(
        () => {
          const leader = broker.metadata.leaderOf(topic, partitionForGroup(textOf(key), partitions));
          const endpoint = leader === undefined ? undefined : broker.metadata.endpointOf(leader, connection.listenerName);
          return endpoint ? { key, errorCode: 0, errorMessage: '', ...endpoint } : { key, ...noLeader(key), ...NOBODY };
        },
        (failure) => ({ key, ...failure, ...NOBODY }),
      );
  } catch (error) {
    const failure = failureOf(error);
    return (key) => ({ key, ...failure, ...NOBODY });
  }
}

function isKey({ textOf }: Kind, key: string): boolean {
  return orFailure(
    () => textOf(key) !== undefined,
    () => false,
  );
}

const noLeader = (key: string): Failure =>
  failureOf(new KafkaError('COORDINATOR_NOT_AVAILABLE', `the partition of ${key} has no leader yet: retry`));
