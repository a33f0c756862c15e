/**
 * Java's .properties text (docs: java.util.Properties), which server.properties is written in.
 *
 * A line is `key=value`, `key:value` or `key value`; `#` or `!` begins a comment; a backslash at the end continues the line, the next one's
 * leading blanks dropped; `\t \n \r \f \uXXXX` are escapes, and a backslash before any other character stands for that character.
 * Of a key given twice the last value holds.
 */
export function parseJavaProperties(text: string): Map<string, string> {
  const properties = new Map<string, string>();
  for (const line of logicalLines(text)) {
    const { key, value } = splitKeyAndValue(line);
    properties.delete(key);
    properties.set(withoutEscapes(key), withoutEscapes(value));
  }
  return properties;
}

/** Comments and empty lines are gone, continued lines joined; escapes are still in place. */
function* logicalLines(text: string): Generator<string> {
  let pending: string | undefined;
  for (const natural of text.split(/\r\n|\r|\n/)) {
    const line = natural.replace(/^[ \t\f]+/, '');
    if (pending === undefined && (line === '' || line.startsWith('#') || line.startsWith('!'))) continue;
    const whole: string = (pending ?? '') + line;
    if (endsInLoneBackslash(line)) {
      pending = whole.slice(0, -1);
      continue;
    }
    pending = undefined;
    yield whole;
  }
  if (pending) yield pending;
}

function endsInLoneBackslash(line: string): boolean {
  const trailing = /\\*$/.exec(line)![0].length;
  return trailing % 2 === 1;
}

function splitKeyAndValue(line: string): { key: string; value: string } {
  let end = 0;
  while (end < line.length && !/[=: \t\f]/.test(line[end]!)) end += line[end] === '\\' ? 2 : 1;
  end = Math.min(end, line.length);
  const rest = line.slice(end).replace(/^[ \t\f]*[=:]?[ \t\f]*/, '');
  return { key: line.slice(0, end), value: rest };
}

const escapes: Readonly<Record<string, string>> = { t: '\t', n: '\n', r: '\r', f: '\f' };

function withoutEscapes(text: string): string {
  if (!text.includes('\\')) return text;
  return text.replace(/\\(u[0-9a-fA-F]{4}|[\s\S]|$)/g, (_, escaped: string) => {
    if (escaped.length === 5) return String.fromCharCode(Number.parseInt(escaped.slice(1), 16));
    return escapes[escaped] ?? escaped;
  });
}
