import type { DescribedConfig } from '@ottla/metadata';
import { KafkaError } from '@ottla/protocol';
import type { LogFields, Logger, LogLevel } from '@ottla/runtime';

/** From most to least telling, as Kafka names them. */
const levels = ['TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL'] as const;
type Level = (typeof levels)[number];

const ROOT = 'root';
/** As DescribeConfigs has them: a dynamic logger level, and a string. */
const SOURCE = 6;
/** Kafka says neither type nor documentation of a level. */
const UNKNOWN_TYPE = 0;

const SET = 0;
const DELETE = 1;

export type LoggerChange = { readonly name: string; readonly configOperation: number; readonly value: string | null };

/** The broker's loggers, one a part of it. Their levels can change while it runs (KIP-412). A logger without a level has root's. */
export class BrokerLoggers {
  readonly #sink: Logger;
  readonly #levels = new Map<string, Level>();
  readonly #names = new Set<string>([ROOT]);

  /** `sink` gets what passes; it should let everything through itself. */
  constructor(sink: Logger, rootLevel: LogLevel) {
    this.#sink = sink;
    this.#levels.set(ROOT, rootLevel.toUpperCase() as Level);
  }

  logger(name: string): Logger {
    this.#names.add(name);
    return new LevelledLogger(
      this.#sink.child({ logger: name }),
      (level) => levels.indexOf(level) >= levels.indexOf(this.#levelOf(name)),
    );
  }

  describe(): DescribedConfig[] {
    return [...this.#names].map((name) => ({
      name,
      value: this.#levelOf(name),
      readOnly: false,
      configSource: SOURCE,
      isSensitive: false,
      synonyms: [],
      configType: UNKNOWN_TYPE,
      documentation: '',
    }));
  }

  /** Throws INVALID_CONFIG, INVALID_REQUEST in Kafka's words, and then has changed nothing. */
  alter(changes: readonly LoggerChange[], validateOnly: boolean): void {
    for (const { name, configOperation, value } of changes) {
      if (configOperation !== SET && configOperation !== DELETE) {
        throw new KafkaError(
          'INVALID_REQUEST',
          `${configOperation === 2 ? 'APPEND' : 'SUBTRACT'} operation is not allowed for the BROKER_LOGGER resource`,
        );
      }
      if (!this.#names.has(name)) throw new KafkaError('INVALID_CONFIG', `Logger ${name} does not exist!`);
      if (configOperation === SET && value === null)
        throw new KafkaError('INVALID_REQUEST', `Null value not supported for : ${name}`);
      if (configOperation === SET && !levels.includes(value as Level)) {
        const choices = ['DEBUG', 'ERROR', 'FATAL', 'INFO', 'TRACE', 'WARN'].join(', ');
        throw new KafkaError(
          'INVALID_CONFIG',
          `Cannot set the log level of ${name} to ${value} as it is not a supported log level. Valid log levels are ${choices}`,
        );
      }
      if (configOperation === DELETE && name === ROOT)
        throw new KafkaError('INVALID_REQUEST', `Removing the log level of the ${ROOT} logger is not allowed`);
    }
    if (validateOnly) return;
    for (const { name, configOperation, value } of changes) {
      if (configOperation === SET) this.#levels.set(name, value as Level);
      else this.#levels.delete(name);
    }
  }

  #levelOf(name: string): Level {
    return this.#levels.get(name) ?? this.#levels.get(ROOT)!;
  }
}

class LevelledLogger implements Logger {
  readonly #sink: Logger;
  readonly #passes: (level: Level) => boolean;

  constructor(sink: Logger, passes: (level: Level) => boolean) {
    this.#sink = sink;
    this.#passes = passes;
  }

  debug(message: string, fields?: LogFields): void {
    if (this.#passes('DEBUG')) this.#sink.debug(message, fields);
  }

  info(message: string, fields?: LogFields): void {
    if (this.#passes('INFO')) this.#sink.info(message, fields);
  }

  warn(message: string, fields?: LogFields): void {
    if (this.#passes('WARN')) this.#sink.warn(message, fields);
  }

  error(message: string, fields?: LogFields): void {
    if (this.#passes('ERROR')) this.#sink.error(message, fields);
  }

  child(fields: LogFields): Logger {
    return new LevelledLogger(this.#sink.child(fields), this.#passes);
  }
}
