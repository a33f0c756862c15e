/** What every decision of the controller looks at. */

import { KafkaError, type Uuid } from '@ottla/protocol';
import { type BrokerRegistration, isActive } from '../image/broker-registration.ts';
import { configResource } from '../image/configs-image.ts';
import { migratingDirectory, unassignedDirectory } from '../image/directory-ids.ts';
import type { MetadataImage } from '../image/metadata-image.ts';
import type { TopicImage } from '../image/topics-image.ts';
import type { BrokerSessions } from './broker-sessions.ts';
import type { ConfigSchema } from './config-schema.ts';

export interface KRaftVersionAccess {
  level(): number;
  /** @throws INVALID_UPDATE_VERSION, NOT_CONTROLLER */
  upgrade(level: number, validateOnly: boolean): void;
}

export interface ControllerSettings {
  readonly clusterId: string;
  readonly nodeId: number;
  /** Voters of the quorum: configs may be set for them though they are no brokers. */
  readonly controllerIds: readonly number[];
  /** The quorum's version: it is finalized by control records, not by the records seen here. */
  readonly kraftVersion: KRaftVersionAccess;
  readonly defaultPartitions: number;
  readonly defaultReplicationFactor: number;
  readonly brokerSessionTimeoutMs: number;
  readonly maxIdleIntervalMs: number;
  readonly leaderBalance: boolean;
  readonly leaderBalanceIntervalMs: number;
  readonly uncleanElectionIntervalMs: number;
  readonly maxRecordsPerOperation: number;
  readonly maxElectionsPerRun: number;
  /** What follows one broker is decided in parts of about so many records: some 50 ms of work, which heartbeats and the other voters wait for. */
  readonly maxRecordsPerPart: number;
  /** Without one there are no delegation tokens. */
  readonly tokenSecretKey?: string | undefined;
  readonly tokenMaxLifetimeMs: number;
  readonly tokenRenewalMs: number;
  readonly tokenExpiryCheckIntervalMs: number;
}

export const defaultControllerSettings: Omit<ControllerSettings, 'clusterId' | 'nodeId'> = {
  controllerIds: [],
  kraftVersion: { level: () => 1, upgrade: () => {} },
  defaultPartitions: 1,
  defaultReplicationFactor: 1,
  brokerSessionTimeoutMs: 9_000,
  maxIdleIntervalMs: 500,
  leaderBalance: true,
  leaderBalanceIntervalMs: 300_000,
  uncleanElectionIntervalMs: 300_000,
  maxRecordsPerOperation: 10_000,
  maxElectionsPerRun: 1_000,
  maxRecordsPerPart: 5_000,
  tokenMaxLifetimeMs: 604_800_000,
  tokenRenewalMs: 86_400_000,
  tokenExpiryCheckIntervalMs: 3_600_000,
};

export interface ControllerState {
  readonly image: MetadataImage;
  readonly sessions: BrokerSessions;
  readonly schema: ConfigSchema;
  readonly settings: ControllerSettings;
}

export function brokerIsActive({ image }: ControllerState, id: number): boolean {
  return isActive(image.brokers.get(id));
}

/** Where a new replica on this broker goes: its only directory, or one it will choose and tell. */
export function defaultDirectory(broker: BrokerRegistration | undefined): Uuid {
  if (broker === undefined) return unassignedDirectory;
  if (broker.directories.length === 0) return migratingDirectory;
  return broker.directories.length === 1 ? broker.directories[0]! : unassignedDirectory;
}

export function topicConfig({ image, schema, settings }: ControllerState, topic: string, name: string): string | null {
  return schema.topicValue(name, {
    topic: image.configs.of(configResource.topic, topic),
    broker: image.configs.of(configResource.broker, String(settings.nodeId)),
    cluster: image.configs.of(configResource.broker, ''),
  });
}

/** min.insync.replicas, but never more than the topic has replicas. */
export function effectiveMinIsr(state: ControllerState, topic: TopicImage): number {
  const configured = Number(topicConfig(state, topic.name, 'min.insync.replicas') ?? 1);
  return Math.min(configured, topic.partition(0)?.replicas.length ?? configured);
}

export function uncleanElectionAllowed(state: ControllerState, topic: TopicImage): boolean {
  return topicConfig(state, topic.name, 'unclean.leader.election.enable') === 'true';
}

/** @throws STALE_BROKER_EPOCH */
export function registeredBroker({ image }: ControllerState, brokerId: number, brokerEpoch: number): BrokerRegistration {
  const broker = image.brokers.get(brokerId);
  if (!broker) throw new KafkaError('STALE_BROKER_EPOCH', `No broker registration found for broker id ${brokerId}`);
  if (broker.epoch !== brokerEpoch) {
    throw new KafkaError('STALE_BROKER_EPOCH', `Expected broker epoch ${broker.epoch}, but got broker epoch ${brokerEpoch}`);
  }
  return broker;
}
