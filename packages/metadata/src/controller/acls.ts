/** Access control entries: creating, finding and deleting them. Who may do what is decided elsewhere, from the image. */

import {
  type CreateAclsRequest,
  type CreateAclsResponse,
  type DeleteAclsRequest,
  type DeleteAclsResponse,
  type DescribeAclsRequest,
  type DescribeAclsResponse,
  KafkaError,
  type MetadataRecord,
  type Uuid,
} from '@ottla/protocol';
import { type AccessControlEntry, entryKey } from '../image/acls-image.ts';
import type { MetadataImage } from '../image/metadata-image.ts';
import { accessControlEntryRecord, removeAccessControlEntryRecord } from '../records.ts';
import type { ControllerState } from './controller-state.ts';
import {
  assertWithinLimit,
  type Decision,
  type DecisionContext,
  type ItemError,
  itemError,
  randomUuid,
  success,
} from './decision.ts';

export const aclPattern = { unknown: 0, any: 1, match: 2, literal: 3, prefixed: 4 } as const;
const resourceTypes = ['UNKNOWN', 'ANY', 'TOPIC', 'GROUP', 'CLUSTER', 'TRANSACTIONAL_ID', 'DELEGATION_TOKEN', 'USER'];
const patternTypes = ['UNKNOWN', 'ANY', 'MATCH', 'LITERAL', 'PREFIXED'];
const permissions = ['UNKNOWN', 'ANY', 'DENY', 'ALLOW'];
const lastOperation = 15;
const any = 1;
const cluster = 4;
const clusterName = 'kafka-cluster';

/** What exists already is created successfully once more, without a record. */
export function createAcls(
  state: ControllerState,
  request: CreateAclsRequest,
  { random }: DecisionContext,
): Decision<CreateAclsResponse> {
  const records: MetadataRecord[] = [];
  const created = new Set<string>();
  const results = request.creations.map((creation): ItemError => {
    const { resourcePatternType: patternType, resourceType, resourceName, principal, host, operation, permissionType } = creation;
    const entry = { resourceType, resourceName, patternType, principal, host, operation, permissionType };
    try {
      checkEntry(entry);
    } catch (error) {
      return itemError(error);
    }
    if (!state.image.acls.has(entry) && !created.has(entryKey(entry)))
      records.push(accessControlEntryRecord(randomUuid(random), entry));
    created.add(entryKey(entry));
    return success;
  });
  assertWithinLimit(records, state.settings.maxRecordsPerOperation);
  return { records, response: { throttleTimeMs: 0, results } };
}

function checkEntry(entry: AccessControlEntry): void {
  const refuse = (why: string): never => {
    throw new KafkaError('INVALID_REQUEST', why);
  };
  const named = (names: string[], code: number) => names[code] ?? 'UNKNOWN';
  if (entry.resourceType <= any || entry.resourceType >= resourceTypes.length) {
    refuse(`Invalid resourceType ${named(resourceTypes, entry.resourceType)}`);
  }
  if (entry.patternType !== aclPattern.literal && entry.patternType !== aclPattern.prefixed) {
    refuse(`Invalid patternType ${named(patternTypes, entry.patternType)}`);
  }
  if (entry.operation <= any || entry.operation > lastOperation) {
    refuse(`Invalid operation ${entry.operation === any ? 'ANY' : 'UNKNOWN'}`);
  }
  if (entry.permissionType <= any || entry.permissionType >= permissions.length) {
    refuse(`Invalid permissionType ${named(permissions, entry.permissionType)}`);
  }
  if (entry.resourceName === '') refuse('Invalid empty resource name');
  if (entry.resourceType === cluster && entry.resourceName !== clusterName) {
    refuse(`The only valid name for the CLUSTER resource is ${clusterName}`);
  }
  if (!entry.principal.includes(':')) {
    refuse(
      `Could not parse principal from \`${entry.principal}\` (no colon is present separating the principal type from the principal name)`,
    );
  }
}

/** Each filter answers all it matches, though an entry that several match is deleted once. */
export function deleteAcls(state: ControllerState, request: DeleteAclsRequest): Decision<DeleteAclsResponse> {
  const deleted = new Set<Uuid>();
  const filterResults = request.filters.map(({ resourceTypeFilter, resourceNameFilter, patternTypeFilter, ...rest }) => {
    const filter = { ...rest, resourceTypeFilter, resourceNameFilter, patternTypeFilter };
    try {
      const found = [...matchingEntries(state.image, filter)];
      for (const [id] of found) deleted.add(id);
      return { ...success, matchingAcls: found.map(([, entry]) => ({ ...success, ...entry })) };
    } catch (error) {
      return { ...itemError(error), matchingAcls: [] };
    }
  });
  const records = [...deleted].map(removeAccessControlEntryRecord);
  assertWithinLimit(records, state.settings.maxRecordsPerOperation);
  return { records, response: { throttleTimeMs: 0, filterResults } };
}

/** Entries by resource. @throws INVALID_REQUEST */
export function describeAcls(image: MetadataImage, request: DescribeAclsRequest): DescribeAclsResponse {
  const resources = new Map<string, DescribeAclsResponse['resources'][number]>();
  for (const [, entry] of matchingEntries(image, request)) {
    const { resourceType, resourceName, patternType, principal, host, operation, permissionType } = entry;
    const key = `${resourceType}:${patternType}:${resourceName}`;
    const resource = resources.get(key) ?? { resourceType, resourceName, patternType, acls: [] };
    resource.acls.push({ principal, host, operation, permissionType });
    resources.set(key, resource);
  }
  return { throttleTimeMs: 0, errorCode: 0, errorMessage: null, resources: [...resources.values()] };
}

type AclFilter = Pick<
  DescribeAclsRequest,
  | 'resourceTypeFilter'
  | 'resourceNameFilter'
  | 'patternTypeFilter'
  | 'principalFilter'
  | 'hostFilter'
  | 'operation'
  | 'permissionType'
>;

function* matchingEntries(image: MetadataImage, filter: AclFilter): IterableIterator<[Uuid, AccessControlEntry]> {
  checkFilter(filter);
  for (const [id, entry] of image.acls) if (matchesResource(filter, entry) && matchesEntry(filter, entry)) yield [id, entry];
}

function checkFilter({ resourceTypeFilter, patternTypeFilter, operation, permissionType }: AclFilter): void {
  const isKnown = (code: number, last: number) => code > 0 && code <= last;
  if (!isKnown(resourceTypeFilter, resourceTypes.length - 1) || !isKnown(patternTypeFilter, patternTypes.length - 1)) {
    throw new KafkaError('INVALID_REQUEST', 'Unknown patternFilter.');
  }
  if (!isKnown(operation, lastOperation) || !isKnown(permissionType, permissions.length - 1)) {
    throw new KafkaError('INVALID_REQUEST', 'Unknown entryFilter.');
  }
}

/** MATCH finds whatever would apply to a resource of that name: itself, `*`, and prefixes of it. */
function matchesResource(filter: AclFilter, entry: AccessControlEntry): boolean {
  const { resourceNameFilter: name, patternTypeFilter: pattern } = filter;
  if (filter.resourceTypeFilter !== any && filter.resourceTypeFilter !== entry.resourceType) return false;
  const isOpen = pattern === aclPattern.any || pattern === aclPattern.match;
  if (!isOpen && pattern !== entry.patternType) return false;
  if (name === null) return true;
  if (pattern !== aclPattern.match) return name === entry.resourceName;
  if (entry.patternType === aclPattern.prefixed) return name.startsWith(entry.resourceName);
  return name === entry.resourceName || entry.resourceName === '*';
}

function matchesEntry(filter: AclFilter, entry: AccessControlEntry): boolean {
  return (
    (filter.principalFilter === null || filter.principalFilter === entry.principal) &&
    (filter.hostFilter === null || filter.hostFilter === entry.host) &&
    (filter.operation === any || filter.operation === entry.operation) &&
    (filter.permissionType === any || filter.permissionType === entry.permissionType)
  );
}
