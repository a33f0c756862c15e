/**
 * Delegation tokens (KIP-48): credentials that expire, made from others. A token's secret is not kept: it is
 * HMAC-SHA512(`delegation.token.secret.key`, token id), and any node that has the key can compute it.
 */

import { createHmac, timingSafeEqual } from 'node:crypto';
import {
  type CreateDelegationTokenRequest,
  type CreateDelegationTokenResponse,
  type DescribeDelegationTokenRequest,
  type DescribeDelegationTokenResponse,
  type ExpireDelegationTokenRequest,
  type ExpireDelegationTokenResponse,
  KafkaError,
  type MetadataRecord,
  type RenewDelegationTokenRequest,
  type RenewDelegationTokenResponse,
} from '@ottla/protocol';
import type { DelegationToken } from '../image/delegation-tokens-image.ts';
import type { MetadataImage } from '../image/metadata-image.ts';
import { delegationTokenRecord, removeDelegationTokenRecord } from '../records.ts';
import type { ControllerState } from './controller-state.ts';
import { type Decision, type DecisionContext, randomUuid } from './decision.ts';

const delegationTokensSince = 14; // 3.6-IV2

/** @throws DELEGATION_TOKEN_AUTH_DISABLED, INVALID_PRINCIPAL_TYPE, UNSUPPORTED_VERSION */
export function createDelegationToken(
  state: ControllerState,
  request: CreateDelegationTokenRequest,
  { nowMs, random, principal }: DecisionContext,
): Decision<CreateDelegationTokenResponse> {
  const key = secretKey(state);
  const requester = principal ?? 'User:ANONYMOUS';
  const owner = request.ownerPrincipalName ? `${request.ownerPrincipalType}:${request.ownerPrincipalName}` : requester;
  const stranger = request.renewers.find(({ principalType }) => principalType !== 'User');
  if (stranger) throw new KafkaError('INVALID_PRINCIPAL_TYPE', `renewers are users, not of type ${stranger.principalType}`);
  if (state.image.features.metadataVersion.level < delegationTokensSince) {
    throw new KafkaError('UNSUPPORTED_VERSION', 'delegation tokens need metadata.version 3.6-IV2');
  }
  const { tokenMaxLifetimeMs, tokenRenewalMs } = state.settings;
  const lifetimeMs = request.maxLifetimeMs > 0 ? Math.min(tokenMaxLifetimeMs, request.maxLifetimeMs) : tokenMaxLifetimeMs;
  const token: DelegationToken = {
    tokenId: randomUuid(random),
    owner,
    requester,
    renewers: request.renewers.map(({ principalType, principalName }) => `${principalType}:${principalName}`),
    issueTimestamp: nowMs,
    maxTimestamp: nowMs + lifetimeMs,
    expirationTimestamp: nowMs + Math.min(lifetimeMs, tokenRenewalMs),
  };
  const [principalType, principalName] = principalParts(owner);
  const [tokenRequesterPrincipalType, tokenRequesterPrincipalName] = principalParts(requester);
  return {
    records: [delegationTokenRecord(token)],
    response: {
      errorCode: 0,
      principalType,
      principalName,
      tokenRequesterPrincipalType,
      tokenRequesterPrincipalName,
      issueTimestampMs: token.issueTimestamp,
      expiryTimestampMs: token.expirationTimestamp,
      maxTimestampMs: token.maxTimestamp,
      tokenId: token.tokenId,
      hmac: delegationTokenHmac(key, token.tokenId),
      throttleTimeMs: 0,
    },
  };
}

/** By its owner or a renewer. @throws DELEGATION_TOKEN_AUTH_DISABLED, _NOT_FOUND, _OWNER_MISMATCH, _EXPIRED */
export function renewDelegationToken(
  state: ControllerState,
  { hmac, renewPeriodMs }: RenewDelegationTokenRequest,
  context: DecisionContext,
): Decision<RenewDelegationTokenResponse> {
  const token = ownToken(state, hmac, context);
  assertAlive(token, context.nowMs);
  const { tokenRenewalMs } = state.settings;
  const periodMs = renewPeriodMs > 0 ? Math.min(tokenRenewalMs, renewPeriodMs) : tokenRenewalMs;
  const expiryTimestampMs = Math.min(token.maxTimestamp, context.nowMs + periodMs);
  return {
    records: [delegationTokenRecord({ ...token, expirationTimestamp: expiryTimestampMs })],
    response: { errorCode: 0, expiryTimestampMs, throttleTimeMs: 0 },
  };
}

/** A negative period ends the token at once. @throws as `renewDelegationToken` */
export function expireDelegationToken(
  state: ControllerState,
  { hmac, expiryTimePeriodMs }: ExpireDelegationTokenRequest,
  context: DecisionContext,
): Decision<ExpireDelegationTokenResponse> {
  const token = ownToken(state, hmac, context);
  if (expiryTimePeriodMs < 0) {
    const response = { errorCode: 0, expiryTimestampMs: context.nowMs, throttleTimeMs: 0 };
    return { records: [removeDelegationTokenRecord(token.tokenId)], response };
  }
  assertAlive(token, context.nowMs);
  const expiryTimestampMs = Math.min(token.maxTimestamp, context.nowMs + expiryTimePeriodMs);
  return {
    records: [delegationTokenRecord({ ...token, expirationTimestamp: expiryTimestampMs })],
    response: { errorCode: 0, expiryTimestampMs, throttleTimeMs: 0 },
  };
}

/** What has run out. */
export function expiredTokenRecords({ image }: ControllerState, nowMs: number): MetadataRecord[] {
  return [...image.delegationTokens]
    .filter((token) => hasExpired(token, nowMs))
    .map(({ tokenId }) => removeDelegationTokenRecord(tokenId));
}

/** @param mayDescribe whether whoever asks may see this token */
export function describeDelegationTokens(
  image: MetadataImage,
  request: DescribeDelegationTokenRequest,
  { secret, mayDescribe }: { secret: string; mayDescribe: (token: DelegationToken) => boolean },
): DescribeDelegationTokenResponse {
  const owners = request.owners?.map(({ principalType, principalName }) => `${principalType}:${principalName}`);
  const tokens = [...image.delegationTokens]
    .filter((token) => (owners === undefined || owners.includes(token.owner)) && mayDescribe(token))
    .map((token) => {
      const [principalType, principalName] = principalParts(token.owner);
      const [tokenRequesterPrincipalType, tokenRequesterPrincipalName] = principalParts(token.requester);
      return {
        principalType,
        principalName,
        tokenRequesterPrincipalType,
        tokenRequesterPrincipalName,
        issueTimestamp: token.issueTimestamp,
        expiryTimestamp: token.expirationTimestamp,
        maxTimestamp: token.maxTimestamp,
        tokenId: token.tokenId,
        hmac: delegationTokenHmac(secret, token.tokenId),
        renewers: token.renewers.map((renewer) => {
          const [principalType, principalName] = principalParts(renewer);
          return { principalType, principalName };
        }),
      };
    });
  return { errorCode: 0, tokens, throttleTimeMs: 0 };
}

export function delegationTokenHmac(secret: string, tokenId: string): Uint8Array {
  return createHmac('sha512', secret).update(tokenId).digest();
}

function secretKey({ settings }: ControllerState): string {
  if (settings.tokenSecretKey === undefined) {
    throw new KafkaError('DELEGATION_TOKEN_AUTH_DISABLED', 'delegation.token.secret.key is not set');
  }
  return settings.tokenSecretKey;
}

function ownToken(state: ControllerState, hmac: Uint8Array, { principal = 'User:ANONYMOUS' }: DecisionContext): DelegationToken {
  const key = secretKey(state);
  const token = [...state.image.delegationTokens].find(({ tokenId }) => sameBytes(delegationTokenHmac(key, tokenId), hmac));
  if (!token) throw new KafkaError('DELEGATION_TOKEN_NOT_FOUND', 'no token has this HMAC');
  if (token.owner !== principal && token.requester !== principal && !token.renewers.includes(principal)) {
    throw new KafkaError(
      'DELEGATION_TOKEN_OWNER_MISMATCH',
      `${principal} is neither owner nor renewer of token ${token.tokenId}`,
    );
  }
  return token;
}

function assertAlive(token: DelegationToken, nowMs: number): void {
  if (hasExpired(token, nowMs)) throw new KafkaError('DELEGATION_TOKEN_EXPIRED', `token ${token.tokenId} has expired`);
}

const hasExpired = (token: DelegationToken, nowMs: number): boolean =>
  token.maxTimestamp < nowMs || token.expirationTimestamp < nowMs;

const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && timingSafeEqual(a, b);

function principalParts(principal: string): [type: string, name: string] {
  const colon = principal.indexOf(':');
  return [principal.slice(0, colon), principal.slice(colon + 1)];
}
