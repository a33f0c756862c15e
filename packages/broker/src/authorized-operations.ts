/** Operation codes of ACLs that these sets speak of (AclOperation). */
const READ = 3;
const WRITE = 4;
const CREATE = 5;
const DELETE = 6;
const ALTER = 7;
const DESCRIBE = 8;
const CLUSTER_ACTION = 9;
const DESCRIBE_CONFIGS = 10;
const ALTER_CONFIGS = 11;
const IDEMPOTENT_WRITE = 12;

/** As bits of an int32: bit i is set when operation i is allowed (KIP-430). Nobody asked: the smallest int32. */
export const OPERATIONS_NOT_ASKED = -2147483648;

// Without an authorizer everybody may do everything that makes sense for the resource.
export const clusterOperations = bitsOf([
  CREATE,
  ALTER,
  DESCRIBE,
  CLUSTER_ACTION,
  DESCRIBE_CONFIGS,
  ALTER_CONFIGS,
  IDEMPOTENT_WRITE,
]);
export const topicOperations = bitsOf([READ, WRITE, CREATE, DELETE, ALTER, DESCRIBE, DESCRIBE_CONFIGS, ALTER_CONFIGS]);
export const groupOperations = bitsOf([READ, DELETE, DESCRIBE, DESCRIBE_CONFIGS, ALTER_CONFIGS]);

/** Of a group that is described: who does not ask is told nothing, nor is anybody of a group that cannot be described. */
export function withGroupOperations<Group extends { readonly errorCode?: number | undefined }>(
  groups: readonly Group[],
  { includeAuthorizedOperations }: { readonly includeAuthorizedOperations: boolean },
): (Group & { authorizedOperations: number })[] {
  return groups.map((group) => ({
    ...group,
    authorizedOperations: includeAuthorizedOperations && !group.errorCode ? groupOperations : OPERATIONS_NOT_ASKED,
  }));
}

function bitsOf(operations: readonly number[]): number {
  return operations.reduce((bits, operation) => bits | (1 << operation), 0);
}
