/**
 * An image as records, in Kafka's order: features (metadata.version first, since it says how to read the rest), brokers,
 * controllers, topics each with its partitions, configs, quotas, producer ids, ACLs, SCRAM credentials, delegation tokens.
 */

import type { MetadataRecord } from '@ottla/protocol';
import { controllerRegistrationSince } from '../features/metadata-versions.ts';
import {
  accessControlEntryRecord,
  clientQuotaRecord,
  configRecord,
  delegationTokenRecord,
  featureLevelRecord,
  partitionRecord,
  producerIdsRecord,
  registerBrokerRecord,
  registerControllerRecord,
  topicRecord,
  userScramCredentialRecord,
} from '../records.ts';
import type { MetadataImage } from './metadata-image.ts';

export function* snapshotRecords(image: MetadataImage): IterableIterator<MetadataRecord> {
  const metadataVersion = image.features.metadataVersion;
  yield* recordsBeforeTopics(image);
  for (const topic of image.topics) {
    yield topicRecord(topic.name, topic.id);
    for (const [index, partition] of topic.partitions()) yield partitionRecord(topic.id, index, partition, metadataVersion);
  }
  yield* recordsBehindTopics(image);
}

export function* recordsBeforeTopics(image: MetadataImage): IterableIterator<MetadataRecord> {
  const metadataVersion = image.features.metadataVersion;
  for (const [name, level] of image.features) yield featureLevelRecord(name, level);
  for (const broker of image.brokers.values()) yield registerBrokerRecord(broker, metadataVersion);
  if (metadataVersion.level < controllerRegistrationSince) return;
  for (const controller of image.controllers.values()) yield registerControllerRecord(controller);
}

export function* recordsBehindTopics(image: MetadataImage): IterableIterator<MetadataRecord> {
  for (const { type, name, values } of image.configs) {
    for (const [key, value] of values) yield configRecord(type, name, key, value);
  }
  for (const { entity, values } of image.clientQuotas) {
    for (const [key, value] of values) yield clientQuotaRecord(entity, key, value);
  }
  const { brokerId, brokerEpoch, nextProducerId } = image.producerIds;
  if (nextProducerId > 0) yield producerIdsRecord(brokerId, brokerEpoch, nextProducerId);
  for (const [id, entry] of image.acls) yield accessControlEntryRecord(id, entry);
  for (const { mechanism, user, credential } of image.scram) yield userScramCredentialRecord(mechanism, user, credential);
  for (const token of image.delegationTokens) yield delegationTokenRecord(token);
}
