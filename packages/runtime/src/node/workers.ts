import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { IoError } from '../files.ts';
import type { LogFields, Logger } from '../logger.ts';
import type { Runtime } from '../runtime.ts';
import type { Workers, WorkerTask } from '../workers.ts';
import { nodeClock } from './clock.ts';
import { NodeFiles } from './files.ts';
import { nodeRandom } from './random.ts';

type FromWorker = { message: unknown } | { result: unknown } | { failure: Failure };

/** An error as it crosses from one thread to another: with its own fields of text, which say what file it was and the system's code. */
type Failure = {
  readonly name: string;
  readonly message: string;
  readonly stack?: string;
  readonly fields: Readonly<Record<string, string>>;
};

/** What a task may use: no network, and no timers, for it is done when it returns. */
export type WorkerRuntime = Pick<Runtime, 'clock' | 'files' | 'random' | 'logger'>;

/** A line that a task logged, as a message. */
export type WorkerLogLine = {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly text: string;
  readonly fields: LogFields;
};

export const nodeWorkers: Workers = {
  run({ module, name, input }: WorkerTask, { onMessage, signal } = {}): Promise<unknown> {
    signal?.throwIfAborted();
    return new Promise((resolve, reject) => {
      const worker = new Worker(new URL(module), { workerData: { ottlaTask: name, input } });
      const abort = (): void => {
        worker.terminate().then(() => reject(signal?.reason), reject);
      };
      signal?.addEventListener('abort', abort, { once: true });
      worker.on('message', (sent: FromWorker) => {
        if ('message' in sent) return onMessage?.(sent.message);
        signal?.removeEventListener('abort', abort);
        if ('result' in sent) return resolve(sent.result);
        reject(errorOf(sent.failure));
      });
      worker.on('error', reject);
      worker.on('exit', (code) => {
        if (!signal?.aborted) reject(new Error(`the thread of ${name} ended with ${code} before it was done`));
      });
    });
  },
};

/**
 * To be called by the module of a task when it is loaded; does nothing but in the thread that was started for the task. What the task
 * logs goes to the main thread as `WorkerLogLine`s, like all that it sends with `post`.
 */
export function serveWorkerTask<Input>(
  name: string,
  task: (input: Input, runtime: WorkerRuntime, post: (message: unknown) => void) => unknown,
): void {
  if (isMainThread || !parentPort || (workerData as { ottlaTask?: unknown } | null)?.ottlaTask !== name) return;
  const port = parentPort;
  const send = (message: FromWorker): void => port.postMessage(message);
  const post = (message: unknown): void => send({ message });
  try {
    const runtime = { clock: nodeClock, files: new NodeFiles(), random: nodeRandom, logger: postingLogger(post, {}) };
    send({ result: task((workerData as { input: Input }).input, runtime, post) });
  } catch (error) {
    send({ failure: failureOf(error) });
  }
}

function failureOf(error: unknown): Failure {
  const { name = 'Error', message = String(error), stack } = error as Partial<Error>;
  const fields = Object.entries(Object(error)).filter((entry): entry is [string, string] => typeof entry[1] === 'string');
  return { name, message, ...(stack === undefined ? {} : { stack }), fields: Object.fromEntries(fields) };
}

/** An IoError is one here too: what it costs is decided by its code. */
function errorOf({ name, message, stack, fields }: Failure): Error {
  const { code, path, operation } = fields;
  const isIoError = name === 'IoError' && code !== undefined && path !== undefined;
  const error = isIoError
    ? new IoError(message, { code, path, ...(operation === undefined ? {} : { operation }) })
    : Object.assign(new Error(message), fields, { name });
  return Object.assign(error, stack === undefined ? {} : { stack });
}

function postingLogger(post: (line: WorkerLogLine) => void, more: LogFields): Logger {
  const at = (level: WorkerLogLine['level']) => (text: string, fields?: LogFields) =>
    post({
      level,
      text,
      fields: Object.fromEntries(Object.entries({ ...more, ...fields }).map(([key, value]) => [key, plain(value)])),
    });
  return {
    ...{ debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') },
    child: (fields) => postingLogger(post, { ...more, ...fields }),
  };
}

const plain = (value: unknown): unknown => (value instanceof Error ? `${value.name}: ${value.message}` : value);
