import { coordinatorErrorOf, type GroupCoordinator, type GroupTopics } from '@ottla/coordinator';
import { type ErrorName, errors, KafkaError, partitionForGroup } from '@ottla/protocol';
import { nextTurn, type Random, type Runtime } from '@ottla/runtime';
import { inSteps } from '../in-steps.ts';
import { OFFSETS_TOPIC } from '../internal-topics.ts';
import type { CoordinatorRuntime } from './coordinator-runtime.ts';
import type { GroupServiceConfig } from './group-service-config.ts';

/** Who sent a group request, and in which version. */
export type GroupRequestContext = {
  readonly apiVersion: number;
  readonly clientId: string | null;
  /** As Kafka prints an address: `/127.0.0.1`. */
  readonly clientHost: string;
};

type Surroundings = {
  readonly coordinators: CoordinatorRuntime<GroupCoordinator>;
  readonly partitionCount: () => number | undefined;
  readonly config: () => GroupServiceConfig;
  readonly topics: GroupTopics;
  readonly runtime: Pick<Runtime, 'random' | 'logger' | 'clock' | 'timers'>;
};

type DescribedGroup = { readonly groupId?: string; readonly errorCode?: number };

/** A request can name one group a hundred thousand times, and each would be in the answer with all of its members. */
const MAX_DESCRIBED_BYTES = 64 * 1024 * 1024;
/** Between pieces of about this much, or of so many groups, the broker does its other work. */
const STEP_BYTES = 1024 * 1024;
const STEP_GROUPS = 500;

/** What the group APIs of every protocol need: the way from a group's id to its coordinator, and from an error to an answer. */
export class GroupPartitions {
  readonly coordinators: CoordinatorRuntime<GroupCoordinator>;
  readonly topics: GroupTopics;
  readonly #surroundings: Surroundings;
  isShutDown = false;

  constructor(surroundings: Surroundings) {
    this.#surroundings = surroundings;
    this.coordinators = surroundings.coordinators;
    this.topics = surroundings.topics;
  }

  get config(): GroupServiceConfig {
    return this.#surroundings.config();
  }

  get random(): Random {
    return this.#surroundings.runtime.random;
  }

  /** Of `__consumer_offsets`; undefined until it exists. */
  get count(): number | undefined {
    return this.#surroundings.partitionCount();
  }

  /** Throws NOT_COORDINATOR. */
  of(groupId: string): number {
    const { count } = this;
    if (count === undefined)
      throw new KafkaError('NOT_COORDINATOR', `${OFFSETS_TOPIC} does not exist yet: look the coordinator up to have it created`);
    return partitionForGroup(groupId, count);
  }

  /** For what a request may name very many of, see `inSteps`. */
  inSteps<Item, Result>(items: readonly Item[], work: (item: Item) => Result | Promise<Result>): Promise<Result[]> {
    return inSteps(items, this.#surroundings.runtime, work);
  }

  /** Describes each group, as often as it is named; POLICY_VIOLATION for those that the answer has no room for. */
  async describeEach<Group extends DescribedGroup>(
    groupIds: readonly string[],
    describe: (groupId: string) => Group,
  ): Promise<Group[]> {
    const { timers } = this.#surroundings.runtime;
    const failed = (groupId: string, error: ErrorName) => ({ groupId, errorCode: errors[error].code }) as Group;
    const known = new Map<string, { readonly group: Group; readonly bytes: number }>();
    const described: Group[] = [];
    let bytes = 0;
    let bytesToPause = STEP_BYTES;
    for (const groupId of groupIds) {
      let found = known.get(groupId);
      if (found === undefined) {
        const group = await this.answer(
          () => describe(groupId),
          (error) => failed(groupId, error),
        );
        known.set(groupId, (found = { group, bytes: bytesOf(group) }));
      }
      bytes += found.bytes;
      described.push(bytes > MAX_DESCRIBED_BYTES ? failed(groupId, 'POLICY_VIOLATION') : found.group);
      if (bytes < bytesToPause && described.length % STEP_GROUPS !== 0) continue;
      bytesToPause = bytes + STEP_BYTES;
      await nextTurn(timers);
    }
    return described;
  }

  /** An error that the protocol knows becomes the answer that carries it, in the coordinator's terms. */
  async answer<Response>(
    operation: () => Response | Promise<Response>,
    failed: (error: ErrorName, cause: KafkaError) => Response,
  ): Promise<Response> {
    try {
      if (this.isShutDown) throw new KafkaError('COORDINATOR_NOT_AVAILABLE', 'this broker is shutting down');
      return await operation();
    } catch (error) {
      if (error instanceof KafkaError) return failed(coordinatorErrorOf(error.name), error);
      this.#surroundings.runtime.logger.error('a group request failed', { error });
      return failed('UNKNOWN_SERVER_ERROR', new KafkaError('UNKNOWN_SERVER_ERROR'));
    }
  }
}

/** About what it takes in an answer. */
function bytesOf(value: unknown): number {
  if (typeof value === 'string') return value.length + 2;
  if (value instanceof Uint8Array) return value.length + 4;
  if (typeof value !== 'object' || value === null) return 4;
  let bytes = 4;
  for (const each of Array.isArray(value) ? value : Object.values(value)) bytes += bytesOf(each);
  return bytes;
}

/** Throws INVALID_GROUP_ID. Offsets may be kept under the empty id, for the sake of old clients; members may not. */
export function requireGroupId(groupId: string): string {
  if (groupId === '') throw new KafkaError('INVALID_GROUP_ID', 'the group id must not be empty');
  return groupId;
}
