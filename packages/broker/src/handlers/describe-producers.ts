import { checkTopicName } from '@ottla/metadata';
import { DescribeProducers, type DescribeProducersResponse, errors, KafkaError, type Writable } from '@ottla/protocol';
import { handler, orFailure } from './handler.ts';

type Partition = NonNullable<NonNullable<Writable<DescribeProducersResponse>['topics']>[number]['partitions']>[number];

/** Kafka says nothing more about these. */
const withoutText: ReadonlySet<number> = new Set([errors.UNKNOWN_TOPIC_OR_PARTITION.code, errors.KAFKA_STORAGE_ERROR.code]);

/** So many producers of partitions that are named again are told again, as in Kafka. More, and a small request would ask for an answer of any size. */
const MOST_TOLD_AGAIN = 10_000;

/** DescribeProducers: the producers whose sequences a partition's replica keeps (KIP-664). */
export const describeProducers = handler(DescribeProducers, (request, { broker }): Writable<DescribeProducersResponse> => {
  const told = new Map<string, NonNullable<Partition['activeProducers']>>();
  let toldAgain = 0;
  const producersOf = (topic: string, index: number): NonNullable<Partition['activeProducers']> => {
    const key = `${index} ${topic}`;
    const known = told.get(key);
    if (known !== undefined) {
      toldAgain += known.length;
      if (toldAgain > MOST_TOLD_AGAIN)
        throw new KafkaError('INVALID_REQUEST', `${topic}-${index} is named again: ask for it once`);
      return known;
    }
    const producers = broker.partitions
      .require(topic, index)
      .log.activeProducers()
      .map(({ currentTransactionFirstOffset, ...producer }) => ({
        ...producer,
        currentTxnStartOffset: currentTransactionFirstOffset,
      }));
    told.set(key, producers);
    return producers;
  };
  return {
    topics: request.topics.map(({ name, partitionIndexes }) => ({
      name,
      partitions: partitionIndexes.map((partitionIndex) =>
        orFailure<Partition>(
          () => {
            checkTopicName(name);
            if (!broker.metadata.hasPartition(name, partitionIndex)) throw new KafkaError('UNKNOWN_TOPIC_OR_PARTITION');
            return { partitionIndex, errorCode: 0, activeProducers: producersOf(name, partitionIndex) };
          },
          ({ errorCode, errorMessage }) => ({
            partitionIndex,
            errorCode,
            errorMessage: withoutText.has(errorCode) ? null : errorMessage,
          }),
        ),
      ),
    })),
  };
});
