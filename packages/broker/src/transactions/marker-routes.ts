import { errorOfCode, KafkaError, type Writable, WriteTxnMarkers, type WriteTxnMarkersRequest } from '@ottla/protocol';
import type { BrokerPeers } from '../peers/broker-peers.ts';
import { RequestBatchers } from '../peers/request-batchers.ts';
import type { MarkerDestination } from './marker-writer.ts';
import type { TransactionMarker } from './transaction-marker.ts';

export type MarkerRoutesOptions = {
  /** Of the partitions that this broker leads. */
  readonly local: MarkerDestination;
  /** -1: the partition has no leader; undefined: there is no such partition. */
  readonly leaderOf: (topic: string, partition: number) => number | undefined;
  readonly brokers: Pick<BrokerPeers, 'nodeId' | 'to'>;
  /** For the isr of the partitions to have the markers. */
  readonly timeoutMs: () => number;
};

type Addressed = { readonly topic: string; readonly partition: number; readonly marker: TransactionMarker };
type Markers = NonNullable<Writable<WriteTxnMarkersRequest>['markers']>;

/** A partition that is slow to commit holds up no more than its own request. */
const REQUESTS_IN_FLIGHT = 10;
const MARKERS_IN_A_REQUEST = 1_000;
/** The other broker gives up first, and says so. */
const ANSWER_GRACE_MS = 5_000;

/** Takes markers to the leaders of their partitions: into the logs here, or to other brokers, many in one request. */
export class MarkerRoutes implements MarkerDestination {
  readonly #options: MarkerRoutesOptions;
  readonly #batchers: RequestBatchers<Addressed, number>;

  constructor(options: MarkerRoutesOptions) {
    this.#options = options;
    this.#batchers = new RequestBatchers({
      send: (leader, items) => this.#send(leader, items),
      maxInFlight: REQUESTS_IN_FLIGHT,
      maxItems: MARKERS_IN_A_REQUEST,
      // The answer tells them apart by no more than that.
      keyOf: ({ topic, partition, marker }) => keyOf(marker.producerId, topic, partition),
    });
  }

  async write(topic: string, partition: number, marker: TransactionMarker): Promise<void> {
    const { local, leaderOf, brokers } = this.#options;
    const leader = leaderOf(topic, partition);
    if (leader === brokers.nodeId) return local.write(topic, partition, marker);
    if (leader === undefined)
      throw new KafkaError('UNKNOWN_TOPIC_OR_PARTITION', `there is no partition ${topic}-${partition} to end a transaction in`);
    if (leader < 0) throw new KafkaError('NOT_LEADER_OR_FOLLOWER', `nobody leads ${topic}-${partition} at the moment`);
    const errorCode = await this.#batchers.ask(leader, { topic, partition, marker });
    const refusal = errorOfCode(errorCode, `broker ${leader} did not end a transaction in ${topic}-${partition}`);
    if (refusal) throw refusal;
  }

  /** An error code for each. */
  async #send(brokerId: number, items: readonly Addressed[]): Promise<number[]> {
    const { brokers, timeoutMs } = this.#options;
    const request = { markers: byTransaction(items) };
    const answer = await brokers.to(brokerId).send(WriteTxnMarkers, request, { timeoutMs: timeoutMs() + ANSWER_GRACE_MS });
    const errorCodes = new Map<string, number>();
    for (const { producerId, topics } of answer.markers)
      for (const { name, partitions } of topics)
        for (const { partitionIndex, errorCode } of partitions)
          errorCodes.set(keyOf(producerId, name, partitionIndex), errorCode);
    const unanswered = new KafkaError('UNKNOWN_SERVER_ERROR').code;
    return items.map(({ topic, partition, marker }) => errorCodes.get(keyOf(marker.producerId, topic, partition)) ?? unanswered);
  }
}

function keyOf(producerId: number, topic: string, partition: number): string {
  return `${producerId} ${partition} ${topic}`;
}

function byTransaction(items: readonly Addressed[]): Markers {
  const groups = Map.groupBy(items, ({ marker }) => Object.values(marker).join(' '));
  return [...groups.values()].map((group) => {
    const { producerId, producerEpoch, isCommit, coordinatorEpoch, transactionVersion } = group[0]!.marker;
    const topics = [...Map.groupBy(group, ({ topic }) => topic)].map(([name, ofTopic]) => ({
      name,
      partitionIndexes: ofTopic.map(({ partition }) => partition),
    }));
    return { producerId, producerEpoch, transactionResult: isCommit, coordinatorEpoch, transactionVersion, topics };
  });
}
