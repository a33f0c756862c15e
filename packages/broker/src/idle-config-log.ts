import { configResource, type IdleConfig, idleDynamicConfig, type MetadataImage } from '@ottla/metadata';
import type { Logger } from '@ottla/runtime';
import type { ClusterMetadata } from './cluster-metadata.ts';
import { isInternalTopic } from './internal-topics.ts';

const MOST_NAMES_IN_A_LINE = 10;

type Resource = { readonly type: number; readonly name: string };

/**
 * Says which configs in the metadata Ottla does not act on, and says so again when one is added, however it came there: nobody should
 * believe in it silently. Each is said once. Internal topics are the platform's own affair.
 */
export function logIdleConfigs(metadata: ClusterMetadata, logger: Logger): void {
  /** By resource, the sentences that were said of it. */
  const said = new Map<string, ReadonlySet<string>>();

  const look = (resources: Iterable<Resource>, image: MetadataImage): void => {
    const news = new Map<string, { idle: IdleConfig; resources: string[] }>();
    for (const { type, name } of resources) {
      if (type === configResource.topic && isInternalTopic(name)) continue;
      const key = keyOf(type, name);
      const idleConfigs = [...image.configs.of(type, name)].flatMap(
        ([config, value]) => idleDynamicConfig(type, config, value) ?? [],
      );
      for (const idle of idleConfigs) {
        if (said.get(key)?.has(idle.sentence)) continue;
        const line = news.get(idle.sentence) ?? { idle, resources: [] };
        line.resources.push(name === '' ? 'all brokers' : name);
        news.set(idle.sentence, line);
      }
      if (idleConfigs.length > 0) said.set(key, new Set(idleConfigs.map(({ sentence }) => sentence)));
      else said.delete(key);
    }
    for (const { idle, resources } of news.values()) {
      const fields = { resources: resources.slice(0, MOST_NAMES_IN_A_LINE), count: resources.length };
      if (idle.moot) logger.info(idle.sentence, fields);
      else logger.warn(idle.sentence, fields);
    }
  };

  look(metadata.image.configs, metadata.image);
  metadata.onChange((delta, image) => {
    for (const { name } of delta.deletedTopics) said.delete(keyOf(configResource.topic, name));
    look(delta.configs.values(), image);
  });
}

const keyOf = (type: number, name: string): string => `${type}:${name}`;
