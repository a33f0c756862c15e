import type { LogFields, Logger } from '@ottla/runtime';
import { tell } from './output.ts';

/** For a command that goes on while brokers come and go: the person should know why nothing happens. */
export class NewsOfConnections implements Logger {
  /** Until the first connection is there, errors say it all. */
  isWanted = false;

  debug(): void {}

  info(message: string, fields: LogFields = {}): void {
    const details = Object.entries(fields).map(([name, value]) => `${name} ${value}`);
    if (this.isWanted) tell(`ottla: ${message}${details.length > 0 ? ` (${details.join(', ')})` : ''}`);
  }

  warn(message: string, fields?: LogFields): void {
    this.info(message, fields);
  }

  error(message: string, fields?: LogFields): void {
    this.info(message, fields);
  }

  child(): Logger {
    return this;
  }
}
