import { spawn } from 'node:child_process';
import { join } from 'node:path';
import process from 'node:process';
import type { Loads } from './main.ts';

export type LoadOf<Kind extends keyof Loads> = Parameters<Loads[Kind]>[0];
export type LoadResult<Kind extends keyof Loads> = Awaited<ReturnType<Loads[Kind]>>;

const main = join(import.meta.dirname, 'main.ts');

/** Runs a load in a process of its own. Rejects with what it said when it fails. */
export function runLoad<Kind extends keyof Loads>(
  kind: Kind,
  load: LoadOf<Kind>,
  timeoutMs = 120_000,
): Promise<LoadResult<Kind>> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [main, kind, JSON.stringify(load)], { timeout: timeoutMs });
    let output = '';
    let complaint = '';
    child.stdout.setEncoding('utf8').on('data', (text) => (output += text));
    child.stderr.setEncoding('utf8').on('data', (text) => (complaint += text));
    child.on('error', reject);
    child.on('close', (status, signal) => {
      if (status === 0) resolve(JSON.parse(output));
      else reject(new Error(`the ${kind} load ended with ${status ?? signal}\n${complaint}`));
    });
  });
}
