import { errorOfCode, KafkaError, ListOffsets } from '@ottla/protocol';
import type { BrokerPeers } from '../peers/broker-peers.ts';
import { RequestBatchers } from '../peers/request-batchers.ts';

export type LatestOffsetsOptions = {
  /** Of a partition that this broker leads. Throws NOT_LEADER_OR_FOLLOWER, UNKNOWN_TOPIC_OR_PARTITION. */
  readonly local: (topic: string, partition: number) => number;
  /** -1: the partition has no leader; undefined: there is no such partition. */
  readonly leaderOf: (topic: string, partition: number) => number | undefined;
  readonly brokers: Pick<BrokerPeers, 'nodeId' | 'to'>;
};

type Asked = { readonly topic: string; readonly partition: number };
type Found = { readonly offset: number; readonly errorCode: number };

const LATEST = -1;
const PARTITIONS_IN_A_REQUEST = 10_000;

/** Where partitions end for their readers, whoever leads them. */
export class LatestOffsets {
  readonly #options: LatestOffsetsOptions;
  readonly #batchers: RequestBatchers<Asked, Found>;

  constructor(options: LatestOffsetsOptions) {
    this.#options = options;
    this.#batchers = new RequestBatchers({
      send: (leader, asked) => this.#send(leader, asked),
      maxInFlight: 1,
      maxItems: PARTITIONS_IN_A_REQUEST,
      keyOf,
    });
  }

  /** Rejects with KafkaError when nobody leads the partition, or its leader cannot be asked. */
  async of(topic: string, partition: number): Promise<number> {
    const { local, leaderOf, brokers } = this.#options;
    const leader = leaderOf(topic, partition) ?? -1;
    if (leader < 0 || leader === brokers.nodeId) return local(topic, partition);
    const { offset, errorCode } = await this.#batchers.ask(leader, { topic, partition });
    const refusal = errorOfCode(errorCode, `broker ${leader} does not say where ${topic}-${partition} ends`);
    if (refusal) throw refusal;
    return offset;
  }

  async #send(leader: number, asked: readonly Asked[]): Promise<Found[]> {
    const topics = Map.groupBy(asked, ({ topic }) => topic);
    const answer = await this.#options.brokers.to(leader).send(ListOffsets, {
      replicaId: -1,
      topics: [...topics].map(([name, ofTopic]) => ({
        name,
        partitions: ofTopic.map(({ partition }) => ({ partitionIndex: partition, timestamp: LATEST })),
      })),
    });
    const found = new Map<string, Found>();
    for (const { name, partitions } of answer.topics)
      for (const { partitionIndex, ...each } of partitions) found.set(keyOf({ topic: name, partition: partitionIndex }), each);
    const unanswered = { offset: -1, errorCode: new KafkaError('UNKNOWN_SERVER_ERROR').code };
    return asked.map((each) => found.get(keyOf(each)) ?? unanswered);
  }
}

function keyOf({ topic, partition }: Asked): string {
  return `${partition} ${topic}`;
}
