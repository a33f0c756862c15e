import { createRequire } from 'node:module';

/** The part of @platformatic/wasm-utils that is safe: it is only ever given our own bytes to compress. */
export type Compressor = {
  /** A frame; one block when the input is at most 64 KiB. */
  lz4Compress(bytes: Uint8Array): Uint8Array;
  /** A raw block. */
  snappyCompress(bytes: Uint8Array): Uint8Array;
};

let loaded: Compressor | undefined;

/** Loaded when first needed: it costs 20 ms, which nobody who neither writes lz4 nor snappy should pay. */
export function compressor(): Compressor {
  loaded ??= createRequire(import.meta.url)('@platformatic/wasm-utils') as Compressor;
  return loaded;
}
