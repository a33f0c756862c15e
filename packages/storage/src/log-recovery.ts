/**
 * Recovery beside the event loop: after a crash the logs with much to read again are recovered on other threads, and then opened here
 * like after a clean stop. Where there are no threads (a simulation, files in memory) opening recovers.
 */
import { type Files, type Logger, type Runtime, serveWorkerTask, type WorkerLogLine, type WorkerRuntime } from '@ottla/runtime';
import { CorruptFileError } from './corrupt-file-error.ts';
import { Log } from './log.ts';
import type { LogConfig } from './log-config.ts';
import { parseSegmentFileName } from './segment-files.ts';

/** A log of a directory that was not stopped in order. Plain data: it goes to another thread. */
export type LogToRecover = {
  readonly directory: string;
  readonly topic: string;
  readonly partition: number;
  readonly config: LogConfig;
  readonly recoveryPoint: number;
  readonly firstDirtyOffset: number | undefined;
  readonly logStartOffset: number;
  readonly producerIdExpirationMs: number | undefined;
};

export type RecoveryOptions = {
  readonly runtime: Pick<Runtime, 'clock' | 'files' | 'logger'> & Partial<Pick<Runtime, 'workers'>>;
  /** num.recovery.threads.per.data.dir */
  readonly threads: number;
  readonly signal?: AbortSignal | undefined;
};

/** Of one log: less is read sooner than told. */
const smallestBytesForThread = 4 * 1024 * 1024;
/**
 * Of all: less is read sooner on the event loop, for a thread costs 0.1 s of CPU before it reads. Measured with the published command on two
 * cores, files in memory: 2 GiB take the loop 0.9 s and two threads 0.8 s, 1 GiB takes either as long, 200 MiB take 0.1 s and 0.4 s.
 */
const smallestBytesForThreads = 1024 * 1024 * 1024;
const taskName = 'recover-logs';

type Done = { readonly directory: string; readonly logEndOffset: number; readonly ms: number };

/**
 * Returns the directories of those that are recovered now. Rejects with IoError, CorruptFileError, or the signal's reason; no thread is at
 * work any more then.
 */
export async function recoverOnThreads(logs: readonly LogToRecover[], options: RecoveryOptions): Promise<Set<string>> {
  const { runtime, threads, signal } = options;
  const recovered = new Set<string>();
  const { workers } = runtime;
  if (!workers) return recovered;
  const large: { log: LogToRecover; bytes: number }[] = [];
  for (const log of logs) {
    const bytes = bytesToRead(runtime.files, log);
    if (bytes >= smallestBytesForThread) large.push({ log, bytes });
  }
  const totalBytes = large.reduce((total, { bytes }) => total + bytes, 0);
  if (totalBytes < smallestBytesForThreads) return recovered;
  const bytesOf = new Map(large.map(({ log, bytes }) => [log.directory, bytes]));
  runtime.logger.info('logs are being recovered', { logs: large.length, bytes: totalBytes, threads });
  let doneBytes = 0;
  const onMessage = (message: unknown): void => {
    if (isLogLine(message)) {
      runtime.logger[message.level](message.text, message.fields);
      return;
    }
    const { directory, logEndOffset, ms } = message as Done;
    const bytes = bytesOf.get(directory)!;
    recovered.add(directory);
    doneBytes += bytes;
    const progress = `${recovered.size}/${large.length} logs, ${Math.floor((doneBytes / totalBytes) * 100)} %`;
    runtime.logger.info('a log is recovered', { directory, bytes, logEndOffset, ms, progress });
  };
  const module = import.meta.url;
  const shares = shareOut(large, threads);
  const failed = new AbortController();
  const stop = signal ? AbortSignal.any([signal, failed.signal]) : failed.signal;
  const running = shares.map((input) => workers.run({ module, name: taskName, input }, { onMessage, signal: stop }));
  await Promise.all(running.map((run) => run.catch((error: unknown) => failed.abort(error))));
  if (failed.signal.aborted) throw asCorruptFile(failed.signal.reason);
  return recovered;
}

/** What crossed from another thread is no instance of a class of this one. */
function asCorruptFile(error: unknown): unknown {
  const { name, path, problem } = error as Partial<CorruptFileError>;
  return name === 'CorruptFileError' && path !== undefined && problem !== undefined ? new CorruptFileError(path, problem) : error;
}

/** Of the segments that a recovery reads. */
function bytesToRead(files: Files, { directory, recoveryPoint }: LogToRecover): number {
  const offsets = files
    .list(directory)
    .map((name) => ({ name, parsed: parseSegmentFileName(name) }))
    .filter(({ parsed }) => parsed?.suffix === '.log');
  const first = offsets.findLastIndex(({ parsed }) => parsed!.offset <= recoveryPoint);
  let bytes = 0;
  for (const { name } of offsets.slice(Math.max(0, first))) bytes += files.stat(`${directory}/${name}`)?.size ?? 0;
  return bytes;
}

/** The largest first, each to whom has least. */
function shareOut(logs: readonly { log: LogToRecover; bytes: number }[], threads: number): LogToRecover[][] {
  const shares = Array.from({ length: Math.max(1, Math.min(threads, logs.length)) }, () => ({
    bytes: 0,
    logs: [] as LogToRecover[],
  }));
  for (const { log, bytes } of logs.toSorted((left, right) => right.bytes - left.bytes)) {
    const least = shares.reduce((best, share) => (share.bytes < best.bytes ? share : best));
    least.logs.push(log);
    least.bytes += bytes;
  }
  return shares.map((share) => share.logs);
}

const isLogLine = (message: unknown): message is WorkerLogLine => typeof (message as WorkerLogLine).level === 'string';

/** Leaves the files of each as a clean stop would, but for their durability. */
function recoverLogs(logs: readonly LogToRecover[], runtime: WorkerRuntime, post: (message: Done) => void): void {
  for (const { producerIdExpirationMs, ...options } of logs) {
    const beganMs = runtime.clock.monotonicMs();
    const log = Log.open({
      ...options,
      ...(producerIdExpirationMs === undefined ? {} : { producerIdExpirationMs }),
      runtime: { ...runtime, logger: quiet(runtime.logger) },
      cleanShutdown: false,
    });
    const { logEndOffset } = log;
    log.closeRecovered();
    post({ directory: options.directory, logEndOffset, ms: Math.round(runtime.clock.monotonicMs() - beganMs) });
  }
}

const quiet = (logger: Logger): Logger => ({ ...logger, debug() {} });

serveWorkerTask(taskName, recoverLogs);
