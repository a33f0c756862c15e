/** A broker or a controller as it registered, and as the controller judges it since. */

import type { MetadataRecord, Uuid } from '@ottla/protocol';

export interface Endpoint {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly securityProtocol: number;
}

export interface SupportedFeature {
  readonly name: string;
  readonly minSupportedVersion: number;
  readonly maxSupportedVersion: number;
}

export interface BrokerRegistration {
  readonly id: number;
  /** The offset at which the registration's records begin. */
  readonly epoch: number;
  readonly incarnationId: Uuid;
  readonly endpoints: readonly Endpoint[];
  readonly features: readonly SupportedFeature[];
  readonly rack: string | null;
  readonly fenced: boolean;
  readonly inControlledShutdown: boolean;
  readonly isMigratingZkBroker: boolean;
  /** The online log directories; empty below metadata.version 3.7-IV2. */
  readonly directories: readonly Uuid[];
  /** Take no new replicas (KIP-1066); null until the broker has said. */
  readonly cordonedDirectories: readonly Uuid[] | null;
}

export interface ControllerRegistration {
  readonly id: number;
  readonly incarnationId: Uuid;
  readonly zkMigrationReady: boolean;
  readonly endpoints: readonly Endpoint[];
  readonly features: readonly SupportedFeature[];
}

type RegisterBroker = Extract<MetadataRecord, { type: 'RegisterBrokerRecord' }>['value'];
type RegistrationChange = Extract<MetadataRecord, { type: 'BrokerRegistrationChangeRecord' }>['value'];
type RegisterController = Extract<MetadataRecord, { type: 'RegisterControllerRecord' }>['value'];

export function brokerFrom(record: RegisterBroker): BrokerRegistration {
  return {
    id: record.brokerId,
    epoch: record.brokerEpoch,
    incarnationId: record.incarnationId,
    endpoints: record.endPoints.map(plainEndpoint),
    features: record.features.map(plainFeature),
    rack: record.rack,
    fenced: record.fenced,
    inControlledShutdown: record.inControlledShutdown,
    isMigratingZkBroker: record.isMigratingZkBroker,
    directories: record.logDirs,
    cordonedDirectories: record.cordonedLogDirs,
  };
}

/** In the record 1 sets, -1 clears, 0 leaves alone; no log directories means no change. */
export function changedBroker(broker: BrokerRegistration, change: RegistrationChange): BrokerRegistration {
  return {
    ...broker,
    fenced: change.fenced === 0 ? broker.fenced : change.fenced > 0,
    inControlledShutdown: change.inControlledShutdown === 0 ? broker.inControlledShutdown : change.inControlledShutdown > 0,
    directories: change.logDirs.length === 0 ? broker.directories : change.logDirs,
    cordonedDirectories: change.cordonedLogDirs ?? broker.cordonedDirectories,
  };
}

export function controllerFrom(record: RegisterController): ControllerRegistration {
  return {
    id: record.controllerId,
    incarnationId: record.incarnationId,
    zkMigrationReady: record.zkMigrationReady,
    endpoints: record.endPoints.map(plainEndpoint),
    features: record.features.map(plainFeature),
  };
}

/** May be elected, and may take part in an isr. */
export function isActive(broker: BrokerRegistration | undefined): boolean {
  return broker !== undefined && !broker.fenced && !broker.inControlledShutdown;
}

/** Without unknown tags. */
export const plainEndpoint = ({ name, host, port, securityProtocol }: Endpoint): Endpoint => ({
  name,
  host,
  port,
  securityProtocol,
});

export const plainFeature = ({ name, minSupportedVersion, maxSupportedVersion }: SupportedFeature): SupportedFeature => ({
  name,
  minSupportedVersion,
  maxSupportedVersion,
});
