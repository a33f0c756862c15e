import { ConfigError } from './config-error.ts';

export type SecurityProtocol = 'PLAINTEXT' | 'SSL' | 'SASL_PLAINTEXT' | 'SASL_SSL';
const securityProtocols: readonly string[] = ['PLAINTEXT', 'SSL', 'SASL_PLAINTEXT', 'SASL_SSL'];

/** The numbers that registrations carry for the protocols. */
export const securityProtocolIds: Readonly<Record<SecurityProtocol, number>> = {
  PLAINTEXT: 0,
  SSL: 1,
  SASL_PLAINTEXT: 2,
  SASL_SSL: 3,
};

/** One entry of `listeners` or `advertised.listeners`. An empty host means all interfaces, or for an advertised one this machine's name. */
export type ListenerEndpoint = {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly securityProtocol: SecurityProtocol;
};

export const listenerUrl = ({ name, host, port }: ListenerEndpoint): string =>
  `${name}://${host.includes(':') ? `[${host}]` : host}:${port}`;

/** Reads `NAME:PROTOCOL,...`. Names count in upper case; of a name given twice the last holds. Throws ConfigError. */
export function parseSecurityProtocolMap(text: string): Map<string, SecurityProtocol> {
  const name = 'listener.security.protocol.map';
  const protocols = new Map<string, SecurityProtocol>();
  for (const entry of text.split(',').map((each) => each.trim())) {
    if (entry === '') continue;
    const colon = entry.lastIndexOf(':');
    if (colon < 0)
      throw new ConfigError(`Error parsing configuration property '${name}': begin 0, end -1, length ${entry.length}`);
    const protocol = entry
      .slice(colon + 1)
      .trim()
      .toUpperCase();
    if (!securityProtocols.includes(protocol)) {
      throw new ConfigError(`Invalid security protocol \`${entry.slice(colon + 1).trim()}\` defined in ${name}`);
    }
    protocols.set(normalListenerName(entry.slice(0, colon)), protocol as SecurityProtocol);
  }
  return protocols;
}

export const normalListenerName = (name: string): string => name.trim().toUpperCase();

/** The name before `://`, in upper case. Throws ConfigError. */
export function listenerNameOf(entry: string): string {
  const separator = entry.indexOf('://');
  if (separator < 0) throw new ConfigError(`Unable to parse a listener name from ${entry}`);
  return normalListenerName(entry.slice(0, separator));
}

type ParseOptions = { readonly protocols: ReadonlyMap<string, SecurityProtocol>; readonly requireDistinctPorts: boolean };

/**
 * Reads the entries of a listeners list. Throws ConfigError when one cannot be read, has a name without a protocol, or shares name or port
 * with another (one IPv4 and one IPv6 address may share a port).
 */
export function parseListeners(
  entries: readonly string[],
  { protocols, requireDistinctPorts }: ParseOptions,
): ListenerEndpoint[] {
  const all = `[${entries.join(', ')}]`;
  const fail = (problem: string): never => {
    throw new ConfigError(`Error creating broker listeners from '${all}': ${problem}`);
  };
  const endpoints = entries.map((entry) => {
    const match = /^(.*):\/\/\[?([0-9a-zA-Z\-%._:]*)\]?:(-?[0-9]+)$/.exec(entry);
    if (!match) return fail(`Unable to parse ${entry} to a broker endpoint`);
    const name = normalListenerName(match[1]!);
    const securityProtocol = protocols.get(name) ?? fail(`No security protocol defined for listener ${name}`);
    return { name, host: match[2]!, port: Number(match[3]), securityProtocol };
  });
  if (new Set(endpoints.map((each) => each.name)).size < endpoints.length) {
    fail(`Each listener must have a different name, listeners: ${all}`);
  }
  if (requireDistinctPorts) requirePortsDistinct(endpoints, all, fail);
  return endpoints;
}

function requirePortsDistinct(endpoints: readonly ListenerEndpoint[], all: string, fail: (problem: string) => never): void {
  const byPort = Map.groupBy(
    endpoints.filter(({ port }) => port !== 0),
    ({ port }) => port,
  );
  for (const [port, sharing] of byPort) {
    if (sharing.length === 1) continue;
    const families = sharing.map(({ host }) => addressFamily(host)).filter((family) => family !== undefined);
    if (families.length === 0) fail(`Each listener must have a different port, listeners: ${all}`);
    if (families.length === 2 && families[0] === families[1]) {
      const problem = 'If you have two listeners on the same port then one needs to be IPv4 and the other IPv6';
      fail(`${problem}, listeners: ${all}, port: ${port}`);
    }
    if (sharing.length === 2 && families.length === 2) continue;
    const problem =
      'Each listener must have a different port unless exactly one listener has an IPv4 address and the other IPv6 address';
    fail(`${problem}, listeners: ${all}, port: ${port}`);
  }
}

/** Undefined for a name. */
const addressFamily = (host: string): 4 | 6 | undefined =>
  host.includes(':') ? 6 : /^[0-9]+(\.[0-9]+){3}$/.test(host) ? 4 : undefined;
