/** What the programs of this repository are told on the command line. */
import process from 'node:process';
import { type ParseArgsOptionsConfig, parseArgs } from 'node:util';

/** The options that were given. Ends the process with the usage when it is asked for, and with an error before it for what is no option. */
export function readOptions<const Options extends ParseArgsOptionsConfig>(options: Options, usage: string) {
  try {
    if (!process.argv.slice(2).some((argument) => argument === '--help' || argument === '-h'))
      return parseArgs({ options }).values;
    console.log(usage);
  } catch (error) {
    endWith(`${(error as Error).message.split(/\. |\n/)[0]}\n\n${usage}`);
  }
  process.exit(0);
}

/** What the option `name` says. Ends the process with an error for what is no whole number from `least` on. */
export function wholeNumber(text: string, name: string, least = 0): number {
  const number = Number(text);
  if (text.trim() !== '' && Number.isSafeInteger(number) && number >= least) return number;
  endWith(`--${name} is a whole number from ${least} on, not ${JSON.stringify(text)}`);
}

/** What is named, each of which must be one of `known`. Ends the process with an error otherwise. */
export function namesOf<const Name extends string>(named: readonly string[], known: readonly Name[], option: string): Name[] {
  return named.map((text) => known.find((name) => name === text) ?? endWith(`--${option} is ${known.join(' or ')}, not ${text}`));
}

/** Ends the process with an error about how it was called. */
export function endWith(error: string): never {
  console.error(error);
  process.exit(2);
}
