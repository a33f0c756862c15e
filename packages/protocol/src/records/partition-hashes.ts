/** The hashes that place things: keys on partitions, groups and transactional ids on their coordinators. Every client computes the same. */

/** Kafka's murmur2 over a record's key, as a signed 32-bit number. */
export function murmur2(key: Uint8Array): number {
  const mixer = 0x5bd1_e995;
  const length = key.length;
  let hash = 0x9747_b28c ^ length;
  let at = 0;
  for (; at + 4 <= length; at += 4) {
    let word = key[at]! | (key[at + 1]! << 8) | (key[at + 2]! << 16) | (key[at + 3]! << 24);
    word = Math.imul(word, mixer);
    word ^= word >>> 24;
    hash = Math.imul(hash, mixer) ^ Math.imul(word, mixer);
  }
  const left = length - at;
  if (left === 3) hash ^= key[at + 2]! << 16;
  if (left >= 2) hash ^= key[at + 1]! << 8;
  if (left >= 1) hash = Math.imul(hash ^ key[at]!, mixer);

  hash = Math.imul(hash ^ (hash >>> 13), mixer);
  return hash ^ (hash >>> 15);
}

/** The partition of a keyed record among `partitionCount`: equal keys stay together. */
export function partitionForKey(key: Uint8Array, partitionCount: number): number {
  return (murmur2(key) & 0x7fff_ffff) % partitionCount;
}

/** Java's String.hashCode over UTF-16 units, as a signed 32-bit number. */
export function javaStringHash(text: string): number {
  let hash = 0;
  for (let at = 0; at < text.length; at++) hash = (Math.imul(hash, 31) + text.charCodeAt(at)) | 0;
  return hash;
}

/** The order in which a java.util.HashMap walks over these keys: by bucket, and within one as they came. */
export function inJavaHashOrder(keys: readonly string[]): string[] {
  let buckets = 16;
  while (keys.length > buckets * 0.75) buckets *= 2;
  const bucketOf = (key: string): number => {
    const hash = javaStringHash(key);
    return (hash ^ (hash >>> 16)) & (buckets - 1);
  };
  return keys.toSorted((left, right) => bucketOf(left) - bucketOf(right));
}

/** The partition of the internal topic that keeps a group, a transactional id or a share partition's key. */
export function partitionForGroup(groupId: string, partitionCount: number): number {
  const hash = javaStringHash(groupId);
  // Java's Math.abs(Integer.MIN_VALUE) stays negative; Kafka takes 0 there.
  return (hash === -0x8000_0000 ? 0 : Math.abs(hash)) % partitionCount;
}
