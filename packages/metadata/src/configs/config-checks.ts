import { ConfigError } from './config-error.ts';

/** A list of `partition:broker` pairs, or the one element `*`. */
export function checkThrottledReplicas(name: string, value: readonly string[]): void {
  if (value.length === 1 && value[0] === '*') return;
  if (value.every((each) => /^[0-9]+:[0-9]+$/.test(each))) return;
  throw ConfigError.invalidValue(
    name,
    `[${value.join(', ')}]`,
    `${name} must be the literal '*' or a list of replicas in the following format: [partitionId]:[brokerId],[partitionId]:[brokerId],...`,
  );
}

/** `earliest`, `latest`, or `by_duration:` and an ISO 8601 duration that is not negative. */
export function checkShareAutoOffsetReset(name: string, value: string): void {
  if (value === 'earliest' || value === 'latest') return;
  if (value.startsWith('by_duration:') && isDuration(value.slice('by_duration:'.length))) return;
  const problem = `The value must be either 'earliest', 'latest' or of the format 'by_duration:<PnDTnHnMn.nS>'.`;
  throw ConfigError.invalidValue(name, value, `Invalid value \`${value}\` for configuration ${name}. ${problem}`);
}

/** A topic's name, of none that belongs to a coordinator; empty for none. */
export function checkDeadLetterTopic(name: string, value: string): void {
  if (value === '' || (/^[a-zA-Z0-9._-]{1,249}$/.test(value) && value !== '.' && value !== '..' && !value.startsWith('__')))
    return;
  throw ConfigError.invalidValue(name, value, 'Dead letters go to a topic whose name does not begin with __.');
}

function isDuration(text: string): boolean {
  const match =
    /^\+?P(?:([+]?[0-9]+)D)?(T(?=[+0-9])(?:([+]?[0-9]+)H)?(?:([+]?[0-9]+)M)?(?:([+]?[0-9]+(?:[.,][0-9]{0,9})?)S)?)?$/i.exec(text);
  return match !== null && (match[1] !== undefined || match[2] !== undefined);
}

/** `host:port` of controllers to ask for the leader. */
export function checkBootstrapServers(name: string, value: readonly string[]): void {
  for (const entry of value) {
    if (parseHostAndPort(entry)) continue;
    throw new ConfigError(
      `Failed to parse host name from ${entry} for the configuration ${name}. Each entry should be in the form "{host}:{port}"`,
    );
  }
}

/** `id@host:port` of each controller of a static quorum. */
export function checkQuorumVoters(name: string, value: readonly string[]): void {
  parseQuorumVoters(name, value);
}

export type QuorumVoterAddress = { readonly id: number; readonly host: string; readonly port: number };

/** Throws ConfigError. A later entry for an id replaces an earlier one. */
export function parseQuorumVoters(name: string, value: readonly string[]): QuorumVoterAddress[] {
  const form = `Each entry should be in the form \`{id}@{host}:{port}\`.`;
  const voters = new Map<number, QuorumVoterAddress>();
  for (const entry of value) {
    const parts = entry.split('@');
    if (parts.length !== 2) throw new ConfigError(`Invalid configuration value for ${name}. ${form}`);
    const [idText, address] = parts as [string, string];
    if (!/^[+-]?[0-9]+$/.test(idText)) throw new ConfigError(`Failed to parse voter ID as an integer from ${idText}`);
    const parsed = parseHostAndPort(address);
    if (!parsed) throw new ConfigError(`Failed to parse host name from entry ${entry} for the configuration ${name}. ${form}`);
    voters.set(Number(idText), { id: Number(idText), ...parsed });
  }
  return [...voters.values()];
}

/** `host:port` or `[v6]:port`, perhaps with a protocol in front. Undefined when it is neither. */
export function parseHostAndPort(text: string): { host: string; port: number } | undefined {
  const match = /^(?:[0-9a-zA-Z\-%._]*:\/\/)?\[?([0-9a-zA-Z\-%._:]*)\]?:([0-9]+)$/.exec(text);
  return match ? { host: match[1]!, port: Number(match[2]) } : undefined;
}
