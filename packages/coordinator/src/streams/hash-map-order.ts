/**
 * The order in which Java's hash maps go through texts. It means nothing, but in it Kafka breaks ties between members, processes and
 * subtopologies, so a coordinator that does too gives a group what the one before gave it.
 *
 *   place in the table   (hash xor hash >>> 16) modulo the table's size, a power of two that doubles when three quarters are in use
 *   within a place       in the order in which they came
 */
import { javaStringHash } from '@ottla/protocol';

const DEFAULT_CAPACITY = 16;

/** `grownTo`: how many keys the map once held, if some are gone: it does not shrink. */
export function inHashMapOrder(keys: Iterable<string>, { capacity = DEFAULT_CAPACITY, grownTo = 0 } = {}): string[] {
  const distinct = [...new Set(keys)];
  const held = Math.max(grownTo, distinct.length);
  let size = 1;
  while (size < capacity || size * 0.75 < held) size *= 2;
  const placed = distinct.map((key) => ({ key, place: placeOf(key) & (size - 1) }));
  return placed.sort((one, other) => one.place - other.place).map(({ key }) => key);
}

function placeOf(key: string): number {
  const hash = javaStringHash(key);
  return hash ^ (hash >>> 16);
}
