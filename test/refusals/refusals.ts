/**
 * Every field of every request that says which epoch its sender lives in, or which cluster it belongs to, with values that are wrong:
 * what is said to them, and that nothing has changed by it.
 */
import { isDeepStrictEqual } from 'node:util';
import { errorName } from '@ottla/protocol';
import { type AskedNodes, errorCodeIn } from './asked-nodes.ts';
import { controllerRefusals } from './controller-refusals.ts';
import { groupRefusals } from './group-refusals.ts';
import { partitionRefusals } from './partition-refusals.ts';
import { producerRefusals } from './producer-refusals.ts';
import { quorumRefusals } from './quorum-refusals.ts';
import type { Subject } from './refusal.ts';
import { sharingRefusals } from './sharing-refusals.ts';

export const subjects: Readonly<Record<string, (nodes: AskedNodes) => Promise<Subject>>> = {
  'the quorum': quorumRefusals,
  'the active controller': controllerRefusals,
  'the leader of a partition': partitionRefusals,
  'coordinators and leaders, by producers': producerRefusals,
  'coordinators of groups': groupRefusals,
  'what is shared': sharingRefusals,
};

export type Refused = {
  readonly row: string;
  readonly field: string;
  readonly expected: string;
  readonly said: string;
};

/** Asks everything that is wrong, with a look at all state after each, and then the same with what is true. */
export async function refusedBy({ rows, picture }: Subject): Promise<Refused[]> {
  const refused: Refused[] = [];
  const before = await picture();
  for (const { field, note, wrong } of rows) {
    for (const { what, expected, ask } of wrong) {
      const said = errorName(errorCodeIn(await ask()));
      const row = `${field}${note && `, ${note}`}: ${what}`;
      const isSame = isDeepStrictEqual(await picture(), before);
      refused.push({ row, field, expected, said: isSame ? said : `${said}, and something has changed` });
    }
  }
  for (const { field, note, accepted } of rows) {
    if (!accepted) continue;
    const said = errorName(errorCodeIn(await accepted()));
    refused.push({ row: `${field}${note && `, ${note}`}: the true one`, field, expected: 'NONE', said });
  }
  return refused;
}
