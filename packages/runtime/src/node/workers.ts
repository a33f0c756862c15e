import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import type { LogFields, Logger } from '../logger.ts';
import type { Runtime } from '../runtime.ts';
import type { Workers, WorkerTask } from '../workers.ts';
import { nodeClock } from './clock.ts';
import { NodeFiles } from './files.ts';
import { nodeRandom } from './random.ts';

type FromWorker = { message: unknown } | { result: unknown } | { failure: { name: string; message: string; stack?: string } };

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
        reject(Object.assign(new Error(sent.failure.message), sent.failure));
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
    const { name: errorName = 'Error', message = String(error), stack } = error as Partial<Error>;
    send({ failure: { name: errorName, message, ...(stack === undefined ? {} : { stack }) } });
  }
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
