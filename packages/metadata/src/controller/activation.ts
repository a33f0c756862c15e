/**
 * The first records of a new active controller. Into an empty log go the cluster's first features and whatever else
 * `format` prepared, as one transaction: nobody must see half of it (KIP-868).
 */

import type { MetadataRecord } from '@ottla/protocol';
import { elrVersionFeature } from '../features/supported-features.ts';
import { configResource } from '../image/configs-image.ts';
import { abortTransactionRecord, beginTransactionRecord, configRecord, endTransactionRecord } from '../records.ts';
import type { ControllerState } from './controller-state.ts';
import type { Decision, DecisionContext } from './decision.ts';

export function activate(
  state: ControllerState,
  bootstrapRecords: readonly MetadataRecord[],
  { nowMs }: DecisionContext,
  { ownBrokerIsDead }: { readonly ownBrokerIsDead: boolean },
): Decision<null> {
  const { image, sessions, settings } = state;
  // Whoever was alive for the previous controller has a whole session's time to find this one. A broker of this very process that is
  // only about to register is a new one, and the one of its id that is still in the log is dead: waiting for its session would be in vain.
  for (const broker of image.brokers.values()) {
    if (!broker.fenced && !(ownBrokerIsDead && broker.id === settings.nodeId)) sessions.touch(broker.id, broker.epoch, nowMs);
  }
  if (image.features.hasMetadataVersion) return { records: abortion(state), response: null };
  if (image.openTransaction) return { records: [...abortion(state), ...bootstrap(state, bootstrapRecords)], response: null };
  return { records: bootstrap(state, bootstrapRecords), response: null };
}

function abortion({ image }: ControllerState): MetadataRecord[] {
  return image.openTransaction ? [abortTransactionRecord('failover')] : [];
}

function bootstrap(state: ControllerState, bootstrapRecords: readonly MetadataRecord[]): MetadataRecord[] {
  const keepsElr = bootstrapRecords.some(
    ({ type, value }) => type === 'FeatureLevelRecord' && value.name === elrVersionFeature && value.featureLevel > 0,
  );
  return [
    beginTransactionRecord('Bootstrap records'),
    ...bootstrapRecords,
    ...(keepsElr ? clusterMinIsr(state) : []),
    endTransactionRecord,
  ];
}

/** With eligible leader replicas all brokers must mean the same minimum isr, so it moves from each one's file into the log. */
export function clusterMinIsr({ image, schema }: ControllerState): MetadataRecord[] {
  const name = 'min.insync.replicas';
  const cluster = image.configs.of(configResource.broker, '');
  if (cluster.has(name)) return [];
  const value = schema.topicValue(name, { topic: new Map(), broker: new Map(), cluster });
  return [configRecord(configResource.broker, '', name, value ?? '1')];
}
