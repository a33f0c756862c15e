import { createRequire } from 'node:module';

export type LinearRegex = {
  /** The whole text. */
  matches(text: string): boolean;
  /** How many instructions a step through the text may cost. */
  programSize(): number;
};

type Engine = { readonly RE2JS: { compile(regex: string): LinearRegex } };

let engine: Engine | undefined;

/** A regular expression that takes linear time, whatever it is. Its engine is loaded when the first one comes. Throws what is wrong with it. */
export function linearRegex(regex: string): LinearRegex {
  engine ??= createRequire(import.meta.url)('re2js') as Engine;
  return engine.RE2JS.compile(regex);
}
