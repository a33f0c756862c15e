import { createRequire } from 'node:module';

export type LinearRegex = {
  /** The whole text. */
  matches(text: string): boolean;
  /** How many instructions a step through the text may cost. */
  programSize(): number;
};

type Engine = { readonly RE2JS: { compile(regex: string): LinearRegex } };

let engine: Engine | undefined;

/** Compiling takes a multiple of the text, and a counted repetition stands for up to a thousand times what it repeats. */
const MAX_LENGTH = 10_000;
const MAX_LENGTH_WITH_COUNTS = 500;
const COUNTED = /\{\d/;

/** A regular expression that takes linear time, whatever it is. Its engine is loaded when the first one comes. Throws what is wrong with it. */
export function linearRegex(regex: string): LinearRegex {
  const maxLength = regex.length > MAX_LENGTH_WITH_COUNTS && COUNTED.test(regex) ? MAX_LENGTH_WITH_COUNTS : MAX_LENGTH;
  if (regex.length > maxLength) throw new RangeError(`it has ${regex.length} characters, more than ${maxLength}`);
  engine ??= createRequire(import.meta.url)('re2js') as Engine;
  return engine.RE2JS.compile(regex);
}

/** For messages: an expression that is refused for its length is not sent back whole. */
export function abridged(regex: string): string {
  return regex.length > MAX_LENGTH ? `${regex.slice(0, 100)}…` : regex;
}
