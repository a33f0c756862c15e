import {
  batchesOf,
  type ErrorName,
  errorName,
  FindCoordinator,
  InitializeShareGroupState,
  ReadShareGroupStateSummary,
  ShareAcknowledge,
  ShareFetch,
  type ShareFetchResponse,
} from '@ottla/protocol';
import type { TestClient } from '../testing-node.ts';

/** The kind of coordinator that FindCoordinator is asked for. */
const SHARE_PARTITION = 2;

type Acknowledgements = readonly { first: number; last: number; types: readonly number[] }[];

type FetchRules = {
  readonly maxWaitMs?: number;
  readonly minBytes?: number;
  readonly maxBytes?: number;
  readonly maxRecords?: number;
  readonly batchSize?: number;
  readonly recordLimit?: boolean;
  readonly acknowledge?: Acknowledgements;
  readonly epoch?: number;
  readonly renew?: boolean;
  readonly forget?: boolean;
  readonly partition?: number;
  readonly version?: number;
};

export type Delivered = {
  readonly error: ErrorName;
  readonly acknowledged: ErrorName | undefined;
  /** `value #delivery count` of each record that is the member's now. */
  readonly records: readonly string[];
  readonly ranges: readonly string[];
};

/** Test support: a member of a share group, of one partition of a topic, who knows at which epoch his session is. */
export class SharingMember {
  readonly #client: TestClient;
  readonly #topic: string;
  readonly groupId: string;
  readonly memberId: string;
  epoch = 0;

  constructor(client: TestClient, topic: string, { groupId = 'g', memberId = 'm1' } = {}) {
    this.#client = client;
    this.#topic = topic;
    this.groupId = groupId;
    this.memberId = memberId;
  }

  /** What the group coordinator does before it assigns the partition. */
  async initialize(startOffset = -1, stateEpoch = 1): Promise<ErrorName> {
    const topicId = await this.#client.topicId(this.#topic);
    const partitions = [0, 1].map((partition) => ({ partition, stateEpoch, startOffset }));
    const coordinatorKeys = partitions.map(({ partition }) => `${this.groupId}:${topicId}:${partition}`);
    await this.#client.ask(FindCoordinator, { keyType: SHARE_PARTITION, coordinatorKeys });
    const { results } = await this.#client.ask(InitializeShareGroupState, {
      groupId: this.groupId,
      topics: [{ topicId, partitions }],
    });
    return errorName(results[0]!.partitions[0]!.errorCode);
  }

  async fetchRequest(rules: FetchRules = {}) {
    const epoch = rules.epoch ?? this.epoch;
    if (rules.epoch === undefined) this.epoch++;
    const topicId = await this.#client.topicId(this.#topic);
    const acknowledgementBatches = batches(rules.acknowledge);
    const partition = { partitionIndex: rules.partition ?? 0, acknowledgementBatches };
    return {
      groupId: this.groupId,
      memberId: this.memberId,
      shareSessionEpoch: epoch,
      maxWaitMs: rules.maxWaitMs ?? 0,
      minBytes: rules.minBytes ?? 1,
      maxBytes: rules.maxBytes ?? 1 << 20,
      maxRecords: rules.maxRecords ?? 500,
      batchSize: rules.batchSize ?? 500,
      shareAcquireMode: rules.recordLimit ? 1 : 0,
      isRenewAck: rules.renew ?? false,
      topics: epoch === 0 || rules.acknowledge ? [{ topicId, partitions: [partition] }] : [],
      forgottenTopicsData: rules.forget ? [{ topicId, partitions: [0] }] : [],
    };
  }

  async fetch(rules: FetchRules = {}): Promise<Delivered> {
    return delivered(await this.#client.ask(ShareFetch, await this.fetchRequest(rules), rules.version));
  }

  /** Answered when something else has happened. */
  async fetchLater(rules: FetchRules): Promise<{ answer: Promise<Delivered> }> {
    const request = await this.fetchRequest(rules);
    return { answer: this.#client.later(ShareFetch, request, rules.version).then(delivered) };
  }

  async acknowledge(
    acknowledge: Acknowledgements,
    { epoch = this.epoch, renew = false, version = 2 }: { epoch?: number; renew?: boolean; version?: number } = {},
  ): Promise<ErrorName> {
    const topicId = await this.#client.topicId(this.#topic);
    const { errorCode, responses } = await this.#client.ask(
      ShareAcknowledge,
      {
        groupId: this.groupId,
        memberId: this.memberId,
        shareSessionEpoch: epoch,
        ...(version >= 2 ? { isRenewAck: renew } : {}),
        topics: [{ topicId, partitions: [{ partitionIndex: 0, acknowledgementBatches: batches(acknowledge) }] }],
      },
      version,
    );
    if (errorCode !== 0) return errorName(errorCode);
    this.epoch++;
    return errorName(responses[0]?.partitions[0]?.errorCode ?? 0);
  }

  /** As the share coordinator has it. */
  async startOffset(): Promise<number> {
    const topicId = await this.#client.topicId(this.#topic);
    const partitions = [{ partition: 0, leaderEpoch: -1 }];
    const { results } = await this.#client.ask(ReadShareGroupStateSummary, {
      groupId: this.groupId,
      topics: [{ topicId, partitions }],
    });
    return results[0]!.partitions[0]!.startOffset;
  }
}

function batches(acknowledge: Acknowledgements = []) {
  return acknowledge.map(({ first, last, types }) => ({ firstOffset: first, lastOffset: last, acknowledgeTypes: [...types] }));
}

const text = new TextDecoder();

function delivered({ errorCode, responses }: ShareFetchResponse): Delivered {
  const partition = responses[0]?.partitions[0];
  const ranges = partition?.acquiredRecords ?? [];
  const records = [...batchesOf(partition?.records ?? new Uint8Array(0))].flatMap((batch) =>
    batch.isControl
      ? []
      : [...batch.records()].flatMap(({ offset, value }) => {
          const range = ranges.find(({ firstOffset, lastOffset }) => firstOffset <= offset && offset <= lastOffset);
          return range ? [`${text.decode(value!)} #${range.deliveryCount}`] : [];
        }),
  );
  return {
    error: errorName(errorCode !== 0 ? errorCode : (partition?.errorCode ?? 0)),
    acknowledged: partition && errorName(partition.acknowledgeErrorCode),
    records,
    ranges: ranges.map(({ firstOffset, lastOffset, deliveryCount }) => `${firstOffset}-${lastOffset} #${deliveryCount}`),
  };
}
