import { groupMetadataHash, topicMetadataHash } from '@ottla/protocol';
import type { GroupTopics } from '../group-topics.ts';

/** The hashes of topics that groups subscribe to: computed once for all groups, until the topic changes. */
export class TopicHashes {
  readonly #topics: GroupTopics;
  readonly #hashes = new Map<string, bigint>();

  constructor(topics: GroupTopics) {
    this.#topics = topics;
  }

  /** The metadata hash of a group that subscribes to these topics. Those that do not exist do not count. */
  ofGroup(names: Iterable<string>): bigint {
    const hashes = new Map<string, bigint>();
    for (const name of names) {
      const hash = this.#of(name);
      if (hash !== undefined) hashes.set(name, hash);
    }
    return groupMetadataHash(hashes);
  }

  forget(names: Iterable<string>): void {
    for (const name of names) this.#hashes.delete(name);
  }

  #of(name: string): bigint | undefined {
    let hash = this.#hashes.get(name);
    if (hash === undefined) {
      const topic = this.#topics.byName(name);
      if (topic === undefined) return undefined;
      hash = topicMetadataHash({ name, topicId: topic.id, partitionCount: topic.partitionCount, racks: topic.racks() });
      this.#hashes.set(name, hash);
    }
    return hash;
  }
}
