/**
 * A login by SCRAM (RFC 5802, RFC 7677), both ends of it, as steps from one message to the next.
 *
 *   client-first   n,,n=<user>,r=<client nonce>[,tokenauth=true]
 *   server-first   r=<client nonce><server nonce>,s=<salt>,i=<iterations>
 *   client-final   c=biws,r=<both nonces>,p=<proof>              biws is base64 of `n,,`: no channel binding
 *   server-final   v=<signature>   or   e=<error>
 *
 *   auth = client-first without `n,,` "," server-first "," client-final without `,p=…`
 *   proof = clientKey XOR HMAC(storedKey, auth)                  signature = HMAC(serverKey, auth)
 *
 * A server recovers clientKey from the proof and compares its hash; a client compares the signature, so that it knows the
 * server has the credential too. Nonces are passed in: at least 128 random bits each, printable, without a comma.
 *
 * `tokenauth=true` (Kafka): the user name is a delegation token's id, and the password its HMAC in base64.
 */
import { timingSafeEqual } from 'node:crypto';
import { KafkaError } from '../errors.ts';
import { attributesOf, base64Of, bytesOfBase64, escapeScramName, isScramNonce, unescapeScramName } from './scram-attributes.ts';
import {
  type ScramCredential,
  type ScramMechanism,
  saltScramPassword,
  scramClientKey,
  scramHmac,
  scramServerKey,
  scramStoredKey,
} from './scram-credential.ts';

/** A server that asks for more would only keep this process busy: Kafka stores credentials of 16384 at most. */
const MAX_ITERATIONS_OF_A_SERVER = 1_000_000;
/** Not secret, and compared with what Kafka's broker says in its `e=` message. */
const INVALID_CREDENTIALS = 'invalid-credentials';

// ── the client's end ──

export interface ScramLogin {
  readonly mechanism: ScramMechanism;
  readonly userName: string;
  readonly password: string;
  readonly nonce: string;
  /** The user is a delegation token. */
  readonly isToken?: boolean;
}

export interface ScramClientFirst {
  readonly message: Uint8Array;
  readonly login: ScramLogin;
  readonly bare: string;
}

export function scramClientFirst(login: ScramLogin): ScramClientFirst {
  const bare = `n=${escapeScramName(login.userName)},r=${login.nonce}${login.isToken ? ',tokenauth=true' : ''}`;
  return { message: encode(`n,,${bare}`), login, bare };
}

export interface ScramClientFinal {
  readonly message: Uint8Array;
  /** What the server must show. */
  readonly signature: Uint8Array;
}

/** Answers server-first. Throws SASL_AUTHENTICATION_FAILED for one that is malformed or does not continue our nonce. */
export function scramClientFinal({ login, bare }: ScramClientFirst, serverFirst: Uint8Array): ScramClientFinal {
  const { mechanism } = login;
  const challenge = decode(serverFirst, 'server-first');
  const { nonce, salt, iterations } = parseServerFirst(challenge);
  if (!nonce.startsWith(login.nonce) || nonce.length === login.nonce.length) {
    throw failed('the nonce of the server does not continue the nonce of the client');
  }
  if (iterations < mechanism.minIterations || iterations > MAX_ITERATIONS_OF_A_SERVER) {
    throw failed(`${iterations} iterations are asked for: ${mechanism.name} takes ${mechanism.minIterations} or more`);
  }
  const saltedPassword = saltScramPassword(mechanism, login.password, { salt, iterations });
  const clientKey = scramClientKey(mechanism, saltedPassword);
  const withoutProof = `c=${base64Of(encode('n,,'))},r=${nonce}`;
  const auth = `${bare},${challenge},${withoutProof}`;
  const proof = xor(clientKey, scramHmac(mechanism, scramStoredKey(mechanism, clientKey), auth));
  return {
    message: encode(`${withoutProof},p=${base64Of(proof)}`),
    signature: scramHmac(mechanism, scramServerKey(mechanism, saltedPassword), auth),
  };
}

/** Returns when the server has proved that it knows the credential; throws SASL_AUTHENTICATION_FAILED otherwise. */
export function verifyScramServerFinal({ signature }: ScramClientFinal, serverFinal: Uint8Array): void {
  const [first] = attributesOf(decode(serverFinal, 'server-final'));
  const [name, value] = first!;
  if (name === 'e') throw failed(`the server says: ${value}`);
  const shown = name === 'v' ? bytesOfBase64(value) : undefined;
  if (!shown) throw malformed('server-final');
  if (!isSameSecret(shown, signature)) throw failed('the signature of the server is wrong: it does not know the credential');
}

function parseServerFirst(text: string): { nonce: string; salt: Uint8Array; iterations: number } {
  const [r, s, i] = attributesOf(text);
  const nonce = r?.[0] === 'r' ? r[1] : undefined;
  const salt = s?.[0] === 's' ? bytesOfBase64(s[1]) : undefined;
  const iterations = i?.[0] === 'i' && /^[1-9][0-9]{0,9}$/.test(i[1] ?? '') ? Number(i[1]) : undefined;
  if (!isScramNonce(nonce) || !salt || !iterations) throw malformed('server-first');
  return { nonce, salt, iterations };
}

// ── the server's end ──

export interface ScramLoginRequest {
  readonly userName: string;
  readonly nonce: string;
  /** Who the client wants to be, if it says so. Whoever does not support acting for others demands that it is `userName`. */
  readonly authorizationId: string | undefined;
  /** The user is a delegation token: look its credential up among the tokens, not among the users. */
  readonly isToken: boolean;
  /** Other extensions than `tokenauth`, by name. */
  readonly extensions: ReadonlyMap<string, string>;
  /** What the client must repeat in `c=`. */
  readonly channelBindingHeader: string;
  readonly bare: string;
}

/** Reads client-first. Throws SASL_AUTHENTICATION_FAILED. */
export function parseScramClientFirst(clientFirst: Uint8Array): ScramLoginRequest {
  const text = decode(clientFirst, 'client-first');
  // `y` and `p=` speak of channel binding, which Kafka does not have; `m=` names an extension that nobody may ignore.
  const parts = /^(?<header>n,(?:a=(?<authorized>[^,]+))?,)(?<bare>n=(?<name>[^,]+),r=(?<nonce>[^,]+)(?<rest>(?:,.*)?))$/s.exec(
    text,
  )?.groups;
  const userName = parts && unescapeScramName(parts['name']!);
  const authorizationId = parts?.['authorized'] && unescapeScramName(parts['authorized']);
  const extensions = new Map<string, string>();
  for (const [name, value] of parts?.['rest'] ? attributesOf(parts['rest'].slice(1)) : []) {
    if (!/^[A-Za-z]+$/.test(name) || !value) throw malformed('client-first');
    extensions.set(name, value);
  }
  const isMalformed = userName === undefined || !isScramNonce(parts?.['nonce']) || (parts['authorized'] && !authorizationId);
  if (isMalformed) throw malformed('client-first');
  const isToken = extensions.get('tokenauth')?.toLowerCase() === 'true';
  extensions.delete('tokenauth');
  return {
    userName,
    nonce: parts!['nonce']!,
    authorizationId: authorizationId || undefined,
    isToken,
    extensions,
    channelBindingHeader: parts!['header']!,
    bare: parts!['bare']!,
  };
}

export interface ScramChallenge {
  readonly message: Uint8Array;
  readonly mechanism: ScramMechanism;
  readonly request: ScramLoginRequest;
  readonly credential: ScramCredential;
  /** The client's nonce and ours. */
  readonly nonce: string;
}

/** Builds server-first. A user without a credential gets none: the caller fails the login, as Kafka does. */
export function scramServerFirst(
  mechanism: ScramMechanism,
  request: ScramLoginRequest,
  { credential, nonce: ownNonce }: { readonly credential: ScramCredential; readonly nonce: string },
): ScramChallenge {
  const nonce = request.nonce + ownNonce;
  const message = encode(`r=${nonce},s=${base64Of(credential.salt)},i=${credential.iterations}`);
  return { message, mechanism, request, credential, nonce };
}

/** Reads client-final and returns server-final, once the client has proved that it knows the password. Throws SASL_AUTHENTICATION_FAILED. */
export function scramServerFinal(challenge: ScramChallenge, clientFinal: Uint8Array): Uint8Array {
  const { mechanism, request, credential } = challenge;
  const text = decode(clientFinal, 'client-final');
  const parts = /^(?<withoutProof>c=(?<binding>[^,]+),r=(?<nonce>[^,]+)(?:,.*)?),p=(?<proof>[^,]+)$/s.exec(text)?.groups;
  const proof = bytesOfBase64(parts?.['proof']);
  if (!parts || proof?.length !== mechanism.hashBytes) throw malformed('client-final');
  if (parts['binding'] !== base64Of(encode(request.channelBindingHeader))) throw failed('the channel binding has changed');
  if (parts['nonce'] !== challenge.nonce) throw failed('the nonce is not the one of this login');

  const auth = `${request.bare},${new TextDecoder().decode(challenge.message)},${parts['withoutProof']}`;
  const clientKey = xor(proof, scramHmac(mechanism, credential.storedKey, auth));
  if (!isSameSecret(scramStoredKey(mechanism, clientKey), credential.storedKey)) throw failed('invalid credentials');
  return encode(`v=${base64Of(scramHmac(mechanism, credential.serverKey, auth))}`);
}

/** Server-final of a login that failed, for transports that show it. Kafka's answers a failure in SaslAuthenticate instead. */
export function scramServerError(error: string = INVALID_CREDENTIALS): Uint8Array {
  return encode(`e=${error}`);
}

// ── what both ends need ──

function xor(one: Uint8Array, other: Uint8Array): Uint8Array {
  return one.map((byte, at) => byte ^ other[at]!);
}

/** Takes as long whether the first byte differs or the last. */
function isSameSecret(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && timingSafeEqual(one, other);
}

function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function decode(bytes: Uint8Array, message: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw malformed(message);
  }
}

/** Says nothing of what it held: a password's proof does not belong in logs. */
function malformed(message: string): KafkaError {
  return failed(`the ${message} message of SCRAM is malformed`);
}

function failed(why: string): KafkaError {
  return new KafkaError('SASL_AUTHENTICATION_FAILED', why);
}
