/**
 * Where the interop tests keep what they download and build: `.interop` at the root of the repository, or `$INTEROP_HOME`.
 * It may be deleted at any time, and `npm run interop` fills it again.
 */
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

export const interopDirectory = dirname(fileURLToPath(import.meta.url));
export const rootDirectory = join(interopDirectory, '..', '..');
export const interopHome = process.env['INTEROP_HOME'] ?? join(rootDirectory, '.interop');

/** Node processes that a run started: what a crashed test leaves behind is stopped at the end of the run. */
export const pidsDirectory = join(interopHome, 'pids');

export const javascriptClients = join(interopHome, 'javascript');
export const pythonClients = join(interopHome, 'python');
export const python = join(pythonClients, 'bin', 'python');

/** The command: `npm run interop` sets the bundle that it has made; else the sources, which take three times as long to start. */
export const ottlaCommand = process.env['INTEROP_OTTLA'] ?? join(rootDirectory, 'packages', 'ottla', 'bin', 'ottla.js');

mkdirSync(interopHome, { recursive: true });
