import { userScramCredentialRecord } from '@ottla/metadata';
import {
  type MetadataRecord,
  type ScramMechanism,
  saltScramPassword,
  scramCredentialOfSaltedPassword,
  scramMechanismOf,
} from '@ottla/protocol';
import type { Random } from '@ottla/runtime';
import { FormatError } from './format-error.ts';

/**
 * The credential of `--add-scram MECHANISM=[name=...,password=...]`; instead of the password `salt` and `saltedpassword` in base64, and
 * `iterations` if not 4096. Throws FormatError.
 */
export function scramArgument(argument: string, random: Random): MetadataRecord {
  const equals = argument.indexOf('=');
  if (equals < 0) throw new FormatError(`Failed to find equals sign in SCRAM argument '${argument}'`);
  const mechanismName = argument.slice(0, equals);
  const mechanism = scramMechanismOf(mechanismName);
  if (!mechanism) throw new FormatError(`The add-scram mechanism ${mechanismName} is not supported.`);
  const settings = parseSettings(argument.slice(equals + 1));
  const name = settings.get('name');
  if (name === undefined) throw new FormatError(`You must supply 'name' to add-scram`);
  const iterations = iterationsOf(settings.get('iterations'), mechanism);
  const saltText = settings.get('salt');
  const salt = saltText === undefined ? freshSalt(random) : Buffer.from(saltText, 'base64');
  const saltedPassword = saltedPasswordOf(settings, mechanism, { salt, iterations });
  const credential = scramCredentialOfSaltedPassword(mechanism, { salt, iterations, saltedPassword });
  return userScramCredentialRecord(mechanism.id, name, credential);
}

function parseSettings(text: string): Map<string, string> {
  if (!text.startsWith('[')) throw new FormatError('Expected configuration string to start with [');
  if (!text.endsWith(']')) throw new FormatError('Expected configuration string to end with ]');
  const settings = new Map<string, string>();
  for (const part of text.slice(1, -1).split(',')) {
    const equals = part.indexOf('=');
    if (equals < 0) throw new FormatError(`Unable to find equals sign in part '${part}' of '${text}'`);
    settings.set(
      part.slice(0, equals).trim(),
      part
        .slice(equals + 1)
        .trim()
        .replace(/^"(.*)"$/, '$1'),
    );
  }
  const unknown = [...settings.keys()].filter(
    (key) => !['name', 'password', 'salt', 'saltedpassword', 'iterations'].includes(key),
  );
  if (unknown.length > 0) throw new FormatError(`Unknown SCRAM configurations: ${unknown.join(', ')}`);
  return settings;
}

function iterationsOf(text: string | undefined, { name, minIterations, maxIterations }: ScramMechanism): number {
  if (text === undefined) return minIterations;
  const iterations = Number(text);
  if (!Number.isInteger(iterations)) throw new FormatError(`The 'iterations' value must be a whole number, not ${text}`);
  const limit =
    iterations < minIterations ? `>= ${minIterations}` : iterations > maxIterations ? `<= ${maxIterations}` : undefined;
  // Kafka names the mechanism as its enum does.
  if (limit) throw new FormatError(`The 'iterations' value must be ${limit} for add-scram using ${name.replaceAll('-', '_')}`);
  return iterations;
}

function saltedPasswordOf(
  settings: ReadonlyMap<string, string>,
  mechanism: ScramMechanism,
  from: { readonly salt: Uint8Array; readonly iterations: number },
): Uint8Array {
  const password = settings.get('password');
  const salted = settings.get('saltedpassword');
  if (salted !== undefined) {
    if (password !== undefined) throw new FormatError(`You must only supply one of 'password' or 'saltedpassword' to add-scram`);
    if (!settings.has('salt')) throw new FormatError(`You must supply 'salt' with 'saltedpassword' to add-scram`);
    return Buffer.from(salted, 'base64');
  }
  if (password === undefined) throw new FormatError(`You must supply one of 'password' or 'saltedpassword' to add-scram`);
  return saltScramPassword(mechanism, password, from);
}

/** 26 characters of base 36, as Kafka draws them: its bytes are the salt. */
const freshSalt = (random: Random): Uint8Array =>
  new TextEncoder().encode(Array.from({ length: 26 }, () => random.below(36).toString(36)).join(''));
