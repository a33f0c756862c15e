/**
 * Snappy inside xerial's framing, as the Java clients have always written it.
 *
 *   82 53 4e 41 50 50 59 00   magic
 *   int32 1, int32 1          version, oldest compatible version
 *   chunks                    int32 length, then a raw snappy block (of 32 KiB of input when we write)
 *
 * Some clients send one raw block without any framing; without the magic, that is what it is.
 * Decompression is ours for the reasons given in lz4.ts.
 */
import { joinBytes } from './join-bytes.ts';
import { compressor } from './lazy-libraries.ts';
import { copyMatch } from './lz4.ts';
import { OutputBuffer, undecodable } from './output-buffer.ts';

const headerBytes = 16;
const chunkInputBytes = 32 * 1024;

export function snappyCompress(input: Uint8Array): Uint8Array {
  const parts: Uint8Array[] = [framingHeader()];
  for (let at = 0; at < input.length; at += chunkInputBytes) {
    const block = compressor().snappyCompress(input.subarray(at, at + chunkInputBytes));
    const length = new Uint8Array(4);
    new DataView(length.buffer).setInt32(0, block.length);
    parts.push(length, block);
  }
  return joinBytes(parts);
}

function framingHeader(): Uint8Array {
  return Uint8Array.of(0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0, 0, 0, 0, 1, 0, 0, 0, 1);
}

/** Throws MESSAGE_TOO_LARGE past `maxBytes`, UNKNOWN_SERVER_ERROR for malformed input. */
export function snappyDecompress(input: Uint8Array, maxBytes: number): Uint8Array {
  const output = new OutputBuffer(Math.min(input.length * 2, 256 * 1024), maxBytes);
  if (!isFramed(input)) {
    decodeBlock(input, output);
    return output.written();
  }
  const view = new DataView(input.buffer, input.byteOffset, input.byteLength);
  let at = headerBytes;
  while (at < input.length) {
    if (at + 4 > input.length) throw undecodable('snappy', 'the input ends inside the length of a chunk');
    // xerial streams may be concatenated: another header can stand where a length would.
    if (isFramed(input.subarray(at))) {
      at += headerBytes;
      continue;
    }
    const length = view.getInt32(at);
    at += 4;
    if (length < 0 || at + length > input.length) throw undecodable('snappy', `a chunk of ${length} bytes is not all there`);
    decodeBlock(input.subarray(at, at + length), output);
    at += length;
  }
  return output.written();
}

function isFramed(input: Uint8Array): boolean {
  return (
    input.length >= headerBytes &&
    input[0] === 0x82 &&
    input[1] === 0x53 &&
    input[2] === 0x4e &&
    input[3] === 0x41 &&
    input[4] === 0x50 &&
    input[5] === 0x50 &&
    input[6] === 0x59 &&
    input[7] === 0
  );
}

/**
 * A raw block: the length of its content as an unsigned varint, then elements, each known by the two low bits of its tag:
 * 0 literal, 1 copy with 11 bits of distance, 2 with 16, 3 with 32.
 */
function decodeBlock(input: Uint8Array, output: OutputBuffer): void {
  let at = 0;
  let contentBytes = 0;
  for (let shift = 1; ; shift *= 128) {
    if (at >= input.length || at === 5) throw undecodable('snappy', 'a block without the length of its content');
    const byte = input[at++]!;
    contentBytes += (byte & 127) * shift;
    if (byte < 128) break;
  }
  // One element makes at most 64 bytes out of 3: more than that is a lie, and no reason to allocate.
  if (contentBytes > input.length * 22)
    throw undecodable('snappy', `${contentBytes} bytes cannot come out of a block of ${input.length}`);
  output.reserveAll(contentBytes);

  const { bytes, view } = output;
  const inputView = new DataView(input.buffer, input.byteOffset, input.byteLength);
  const start = output.length;
  const end = start + contentBytes;
  let to = start;
  while (at < input.length) {
    const tag = input[at++]!;
    let length: number;
    let distance: number;
    switch (tag & 3) {
      case 0: {
        length = (tag >>> 2) + 1;
        if (length > 60) {
          const lengthBytes = length - 60;
          if (at + lengthBytes > input.length) throw undecodable('snappy', 'a block ends inside a length');
          length = 1;
          for (let index = 0, scale = 1; index < lengthBytes; index++, scale *= 256) length += input[at++]! * scale;
        }
        if (at + length > input.length) throw undecodable('snappy', 'a block ends inside a literal');
        if (to + length > end) throw undecodable('snappy', 'a block holds more than it announced');
        if (length > 32) {
          bytes.set(input.subarray(at, at + length), to);
          to += length;
          at += length;
        } else if (to + length + 3 <= bytes.length && at + length + 3 <= input.length) {
          // Words of four, as in lz4.ts.
          for (let done = 0; done < length; done += 4) view.setInt32(to + done, inputView.getInt32(at + done));
          to += length;
          at += length;
        } else for (const stop = to + length; to < stop; ) bytes[to++] = input[at++]!;
        continue;
      }
      case 1:
        if (at >= input.length) throw undecodable('snappy', 'a block ends inside a distance');
        length = ((tag >>> 2) & 7) + 4;
        distance = ((tag >>> 5) << 8) | input[at++]!;
        break;
      case 2:
        if (at + 2 > input.length) throw undecodable('snappy', 'a block ends inside a distance');
        length = (tag >>> 2) + 1;
        distance = input[at]! | (input[at + 1]! << 8);
        at += 2;
        break;
      default:
        if (at + 4 > input.length) throw undecodable('snappy', 'a block ends inside a distance');
        length = (tag >>> 2) + 1;
        distance = (input[at]! | (input[at + 1]! << 8) | (input[at + 2]! << 16) | (input[at + 3]! << 24)) >>> 0;
        at += 4;
    }
    let from = to - distance;
    if (distance === 0 || from < start) throw undecodable('snappy', 'a copy begins before its block');
    if (to + length > end) throw undecodable('snappy', 'a block holds more than it announced');
    if (length > 48) to = copyMatch(bytes, from, to, length);
    else if (distance >= 4 && to + length + 3 <= bytes.length) {
      for (let done = 0; done < length; done += 4) view.setInt32(to + done, view.getInt32(from + done));
      to += length;
    } else for (const stop = to + length; to < stop; ) bytes[to++] = bytes[from++]!;
  }
  if (to !== end) throw undecodable('snappy', 'a block holds less than it announced');
  output.length = end;
}
