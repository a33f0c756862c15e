import { KafkaError } from '@ottla/protocol';

export type Line = {
  /** Counted from 1. */
  readonly number: number;
  /** Without its end, which is \n or \r\n. */
  readonly bytes: Uint8Array;
};

const lineFeed = 0x0a;
const carriageReturn = 0x0d;

/**
 * The lines that each chunk completes, byte by byte what came in. Throws MESSAGE_TOO_LARGE as soon as a line is longer than
 * `mostBytes`, after it gave those before: one that never ends must not fill the memory.
 */
export async function* linesOf(chunks: AsyncIterable<Uint8Array>, mostBytes: number): AsyncGenerator<Line[]> {
  let number = 1;
  let begun: Uint8Array[] = [];
  let begunBytes = 0;
  for await (const chunk of chunks) {
    const lines: Line[] = [];
    let start = 0;
    for (let end = chunk.indexOf(lineFeed); end >= 0; end = chunk.indexOf(lineFeed, start)) {
      const bytes = withoutReturn(joined([...begun, chunk.subarray(start, end)]));
      if (bytes.length > mostBytes) break;
      lines.push({ number: number++, bytes });
      begun = [];
      begunBytes = 0;
      start = end + 1;
    }
    if (start < chunk.length) {
      begun.push(chunk.subarray(start));
      begunBytes += chunk.length - start;
    }
    if (lines.length > 0) yield lines;
    // What comes next may be its end, and a \r belongs to the end.
    if (begunBytes > mostBytes + 1) throw tooLong(number, mostBytes);
  }
  if (begunBytes > mostBytes) throw tooLong(number, mostBytes);
  if (begunBytes > 0) yield [{ number, bytes: joined(begun) }];
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  return parts.length === 1 ? parts[0]! : Buffer.concat(parts);
}

function withoutReturn(line: Uint8Array): Uint8Array {
  return line.at(-1) === carriageReturn ? line.subarray(0, -1) : line;
}

function tooLong(number: number, mostBytes: number): KafkaError {
  return new KafkaError(
    'MESSAGE_TOO_LARGE',
    `line ${number} is longer than the ${mostBytes} bytes that --max-request-size allows`,
  );
}
