import { describeUserScramCredentials as credentialsOf, describeClientQuotas as quotasOf } from '@ottla/metadata';
import { DescribeClientQuotas, DescribeUserScramCredentials } from '@ottla/protocol';
import { handler, type NodeContext } from './handler.ts';

/** DescribeClientQuotas: the quotas of users, client ids and addresses (KIP-546, KIP-612). */
export const describeClientQuotas = handler(
  DescribeClientQuotas,
  (request, { node }: NodeContext) => quotasOf(node.metadata.image, request),
  (failure) => ({ ...failure, entries: null }),
);

/** DescribeUserScramCredentials: who can log in by which mechanism, never with what (KIP-554). */
export const describeUserScramCredentials = handler(DescribeUserScramCredentials, (request, { node }: NodeContext) =>
  credentialsOf(node.metadata.image, request),
);
