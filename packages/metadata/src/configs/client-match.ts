/** Which clients a subscription to client metrics is for (KIP-714): `attribute=pattern`, all of which must match. */
import { createRequire } from 'node:module';
import { ConfigError } from './config-error.ts';

export const clientAttributes = [
  'client_instance_id',
  'client_id',
  'client_software_name',
  'client_software_version',
  'client_source_address',
  'client_source_port',
] as const;

export type ClientAttribute = (typeof clientAttributes)[number];

/** None match every client. */
export type ClientPatterns = ReadonlyMap<ClientAttribute, ClientPattern>;

type ClientPattern = { matches(text: string): boolean; programSize(): number };

/** A match takes time in proportion to the text and the pattern, so neither may be huge. */
const MAX_PROGRAM_SIZE = 5_000;
const MAX_ATTRIBUTE_LENGTH = 1_000;

/** Throws ConfigError in Kafka's words. Of two patterns for one attribute the later holds. */
export function parseClientMatch(entries: readonly string[]): ClientPatterns {
  const patterns = new Map<ClientAttribute, ClientPattern>();
  for (const entry of entries) {
    // As Java splits: what is empty at the end is none.
    const parts = entry.replace(/=+$/, '').split('=');
    const attribute = clientAttributes.find((name) => name === parts[0]!.trim());
    const pattern = parts.length === 2 && attribute ? compiled(parts[1]!.trim()) : undefined;
    if (!attribute || !pattern) throw new ConfigError(`Illegal client matching pattern: ${entry}`);
    patterns.set(attribute, pattern);
  }
  return patterns;
}

/** Whether patterns match the whole of what is known of a client; an attribute that is not known matches nothing. */
export function matchesClient(patterns: ClientPatterns, attributes: Readonly<Record<ClientAttribute, string | null>>): boolean {
  for (const [attribute, pattern] of patterns) {
    const text = attributes[attribute];
    if (text === null || text.length > MAX_ATTRIBUTE_LENGTH || !pattern.matches(text)) return false;
  }
  return true;
}

type Re2 = { RE2JS: { compile(pattern: string): ClientPattern } };

let re2: Re2 | undefined;

/** By an engine whose time is linear, whatever the pattern. Undefined for what it does not know, or what is too large. */
function compiled(text: string): ClientPattern | undefined {
  re2 ??= createRequire(import.meta.url)('re2js') as Re2;
  try {
    const pattern = re2.RE2JS.compile(text);
    return pattern.programSize() <= MAX_PROGRAM_SIZE ? pattern : undefined;
  } catch {
    return undefined;
  }
}
