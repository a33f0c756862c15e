import { KafkaError } from '@ottla/protocol';
import type { Address } from '@ottla/runtime';

/** "one:9092, two:9092, [::1]:9092". Throws INVALID_CONFIG. */
export function parseBootstrapServers(servers: string | readonly string[] = []): Address[] {
  const texts = (typeof servers === 'string' ? servers.split(',') : servers)
    .map((text) => text.trim())
    .filter((text) => text !== '');
  if (texts.length === 0) throw new KafkaError('INVALID_CONFIG', 'bootstrapServers names no server: give it one as host:port');
  return texts.map(parseAddress);
}

function parseAddress(text: string): Address {
  const match = /^(?:[A-Z0-9_]+:\/\/)?(?:\[([^\]]+)\]|([^:[\]]+)):(\d+)$/.exec(text);
  const port = Number(match?.[3]);
  if (!match || port < 1 || port > 65535)
    throw new KafkaError('INVALID_CONFIG', `"${text}" is no bootstrap server: it takes host:port`);
  return { host: (match[1] ?? match[2])!, port };
}
