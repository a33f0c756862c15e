/** Libraries that only some batches need, loaded when the first of those comes: importing this package does no work. */
import { createRequire } from 'node:module';

/** The part of @platformatic/wasm-utils that is safe: it is only ever given our own bytes to compress. */
export type Compressor = {
  /** A frame; one block when the input is at most 64 KiB. */
  lz4Compress(bytes: Uint8Array): Uint8Array;
  /** A raw block. */
  snappyCompress(bytes: Uint8Array): Uint8Array;
};

let loadedCompressor: Compressor | undefined;
let loadedZlib: typeof import('node:zlib') | undefined;

/** 20 ms to load. */
export function compressor(): Compressor {
  loadedCompressor ??= createRequire(import.meta.url)('@platformatic/wasm-utils') as Compressor;
  return loadedCompressor;
}

/** 3 ms to load. */
export function zlib(): typeof import('node:zlib') {
  loadedZlib ??= process.getBuiltinModule('node:zlib');
  return loadedZlib;
}

/** CRC-32C in hardware; undefined where the package has no binary for this machine. */
export function nativeCrc32c(): ((bytes: Uint8Array, seed?: number) => number) | undefined {
  try {
    return createRequire(import.meta.url)('@node-rs/crc32').crc32c;
  } catch {
    return undefined;
  }
}
