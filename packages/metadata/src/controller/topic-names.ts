/** Which names a topic may have. */

import { KafkaError } from '@ottla/protocol';
import { unifiedName } from '../image/topics-image.ts';

const maxLength = 249;

/** @throws INVALID_TOPIC_EXCEPTION */
export function checkTopicName(name: string): void {
  const problem = topicNameProblem(name);
  if (problem !== undefined) throw new KafkaError('INVALID_TOPIC_EXCEPTION', `Topic name is invalid: ${problem}`);
}

export const isValidTopicName = (name: string): boolean => topicNameProblem(name) === undefined;

function topicNameProblem(name: string): string | undefined {
  if (name === '') return 'the empty string is not allowed';
  if (name === '.' || name === '..') return `'${name}' is not allowed`;
  if (name.length > maxLength) return `the length of '${name}' is longer than the max allowed length ${maxLength}`;
  if (/^[a-zA-Z0-9._-]+$/.test(name)) return undefined;
  return `'${name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'`;
}

/** The first of `existing` that `name` would be mistaken for. */
export function collidingName(name: string, existing: Iterable<string>): string | undefined {
  const unified = unifiedName(name);
  if (unified === undefined) return undefined;
  for (const other of existing) if (other !== name && unifiedName(other) === unified) return other;
  return undefined;
}

/** Lives in the metadata quorum: nobody may create or delete it. */
export const metadataTopic = '__cluster_metadata';
