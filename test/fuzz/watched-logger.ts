/** Keeps what a broker complains about. Garbage from outside is no reason to complain: only a fault of the broker's own is. */
import type { LogFields, Logger } from '@ottla/runtime';

const programmingErrors = new Set(['TypeError', 'RangeError', 'ReferenceError', 'AssertionError', 'SyntaxError']);

export class WatchedLogger implements Logger {
  readonly complaints: string[] = [];

  debug(message: string, fields?: LogFields): void {
    this.#noteFault(message, fields);
  }

  info(message: string, fields?: LogFields): void {
    this.#noteFault(message, fields);
  }

  warn(message: string, fields?: LogFields): void {
    this.#noteFault(message, fields);
  }

  error(message: string, fields?: LogFields): void {
    this.#complain(message, fields);
  }

  child(): Logger {
    return this;
  }

  #noteFault(message: string, fields: LogFields = {}): void {
    if (Object.values(fields).some(isFault)) this.#complain(message, fields);
  }

  #complain(message: string, fields: LogFields = {}): void {
    const shown = Object.entries(fields).map(
      ([name, value]) => `${name}=${value instanceof Error ? traceOf(value) : String(value)}`,
    );
    this.complaints.push(`${message} ${shown.join(' ')}`);
  }
}

function isFault(value: unknown): boolean {
  for (let error = value; error instanceof Error; error = error.cause)
    if (programmingErrors.has(error.constructor.name)) return true;
  return false;
}

function traceOf(error: Error): string {
  return `${error.stack ?? error}${error.cause instanceof Error ? `\ncaused by ${traceOf(error.cause)}` : ''}`;
}
