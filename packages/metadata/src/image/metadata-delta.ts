/**
 * What a stretch of records changed, by name only: whoever applies it looks the new state up in the image. Only what is gone
 * from the image (a deleted topic) is described here.
 */

import type { Uuid } from '@ottla/protocol';
import { type QuotaEntityPart, quotaEntityKey } from './client-quotas-image.ts';
import { resourceKey } from './configs-image.ts';

export interface TopicChange {
  readonly id: Uuid;
  readonly name: string;
  created: boolean;
  deleted: boolean;
  /** Of a deleted topic: those it had. */
  readonly partitions: Set<number>;
}

export class MetadataDelta {
  /** Created, changed and deleted topics; one that was both created and deleted in this delta is not in it. */
  readonly topics = new Map<Uuid, TopicChange>();
  readonly brokers = new Set<number>();
  readonly controllers = new Set<number>();
  readonly features = new Set<string>();
  readonly configs = new Map<string, { readonly type: number; readonly name: string }>();
  readonly clientQuotas = new Map<string, readonly QuotaEntityPart[]>();
  readonly scramUsers = new Set<string>();
  readonly acls = new Set<Uuid>();
  readonly delegationTokens = new Set<string>();
  producerIds = false;

  get isEmpty(): boolean {
    const sets = [
      this.topics,
      this.brokers,
      this.controllers,
      this.features,
      this.configs,
      this.clientQuotas,
      this.scramUsers,
      this.acls,
    ];
    return sets.every((set) => set.size === 0) && this.delegationTokens.size === 0 && !this.producerIds;
  }

  get createdTopics(): TopicChange[] {
    return [...this.topics.values()].filter((topic) => topic.created);
  }

  /** Present before and after, with other partitions or in another state. */
  get changedTopics(): TopicChange[] {
    return [...this.topics.values()].filter((topic) => !topic.created && !topic.deleted);
  }

  get deletedTopics(): TopicChange[] {
    return [...this.topics.values()].filter((topic) => topic.deleted);
  }

  topicCreated(id: Uuid, name: string, partitions: Iterable<number> = []): void {
    this.topics.set(id, { id, name, created: true, deleted: false, partitions: new Set(partitions) });
  }

  partitionChanged(id: Uuid, name: string, index: number): void {
    let topic = this.topics.get(id);
    if (topic === undefined) this.topics.set(id, (topic = { id, name, created: false, deleted: false, partitions: new Set() }));
    topic.partitions.add(index);
  }

  topicDeleted(id: Uuid, name: string, partitions: Iterable<number>): void {
    if (this.topics.get(id)?.created) this.topics.delete(id);
    else this.topics.set(id, { id, name, created: false, deleted: true, partitions: new Set(partitions) });
  }

  configChanged(type: number, name: string): void {
    this.configs.set(resourceKey(type, name), { type, name });
  }

  quotaChanged(entity: readonly QuotaEntityPart[]): void {
    this.clientQuotas.set(quotaEntityKey(entity), entity);
  }
}
