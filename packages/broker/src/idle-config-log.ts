import { configResource, type IdleConfig, idleDynamicConfig } from '@ottla/metadata';
import type { Logger } from '@ottla/runtime';
import type { ClusterMetadata } from './cluster-metadata.ts';
import { isInternalTopic } from './internal-topics.ts';

const MOST_NAMES_IN_A_LINE = 10;

/**
 * Says so when a config comes into the metadata that Ottla does not act on, however it came there: nobody should believe in it silently.
 * Each is said once, at a start for all resources together. Internal topics are the platform's own affair.
 */
export function logIdleConfigs(metadata: ClusterMetadata, logger: Logger): void {
  /** By resource, the sentences that were said of it. */
  const said = new Map<string, ReadonlySet<string>>();
  metadata.onChange((delta, image) => {
    for (const { name } of delta.deletedTopics) said.delete(`${configResource.topic}:${name}`);
    const news = new Map<string, { idle: IdleConfig; resources: string[] }>();
    for (const { type, name } of delta.configs.values()) {
      if (type === configResource.topic && isInternalTopic(name)) continue;
      const key = `${type}:${name}`;
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
  });
}
