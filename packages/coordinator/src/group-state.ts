import type { GroupConfig } from '@ottla/metadata';
import { KafkaError } from '@ottla/protocol';
import { Deadlines } from './deadlines.ts';
import type { Group } from './group.ts';
import type { GroupCoordinatorConfig } from './group-coordinator-config.ts';
import type { GroupDeadline } from './group-deadline.ts';
import type { GroupTopics } from './group-topics.ts';
import { Journal } from './journal.ts';
import { TopicHashes } from './modern/topic-hashes.ts';
import { OffsetStore } from './offsets/offset-store.ts';

/** What a coordinator sees of the broker it runs in. */
export type GroupSurroundings = {
  readonly config: GroupCoordinatorConfig;
  readonly topics: GroupTopics;
  /** The configs in force for a group: its own over the broker's, within the broker's bounds. Asked for with each heartbeat. */
  readonly configOf: (groupId: string) => GroupConfig;
};

/** The state of one partition of `__consumer_offsets`, which the protocols share. */
export class GroupState {
  config: GroupCoordinatorConfig;
  readonly topics: GroupTopics;
  readonly topicHashes: TopicHashes;
  readonly configOf: (groupId: string) => GroupConfig;
  readonly journal = new Journal();
  readonly groups = new Map<string, Group>();
  readonly offsets = new OffsetStore(this.journal);
  readonly deadlines = new Deadlines<GroupDeadline>();
  /** From `activate` on, classic groups are led by their members' requests; before, by the log. */
  isActive = false;
  /** The version of the metadata in which topics were created last, as far as this coordinator knows. */
  newTopicsVersion = 0;

  constructor({ config, topics, configOf }: GroupSurroundings) {
    this.config = config;
    this.topics = topics;
    this.topicHashes = new TopicHashes(topics);
    this.configOf = configOf;
  }

  /** Throws GROUP_ID_NOT_FOUND. */
  existing(groupId: string): Group {
    const group = this.groups.get(groupId);
    if (group === undefined) throw new KafkaError('GROUP_ID_NOT_FOUND', `Group ${groupId} not found.`);
    return group;
  }
}
