/** group-metadata-hash.jsonl: how a consumer group notices that a topic of its subscription changed. */
import { groupMetadataHash, topicMetadataHash } from '../../src/index.ts';

type Vector =
  | { type: 'topicHash'; name: string; topicId: string; partitions: number; racks: string[][]; hash: string }
  | { type: 'groupHash'; topics: string[]; hash: string };

export const family = { file: 'group-metadata-hash.jsonl', check };

/** By name. The lines of groups speak of topics in lines before them. */
const topicHashes = new Map<string, bigint>();

/** What is wrong, or nothing. */
function check(line: string): string | undefined {
  const vector = JSON.parse(line) as Vector;
  const hash = vector.type === 'topicHash' ? hashOfTopic(vector) : hashOfGroup(vector.topics);
  return String(hash) === vector.hash ? undefined : `${vector.type} is ${hash}, not ${vector.hash}: ${line}`;
}

function hashOfTopic({ name, topicId, partitions, racks }: Vector & { type: 'topicHash' }): bigint {
  const hash = topicMetadataHash({ name, topicId, partitionCount: partitions, racks });
  topicHashes.set(name, hash);
  return hash;
}

function hashOfGroup(topics: readonly string[]): bigint {
  return groupMetadataHash(new Map(topics.map((topic) => [topic, topicHashes.get(topic)!])));
}
