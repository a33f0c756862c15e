/**
 * What a server keeps of a password (RFC 5802, section 3): enough to verify it, too little to log in with.
 *
 *   saltedPassword = PBKDF2(password, salt, iterations)
 *   clientKey = HMAC(saltedPassword, "Client Key")     storedKey = H(clientKey)
 *   serverKey = HMAC(saltedPassword, "Server Key")
 *
 * As text, in the form that Kafka's tools print and read:
 *
 *   salt=<base64>,stored_key=<base64>,server_key=<base64>,iterations=<decimal>
 */
import { createHash, createHmac, pbkdf2Sync } from 'node:crypto';
import { KafkaError } from '../errors.ts';
import { attributesOf, base64Of, bytesOfBase64 } from './scram-attributes.ts';

export type ScramMechanismName = 'SCRAM-SHA-256' | 'SCRAM-SHA-512';

export interface ScramMechanism {
  readonly name: ScramMechanismName;
  /** Its number in metadata records and in AlterUserScramCredentials. */
  readonly id: number;
  /** As node:crypto calls it. */
  readonly hash: string;
  readonly hashBytes: number;
  readonly minIterations: number;
  readonly maxIterations: number;
}

export const scramMechanisms: Readonly<Record<ScramMechanismName, ScramMechanism>> = {
  'SCRAM-SHA-256': {
    name: 'SCRAM-SHA-256',
    id: 1,
    hash: 'sha256',
    hashBytes: 32,
    minIterations: 4_096,
    maxIterations: 16_384,
  },
  'SCRAM-SHA-512': {
    name: 'SCRAM-SHA-512',
    id: 2,
    hash: 'sha512',
    hashBytes: 64,
    minIterations: 4_096,
    maxIterations: 16_384,
  },
};

/** Undefined for a name or number that is not a SCRAM mechanism. */
export function scramMechanismOf(nameOrId: string | number): ScramMechanism | undefined {
  return Object.values(scramMechanisms).find(({ name, id }) => name === nameOrId || id === nameOrId);
}

export interface ScramCredential {
  readonly salt: Uint8Array;
  readonly storedKey: Uint8Array;
  readonly serverKey: Uint8Array;
  readonly iterations: number;
}

/** PBKDF2 over the password's UTF-8, as it is: Kafka does not apply SASLprep. Takes milliseconds by design. */
export function saltScramPassword(
  mechanism: ScramMechanism,
  password: string,
  { salt, iterations }: { readonly salt: Uint8Array; readonly iterations: number },
): Uint8Array {
  return plain(pbkdf2Sync(Buffer.from(password, 'utf8'), salt, iterations, mechanism.hashBytes, mechanism.hash));
}

export function scramClientKey(mechanism: ScramMechanism, saltedPassword: Uint8Array): Uint8Array {
  return scramHmac(mechanism, saltedPassword, 'Client Key');
}

export function scramServerKey(mechanism: ScramMechanism, saltedPassword: Uint8Array): Uint8Array {
  return scramHmac(mechanism, saltedPassword, 'Server Key');
}

export function scramStoredKey(mechanism: ScramMechanism, clientKey: Uint8Array): Uint8Array {
  return plain(createHash(mechanism.hash).update(clientKey).digest());
}

/** The credential of a password that was already salted and hashed `iterations` times, as clients send it to be stored. */
export function scramCredentialOfSaltedPassword(
  mechanism: ScramMechanism,
  from: { readonly salt: Uint8Array; readonly iterations: number; readonly saltedPassword: Uint8Array },
): ScramCredential {
  return {
    salt: Uint8Array.from(from.salt),
    storedKey: scramStoredKey(mechanism, scramClientKey(mechanism, from.saltedPassword)),
    serverKey: scramServerKey(mechanism, from.saltedPassword),
    iterations: from.iterations,
  };
}

/** The salt comes from outside, because it must be random and nothing here is. */
export function scramCredentialOfPassword(
  mechanism: ScramMechanism,
  password: string,
  from: { readonly salt: Uint8Array; readonly iterations: number },
): ScramCredential {
  return scramCredentialOfSaltedPassword(mechanism, {
    ...from,
    saltedPassword: saltScramPassword(mechanism, password, from),
  });
}

export function scramCredentialToText({ salt, storedKey, serverKey, iterations }: ScramCredential): string {
  return `salt=${base64Of(salt)},stored_key=${base64Of(storedKey)},server_key=${base64Of(serverKey)},iterations=${iterations}`;
}

/** Throws INVALID_CONFIG. */
export function scramCredentialFromText(text: string): ScramCredential {
  const attributes = attributesOf(text);
  const of = (name: string) => attributes.find(([key]) => key === name)?.[1];
  const salt = bytesOfBase64(of('salt'));
  const storedKey = bytesOfBase64(of('stored_key'));
  const serverKey = bytesOfBase64(of('server_key'));
  const iterations = of('iterations');
  if (attributes.length !== 4 || !salt || !storedKey || !serverKey || !/^[0-9]+$/.test(iterations ?? '')) {
    throw new KafkaError('INVALID_CONFIG', 'a SCRAM credential reads salt=…,stored_key=…,server_key=…,iterations=…');
  }
  return { salt, storedKey, serverKey, iterations: Number(iterations) };
}

export function scramHmac(mechanism: ScramMechanism, key: Uint8Array, data: string): Uint8Array {
  return plain(createHmac(mechanism.hash, key).update(data, 'utf8').digest());
}

/** A Buffer may be a view on Node's pool and compares unequal to a Uint8Array of the same bytes. */
function plain(buffer: Buffer): Uint8Array {
  return Uint8Array.from(buffer);
}
