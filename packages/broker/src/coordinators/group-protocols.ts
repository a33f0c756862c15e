import { groupVersionFeature, shareVersionFeature, streamsVersionFeature } from '@ottla/metadata';
import type { BrokerSettings } from '../broker-settings.ts';
import type { ClusterMetadata } from '../cluster-metadata.ts';

/** As group.coordinator.rebalance.protocols names them. */
export type GroupProtocolName = 'classic' | 'consumer' | 'share' | 'streams';

const features = {
  consumer: groupVersionFeature,
  share: shareVersionFeature,
  streams: streamsVersionFeature,
} as const;

/** The cluster decides by the level of a feature; this broker can leave a protocol out. Share groups are up to the cluster alone. */
export function isGroupProtocolEnabled(
  protocol: GroupProtocolName,
  settings: BrokerSettings,
  metadata: ClusterMetadata,
): boolean {
  if (protocol === 'classic') return true;
  const isLeftOut = protocol !== 'share' && !settings.get('group.coordinator.rebalance.protocols').includes(protocol);
  return !isLeftOut && metadata.image.features.level(features[protocol]) > 0;
}
