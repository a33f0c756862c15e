import { DescribeProducers, type DescribeProducersResponse, KafkaError, type Writable } from '@ottla/protocol';
import { handler, orFailure } from './handler.ts';

type Partition = NonNullable<NonNullable<Writable<DescribeProducersResponse>['topics']>[number]['partitions']>[number];

/** DescribeProducers: the producers whose sequences a partition's leader keeps (KIP-664). */
export const describeProducers = handler(
  DescribeProducers,
  (request, { broker }): Writable<DescribeProducersResponse> => ({
    topics: request.topics.map(({ name, partitionIndexes }) => ({
      name,
      partitions: partitionIndexes.map((partitionIndex) =>
        orFailure<Partition>(
          () => {
            if (!broker.metadata.hasPartition(name, partitionIndex))
              throw new KafkaError('UNKNOWN_TOPIC_OR_PARTITION', 'This server does not host this topic-partition.');
            return {
              partitionIndex,
              errorCode: 0,
              activeProducers: broker.partitions
                .leader(name, partitionIndex)
                .log.activeProducers()
                .map(({ currentTransactionFirstOffset, ...producer }) => ({
                  ...producer,
                  currentTxnStartOffset: currentTransactionFirstOffset,
                })),
            };
          },
          (failure) => ({ partitionIndex, ...failure }),
        ),
      ),
    })),
  }),
);
