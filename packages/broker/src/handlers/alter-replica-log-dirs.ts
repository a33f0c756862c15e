import { AlterReplicaLogDirs, type AlterReplicaLogDirsRequest } from '@ottla/protocol';
import { handler, orFailure } from './handler.ts';

/**
 * AlterReplicaLogDirs: moves replicas of this broker to other log directories (KIP-113). The answer comes when the move has begun;
 * DescribeLogDirs shows how far it is.
 */
export const alterReplicaLogDirs = handler(
  AlterReplicaLogDirs,
  (request, { broker }) => ({
    results: [...lastWishes(request)].map(([topicName, paths]) => ({
      topicName,
      partitions: [...paths].map(([partitionIndex, path]) =>
        orFailure(
          () => {
            broker.moves.move(topicName, partitionIndex, path);
            return { partitionIndex, errorCode: 0 };
          },
          ({ errorCode }) => ({ partitionIndex, errorCode }),
        ),
      ),
    })),
  }),
  ({ errorCode }, request) => ({
    results: [...lastWishes(request)].map(([topicName, paths]) => ({
      topicName,
      partitions: [...paths.keys()].map((partitionIndex) => ({ partitionIndex, errorCode })),
    })),
  }),
);

/** The directory for each partition, by topic: of a partition named twice the last one counts. */
function lastWishes({ dirs }: AlterReplicaLogDirsRequest): Map<string, Map<number, string>> {
  const wishes = new Map<string, Map<number, string>>();
  for (const { path, topics } of dirs) {
    for (const { name, partitions } of topics) {
      const paths = wishes.get(name) ?? new Map<number, string>();
      wishes.set(name, paths);
      for (const partition of partitions) paths.set(partition, path);
    }
  }
  return wishes;
}
