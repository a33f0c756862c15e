/** SCRAM credentials. The client sends a salted password; what is kept verifies it and no more (RFC 5802). */

import {
  type AlterUserScramCredentialsRequest,
  type AlterUserScramCredentialsResponse,
  type DescribeUserScramCredentialsRequest,
  type DescribeUserScramCredentialsResponse,
  errors,
  KafkaError,
  type MetadataRecord,
  type ScramMechanism,
  scramCredentialOfSaltedPassword,
  scramMechanismOf,
  scramMechanisms,
} from '@ottla/protocol';
import type { MetadataImage } from '../image/metadata-image.ts';
import { removeUserScramCredentialRecord, userScramCredentialRecord } from '../records.ts';
import type { ControllerState } from './controller-state.ts';
import { assertWithinLimit, type Decision, itemError, success } from './decision.ts';

/** A user fails or succeeds as a whole. */
export function alterUserScramCredentials(
  state: ControllerState,
  request: AlterUserScramCredentialsRequest,
): Decision<AlterUserScramCredentialsResponse> {
  const alterations = [
    ...request.deletions.map(({ name, mechanism }) => ({
      name,
      mechanism,
      record: () => deletion(state.image, name, mechanism),
    })),
    ...request.upsertions.map((upsertion) => ({
      name: upsertion.name,
      mechanism: upsertion.mechanism,
      record: () => upsert(upsertion),
    })),
  ];
  const records: MetadataRecord[] = [];
  const byUser = new Map<string, (typeof alterations)[number][]>();
  for (const alteration of alterations) {
    const own = byUser.get(alteration.name);
    if (own) own.push(alteration);
    else byUser.set(alteration.name, [alteration]);
  }
  const results = [...byUser].map(([user, own]) => {
    try {
      if (new Set(own.map(({ mechanism }) => mechanism)).size < own.length) {
        throw new KafkaError('DUPLICATE_RESOURCE', 'A user credential cannot be altered twice in the same request');
      }
      // There are no more of them than mechanisms.
      records.push(...own.map(({ record }) => record()));
      assertWithinLimit(records, state.settings.maxRecordsPerOperation);
      return { user, ...success };
    } catch (error) {
      if (error instanceof KafkaError && error.code === errors.POLICY_VIOLATION.code) throw error;
      return { user, ...itemError(error) };
    }
  });
  return { records, response: { throttleTimeMs: 0, results } };
}

function deletion(image: MetadataImage, name: string, mechanism: number): MetadataRecord {
  checkName(name, mechanism);
  if (!image.scram.credential(mechanism, name)) {
    throw new KafkaError('RESOURCE_NOT_FOUND', 'Attempt to delete a user credential that does not exist');
  }
  return removeUserScramCredentialRecord(mechanism, name);
}

function upsert({
  name,
  mechanism,
  iterations,
  salt,
  saltedPassword,
}: AlterUserScramCredentialsRequest['upsertions'][number]): MetadataRecord {
  const known = checkName(name, mechanism);
  if (iterations > known.maxIterations) throw new KafkaError('UNACCEPTABLE_CREDENTIAL', 'Too many iterations');
  if (iterations < known.minIterations) throw new KafkaError('UNACCEPTABLE_CREDENTIAL', 'Too few iterations');
  return userScramCredentialRecord(mechanism, name, scramCredentialOfSaltedPassword(known, { iterations, salt, saltedPassword }));
}

function checkName(name: string, mechanism: number): ScramMechanism {
  if (name === '') throw new KafkaError('UNACCEPTABLE_CREDENTIAL', 'Username must not be empty');
  const known = scramMechanismOf(mechanism);
  if (!known) throw new KafkaError('UNSUPPORTED_SASL_MECHANISM', 'Unknown SCRAM mechanism');
  return known;
}

/** Null or no users: everybody. */
export function describeUserScramCredentials(
  image: MetadataImage,
  request: DescribeUserScramCredentialsRequest,
): DescribeUserScramCredentialsResponse {
  const asked = request.users?.length ? request.users.map(({ name }) => name) : image.scram.users();
  const times = new Map<string, number>();
  for (const name of asked) times.set(name, (times.get(name) ?? 0) + 1);
  const results = [...times].map(([user, timesAsked]) => {
    const credentialInfos = Object.values(scramMechanisms).flatMap(({ id: mechanism }) => {
      const credential = image.scram.credential(mechanism, user);
      return credential ? [{ mechanism, iterations: credential.iterations }] : [];
    });
    if (timesAsked > 1) {
      const errorMessage = `Cannot describe SCRAM credentials for the same user twice in a single request: ${user}`;
      return { user, errorCode: errors.DUPLICATE_RESOURCE.code, errorMessage, credentialInfos: [] };
    }
    if (credentialInfos.length === 0) {
      const errorMessage = `Attempt to describe a user credential that does not exist: ${user}`;
      return { user, errorCode: errors.RESOURCE_NOT_FOUND.code, errorMessage, credentialInfos };
    }
    return { user, errorCode: 0, errorMessage: '', credentialInfos };
  });
  return { throttleTimeMs: 0, errorCode: 0, errorMessage: '', results };
}
