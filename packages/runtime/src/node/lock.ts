/**
 * The lock of a data directory: a file, usually `.lock`, that names its holder.
 *
 *   <pid> <start>\n      the holder; empty when nobody holds it
 *
 * `start` tells two processes apart that were given the same pid one after the other: on Linux the boot id and the process's
 * start in clock ticks, elsewhere `-`. A holder that is no longer alive is stale, and the lock is taken over.
 *
 * Kafka locks the same file with an fcntl lock, which Node.js cannot take. So: Kafka can open the directory whenever no Ottla
 * node runs (it ignores the content), a running Kafka is seen on Linux through /proc/locks and refused, but a Kafka started
 * while an Ottla node runs does not notice it.
 */
import fs from 'node:fs';
import { IoError } from '../files.ts';

export type DirectoryLock = { release(): void };

/** A guard without a name that is this old was left by a process that was killed before it could write it. */
const guardStaleMs = 10_000;

export function lockFile(path: string): DirectoryLock {
  withGuard(path, () => {
    const holder = readHolder(path);
    if (holder && isAlive(holder)) throw lockedError(path, `process ${holder.pid}`);
    const pid = pidWithSystemLock(path);
    if (pid !== undefined) throw lockedError(path, `process ${pid} (a running Kafka?)`);
    fs.writeFileSync(path, nameOfOurs());
  });
  let held = true;
  return {
    release() {
      if (!held) return;
      held = false;
      // The file stays, as Kafka's does. When the whole directory is gone there is nothing left to release.
      if (fs.existsSync(path)) fs.truncateSync(path, 0);
    },
  };
}

function lockedError(path: string, holder: string): IoError {
  return new IoError(`${path} is locked by ${holder}: stop it, or choose another directory`, { code: 'ELOCKED', path });
}

/** Makes "look at the holder, then write ourselves" one step among processes. */
function withGuard(path: string, work: () => void): void {
  const guard = `${path}.guard`;
  removeStaleGuard(guard);
  let fd: number;
  try {
    fd = fs.openSync(guard, 'wx');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') throw lockedError(path, 'a process that is just taking it');
    throw error;
  }
  try {
    fs.writeSync(fd, nameOfOurs());
    work();
  } finally {
    fs.closeSync(fd);
    fs.rmSync(guard, { force: true });
  }
}

/** One that a process left which was killed right there. */
function removeStaleGuard(guard: string): void {
  const since = fs.statSync(guard, { throwIfNoEntry: false })?.mtimeMs;
  if (since === undefined) return;
  const holder = readHolder(guard);
  if (holder ? isAlive(holder) : Date.now() - since <= guardStaleMs) return;
  // Whoever else saw the same one must not take away the guard that comes after it.
  const aside = `${guard}.${process.pid}`;
  try {
    fs.renameSync(guard, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  const moved = readHolder(aside);
  if (moved?.pid === holder?.pid && moved?.start === holder?.start) fs.rmSync(aside, { force: true });
  else fs.renameSync(aside, guard);
}

type Holder = { pid: number; start: string };

const nameOfOurs = (): string => `${process.pid} ${startOf(process.pid)}\n`;

function readHolder(path: string): Holder | undefined {
  let content: string;
  try {
    content = fs.readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  const match = /^(\d{1,9}) (\S+)\n$/.exec(content);
  return match ? { pid: Number(match[1]), start: match[2]! } : undefined;
}

function isAlive(holder: Holder): boolean {
  try {
    process.kill(holder.pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
  }
  return startOf(holder.pid) === holder.start;
}

function startOf(pid: number): string {
  if (process.platform !== 'linux') return '-';
  try {
    const boot = fs.readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The command's name, in parentheses, may itself hold spaces and parentheses; the state is field 3, the start field 22.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    // A zombie has let go of its files, and stays one for as long as its parent likes: without an init process, for ever.
    if (fields[0] === 'Z' || fields[0] === 'X') return 'dead';
    return `${boot}/${fields[19]}`;
  } catch {
    return '-';
  }
}

/** The process that holds a POSIX or flock lock on the file, where the system tells. */
function pidWithSystemLock(path: string): number | undefined {
  if (process.platform !== 'linux') return undefined;
  const stat = fs.statSync(path, { bigint: true, throwIfNoEntry: false });
  if (!stat) return undefined;
  let locks: string;
  try {
    locks = fs.readFileSync('/proc/locks', 'utf8');
  } catch {
    return undefined;
  }
  const major = ((stat.dev >> 8n) & 0xfffn) | ((stat.dev >> 32n) & ~0xfffn);
  const minor = (stat.dev & 0xffn) | ((stat.dev >> 12n) & ~0xffn);
  const device = (number: bigint) => number.toString(16).padStart(2, '0');
  const file = `${device(major)}:${device(minor)}:${stat.ino}`;
  for (const line of locks.split('\n')) {
    const [, , , , pid, inode] = line.trim().split(/\s+/);
    if (inode === file) return Number(pid);
  }
  return undefined;
}
