/** hashes.jsonl: where keys, groups and share partitions belong, as Apache Kafka's clients and brokers compute it. */
import { javaStringHash, murmur2, partitionForGroup, partitionForKey } from '../../src/index.ts';

type Vector =
  | { type: 'murmur2'; key: string; hash: number; positive: number; partition: Record<string, number> }
  | { type: 'coordinatorPartition'; id: string; javaHashCode: number; partition: Record<string, number> }
  | { type: 'shareCoordinatorPartition'; coordinatorKey: string; javaHashCode: number; partitionOf50: number };

export const family = { file: 'hashes.jsonl', check };

/** What is wrong, or nothing. */
function check(line: string): string | undefined {
  const vector = JSON.parse(line) as Vector;
  switch (vector.type) {
    case 'murmur2': {
      const key = Uint8Array.from(Buffer.from(vector.key, 'hex'));
      if (murmur2(key) !== vector.hash) return `murmur2 of ${vector.key} is ${murmur2(key)}, not ${vector.hash}`;
      return wrongPartition(vector.key, vector.partition, (count) => partitionForKey(key, count));
    }
    case 'coordinatorPartition':
      return (
        wrongHash(vector.id, vector.javaHashCode) ??
        wrongPartition(vector.id, vector.partition, (count) => partitionForGroup(vector.id, count))
      );
    case 'shareCoordinatorPartition':
      return (
        wrongHash(vector.coordinatorKey, vector.javaHashCode) ??
        wrongPartition(vector.coordinatorKey, { 50: vector.partitionOf50 }, (count) =>
          partitionForGroup(vector.coordinatorKey, count),
        )
      );
    default:
      return `an unknown type of vector: ${line}`;
  }
}

function wrongHash(text: string, expected: number): string | undefined {
  const hash = javaStringHash(text);
  return hash === expected ? undefined : `the hash of ${text} is ${hash}, not ${expected}`;
}

function wrongPartition(
  what: string,
  expected: Record<string, number>,
  partition: (count: number) => number,
): string | undefined {
  for (const [count, index] of Object.entries(expected)) {
    const found = partition(Number(count));
    if (found !== index) return `${what} goes to ${found} of ${count}, not to ${index}`;
  }
  return undefined;
}
