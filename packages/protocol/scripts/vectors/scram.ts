/** scram.jsonl: whole logins by SCRAM, with every value on the way from the password to the last message. */
import { isDeepStrictEqual } from 'node:util';
import {
  parseScramClientFirst,
  saltScramPassword,
  scramClientFinal,
  scramClientFirst,
  scramCredentialFromText,
  scramCredentialOfPassword,
  scramCredentialToText,
  scramMechanismOf,
  scramServerError,
  scramServerFinal,
  scramServerFirst,
  verifyScramServerFinal,
} from '../../src/index.ts';
import { scramClientKey } from '../../src/scram/scram-credential.ts';
import { difference, firstProblem } from './bytes.ts';

type Vector = Record<
  | 'mechanism'
  | 'username'
  | 'password'
  | 'saltBase64'
  | 'clientNonce'
  | 'serverNonce'
  | 'saltedPassword'
  | 'clientKey'
  | 'storedKey'
  | 'serverKey'
  | 'clientFirst'
  | 'serverFirst'
  | 'clientFinal'
  | 'serverFinal'
  | 'serverError'
  | 'credentialString',
  string
> & { iterations: number };

export const family = { file: 'scram.jsonl', check };

/** What is wrong, or nothing. */
function check(line: string): string | undefined {
  const vector = JSON.parse(line) as Vector;
  const problem = wrongCredential(vector) ?? wrongLogin(vector);
  return problem && `${vector.mechanism} ${vector.username}: ${problem}`;
}

function wrongCredential(vector: Vector): string | undefined {
  const mechanism = scramMechanismOf(vector.mechanism)!;
  const stretch = { salt: Uint8Array.from(Buffer.from(vector.saltBase64, 'base64')), iterations: vector.iterations };
  const saltedPassword = saltScramPassword(mechanism, vector.password, stretch);
  const credential = scramCredentialOfPassword(mechanism, vector.password, stretch);
  const text = scramCredentialToText(credential);
  return firstProblem([
    difference('salted password', saltedPassword, vector.saltedPassword),
    difference('client key', scramClientKey(mechanism, saltedPassword), vector.clientKey),
    difference('stored key', credential.storedKey, vector.storedKey),
    difference('server key', credential.serverKey, vector.serverKey),
    text === vector.credentialString ? undefined : `as text ${text}`,
    isDeepStrictEqual(scramCredentialFromText(vector.credentialString), credential) ? undefined : 'read from text',
  ]);
}

/** Each end is given what Apache Kafka's other end sent. */
function wrongLogin(vector: Vector): string | undefined {
  const mechanism = scramMechanismOf(vector.mechanism)!;
  const isToken = vector.clientFirst.endsWith(',tokenauth=true');
  const first = scramClientFirst({
    mechanism,
    userName: vector.username,
    password: vector.password,
    nonce: vector.clientNonce,
    isToken,
  });
  const request = parseScramClientFirst(bytes(vector.clientFirst));
  const challenge = scramServerFirst(mechanism, request, {
    credential: scramCredentialFromText(vector.credentialString),
    nonce: vector.serverNonce,
  });
  const final = scramClientFinal(first, bytes(vector.serverFirst));
  verifyScramServerFinal(final, bytes(vector.serverFinal));
  return firstProblem([
    wrongText('client-first', first.message, vector.clientFirst),
    request.userName === vector.username && request.isToken === isToken ? undefined : 'client-first is read wrongly',
    wrongText('server-first', challenge.message, vector.serverFirst),
    wrongText('client-final', final.message, vector.clientFinal),
    wrongText('server-final', scramServerFinal(challenge, bytes(vector.clientFinal)), vector.serverFinal),
    wrongText('error', scramServerError(), vector.serverError),
  ]);
}

function wrongText(what: string, found: Uint8Array, expected: string): string | undefined {
  const text = Buffer.from(found).toString('utf8');
  return text === expected ? undefined : `${what} is ${text}, not ${expected}`;
}

function bytes(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, 'utf8'));
}
