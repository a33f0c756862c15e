/**
 * The text files that hold a few numbers each:
 *
 *   0                      version
 *   2                      how many entries follow
 *   <entry>                one a line, fields separated by spaces
 *   <entry>
 *
 * An empty file has no entries. Used by the four `*-offset-checkpoint` files and by `leader-epoch-checkpoint`.
 */
import type { Files } from '@ottla/runtime';
import { CorruptFileError } from './corrupt-file-error.ts';

const version = '0';

type CheckpointEntries = readonly (readonly (string | number)[])[];

/** The fields of each entry. An absent or empty file has none. Throws CorruptFileError. */
export function readCheckpoint(files: Files, path: string, fieldCount: number): string[][] {
  if (!files.stat(path)) return [];
  const text = new TextDecoder().decode(files.readFile(path));
  if (text.length === 0) return [];
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  const [versionLine, countLine, ...entryLines] = lines;
  if (versionLine !== version) throw new CorruptFileError(path, `version ${versionLine} is not known`);
  if (countLine === undefined || !/^\d+$/.test(countLine))
    throw new CorruptFileError(path, `"${countLine}" is no number of entries`);
  if (entryLines.length !== Number(countLine)) {
    throw new CorruptFileError(path, `${countLine} entries are announced and ${entryLines.length} are there`);
  }
  return entryLines.map((line) => {
    const fields = line.trim().split(/\s+/);
    if (fields.length !== fieldCount) throw new CorruptFileError(path, `"${line}" does not have ${fieldCount} fields`);
    return fields;
  });
}

/** Durable when it returns. */
export function writeCheckpoint(files: Files, path: string, entries: CheckpointEntries): void {
  files.writeFileDurably(path, encode(entries));
}

/**
 * The same without holding up the event loop, in `<path>.tmp`: it is durable when it resolves, and the caller renames it and syncs the
 * directory.
 */
export async function writeCheckpointAside(files: Files, path: string, entries: CheckpointEntries): Promise<void> {
  const file = files.open(`${path}.tmp`, 'truncate');
  try {
    file.write(Buffer.from(encode(entries)), 0);
    await file.syncLater();
  } finally {
    file.close();
  }
}

function encode(entries: CheckpointEntries): string {
  const lines = entries.map((fields) => `${fields.join(' ')}\n`);
  return `${version}\n${entries.length}\n${lines.join('')}`;
}

/** A whole number of a checkpoint entry. Throws CorruptFileError. */
export function checkpointNumber(path: string, field: string): number {
  const number = Number(field);
  if (!/^-?\d+$/.test(field) || !Number.isSafeInteger(number)) throw new CorruptFileError(path, `"${field}" is no whole number`);
  return number;
}
