import { supportedFeatures } from '@ottla/metadata';

/** What a node says of itself when it registers. */
export const registeredFeatures = () =>
  [...supportedFeatures].map(([name, { min, max }]) => ({ name, minSupportedVersion: min, maxSupportedVersion: max }));
