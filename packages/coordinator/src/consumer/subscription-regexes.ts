import { KafkaError } from '@ottla/protocol';
import type { GroupTopics } from '../group-topics.ts';
import { abridged, type LinearRegex, linearRegex } from '../linear-regex.ts';

/** The topics that a regular expression of a group stood for. */
export type ResolvedRegex = {
  readonly topics: ReadonlySet<string>;
  /** Of the metadata that it was resolved with. */
  readonly version: number;
  readonly timestamp: number;
};

export const UNRESOLVED: ResolvedRegex = { topics: new Set(), version: -1, timestamp: -1 };

/** Asked for by the coordinator, done by its owner a piece at a time, and given back with `ConsumerGroups.regexesResolved`. */
export type RegexResolution = { readonly groupId: string; readonly regexes: readonly string[] };

/** A match takes time in proportion to the name and the expression, and is one step. */
const MAX_PROGRAM_SIZE = 5_000;

/** Throws INVALID_REGULAR_EXPRESSION. */
export function requireRegex(regex: string): void {
  const refused = (why: string): KafkaError =>
    new KafkaError(
      'INVALID_REGULAR_EXPRESSION',
      `SubscribedTopicRegex \`${abridged(regex)}\` is not a valid regular expression: ${why}.`,
    );
  let size: number;
  try {
    size = linearRegex(regex).programSize();
  } catch (error) {
    throw refused(reasonOf(error));
  }
  if (size > MAX_PROGRAM_SIZE) throw refused(`it takes ${size} instructions, more than ${MAX_PROGRAM_SIZE}`);
}

/**
 * Matches every topic of the cluster with every expression. A step is one of each: after it the caller may do something else. An
 * expression that cannot be read stands for no topic.
 */
export function* resolveRegexes(
  regexes: readonly string[],
  topics: GroupTopics,
  timestamp: number,
): Generator<undefined, ReadonlyMap<string, ResolvedRegex>> {
  const { version } = topics;
  const found = new Map(regexes.map((regex) => [regex, new Set<string>()]));
  const patterns = regexes.flatMap((regex) => {
    const pattern = readable(regex);
    return pattern === undefined ? [] : [{ pattern, matches: found.get(regex)! }];
  });
  for (const name of [...topics.names()]) {
    for (const { pattern, matches } of patterns) {
      if (pattern.matches(name)) matches.add(name);
      yield;
    }
  }
  return new Map([...found].map(([regex, names]) => [regex, { topics: names, version, timestamp }]));
}

function readable(regex: string): LinearRegex | undefined {
  try {
    const pattern = linearRegex(regex);
    return pattern.programSize() <= MAX_PROGRAM_SIZE ? pattern : undefined;
  } catch {
    return undefined;
  }
}

function reasonOf(error: unknown): string {
  const { error: description } = error as { readonly error?: unknown };
  return typeof description === 'string' ? description : (error as Error).message;
}
