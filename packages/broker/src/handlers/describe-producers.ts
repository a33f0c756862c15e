import { checkTopicName } from '@ottla/metadata';
import { DescribeProducers, type DescribeProducersResponse, errors, KafkaError, type Writable } from '@ottla/protocol';
import { handler, orFailure } from './handler.ts';

type Partition = NonNullable<NonNullable<Writable<DescribeProducersResponse>['topics']>[number]['partitions']>[number];

/** Kafka says nothing more about these. */
const withoutText: ReadonlySet<number> = new Set([errors.UNKNOWN_TOPIC_OR_PARTITION.code, errors.KAFKA_STORAGE_ERROR.code]);

/** DescribeProducers: the producers whose sequences a partition's replica keeps (KIP-664). */
export const describeProducers = handler(
  DescribeProducers,
  (request, { broker }): Writable<DescribeProducersResponse> => ({
    topics: request.topics.map(({ name, partitionIndexes }) => ({
      name,
      partitions: partitionIndexes.map((partitionIndex) =>
        orFailure<Partition>(
          () => {
            checkTopicName(name);
            if (!broker.metadata.hasPartition(name, partitionIndex)) throw new KafkaError('UNKNOWN_TOPIC_OR_PARTITION');
            return {
              partitionIndex,
              errorCode: 0,
              activeProducers: broker.partitions
                .require(name, partitionIndex)
                .log.activeProducers()
                .map(({ currentTransactionFirstOffset, ...producer }) => ({
                  ...producer,
                  currentTxnStartOffset: currentTransactionFirstOffset,
                })),
            };
          },
          ({ errorCode, errorMessage }) => ({
            partitionIndex,
            errorCode,
            errorMessage: withoutText.has(errorCode) ? null : errorMessage,
          }),
        ),
      ),
    })),
  }),
);
