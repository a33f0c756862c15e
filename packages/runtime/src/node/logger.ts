import { createRequire } from 'node:module';
import type { LogFields, Logger } from '../logger.ts';

export const logLevels = ['debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof logLevels)[number];

const ERROR = logLevels.indexOf('error');

export type NodeLoggerOptions = {
  /** Lines below it are not written; `info` unless said otherwise. */
  readonly level?: LogLevel;
  /** `text`: one line a person reads; `json`: one object a line. */
  readonly format?: 'text' | 'json';
  /** Standard output unless said otherwise. */
  readonly write?: (line: string) => void;
};

export const silentLogger: Logger = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  child: () => silentLogger,
};

export function nodeLogger(options: NodeLoggerOptions = {}): Logger {
  const level = options.level ?? 'info';
  const write = options.write ?? ((line: string) => void process.stdout.write(line));
  if (options.format === 'json') return new JsonLogger(pinoLogger(level, write));
  return new TextLogger(logLevels.indexOf(level), write, {});
}

/**
 *   2026-11-21 13:27:04.512 INFO  the message  key=value other="with spaces"
 *
 * An error among the fields is there with its message. Where it was thrown follows on lines of its own, if that helps anybody: a connection that
 * is lost, a request that is refused are everyday life, and whoever sends garbage must not fill the log with stacks.
 */
class TextLogger implements Logger {
  readonly #threshold: number;
  readonly #write: (line: string) => void;
  readonly #fields: LogFields;

  constructor(threshold: number, write: (line: string) => void, fields: LogFields) {
    this.#threshold = threshold;
    this.#write = write;
    this.#fields = fields;
  }

  debug(message: string, fields?: LogFields): void {
    this.#line(0, 'DEBUG', message, fields);
  }
  info(message: string, fields?: LogFields): void {
    this.#line(1, 'INFO ', message, fields);
  }
  warn(message: string, fields?: LogFields): void {
    this.#line(2, 'WARN ', message, fields);
  }
  error(message: string, fields?: LogFields): void {
    this.#line(ERROR, 'ERROR', message, fields);
  }
  child(fields: LogFields): Logger {
    return new TextLogger(this.#threshold, this.#write, { ...this.#fields, ...fields });
  }

  #line(level: number, label: string, message: string, fields: LogFields | undefined): void {
    if (level < this.#threshold) return;
    let line = `${timestamp()} ${label} ${onOneLine(message)}`;
    let stacks = '';
    for (const [name, value] of Object.entries({ ...this.#fields, ...fields })) {
      if (value === undefined) continue;
      line += `  ${name}=${text(value)}`;
      if (value instanceof Error && (level === ERROR || this.#threshold === 0 || !saysItAll(value)))
        stacks += `${stackOf(value)}\n`;
    }
    this.#write(`${line}\n${stacks}`);
  }
}

function timestamp(): string {
  const now = new Date();
  const local = new Date(now.getTime() - now.getTimezoneOffset() * 60_000);
  return local.toISOString().slice(0, 23).replace('T', ' ');
}

function text(value: unknown): string {
  if (value instanceof Error) return onOneLine(JSON.stringify(value.message));
  if (typeof value === 'string') return /^[^\s"=\p{Cc}]+$/u.test(value) ? value : onOneLine(JSON.stringify(value));
  if (typeof value !== 'object' || value === null) return String(value);
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return String(value);
  }
}

/** One of the language's own is a fault of the program, and its stack says where. Those of our classes are thrown for somebody to read. */
function saysItAll(error: Error): boolean {
  const itsClass = error.constructor;
  return (globalThis as Record<string, unknown>)[itsClass.name] !== itsClass;
}

function stackOf(error: Error): string {
  const stack = error.stack ?? String(error);
  return error.cause instanceof Error ? `${stack}\ncaused by ${stackOf(error.cause)}` : stack;
}

/** What came from outside (a client id, say) must not forge lines of its own, nor drive the terminal. */
function onOneLine(message: string): string {
  return message.replace(/\p{Cc}/gu, (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`);
}

type Pino = import('pino').Logger;

/** Loaded on first use: a node that logs text, or nothing, never pays for it. */
function pinoLogger(level: LogLevel, write: (line: string) => void): Pino {
  const pino = createRequire(import.meta.url)('pino') as typeof import('pino').pino;
  return pino({ level, base: null, errorKey: 'error', formatters: { level: (label) => ({ level: label }) } }, { write });
}

class JsonLogger implements Logger {
  readonly #pino: Pino;
  constructor(pino: Pino) {
    this.#pino = pino;
  }
  debug(message: string, fields?: LogFields): void {
    this.#pino.debug(fields ?? {}, message);
  }
  info(message: string, fields?: LogFields): void {
    this.#pino.info(fields ?? {}, message);
  }
  warn(message: string, fields?: LogFields): void {
    this.#pino.warn(fields ?? {}, message);
  }
  error(message: string, fields?: LogFields): void {
    this.#pino.error(fields ?? {}, message);
  }
  child(fields: LogFields): Logger {
    return new JsonLogger(this.#pino.child(fields));
  }
}
