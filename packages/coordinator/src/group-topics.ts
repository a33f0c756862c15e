import type { Uuid } from '@ottla/protocol';

/** A topic as groups see it: what their assignments and their metadata hash depend on. */
export interface GroupTopic {
  readonly name: string;
  readonly id: Uuid;
  readonly partitionCount: number;
  /** For each partition the racks of its replicas, as far as they have one, in any order. Computed when asked for. */
  racks(): readonly (readonly string[])[];
}

/** The topics of the cluster as the broker's metadata has them now. `GroupCoordinator.onTopicsChanged` is told of changes. */
export interface GroupTopics {
  /** Of the metadata: grows with every change. */
  readonly version: number;
  byName(name: string): GroupTopic | undefined;
  byId(topicId: Uuid): GroupTopic | undefined;
  names(): Iterable<string>;
}

/** For tests: topics in memory. */
export class MemoryGroupTopics implements GroupTopics {
  readonly #topics = new Map<string, GroupTopic>();
  version = 0;

  set(name: string, id: Uuid, partitionCount: number, racks: readonly (readonly string[])[] = []): void {
    this.version++;
    this.#topics.set(name, { name, id, partitionCount, racks: () => racks });
  }

  delete(name: string): void {
    this.version++;
    this.#topics.delete(name);
  }

  byName(name: string): GroupTopic | undefined {
    return this.#topics.get(name);
  }

  byId(topicId: Uuid): GroupTopic | undefined {
    return [...this.#topics.values()].find(({ id }) => id === topicId);
  }

  names(): Iterable<string> {
    return this.#topics.keys();
  }
}
