/** How names of the schemas become names of files and of variables. */

/** `OffsetForLeaderEpoch` to `offset-for-leader-epoch`. */
export function kebabCase(name: string): string {
  return name
    .replace(/([a-z0-9])([A-Z])/g, '$1-$2')
    .replace(/([A-Z])([A-Z][a-z])/g, '$1-$2')
    .toLowerCase();
}

/** Names that a generated function uses for itself. */
const taken = new Set([
  ...['reader', 'writer', 'version', 'message', 'flexible', 'unknownTags', 'tag', 'tags', 'left', 'end', 'start', 'element', 'i'],
  ...['default', 'delete', 'new', 'package', 'switch', 'case', 'enum', 'function'],
]);

/** The local variable that holds a field. */
export function variableOf(fieldName: string): string {
  return taken.has(fieldName) ? `${fieldName}Field` : fieldName;
}
