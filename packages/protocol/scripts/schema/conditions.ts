/** Version ranges as TypeScript conditions, as short as the enclosing range allows. */
import { covers, type Field, type Message, type Range, type Struct } from './model.ts';

/** The condition for `version` being in `range`, given that it is in `within`; null if it always is. */
export function inRange(range: Range, within: Range): string | null {
  if (covers(range, within)) return null;
  if (range.first === range.last && range.last < within.last) return `version === ${range.first}`;
  const tests = [];
  if (range.first > within.first) tests.push(`version >= ${range.first}`);
  if (range.last < within.last) tests.push(`version <= ${range.last}`);
  return tests.join(' && ');
}

const opposite = { '>=': '<', '<=': '>', '===': '!==' } as const;

/** The opposite of `inRange`; null if that is. */
export function outOfRange(range: Range, within: Range): string | null {
  const condition = inRange(range, within);
  if (condition === null || condition.includes('&&')) return condition === null ? null : `!(${condition})`;
  const [, operator, version] = condition.split(' ') as [string, keyof typeof opposite, string];
  return `version ${opposite[operator]} ${version}`;
}

/** Whether the functions of a struct have to know the version. */
export function needsVersion(message: Message, struct: Struct): boolean {
  if (struct === message.root || flexibilityOf(message, struct.versions) === 'some') return true;
  return struct.fields.some(
    ({ versions, nullable, element }) =>
      inRange(versions, struct.versions) !== null ||
      (nullable !== null && inRange(nullable, versions) !== null) ||
      (element.kind === 'struct' && needsVersion(message, message.structs.get(element.name)!)),
  );
}

/** Whether the versions in a range are all flexible, none of them, or some. */
export function flexibilityOf(message: Message, range: Range): 'all' | 'none' | 'some' {
  if (message.flexibleFrom === null || range.last < message.flexibleFrom) return 'none';
  return range.first >= message.flexibleFrom ? 'all' : 'some';
}

/** Whether a field is compact where it is on the wire. */
export function compactnessOf(message: Message, field: Field): 'all' | 'none' | 'some' {
  return field.isPlain ? 'none' : flexibilityOf(message, field.versions);
}
