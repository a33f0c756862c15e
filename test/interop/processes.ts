/** Child processes that end with us, whichever way we end. */
import { type ChildProcess, type SpawnOptions, type SpawnSyncOptions, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import process from 'node:process';
import { pidsDirectory } from './home.ts';

const running = new Set<ChildProcess>();

process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(1));

export function start(command: string, args: readonly string[], options: SpawnOptions = {}): ChildProcess {
  const child = spawn(command, args, options);
  const note = join(pidsDirectory, String(child.pid));
  mkdirSync(pidsDirectory, { recursive: true });
  writeFileSync(note, JSON.stringify({ parent: process.pid, argument: args.at(-1) ?? command }));
  running.add(child);
  child.once('exit', () => {
    running.delete(child);
    rmSync(note, { force: true });
  });
  return child;
}

/** Kills what a parent that is no longer there has left running. */
export function stopLeftovers(): void {
  if (!existsSync(pidsDirectory)) return;
  for (const pid of readdirSync(pidsDirectory)) {
    const note = join(pidsDirectory, pid);
    if (!existsSync(note)) continue; // its parent, of another run, has just seen it end
    const { parent, argument } = JSON.parse(readFileSync(note, 'utf8')) as { parent: number; argument: string };
    if (commandLine(parent) !== '') continue;
    // Only if it is still the process that was noted, and not a later one that was given the same id.
    if (commandLine(Number(pid)).includes(argument)) process.kill(Number(pid), 'SIGKILL');
    rmSync(note, { force: true });
  }
}

function commandLine(pid: number): string {
  return String(spawnSync('ps', ['-ww', '-o', 'args=', '-p', String(pid)], { encoding: 'utf8' }).stdout ?? '').trim();
}

/** Its status, or the signal that ended it; null while it runs. */
export const howItEnded = ({ exitCode, signalCode }: ChildProcess): number | NodeJS.Signals | null => exitCode ?? signalCode;

/** Resolves when the process has ended; after `graceMs` it is killed, and that is an error. */
export async function end(child: ChildProcess, signal: NodeJS.Signals, graceMs: number): Promise<void> {
  if (howItEnded(child) !== null) return;
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.kill(signal);
  const late = setTimeout(() => child.kill('SIGKILL'), graceMs);
  await ended;
  clearTimeout(late);
  if (signal !== 'SIGKILL' && child.signalCode === 'SIGKILL')
    throw new Error(`process ${child.pid} did not end within ${graceMs} ms`);
}

/** As `run`, while this process goes on with other things. */
export async function runAlong(command: string, args: readonly string[], options: SpawnOptions = {}): Promise<void> {
  const child = start(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout!, child.stderr!])
    stream.setEncoding('utf8').on('data', (chunk) => (output = (output + chunk).slice(-64_000)));
  await new Promise<void>((resolve, reject) => {
    child.once('error', (error) => reject(new Error(`cannot run ${command}: ${error.message}`, { cause: error })));
    child.once('close', () => resolve());
  });
  const status = howItEnded(child);
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${status}:\n${output}`);
}

/** Runs a command to its end and gives its output; throws with that output when it fails. */
export function run(command: string, args: readonly string[], options: SpawnSyncOptions = {}): string {
  const done = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 64 << 20, ...options });
  if (done.error) throw new Error(`cannot run ${command}: ${done.error.message}`, { cause: done.error });
  const output = `${done.stdout ?? ''}${done.stderr ?? ''}`;
  if (done.status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${done.status ?? done.signal}:\n${output}`);
  return String(done.stdout ?? '');
}

/** A port that was free a moment ago, below the range from which systems hand out ports by themselves. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 10_000 + Math.floor(Math.random() * 21_000);
    const free = await new Promise<boolean>((resolve) => {
      const server = createServer();
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
    });
    if (free) return port;
  }
}

/** Polls until the condition gives something truthy; the error of the last attempt explains a timeout. */
export async function eventually<T>(
  what: string,
  condition: () => T | Promise<T>,
  { timeoutMs = 120_000, pauseMs = 50 } = {},
): Promise<NonNullable<T>> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    let failure: unknown;
    try {
      const value = await condition();
      if (value) return value;
    } catch (error) {
      failure = error;
    }
    if (Date.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${what}`, { cause: failure });
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}
