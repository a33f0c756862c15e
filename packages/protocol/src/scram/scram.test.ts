import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { KafkaError } from '../errors.ts';
import { escapeScramName, unescapeScramName } from './scram-attributes.ts';
import {
  scramCredentialFromText,
  scramCredentialOfPassword,
  scramCredentialToText,
  scramMechanismOf,
  scramMechanisms,
} from './scram-credential.ts';
import {
  parseScramClientFirst,
  scramClientFinal,
  scramClientFirst,
  scramServerError,
  scramServerFinal,
  scramServerFirst,
  verifyScramServerFinal,
} from './scram-exchange.ts';

const mechanism = scramMechanisms['SCRAM-SHA-256'];
const salt = Uint8Array.of(1, 2, 3, 4);
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (of: Uint8Array): string => new TextDecoder().decode(of);
const isAuthenticationFailure = (error: unknown): boolean =>
  error instanceof KafkaError && error.name === 'SASL_AUTHENTICATION_FAILED';

function login({ password = 'secret', stored = 'secret', userName = 'alice', isToken = false } = {}) {
  const credential = scramCredentialOfPassword(mechanism, stored, { salt, iterations: 4096 });
  const first = scramClientFirst({ mechanism, userName, password, nonce: 'clientnonce', isToken });
  const request = parseScramClientFirst(first.message);
  const challenge = scramServerFirst(mechanism, request, { credential, nonce: 'servernonce' });
  return { first, request, challenge, final: scramClientFinal(first, challenge.message) };
}

test('both ends agree on any user name and password', () =>
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', minLength: 1 }), fc.string({ unit: 'grapheme' }), (userName, password) => {
      const { request, challenge, final } = login({ userName, password, stored: password });
      assert.equal(request.userName, userName);
      verifyScramServerFinal(final, scramServerFinal(challenge, final.message));
    }),
    { numRuns: 20 },
  ));

test('a wrong password is refused', () => {
  const { challenge, final } = login({ password: 'guess' });
  assert.throws(() => scramServerFinal(challenge, final.message), isAuthenticationFailure);
});

test('a server that does not know the credential is refused', () => {
  const { challenge, final } = login();
  const impostor = { ...challenge, credential: { ...challenge.credential, serverKey: new Uint8Array(32) } };
  assert.throws(() => verifyScramServerFinal(final, scramServerFinal(impostor, final.message)), isAuthenticationFailure);
  assert.throws(() => verifyScramServerFinal(final, scramServerError()), /invalid-credentials/);
  assert.throws(() => verifyScramServerFinal(final, bytes('v=')), isAuthenticationFailure);
});

test('a changed byte of any message fails the login', () => {
  const { first, challenge, final } = login();
  const changed = (message: Uint8Array, at: number): Uint8Array => message.map((byte, index) => (index === at ? byte ^ 1 : byte));
  const whole = (clientFirst: Uint8Array, clientFinal: (serverFirst: Uint8Array) => Uint8Array): void => {
    const heard = scramServerFirst(mechanism, parseScramClientFirst(clientFirst), {
      credential: challenge.credential,
      nonce: 'servernonce',
    });
    scramServerFinal(heard, clientFinal(heard.message));
  };
  for (let at = 0; at < first.message.length; at++) {
    assert.throws(
      () => whole(changed(first.message, at), (server) => scramClientFinal(first, server).message),
      isAuthenticationFailure,
    );
  }
  for (let at = 0; at < final.message.length; at++) {
    assert.throws(() => scramServerFinal(challenge, changed(final.message, at)), isAuthenticationFailure, `at ${at}`);
  }
});

test('arbitrary bytes do nothing but fail the login', () =>
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array(), fc.string().map(bytes)), (message) => {
      const { first, challenge, final } = shared;
      for (const use of [
        () => parseScramClientFirst(message),
        () => scramClientFinal(first, message),
        () => scramServerFinal(challenge, message),
        () => verifyScramServerFinal(final, message),
      ]) {
        assert.throws(use, isAuthenticationFailure);
      }
    }),
  ));
const shared = login();

test('the server nonce must continue the nonce of the client', () => {
  const { first } = login();
  for (const nonce of ['servernonce', 'clientnonce', 'Clientnonce1']) {
    assert.throws(() => scramClientFinal(first, bytes(`r=${nonce},s=AQIDBA==,i=4096`)), /nonce/);
  }
});

test('a client does not accept too few iterations, nor so many that it would hang', () => {
  const { first } = login();
  for (const iterations of [0, 1, 4095, 1_000_001, 99_999_999_999]) {
    assert.throws(() => scramClientFinal(first, bytes(`r=clientnonce1,s=AQIDBA==,i=${iterations}`)), isAuthenticationFailure);
  }
});

test('client-first carries an authorization id, extensions and whether the user is a token', () => {
  const { request } = login({ isToken: true });
  assert.equal(request.isToken, true);
  const full = parseScramClientFirst(bytes('n,a=b=2Cc,n=a=3Db,r=xyz,tokenauth=true,other=1'));
  assert.deepEqual(
    { ...full, extensions: [...full.extensions] },
    {
      userName: 'a=b',
      nonce: 'xyz',
      authorizationId: 'b,c',
      isToken: true,
      extensions: [['other', '1']],
      channelBindingHeader: 'n,a=b=2Cc,',
      bare: 'n=a=3Db,r=xyz,tokenauth=true,other=1',
    },
  );
  for (const refused of [
    'y,,n=a,r=b',
    'p=tls-unique,,n=a,r=b',
    'n,,m=x,n=a,r=b',
    'n,,n=,r=b',
    'n,,n=a=b,r=b',
    'n,,n=a,r=',
    'n,,n=a',
  ]) {
    assert.throws(() => parseScramClientFirst(bytes(refused)), isAuthenticationFailure, refused);
  }
});

test('an error says nothing about the password or its proof', () => {
  const { challenge, final } = login({ password: 'guess' });
  const proof = /p=(.*)/.exec(text(final.message))![1]!;
  assert.throws(
    () => scramServerFinal(challenge, final.message),
    (error: Error) => !error.message.includes(proof) && !error.message.includes('guess'),
  );
});

test('names escape and unescape', () => {
  fc.assert(fc.property(fc.string({ minLength: 1 }), (name) => assert.equal(unescapeScramName(escapeScramName(name)), name)));
  assert.equal(unescapeScramName('a=2c'), undefined);
});

test('credentials survive as text, and other text is refused', () => {
  const credential = scramCredentialOfPassword(scramMechanisms['SCRAM-SHA-512'], 'secret', { salt, iterations: 5000 });
  assert.deepEqual(scramCredentialFromText(scramCredentialToText(credential)), credential);
  for (const wrong of ['', 'salt=AQ==', 'salt=AQ==,stored_key=!,server_key=AQ==,iterations=4096']) {
    assert.throws(() => scramCredentialFromText(wrong), { name: 'INVALID_CONFIG' });
  }
});

test('mechanisms are found by name and by number', () => {
  assert.equal(scramMechanismOf('SCRAM-SHA-512'), scramMechanismOf(2));
  assert.equal(scramMechanismOf('PLAIN'), undefined);
});
