/**
 * LZ4 frames as Kafka writes and reads them.
 *
 *   04 22 4d 18   magic
 *   FLG           01 version | block independence | block checksum | content size | content checksum | 0 | dictionary
 *   BD            0 | block maximum size: 4 = 64 KiB, 5 = 256 KiB, 6 = 1 MiB, 7 = 4 MiB | 0000
 *   [int64 LE]    content size, when FLG says so
 *   HC            second byte of xxh32 from FLG on
 *   blocks        int32 LE size, top bit = stored as it is; the block; [int32 LE checksum]
 *   00 00 00 00   end mark
 *   [int32 LE]    content checksum, which nobody checks
 *
 * Magic 0 message sets hash the frame's magic into HC as well, an old mistake that became the format.
 * Compression is WebAssembly's. Decompression is ours: the library answers bad input with a trap that leaves its memory
 * broken for whoever comes next, and it has no cap on its output; so nothing from outside may reach it.
 */
import { joinBytes } from './join-bytes.ts';
import { compressor } from './lazy-libraries.ts';
import { OutputBuffer, outputTooLarge, undecodable } from './output-buffer.ts';
import { xxh32 } from './xxh32.ts';

const frameMagic = 0x184d_2204;
const headerBytes = 7;
const blockBytes = 64 * 1024;
const endMarkBytes = 4;

export type Lz4Options = {
  /** The header checksum of magic 0 message sets covers the frame's magic. */
  checksumCoversMagic?: boolean;
};

export function lz4Compress(input: Uint8Array, options: Lz4Options = {}): Uint8Array {
  const parts = [frameHeader(options.checksumCoversMagic === true)];
  for (let at = 0; at < input.length; at += blockBytes) {
    const frame = compressor().lz4Compress(input.subarray(at, at + blockBytes));
    // A frame of at most 64 KiB is one block; its header and end mark give way to those of the whole.
    parts.push(frame.subarray(headerBytes, frame.length - endMarkBytes));
  }
  parts.push(new Uint8Array(endMarkBytes));
  return joinBytes(parts);
}

function frameHeader(checksumCoversMagic: boolean): Uint8Array {
  const header = new Uint8Array(headerBytes);
  new DataView(header.buffer).setUint32(0, frameMagic, true);
  header[4] = 0b0110_0000;
  header[5] = 0b0100_0000;
  header[6] = headerChecksum(header.subarray(checksumCoversMagic ? 0 : 4, 6));
  return header;
}

function headerChecksum(bytes: Uint8Array): number {
  return (xxh32(bytes) >>> 8) & 255;
}

/** Throws MESSAGE_TOO_LARGE past `maxBytes`, UNKNOWN_SERVER_ERROR for what is no whole frame of independent blocks. */
export function lz4Decompress(input: Uint8Array, maxBytes: number, options: Lz4Options = {}): Uint8Array {
  const view = new DataView(input.buffer, input.byteOffset, input.byteLength);
  const frame = readFrameHeader(input, view, options.checksumCoversMagic === true);
  if (frame.contentBytes > maxBytes) throw outputTooLarge(maxBytes);

  const output = new OutputBuffer(Math.max(frame.contentBytes, Math.min(input.length * 4, 4 * blockBytes)), maxBytes);
  let at = frame.blocksAt;
  for (;;) {
    if (at + 4 > input.length) throw undecodable('lz4', 'the frame ends without its end mark');
    const word = view.getUint32(at, true);
    at += 4;
    if (word === 0) break;
    const size = word & 0x7fff_ffff;
    const isStored = word > 0x7fff_ffff;
    if (size > frame.blockMaxBytes) throw undecodable('lz4', `a block of ${size} bytes is above the frame's maximum`);
    if (at + size + frame.blockTrailerBytes > input.length) throw undecodable('lz4', 'the frame ends inside a block');
    const block = input.subarray(at, at + size);
    at += size;
    if (frame.blockTrailerBytes > 0) {
      if (view.getUint32(at, true) !== xxh32(block)) throw undecodable('lz4', 'the checksum of a block does not match');
      at += frame.blockTrailerBytes;
    }
    if (isStored) {
      output.reserveAll(size);
      output.bytes.set(block, output.length);
      output.length += size;
    } else decodeBlock(block, output, frame.blockMaxBytes, maxBytes);
  }
  if (frame.contentBytes >= 0 && output.length !== frame.contentBytes) {
    throw undecodable('lz4', `${output.length} bytes of content where the frame announced ${frame.contentBytes}`);
  }
  return output.written();
}

type FrameHeader = { blocksAt: number; blockMaxBytes: number; blockTrailerBytes: number; contentBytes: number };

function readFrameHeader(input: Uint8Array, view: DataView, isLegacy: boolean): FrameHeader {
  if (input.length < headerBytes) throw undecodable('lz4', 'the frame ends inside its header');
  if (view.getUint32(0, true) !== frameMagic) throw undecodable('lz4', 'not a frame');
  const flags = input[4]!;
  const blockMaximum = input[5]!;
  if (flags >>> 6 !== 1) throw undecodable('lz4', `unknown frame version ${flags >>> 6}`);
  if ((flags & 0b0010_0000) === 0) throw undecodable('lz4', 'blocks that depend on each other are not supported');
  if ((flags & 0b0000_0011) !== 0) throw undecodable('lz4', 'dictionaries and reserved flags are not supported');
  const blockCode = blockMaximum >>> 4;
  if ((blockMaximum & 0b1000_1111) !== 0 || blockCode < 4) throw undecodable('lz4', 'an unknown maximum block size');

  const hasContentBytes = (flags & 0b0000_1000) !== 0;
  const checksumAt = hasContentBytes ? 14 : 6;
  if (input.length <= checksumAt) throw undecodable('lz4', 'the frame ends inside its header');
  // Old writers got this checksum wrong in their own ways, so for magic 0 it decides nothing.
  if (!isLegacy && input[checksumAt] !== headerChecksum(input.subarray(4, checksumAt))) {
    throw undecodable('lz4', 'the checksum of the frame header does not match');
  }
  return {
    blocksAt: checksumAt + 1,
    blockMaxBytes: 1 << (2 * blockCode + 8),
    blockTrailerBytes: (flags & 0b0001_0000) !== 0 ? 4 : 0,
    contentBytes: hasContentBytes ? view.getUint32(6, true) + view.getUint32(10, true) * 2 ** 32 : -1,
  };
}

/**
 * One block: sequences of a token (4 bits literal length, 4 bits match length - 4; 15 goes on in bytes of up to 255),
 * the literals, and an int16 LE distance back to the match. The last sequence ends after its literals.
 */
function decodeBlock(input: Uint8Array, output: OutputBuffer, blockMaxBytes: number, maxBytes: number): void {
  output.reserve(Math.min(blockMaxBytes, Math.max(input.length * 8, 1024)));
  const start = output.length;
  const limit = start + blockMaxBytes;
  const inputView = new DataView(input.buffer, input.byteOffset, input.byteLength);
  let { bytes, view } = output;
  let to = start;
  let at = 0;
  for (;;) {
    if (at >= input.length) throw undecodable('lz4', 'a block ends before its last literals');
    const token = input[at++]!;

    let literals = token >>> 4;
    if (literals === 15) {
      let more: number;
      do {
        if (at >= input.length) throw undecodable('lz4', 'a block ends inside a length');
        more = input[at++]!;
        literals += more;
      } while (more === 255);
    }
    let needed = to + literals;
    if (at + literals > input.length) throw undecodable('lz4', 'a block ends inside its literals');
    if (needed > limit) throw undecodable('lz4', "a block grows past the frame's maximum");
    if (needed > bytes.length) ({ bytes, view } = grown(output, to, needed, maxBytes));
    if (literals > 32) {
      bytes.set(input.subarray(at, at + literals), to);
      to += literals;
      at += literals;
    } else if (needed + 3 <= bytes.length && at + literals + 3 <= input.length) {
      // Words of four, of which the last may write past the end: what follows writes there again.
      for (let from = at; to < needed; to += 4, from += 4) view.setInt32(to, inputView.getInt32(from));
      to = needed;
      at += literals;
    } else while (to < needed) bytes[to++] = input[at++]!;
    if (at === input.length) break;

    if (at + 2 > input.length) throw undecodable('lz4', 'a block ends inside a distance');
    const distance = input[at]! | (input[at + 1]! << 8);
    at += 2;
    let from = to - distance;
    if (distance === 0 || from < start) throw undecodable('lz4', 'a match begins before its block');

    let length = (token & 15) + 4;
    if (length === 19) {
      let more: number;
      do {
        if (at >= input.length) throw undecodable('lz4', 'a block ends inside a length');
        more = input[at++]!;
        length += more;
      } while (more === 255);
    }
    needed = to + length;
    if (needed > limit) throw undecodable('lz4', "a block grows past the frame's maximum");
    if (needed > bytes.length) ({ bytes, view } = grown(output, to, needed, maxBytes));
    if (length > 48) to = copyMatch(bytes, from, to, length);
    else if (distance >= 4 && needed + 3 <= bytes.length) {
      for (; to < needed; to += 4, from += 4) view.setInt32(to, view.getInt32(from));
      to = needed;
    } else while (to < needed) bytes[to++] = bytes[from++]!;
  }
  output.length = to;
}

function grown(output: OutputBuffer, length: number, needed: number, maxBytes: number): OutputBuffer {
  if (needed > maxBytes) throw outputTooLarge(maxBytes);
  output.length = length;
  output.reserve(needed - length);
  return output;
}

/** Copies a match that may overlap its own output (a distance shorter than its length repeats the pattern). Returns where it ends. */
export function copyMatch(bytes: Uint8Array, from: number, to: number, length: number): number {
  const end = to + length;
  let copied = to - from;
  // Each pass doubles what has been repeated, so every single copy is free of overlap.
  while (to < end) {
    const count = Math.min(copied, end - to);
    bytes.copyWithin(to, from, from + count);
    to += count;
    copied += count;
  }
  return end;
}
