import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { installCommand } from '../../scripts/bundle.ts';

let installed: Promise<string> | undefined;

/** The program that `npm install ottla` gives its users, bundled from the sources once a run; it is gone when we end. */
export function publishedCommand(): Promise<string> {
  if (!installed) {
    const directory = mkdtempSync(join(tmpdir(), 'ottla-bench-command-'));
    process.on('exit', () => rmSync(directory, { recursive: true, force: true }));
    installed = installCommand(directory);
  }
  return installed;
}
