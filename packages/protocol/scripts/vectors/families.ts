/** Every family of vectors about this package's code. A new family is a module beside this one and a line here. */
import { apiVersionsFamily, saslFamily } from './exchanges.ts';
import { family as groupMetadataHash } from './group-metadata-hash.ts';
import { family as hashes } from './hashes.ts';
import { family as headers } from './headers.ts';
import { family as messages } from './messages.ts';
import { family as primitives } from './primitives.ts';
import { family as recordFrames } from './record-frames.ts';
import { family as records } from './records.ts';
import { family as scram } from './scram.ts';
import { consumerProtocolFamily, principalFamily } from './versioned-bytes.ts';

export interface Family {
  /** The file's name, or for `messages` the folder's. */
  readonly file: string;
  /** What is wrong with a line, or nothing. May throw, which is a mismatch too. */
  check(line: string): string | undefined;
}

export const families: readonly Family[] = [
  messages,
  recordFrames,
  headers,
  primitives,
  records,
  hashes,
  groupMetadataHash,
  apiVersionsFamily,
  saslFamily,
  consumerProtocolFamily,
  principalFamily,
  scram,
];

/** The family of a file, by its name or else by the form of its first line; undefined for one that nobody knows. */
export function familyOf(path: string, firstLine: string, known: readonly Family[]): Family | undefined {
  const name = baseName(path);
  const segments = path.split('/');
  const isNamed = ({ file }: Family): boolean => baseName(file) === name && !segments.includes('messages');
  return isMessage(firstLine) ? messages : known.find(isNamed);
}

/** `some/records.jsonl.gz` to `records`. */
export function baseName(path: string): string {
  return path.replace(/^.*\//, '').replace(/\.jsonl(\.gz)?$/, '');
}

function isMessage(line: string): boolean {
  try {
    const vector = JSON.parse(line) as object;
    return 'message' in vector && 'version' in vector && 'hex' in vector && 'json' in vector;
  } catch {
    return false;
  }
}
