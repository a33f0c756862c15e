import { KafkaError } from '@ottla/protocol';
import { IoError, type LogFields, type Logger } from '@ottla/runtime';

export type LoggedLine = { readonly level: string; readonly message: string; readonly fields: LogFields };

/** What a simulated node has to tell: warnings and errors go to whoever listens. */
export class NodeLog implements Logger {
  readonly #onLine: (line: LoggedLine) => void;
  readonly #fields: LogFields;

  constructor(onLine: (line: LoggedLine) => void, fields: LogFields = {}) {
    this.#onLine = onLine;
    this.#fields = fields;
  }

  debug(): void {}

  info(): void {}

  warn(message: string, fields?: LogFields): void {
    this.#onLine({ level: 'warn', message, fields: { ...this.#fields, ...fields } });
  }

  error(message: string, fields?: LogFields): void {
    this.#onLine({ level: 'error', message, fields: { ...this.#fields, ...fields } });
  }

  child(fields: LogFields): Logger {
    return new NodeLog(this.#onLine, { ...this.#fields, ...fields });
  }
}

/** One line, with the error it is about. */
export function tellLine({ level, message, fields }: LoggedLine): string {
  const told = Object.entries(fields).map(
    ([name, value]) => `${name}=${value instanceof Error ? tellError(value) : String(value)}`,
  );
  return `${level}: ${message} ${told.join(' ')}`.trim();
}

export function tellError(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}

/** Neither an answer that Kafka has a name for, nor the disk's or the network's doing: an error of the program. */
export function isProgramError(error: unknown): error is Error {
  return error instanceof Error && !(error instanceof KafkaError) && !(error instanceof IoError) && !expected.has(error.name);
}

const expected = new Set([
  'CorruptFileError',
  'LogDirectoryError',
  'ClientClosedError',
  'AbortError',
  'FormatError',
  'ConfigError',
]);
