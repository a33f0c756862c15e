/** Which names a topic may have. */

import { KafkaError } from '@ottla/protocol';
import { unifiedName } from '../image/topics-image.ts';

const maxLength = 249;

/** @throws INVALID_TOPIC_EXCEPTION */
export function checkTopicName(name: string): void {
  const refuse = (why: string): never => {
    throw new KafkaError('INVALID_TOPIC_EXCEPTION', why);
  };
  if (name === '') refuse('Topic name is invalid: the empty string is not allowed');
  if (name === '.') refuse("Topic name is invalid: '.' is not allowed");
  if (name === '..') refuse("Topic name is invalid: '..' is not allowed");
  if (name.length > maxLength) {
    refuse(`Topic name is invalid: the length of '${name}' is longer than the max allowed length ${maxLength}`);
  }
  if (!/^[a-zA-Z0-9._-]+$/.test(name)) {
    refuse(`Topic name is invalid: '${name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'`);
  }
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
