import { KafkaError } from '@ottla/protocol';
import { InvalidArgumentError } from 'commander';

/** For options that may be repeated. */
export function collect(value: string, all: readonly string[] = []): string[] {
  return [...all, value];
}

/** A whole number, `least` or more. */
export function wholeNumber(least: number): (text: string) => number {
  return (text) => {
    const number = Number(text);
    if (Number.isSafeInteger(number) && number >= least && /^-?\d+$/.test(text)) return number;
    throw new InvalidArgumentError(`It takes a whole number, ${least} or more.`);
  };
}

export function integer(text: string): number {
  if (/^-?\d+$/.test(text) && Number.isSafeInteger(Number(text))) return Number(text);
  throw new InvalidArgumentError('It takes a whole number.');
}

/** "name=value" each; the value may contain further equals signs. Throws INVALID_REQUEST. */
export function assignments(texts: readonly string[]): Record<string, string> {
  const values: Record<string, string> = {};
  for (const text of texts) {
    const at = text.indexOf('=');
    if (at < 1) throw new KafkaError('INVALID_REQUEST', `"${text}" is not of the form name=value`);
    values[text.slice(0, at).trim()] = text.slice(at + 1);
  }
  return values;
}

/** "1 record", "2 records". */
export function counted(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}
