/** Client quotas: what may be limited for whom. */

import {
  type AlterClientQuotasRequest,
  type AlterClientQuotasResponse,
  type DescribeClientQuotasRequest,
  type DescribeClientQuotasResponse,
  errors,
  KafkaError,
  type MetadataRecord,
} from '@ottla/protocol';
import { orderedEntity, type QuotaEntityPart, quotaEntityKey } from '../image/client-quotas-image.ts';
import type { MetadataImage } from '../image/metadata-image.ts';
import { clientQuotaRecord } from '../records.ts';
import type { ControllerState } from './controller-state.ts';
import { assertWithinLimit, type Decision, type ItemError, itemError, success } from './decision.ts';

type QuotaAlteration = AlterClientQuotasRequest['entries'][number];

const user = 'user';
const clientId = 'client-id';
const ip = 'ip';

/** Largest value of a key; a key of whole numbers has one. */
const clientKeys: ReadonlyMap<string, number | null> = new Map([
  ['producer_byte_rate', 2 ** 63],
  ['consumer_byte_rate', 2 ** 63],
  ['request_percentage', null],
  ['controller_mutation_rate', null],
]);
const ipKeys: ReadonlyMap<string, number | null> = new Map([['connection_creation_rate', 2 ** 31 - 1]]);

/** Answered entity by entity. */
export function alterClientQuotas(
  state: ControllerState,
  request: AlterClientQuotasRequest,
): Decision<AlterClientQuotasResponse> {
  const records: MetadataRecord[] = [];
  const answered = new Map<string, AlterClientQuotasResponse['entries'][number]>();
  for (const { entity: parts, ops } of request.entries) {
    // A type named twice counts once, as the last time says.
    const entity = [...new Map(parts.map(({ entityType, entityName }) => [entityType, { entityType, entityName }])).values()];
    const key = quotaEntityKey(entity);
    const isRepeated = answered.has(key) || new Set(ops.map((op) => op.key)).size < ops.length;
    const outcome = isRepeated ? repeatedEntity(entity) : alterOne(state.image, { entity, ops }, records);
    answered.set(key, { ...outcome, entity });
  }
  assertWithinLimit(records, state.settings.maxRecordsPerOperation);
  return { records: request.validateOnly ? [] : records, response: { throttleTimeMs: 0, entries: [...answered.values()] } };
}

function repeatedEntity(entity: readonly QuotaEntityPart[]): ItemError {
  const named = entity.map(({ entityType, entityName }) => `${entityType}=${entityName}`).join(', ');
  return {
    errorCode: errors.INVALID_REQUEST.code,
    errorMessage: `Ignoring duplicate entity ClientQuotaEntity(entries={${named}})`,
  };
}

function alterOne(
  image: MetadataImage,
  { entity, ops }: Pick<QuotaAlteration, 'entity' | 'ops'>,
  records: MetadataRecord[],
): ItemError {
  try {
    const keys = keysFor(entity);
    const existing = image.clientQuotas.of(entity);
    const ordered = orderedEntity(entity);
    const changes: MetadataRecord[] = [];
    for (const { key, value, remove } of ops) {
      if (remove) {
        if (existing.has(key)) changes.push(clientQuotaRecord(ordered, key, null));
        continue;
      }
      checkValue(keys, key, value);
      if (existing.get(key) !== value) changes.push(clientQuotaRecord(ordered, key, value));
    }
    records.push(...changes);
    return success;
  } catch (error) {
    return itemError(error);
  }
}

function keysFor(entity: readonly QuotaEntityPart[]): ReadonlyMap<string, number | null> {
  const refuse = (why: string): never => {
    throw new KafkaError('INVALID_REQUEST', why);
  };
  if (entity.length === 0) refuse('Invalid empty client quota entity');
  const types = new Set<string>();
  for (const { entityType, entityName } of entity) {
    if (entityType !== user && entityType !== clientId && entityType !== ip)
      refuse(`Unhandled client quota entity type: ${entityType}`);
    if (entityName === '') refuse(`Empty ${entityType} not supported`);
    types.add(entityType);
  }
  if (!types.has(ip)) return clientKeys;
  if (types.size > 1) refuse('Invalid quota entity combination, IP entity shouldnot be combined with User or ClientId');
  const address = entity[0]!.entityName;
  if (address !== null && !isAddressOrHost(address)) refuse(`${address} is not a valid IP or resolvable host.`);
  return ipKeys;
}

// Nothing is looked up here: a name counts as resolvable when it has the form of one.
function isAddressOrHost(text: string): boolean {
  if (/^[0-9.]+$/.test(text)) {
    const parts = text.split('.');
    return parts.length === 4 && parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) <= 255);
  }
  if (text.includes(':')) return /^[0-9a-fA-F:.]+$/.test(text);
  return text.length <= 253 && text.split('.').every((label) => /^[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?$/.test(label));
}

function checkValue(keys: ReadonlyMap<string, number | null>, key: string, value: number): void {
  const max = keys.get(key);
  if (max === undefined) throw new KafkaError('INVALID_REQUEST', `Invalid configuration key ${key}`);
  // Not a number is let through, as Kafka does.
  if (value <= 0) throw new KafkaError('INVALID_REQUEST', `Quota ${key} must be greater than 0`);
  if (max === null) return;
  if (value > max)
    throw new KafkaError('INVALID_REQUEST', `Proposed value for ${key} is too large for ${max > 2 ** 31 ? 'a LONG' : 'an INT'}.`);
  if (Math.abs(value % 1) > 1e-6) throw new KafkaError('INVALID_REQUEST', `${key} cannot be a fractional value.`);
}

const matchExact = 0;
const matchDefault = 1;
const matchSpecified = 2;

/** What the filter's components all match; with `strict`, nothing that has further parts. @throws INVALID_REQUEST, UNSUPPORTED_VERSION */
export function describeClientQuotas(image: MetadataImage, request: DescribeClientQuotasRequest): DescribeClientQuotasResponse {
  const tests = filterTests(request);
  const entries = [...image.clientQuotas]
    .filter(({ entity }) => {
      const matches = tests.every((test) => entity.some(test));
      return matches && (!request.strict || entity.length === tests.length);
    })
    .map(({ entity, values }) => ({
      entity: entity.map(({ entityType, entityName }) => ({ entityType, entityName })),
      values: [...values].map(([key, value]) => ({ key, value })),
    }));
  return { throttleTimeMs: 0, errorCode: 0, errorMessage: '', entries };
}

function filterTests({ components }: DescribeClientQuotasRequest): ((part: QuotaEntityPart) => boolean)[] {
  const refuse = (why: string): never => {
    throw new KafkaError('INVALID_REQUEST', why);
  };
  const types = new Set<string>();
  const tests = components.map(({ entityType, matchType, match }) => {
    if (entityType === '') refuse('Invalid empty entity type.');
    if (types.has(entityType)) refuse(`Entity type ${entityType} cannot appear more than once in the filter.`);
    if (entityType !== user && entityType !== clientId && entityType !== ip) {
      throw new KafkaError('UNSUPPORTED_VERSION', `Unsupported entity type ${entityType}`);
    }
    types.add(entityType);
    if (matchType === matchExact && match === null) refuse('Request specified MATCH_TYPE_EXACT, but set match string to null.');
    if (matchType === matchDefault && match !== null) {
      refuse('Request specified MATCH_TYPE_DEFAULT, but also specified a match string.');
    }
    if (matchType === matchSpecified && match !== null) {
      refuse('Request specified MATCH_TYPE_SPECIFIED, but also specified a match string.');
    }
    if (matchType < matchExact || matchType > matchSpecified) refuse(`Unknown match type ${matchType}`);
    return (part: QuotaEntityPart) =>
      part.entityType === entityType && (matchType === matchSpecified || part.entityName === match);
  });
  if (types.has(ip) && types.size > 1) {
    refuse(
      'Invalid entity filter component combination. IP filter component should not be used with user or clientId filter component.',
    );
  }
  return tests;
}
