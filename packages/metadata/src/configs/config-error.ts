/**
 * A config's name or value is not acceptable; the message is Kafka's own wording. `errorName` is what a request that brought it is
 * answered with; when it comes from server.properties the process refuses to start.
 */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly errorName: 'INVALID_CONFIG' | 'INVALID_REQUEST';

  constructor(message: string, errorName: 'INVALID_CONFIG' | 'INVALID_REQUEST' = 'INVALID_CONFIG') {
    super(message);
    this.errorName = errorName;
  }

  static invalidValue(name: string, value: string, problem: string): ConfigError {
    return new ConfigError(`Invalid value ${value} for configuration ${name}: ${problem}`);
  }
}
