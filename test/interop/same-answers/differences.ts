/** Two transcripts laid side by side. */
import type { Plain } from './plain.ts';
import type { Entry } from './probe.ts';

export type Difference = { readonly label: string; readonly path: string; readonly kafka: Plain; readonly ottla: Plain };

const ABSENT = '<nothing>';

export function differencesOf(kafka: readonly Entry[], ottla: readonly Entry[]): Difference[] {
  const differences: Difference[] = [];
  const counted = (entries: readonly Entry[]): Map<string, Plain> => {
    const seen = new Map<string, number>();
    return new Map(
      entries.map(({ label, outcome }) => {
        const times = (seen.get(label) ?? 0) + 1;
        seen.set(label, times);
        return [times === 1 ? label : `${label} (${times})`, outcome];
      }),
    );
  };
  const [ours, theirs] = [counted(ottla), counted(kafka)];
  for (const label of new Set([...theirs.keys(), ...ours.keys()])) {
    compare(theirs.get(label) ?? ABSENT, ours.get(label) ?? ABSENT, '', (path, one, other) =>
      differences.push({ label, path, kafka: one, ottla: other }),
    );
  }
  return differences;
}

function compare(kafka: Plain, ottla: Plain, path: string, report: (path: string, kafka: Plain, ottla: Plain) => void): void {
  if (isStruct(kafka) && isStruct(ottla)) {
    for (const name of new Set([...Object.keys(kafka), ...Object.keys(ottla)])) {
      compare(kafka[name] ?? null, ottla[name] ?? null, path === '' ? name : `${path}.${name}`, report);
    }
  } else if (Array.isArray(kafka) && Array.isArray(ottla)) {
    const paired = pairs(kafka, ottla);
    for (const [shown, one, other] of paired) compare(one, other, `${path}[${shown}]`, report);
  } else if (JSON.stringify(kafka) !== JSON.stringify(ottla)) report(path, kafka, ottla);
}

const isStruct = (value: Plain): value is { [name: string]: Plain } =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Elements that stand for the same thing: by what names them, else by their place. */
function pairs(kafka: Plain[], ottla: Plain[]): [string, Plain, Plain][] {
  const keysOf = (values: Plain[]): Map<string, Plain> | undefined => {
    const keyed = new Map(values.map((value, index) => [identityOf(value) ?? `${index}`, value]));
    return keyed.size === values.length ? keyed : undefined;
  };
  const [one, other] = [keysOf(kafka), keysOf(ottla)];
  if (one && other) {
    return [...new Set([...one.keys(), ...other.keys()])].map((key) => [key, one.get(key) ?? ABSENT, other.get(key) ?? ABSENT]);
  }
  return Array.from({ length: Math.max(kafka.length, ottla.length) }, (_, index) => [
    `${index}`,
    kafka[index] ?? ABSENT,
    ottla[index] ?? ABSENT,
  ]);
}

const identities = [
  'name',
  'topicName',
  'topic',
  'topicId',
  'groupId',
  'resourceName',
  'partitionIndex',
  'partition',
  'index',
  'apiKey',
  'memberId',
  'key',
  'nodeId',
  'feature',
  'user',
  'producerId',
];

function identityOf(value: Plain): string | undefined {
  if (!isStruct(value)) return typeof value === 'string' || typeof value === 'number' ? String(value) : undefined;
  const parts = identities.filter((name) => name in value && value[name] !== null).map((name) => `${value[name]}`);
  return parts.length > 0 ? parts.join(',') : undefined;
}

/** For a person: what differs in the same way is told once, with all the answers it was seen in. */
export function describeDifferences(differences: readonly Difference[]): string {
  const alike = new Map<string, Difference[]>();
  for (const difference of differences) {
    const key = JSON.stringify([difference.path, difference.kafka, difference.ottla]);
    alike.set(key, [...(alike.get(key) ?? []), difference]);
  }
  return [...alike.values()]
    .map((same) => {
      const { path, kafka, ottla } = same[0]!;
      const labels = same.map(({ label }) => label);
      const more = labels.length > 3 ? `\n  … and ${labels.length - 3} more` : '';
      return `${labels.slice(0, 3).join('\n')}${more}\n    ${path || 'the answer'}\n      kafka ${shorten(kafka)}\n      ottla ${shorten(ottla)}`;
    })
    .join('\n');
}

function shorten(value: Plain): string {
  const text = JSON.stringify(value);
  return text.length > 600 ? `${text.slice(0, 600)}… (${text.length})` : text;
}
