import type { GroupTopic, GroupTopics } from '@ottla/coordinator';
import type { TopicImage } from '@ottla/metadata';
import type { ClusterMetadata } from '../cluster-metadata.ts';

/** The committed topics as groups see them. */
export function committedTopics(metadata: ClusterMetadata): GroupTopics {
  const asSeen = (topic: TopicImage | undefined): GroupTopic | undefined =>
    topic && { name: topic.name, id: topic.id, partitionCount: topic.partitionCount, racks: () => racksOf(topic, metadata) };
  return {
    get version() {
      return metadata.appliedOffset;
    },
    byName: (name) => asSeen(metadata.image.topics.byName(name)),
    byId: (topicId) => asSeen(metadata.image.topics.byId(topicId)),
    names: () => metadata.topicNames(),
  };
}

function racksOf(topic: TopicImage, { image }: ClusterMetadata): string[][] {
  const racks: string[][] = [];
  for (const [index, { replicas }] of topic.partitions()) {
    racks[index] = replicas.flatMap((replica) => image.brokers.get(replica)?.rack ?? []);
  }
  return racks;
}
