/** Runs vector files and counts what is identical. */
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { baseName, type Family, families, familyOf } from './families.ts';

export interface Outcome {
  readonly name: string;
  readonly count: number;
  readonly problems: string[];
}

/** Checks every vector file under a folder. `unknown` are the files of families that nobody checks yet. */
export function runVectors(folder: string, known: readonly Family[] = families): { outcomes: Outcome[]; unknown: string[] } {
  const outcomes = new Map<string, { name: string; count: number; problems: string[] }>();
  const unknown: string[] = [];
  const files = globSync(['**/*.jsonl', '**/*.jsonl.gz'], { cwd: folder }).map((file) => file.replaceAll('\\', '/'));
  for (const file of files.sort()) {
    const lines = linesOf(join(folder, file));
    const family = familyOf(file, lines[0] ?? '', known);
    if (family === undefined) {
      unknown.push(file);
      continue;
    }
    const name = family.file === 'messages' ? 'messages' : baseName(family.file);
    const outcome = outcomes.get(name) ?? { name, count: 0, problems: [] };
    outcomes.set(name, outcome);
    for (const [at, line] of lines.entries()) {
      outcome.count++;
      const problem = problemOf(family, line);
      if (problem !== undefined) outcome.problems.push(`${file}:${at + 1}: ${problem}`);
    }
  }
  return { outcomes: [...outcomes.values()], unknown };
}

function problemOf(family: Family, line: string): string | undefined {
  try {
    return family.check(line);
  } catch (error) {
    return String(error);
  }
}

function linesOf(file: string): string[] {
  const bytes = readFileSync(file);
  const text = (file.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('utf8');
  return text.split('\n').filter((line) => line.trim() !== '');
}
