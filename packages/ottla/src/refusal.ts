import { KafkaError } from '@ottla/protocol';

const namesForThePerson = ['ConfigError', 'FormatError', 'CorruptFileError', 'LogDirectoryError', 'IoError'];

/** What to print of an error: what to do, where the error says so; of all others the stack, for they are ours. */
export function refusalText(error: unknown): string {
  const isForThePerson = error instanceof KafkaError || (error instanceof Error && namesForThePerson.includes(error.name));
  if (isForThePerson) return `ottla: ${(error as Error).message}`;
  return `ottla: ${error instanceof Error ? error.stack : String(error)}`;
}
