/**
 * The cluster's metadata, as every node holds it: the sum of the metadata log's records.
 * `replay` is the only way to change it, `toRecords` is its snapshot; one is the inverse of the other.
 */

import { KafkaError, type MetadataRecord } from '@ottla/protocol';
import { AclsImage } from './acls-image.ts';
import {
  type BrokerRegistration,
  brokerFrom,
  type ControllerRegistration,
  changedBroker,
  controllerFrom,
} from './broker-registration.ts';
import { ClientQuotasImage } from './client-quotas-image.ts';
import { ConfigsImage, configResource } from './configs-image.ts';
import { DelegationTokensImage } from './delegation-tokens-image.ts';
import { FeaturesImage } from './features-image.ts';
import { MetadataDelta } from './metadata-delta.ts';
import { changedPartition, type PartitionState, partitionFrom } from './partition-state.ts';
import { ScramImage } from './scram-image.ts';
import { recordsBeforeTopics, recordsBehindTopics, snapshotRecords } from './snapshot-records.ts';
import { type TopicImage, TopicsImage } from './topics-image.ts';

export interface ProducerIdBlocks {
  readonly brokerId: number;
  readonly brokerEpoch: number;
  /** Everything below has been given out. */
  readonly nextProducerId: number;
}

export class MetadataImage {
  readonly topics: TopicsImage;
  readonly brokers = new Map<number, BrokerRegistration>();
  readonly controllers = new Map<number, ControllerRegistration>();
  readonly configs = new ConfigsImage();
  readonly clientQuotas = new ClientQuotasImage();
  readonly scram = new ScramImage();
  readonly acls = new AclsImage();
  readonly delegationTokens = new DelegationTokensImage();
  readonly features = new FeaturesImage();
  #producerIds: ProducerIdBlocks = { brokerId: -1, brokerEpoch: -1, nextProducerId: 0 };
  /** Hidden until their transaction ends (KIP-868). */
  #openTransaction: { name: string | null; offset: number; records: { record: MetadataRecord; offset: number }[] } | null = null;
  #highestOffset = -1;

  constructor(topics = new TopicsImage()) {
    this.topics = topics;
  }

  /** The offset of the last record replayed, or -1. */
  get highestOffset(): number {
    return this.#highestOffset;
  }

  get producerIds(): ProducerIdBlocks {
    return this.#producerIds;
  }

  /** While one is open its records are not visible, and no snapshot may be taken beyond its offset. */
  get openTransaction(): { readonly name: string | null; readonly offset: number } | null {
    return this.#openTransaction;
  }

  /**
   * @param offset the record's place in the log; of a snapshot's records: the last offset the snapshot stands for
   * @param delta is told what changed
   * @throws KafkaError UNKNOWN_SERVER_ERROR for a record that cannot follow the ones before: the log is corrupt
   */
  replay(record: MetadataRecord, offset = -1, delta = new MetadataDelta()): void {
    this.#highestOffset = Math.max(this.#highestOffset, offset);
    if (record.type === 'EndTransactionRecord' || record.type === 'AbortTransactionRecord') {
      this.#endTransaction(record.type === 'EndTransactionRecord', delta);
    } else if (record.type === 'BeginTransactionRecord') {
      if (this.#openTransaction)
        throw impossible(`a metadata transaction is already open since offset ${this.#openTransaction.offset}`);
      this.#openTransaction = { name: record.value.name, offset, records: [] };
    } else if (this.#openTransaction) {
      this.#openTransaction.records.push({ record, offset });
    } else {
      this.#apply(record, delta);
    }
  }

  /** Its content as records, made as they are asked for; none while nothing was ever replayed. It must not change meanwhile. */
  records(): Iterable<MetadataRecord> {
    return snapshotRecords(this);
  }

  toRecords(): MetadataRecord[] {
    return [...this.records()];
  }

  /**
   * The same content, which goes its own way from here; quick also with a million partitions. Records of a transaction that has not ended are
   * not in it.
   */
  copy(): MetadataImage {
    const copy = new MetadataImage(this.topics.copy());
    for (const record of recordsBeforeTopics(this)) copy.replay(record);
    for (const record of recordsBehindTopics(this)) copy.replay(record);
    copy.#highestOffset = this.#highestOffset;
    return copy;
  }

  #endTransaction(committed: boolean, delta: MetadataDelta): void {
    const transaction = this.#openTransaction;
    if (transaction === null) throw impossible('the end of a metadata transaction that was never begun');
    this.#openTransaction = null;
    if (committed) for (const { record } of transaction.records) this.#apply(record, delta);
  }

  #apply(record: MetadataRecord, delta: MetadataDelta): void {
    switch (record.type) {
      case 'TopicRecord':
        this.topics.add(record.value.name, record.value.topicId);
        delta.topicCreated(record.value.topicId, record.value.name);
        break;
      case 'PartitionRecord':
        this.#putPartition(this.#topic(record.value.topicId), record.value.partitionId, partitionFrom(record.value), delta);
        break;
      case 'PartitionChangeRecord': {
        const topic = this.#topic(record.value.topicId);
        const partition = topic.partition(record.value.partitionId);
        if (!partition) throw impossible(`a change of ${topic.name}-${record.value.partitionId}, which does not exist`);
        this.#putPartition(topic, record.value.partitionId, changedPartition(partition, record.value), delta);
        break;
      }
      case 'RemoveTopicRecord':
        this.#removeTopic(this.#topic(record.value.topicId), delta);
        break;
      case 'ClearElrRecord':
        this.#clearElr(record.value.topicName, delta);
        break;
      case 'ConfigRecord':
        this.configs.set(record.value.resourceType, record.value.resourceName, record.value.name, record.value.value);
        delta.configChanged(record.value.resourceType, record.value.resourceName);
        break;
      case 'RegisterBrokerRecord':
        this.#putBroker(brokerFrom(record.value), delta);
        break;
      case 'UnregisterBrokerRecord':
        this.#broker(record.value.brokerId, record.value.brokerEpoch);
        this.brokers.delete(record.value.brokerId);
        delta.brokers.add(record.value.brokerId);
        break;
      case 'BrokerRegistrationChangeRecord':
        this.#putBroker(changedBroker(this.#broker(record.value.brokerId, record.value.brokerEpoch), record.value), delta);
        break;
      case 'FenceBrokerRecord':
        this.#putBroker({ ...this.#broker(record.value.id, record.value.epoch), fenced: true }, delta);
        break;
      case 'UnfenceBrokerRecord':
        this.#putBroker({ ...this.#broker(record.value.id, record.value.epoch), fenced: false }, delta);
        break;
      case 'RegisterControllerRecord':
        this.controllers.set(record.value.controllerId, controllerFrom(record.value));
        delta.controllers.add(record.value.controllerId);
        break;
      case 'FeatureLevelRecord':
        this.features.set(record.value.name, record.value.featureLevel);
        delta.features.add(record.value.name);
        break;
      case 'ClientQuotaRecord': {
        const { entity, key, value, remove } = record.value;
        if (remove) this.clientQuotas.remove(entity, key);
        else this.clientQuotas.set(entity, key, value);
        delta.quotaChanged(entity);
        break;
      }
      case 'UserScramCredentialRecord': {
        const { name, mechanism, salt, storedKey, serverKey, iterations } = record.value;
        this.scram.set(mechanism, name, { salt, storedKey, serverKey, iterations });
        delta.scramUsers.add(name);
        break;
      }
      case 'RemoveUserScramCredentialRecord':
        this.scram.remove(record.value.mechanism, record.value.name);
        delta.scramUsers.add(record.value.name);
        break;
      case 'AccessControlEntryRecord': {
        const { id, resourceType, resourceName, patternType, principal, host, operation, permissionType } = record.value;
        this.acls.add(id, { resourceType, resourceName, patternType, principal, host, operation, permissionType });
        delta.acls.add(id);
        break;
      }
      case 'RemoveAccessControlEntryRecord':
        this.acls.remove(record.value.id);
        delta.acls.add(record.value.id);
        break;
      case 'DelegationTokenRecord': {
        const { tokenId, owner, requester, renewers, issueTimestamp, maxTimestamp, expirationTimestamp } = record.value;
        this.delegationTokens.set({ tokenId, owner, requester, renewers, issueTimestamp, maxTimestamp, expirationTimestamp });
        delta.delegationTokens.add(tokenId);
        break;
      }
      case 'RemoveDelegationTokenRecord':
        this.delegationTokens.remove(record.value.tokenId);
        delta.delegationTokens.add(record.value.tokenId);
        break;
      case 'ProducerIdsRecord': {
        const { brokerId, brokerEpoch, nextProducerId } = record.value;
        this.#producerIds = { brokerId, brokerEpoch, nextProducerId };
        delta.producerIds = true;
        break;
      }
      case 'NoOpRecord':
      case 'ZkMigrationStateRecord': // left by a cluster that came from ZooKeeper: nothing depends on it any more
        break;
      default:
        throw impossible(`a record of type ${record.type} here`);
    }
  }

  #topic(id: string): TopicImage {
    const topic = this.topics.byId(id);
    if (!topic) throw impossible(`a record of topic ${id}, which does not exist`);
    return topic;
  }

  #broker(id: number, epoch: number): BrokerRegistration {
    const broker = this.brokers.get(id);
    if (broker?.epoch !== epoch) throw impossible(`a record of broker ${id} with epoch ${epoch}, which is not registered`);
    return broker;
  }

  #putBroker(broker: BrokerRegistration, delta: MetadataDelta): void {
    this.brokers.set(broker.id, broker);
    delta.brokers.add(broker.id);
  }

  #putPartition(topic: TopicImage, index: number, partition: PartitionState, delta: MetadataDelta): void {
    topic.put(index, partition);
    delta.partitionChanged(topic.id, topic.name, index);
  }

  #removeTopic(topic: TopicImage, delta: MetadataDelta): void {
    const partitions = [...topic.partitionIndexes()];
    this.topics.remove(topic);
    this.configs.remove(configResource.topic, topic.name);
    delta.topicDeleted(topic.id, topic.name, partitions);
    delta.configChanged(configResource.topic, topic.name);
  }

  // min.insync.replicas has changed, so who was eligible under the old one is no longer known.
  #clearElr(topicName: string, delta: MetadataDelta): void {
    const named = this.topics.byName(topicName);
    for (const topic of topicName === '' ? this.topics : named ? [named] : []) {
      for (const [index, partition] of topic.partitions()) {
        if (partition.elr.length === 0 && partition.lastKnownElr.length === 0) continue;
        this.#putPartition(
          topic,
          index,
          { ...partition, elr: [], lastKnownElr: [], partitionEpoch: partition.partitionEpoch + 1 },
          delta,
        );
      }
    }
  }
}

function impossible(what: string): KafkaError {
  return new KafkaError('UNKNOWN_SERVER_ERROR', `the metadata log is corrupt: ${what}`);
}
