import { MetadataDelta } from './metadata-delta.ts';
import type { MetadataImage } from './metadata-image.ts';
import type { TopicImage } from './topics-image.ts';

/** What changed from one image to another that was made anew, from a snapshot: also what is in the earlier one only. */
export function imageDifference(before: MetadataImage, after: MetadataImage): MetadataDelta {
  const delta = new MetadataDelta();
  // First what is gone: a topic of that name may have been created since.
  for (const topic of before.topics)
    if (!after.topics.byId(topic.id)) delta.topicDeleted(topic.id, topic.name, topic.partitionIndexes());
  for (const topic of after.topics) addTopic(delta, before.topics.byId(topic.id), topic);
  for (const id of keysOfBoth(before.brokers, after.brokers)) delta.brokers.add(id);
  for (const id of keysOfBoth(before.controllers, after.controllers)) delta.controllers.add(id);
  for (const image of [before, after]) {
    for (const [name] of image.features) if (before.features.level(name) !== after.features.level(name)) delta.features.add(name);
    for (const { type, name } of image.configs) delta.configChanged(type, name);
    for (const { entity } of image.clientQuotas) delta.quotaChanged(entity);
    for (const { user } of image.scram) delta.scramUsers.add(user);
    for (const [id] of image.acls) delta.acls.add(id);
    for (const { tokenId } of image.delegationTokens) delta.delegationTokens.add(tokenId);
  }
  delta.producerIds = before.producerIds.nextProducerId !== after.producerIds.nextProducerId;
  return delta;
}

function addTopic(delta: MetadataDelta, before: TopicImage | undefined, topic: TopicImage): void {
  if (before === undefined) {
    delta.topicCreated(topic.id, topic.name, topic.partitionIndexes());
    return;
  }
  for (const [index, partition] of topic.partitions()) {
    const was = before.partition(index);
    // Every change of a partition moves its epoch on.
    if (was?.partitionEpoch !== partition.partitionEpoch || was.leaderEpoch !== partition.leaderEpoch)
      delta.partitionChanged(topic.id, topic.name, index);
  }
}

function keysOfBoth<Key>(one: ReadonlyMap<Key, unknown>, other: ReadonlyMap<Key, unknown>): Set<Key> {
  return new Set([...one.keys(), ...other.keys()]);
}
