/** The finalized level of each feature; level 0 and absence are the same thing. */

import {
  type MetadataVersion,
  metadataVersion,
  metadataVersionFeature,
  minMetadataVersion,
} from '../features/metadata-versions.ts';
import { elrVersionFeature } from '../features/supported-features.ts';

export class FeaturesImage {
  readonly #levels = new Map<string, number>();

  level(name: string): number {
    return this.#levels.get(name) ?? 0;
  }

  /** Before the first FeatureLevelRecord: the lowest there is. */
  get metadataVersion(): MetadataVersion {
    return metadataVersion(this.#levels.get(metadataVersionFeature) ?? minMetadataVersion);
  }

  get hasMetadataVersion(): boolean {
    return this.#levels.has(metadataVersionFeature);
  }

  /** eligible leader replicas are kept (KIP-966) */
  get elrEnabled(): boolean {
    return this.level(elrVersionFeature) >= 1;
  }

  /** metadata.version first, the others by name. */
  [Symbol.iterator](): IterableIterator<[name: string, level: number]> {
    const rank = (name: string) => (name === metadataVersionFeature ? '' : name);
    return [...this.#levels].sort(([a], [b]) => (rank(a) < rank(b) ? -1 : 1))[Symbol.iterator]();
  }

  set(name: string, level: number): void {
    if (level === 0) this.#levels.delete(name);
    else this.#levels.set(name, level);
  }
}
