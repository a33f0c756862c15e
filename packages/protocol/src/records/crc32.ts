/**
 * Checksums of batches: CRC-32C (Castagnoli) for magic 2, zlib's CRC-32 for magic 0 and 1.
 * CRC-32C comes from @node-rs/crc32 (hardware, 5 to 15 GB/s), loaded when first needed; where no binary of it fits the
 * machine, eight tables in plain JavaScript do the same at about 1 GB/s.
 */
import { nativeCrc32c, zlib } from './lazy-libraries.ts';

type Checksum = (bytes: Uint8Array, seed?: number) => number;

let fastest: Checksum | undefined;

/** CRC-32C of `bytes`, as an unsigned 32-bit number. `seed` is the checksum of what came before them. */
export function crc32c(bytes: Uint8Array, seed = 0): number {
  fastest ??= nativeCrc32c() ?? portableCrc32c;
  return fastest(bytes, seed);
}

/** The CRC-32 of zlib, gzip and the old message sets. */
export function crc32(bytes: Uint8Array, seed = 0): number {
  return zlib().crc32(bytes, seed);
}

let tables: Uint32Array[] | undefined;

/** Slice-by-8 in plain JavaScript. */
export function portableCrc32c(bytes: Uint8Array, seed = 0): number {
  const [t0, t1, t2, t3, t4, t5, t6, t7] = (tables ??= castagnoliTables()) as [
    Uint32Array,
    Uint32Array,
    Uint32Array,
    Uint32Array,
    Uint32Array,
    Uint32Array,
    Uint32Array,
    Uint32Array,
  ];
  let crc = ~seed;
  let at = 0;
  for (const end = bytes.length - 7; at < end; at += 8) {
    const low = crc ^ (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24));
    crc =
      t7[low & 255]! ^
      t6[(low >>> 8) & 255]! ^
      t5[(low >>> 16) & 255]! ^
      t4[low >>> 24]! ^
      t3[bytes[at + 4]!]! ^
      t2[bytes[at + 5]!]! ^
      t1[bytes[at + 6]!]! ^
      t0[bytes[at + 7]!]!;
  }
  for (; at < bytes.length; at++) crc = t0[(crc ^ bytes[at]!) & 255]! ^ (crc >>> 8);
  return ~crc >>> 0;
}

function castagnoliTables(): Uint32Array[] {
  const made = Array.from({ length: 8 }, () => new Uint32Array(256));
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f6_3b78 : crc >>> 1;
    made[0]![byte] = crc;
  }
  for (let slice = 1; slice < 8; slice++) {
    for (let byte = 0; byte < 256; byte++) {
      const before = made[slice - 1]![byte]!;
      made[slice]![byte] = made[0]![before & 255]! ^ (before >>> 8);
    }
  }
  return made;
}
