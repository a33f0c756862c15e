/** What a process has used, as Linux tells in /proc. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';

/** Of `/proc/PID/stat` everywhere but on a few old machines: USER_HZ is 100. */
const ticksPerSecond = 100;

/** CPU time of the whole process, all threads, user and system, in seconds; steps of 10 ms. */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' '); // the name before may hold anything
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

/** Resident memory now, and the most there ever was, in MiB. */
export function memoryMiB(pid: number): { resident: number; peak: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const kiB = (field: string): number => Number(new RegExp(`${field}:\\s+(\\d+)`).exec(status)![1]);
  return { resident: kiB('VmRSS') / 1024, peak: kiB('VmHWM') / 1024 };
}

/** The peak is then counted from now on. */
export function forgetPeakMemory(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, '5');
}

export function openFiles(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}
