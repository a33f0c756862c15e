/**
 * The codecs of record batches. Every decompression has a cap on its output, because the format has none.
 *
 *   id  codec   framing
 *   0   none
 *   1   gzip    one RFC 1952 stream
 *   2   snappy  xerial's chunks (snappy.ts)
 *   3   lz4     frames (lz4.ts)
 *   4   zstd    frames
 */
import { KafkaError } from '../errors.ts';
import { joinBytes } from './join-bytes.ts';
import { zlib } from './lazy-libraries.ts';
import { type Lz4Options, lz4Compress, lz4Decompress } from './lz4.ts';
import { outputTooLarge, undecodable } from './output-buffer.ts';
import { snappyCompress, snappyDecompress } from './snappy.ts';

export type CompressionCodec = 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd';

export const compressionCodecs: readonly CompressionCodec[] = ['none', 'gzip', 'snappy', 'lz4', 'zstd'];

/** Enough for any batch that a broker with sane limits accepts, little enough for a process to survive a bomb. */
export const defaultMaxDecompressedBytes = 128 * 1024 * 1024;

/** Each frame costs a context of its own, so thousands of empty ones would be a bomb of time. Encoders write one. */
const maxZstdFrames = 256;

export type CompressOptions = Lz4Options & {
  /** gzip 1 to 9 or -1; zstd -131072 to 22. lz4 and snappy have one speed here. Absent: the codec's default. */
  level?: number;
};

export type DecompressOptions = Lz4Options & {
  /** Default `defaultMaxDecompressedBytes`. */
  maxBytes?: number;
};

/** The codec of the low bits of `attributes`. Throws UNKNOWN_SERVER_ERROR, as Kafka does, for ids 5 to 7. */
export function codecOfId(id: number): CompressionCodec {
  const codec = compressionCodecs[id];
  if (codec === undefined) throw new KafkaError('UNKNOWN_SERVER_ERROR', `unknown compression type id: ${id}`);
  return codec;
}

export function idOfCodec(codec: CompressionCodec): number {
  return compressionCodecs.indexOf(codec);
}

/** `none` gives the input back. */
export function compress(codec: CompressionCodec, input: Uint8Array, options: CompressOptions = {}): Uint8Array {
  switch (codec) {
    case 'none':
      return input;
    case 'gzip':
      return plainView(zlib().gzipSync(input, { level: options.level ?? -1 }));
    case 'snappy':
      return snappyCompress(input);
    case 'lz4':
      return lz4Compress(input, options);
    case 'zstd': {
      const { constants, zstdCompressSync } = zlib();
      return plainView(zstdCompressSync(input, { params: { [constants.ZSTD_c_compressionLevel]: options.level ?? 3 } }));
    }
  }
}

/**
 * `none` gives the input back. Throws MESSAGE_TOO_LARGE when the output would pass the cap, and UNKNOWN_SERVER_ERROR,
 * as Kafka does, for input that the codec cannot read.
 */
export function decompress(codec: CompressionCodec, input: Uint8Array, options: DecompressOptions = {}): Uint8Array {
  const maxBytes = options.maxBytes ?? defaultMaxDecompressedBytes;
  switch (codec) {
    case 'none':
      return input;
    case 'gzip':
      return inflate(codec, zlib().gunzipSync, input, maxBytes).output;
    case 'snappy':
      return snappyDecompress(input, maxBytes);
    case 'lz4':
      return lz4Decompress(input, maxBytes, options);
    case 'zstd':
      return zstdFrames(input, maxBytes);
  }
}

/** zlib stops after the first frame, but a stream may hold several. */
function zstdFrames(input: Uint8Array, maxBytes: number): Uint8Array {
  const first = inflate('zstd', zlib().zstdDecompressSync, input, maxBytes);
  if (first.consumed === input.length) return first.output;
  const outputs = [first.output];
  let length = first.output.length;
  for (let at = first.consumed; at < input.length; ) {
    const { output, consumed } = inflate('zstd', zlib().zstdDecompressSync, input.subarray(at), maxBytes - length);
    outputs.push(output);
    if (outputs.length > maxZstdFrames) throw undecodable('zstd', `more than ${maxZstdFrames} frames`);
    length += output.length;
    at += consumed;
  }
  return joinBytes(outputs);
}

type InflateOptions = { maxOutputLength: number; chunkSize: number; info: true };
type Inflater = (input: Uint8Array, options: InflateOptions) => Uint8Array;

function inflate(
  codec: CompressionCodec,
  inflater: Inflater,
  input: Uint8Array,
  maxBytes: number,
): { output: Uint8Array; consumed: number } {
  const chunkSize = Math.min(Math.max(input.length * 4, 16 * 1024), 1024 * 1024);
  try {
    // zlib has no word for a cap of 0, and Node's types none for what `info` changes.
    const options: InflateOptions = { maxOutputLength: Math.max(maxBytes, 1), chunkSize, info: true };
    const { buffer, engine } = inflater(input, options) as unknown as { buffer: Buffer; engine: { bytesWritten: number } };
    if (buffer.length > maxBytes) throw outputTooLarge(maxBytes);
    return { output: plainView(buffer), consumed: engine.bytesWritten };
  } catch (error) {
    if (error instanceof KafkaError) throw error;
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') throw outputTooLarge(maxBytes);
    throw undecodable(codec, (error as Error).message);
  }
}

/** Whoever calls `slice` on a Uint8Array means a copy; on a Buffer it would be a view. */
function plainView(buffer: Buffer): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
}
