import { errors } from '@ottla/protocol';
import type { BrokerEndpoint } from '../cluster-metadata.ts';
import type { RequestContext } from './handler.ts';

export type CurrentLeader = { readonly leaderId: number; readonly leaderEpoch: number };

const misleading: ReadonlySet<number> = new Set([errors.NOT_LEADER_OR_FOLLOWER.code, errors.FENCED_LEADER_EPOCH.code]);

/** Where clients find the leaders of partitions that they asked this broker for in vain, so that they need not refresh their metadata first (KIP-951). */
export class LeaderHints {
  readonly #context: Pick<RequestContext, 'broker' | 'connection'>;
  #leaders: Set<number> | undefined;

  constructor(context: Pick<RequestContext, 'broker' | 'connection'>) {
    this.#context = context;
  }

  /** Undefined unless it is of use after this error. */
  of(topic: string | undefined, index: number, errorCode: number): CurrentLeader | undefined {
    if (errorCode === 0 || !misleading.has(errorCode) || topic === undefined) return undefined;
    const { partitions, metadata } = this.#context.broker;
    const partition = partitions.get(topic, index) ?? metadata.image.topics.byName(topic)?.partition(index);
    const { leader: leaderId, leaderEpoch } = partition ?? { leader: -1, leaderEpoch: -1 };
    if (leaderId >= 0) {
      this.#leaders ??= new Set();
      this.#leaders.add(leaderId);
    }
    return { leaderId, leaderEpoch };
  }

  /** Of all leaders that were named. */
  endpoints(): BrokerEndpoint[] {
    if (this.#leaders === undefined) return NOBODY;
    const { broker, connection } = this.#context;
    return [...this.#leaders].flatMap((leader) => broker.metadata.endpointOf(leader, connection.listenerName) ?? []);
  }
}

const NOBODY: BrokerEndpoint[] = [];
